"""The settings of a sweep, from options of the command line, a TOML file of the same options, or both."""

from __future__ import annotations

import glob
import os
import reprlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.bounded import read_toml
from evaluator.errors import ConfigurationError
from evaluator.places import CACHE_HELP, RESULTS, path_fault
from evaluator.plans import Option
from evaluator.submission.travel import stays
from evaluator.tables import either
from evaluator.toml_keys import place_of
from evaluator.track import Track
from evaluator.words import meant

COMMON: dict[str, Option] = {
    "track": Option(str, "the kind of competition", metavar="NAME", group="the grid"),
    "submissions": Option(Path, "folders, .py files or patterns", many=True, metavar="PATH"),
    "label": Option(str, "what tables call each submission (default: its folder's name)", many=True, metavar="TEXT"),
    "profile": Option(str, "a profile, or your own as a TOML file (default: quick)", metavar="NAME|FILE", file=True),
    "seeds": Option(int, "repetitions of every task (default: 1)", metavar="N"),
    "first_seed": Option(int, "number of the first repetition (default: 0)", metavar="N"),
    "until": Option(
        int,
        "look after every N seeds, and end when every comparison with random is decided; --seeds is the most",
        metavar="N",
    ),
    "data_sets": Option(int, "data sets made of the profile, each with every cell (default: its own)", metavar="K"),
    "first_data_set": Option(int, "number of the first of them (default: 1)", metavar="N"),
    "root_seed": Option(int, "draws follow from it and the secret (default: 2022)", metavar="N"),
    "secret": Option(Path, "file of a secret (default: that of the results folder)", metavar="FILE"),
    "public_seeds": Option(bool, "no secret: draws as in published figures"),
    "pipelines": Option(str, "default: the profile's own", many=True, metavar="NAME|FILE", file=True),
    "score_split": Option(str, "one split or more (default: the round's own)", many=True, metavar="SPLIT"),
    "starting_weights": Option(str, "default: the profile's", choices=("imagenet", "procedural", "none")),
    "weights_dir": Option(Path, "pretrained weights for the participant, as TORCH_HOME", metavar="DIR"),
    "sandbox": Option(str, "isolation tier (default: auto)", choices=("auto", "bubblewrap", "docker", "landlock", "process")),
    "device": Option(str, "cpu, cuda or auto (default: auto)"),
    "threads": Option(int, "CPU threads of one training (default: 1)", metavar="N"),
    "workers": Option(int, "trainings at a time (default: cores / threads, or 8 per CUDA device)", metavar="N"),
    "ray": Option(str, "run on a Ray cluster: auto, HOST:PORT, or local to start one here (docs/cluster.md)", metavar="ADDRESS"),
    "data": Option(Path, "folder of the splits (default: the profile's, below data/)", metavar="DIR"),
    "cache": Option(Path, CACHE_HELP, metavar="DIR"),
    "out": Option(Path, "results folder (default: results/)", metavar="DIR"),
    "fresh": Option(bool, "repeat finished cells and answers, too"),
    "mixed_versions": Option(bool, "reuse stored cells of other versions of Python or of the libraries, too"),
}
"""Options that every track has."""


SEEDS = frozenset({"secret", "public_seeds"})
"""Options that say where the secret comes from. Without them it is that of the results folder."""
MOST_SEEDS = 10_000
"""Largest number of repetitions: every cell is named before the first one runs."""
MOST_DATA_SETS = 1_000
"""Largest number of data sets: each takes a minute, and as much as a hundred megabytes."""
MOST_AT_A_TIME = 1_024
"""Largest number of threads and of workers; more is a slip of the hand on every machine."""
LARGEST_SEED = 2**63 - 1
_BOUNDS = {
    "seeds": (1, MOST_SEEDS),
    "threads": (1, MOST_AT_A_TIME),
    "workers": (1, MOST_AT_A_TIME),
    "first_seed": (0, LARGEST_SEED),
    "data_sets": (0, MOST_DATA_SETS),
    "first_data_set": (1, LARGEST_SEED),
    "root_seed": (0, LARGEST_SEED),
}
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 200


@dataclass(frozen=True)
class Settings:
    """The options of a sweep, by the names of the command line.

    Attributes:
        submissions: folders and files; patterns are already replaced by what they match.
        options: all options of the track, defaults filled in.
        label: what tables call the submissions, in their order; empty for the names of their folders.
        pipelines: names or files; empty for the profile's pipeline.
        score_split: the splits to score, each in cells of its own; empty for the round's.
        seeds: number of repetitions; ``first_seed``: number of the first, so that further repetitions can be run later.
        until: seeds between two looks at the findings (``sweep.looks``); None runs all seeds.
        data_sets: number of data sets that are made of the profile, each with every cell; 0 for the profile's own.
            ``first_data_set``: number of the first, so that further data sets can be run later.
        secret: file of the secret that every draw follows from; None for that of the results folder. ``public_seeds``: without any
            secret, every draw follows from the root seed alone.
        threads: CPU threads of one training; ``workers``: trainings at a time, None for as many as the machine has cores for.
        data: folder of the splits; None for the profile's. ``cache``: folder of data that are made, and of caches; None for the
            default (``places.data_place``).
        ray: address of a Ray cluster (see ``cluster.ClusterWorkers``); None runs cells on this machine.
        fresh: run finished cells and answers again.
        mixed_versions: cells that other versions of Python or of the libraries computed count as finished, too.

    Raises:
        ConfigurationError: a value makes no sense, or two values exclude each other.
    """

    submissions: tuple[Path, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    label: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()
    score_split: tuple[str, ...] = ()
    profile: str = "quick"
    seeds: int = 1
    first_seed: int = 0
    data_sets: int = 0
    first_data_set: int = 1
    root_seed: int = 2022
    secret: Path | None = None
    public_seeds: bool = False
    starting_weights: str | None = None
    weights_dir: Path | None = None
    sandbox: str = "auto"
    device: str = "auto"
    threads: int = 1
    workers: int | None = None
    data: Path | None = None
    cache: Path | None = None
    out: Path = RESULTS
    fresh: bool = False
    mixed_versions: bool = False
    ray: str | None = None
    until: int | None = None

    def __post_init__(self) -> None:
        if not self.submissions:
            raise ConfigurationError("--submissions: no submission was given; name folders or files, e.g. baselines/*")
        for name in ("pipelines", "score_split"):
            given = getattr(self, name)
            twice = sorted({value for value in given if given.count(value) > 1})
            if twice:
                raise ConfigurationError(f"--{name.replace('_', '-')}: {twice[0]!r} is given more than once; name it once")
        if self.starting_weights not in (None, "imagenet", "procedural", "none"):
            raise ConfigurationError(f"--starting-weights is {self.starting_weights!r}; it must be imagenet, procedural or none")
        for name, (least, most) in _BOUNDS.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigurationError(f"--{name.replace('_', '-')} is {value}; it must be {least} or more")
            if value is not None and value > most:
                raise ConfigurationError(f"--{name.replace('_', '-')} is {value}; at most {most:,} are allowed")
        if self.secret is not None and self.public_seeds:
            raise ConfigurationError(
                "--secret and --public-seeds were both given; public seeds are those without a secret. Leave one out"
            )
        if self.data_sets and self.data is not None:
            raise ConfigurationError(
                "--data and --data-sets were both given; data sets are made of the profile, and --data names one that is there. "
                "Leave one out"
            )
        if self.ray is not None and self.workers is not None:
            raise ConfigurationError(
                "--workers and --ray were both given; on a cluster Ray decides how many trainings run. Leave --workers out"
            )
        if self.ray is not None and not self.ray.strip():
            raise ConfigurationError("--ray is empty; give auto, HOST:PORT, or local to start a cluster here")
        if self.weights_dir is not None and not os.path.isdir(self.weights_dir):
            raise ConfigurationError(f"--weights-dir: {self.weights_dir} is not a folder; name a folder with weights")
        require_outside("--out", self.out, self.submissions)
        if self.cache is not None:
            require_outside("--cache", self.cache, self.submissions)

    @property
    def seed_numbers(self) -> range:
        """The numbers of the repetitions."""
        return range(self.first_seed, self.first_seed + self.seeds)

    @property
    def data_set_numbers(self) -> tuple[int, ...]:
        """The numbers of the data sets; 0 is the profile's own."""
        return tuple(range(self.first_data_set, self.first_data_set + self.data_sets)) or (0,)


def require_outside(option: str, path: Path, submissions: Sequence[Path]) -> None:
    """Check that a file or folder that a run writes lies in none of the submissions.

    Raises:
        ConfigurationError: it does.
    """
    for submission in submissions:
        inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(submission))
        if inside and os.path.isdir(submission):
            raise ConfigurationError(
                f"{option}: {path} lies in the submission {submission}; what is written there would become a part of the "
                "submission, and its finished cells would not be found again. Name a place outside the submission"
            )


def read_settings(given: Mapping[str, Any], track: Track, file: Path | None = None) -> tuple[Settings, tuple[str, ...]]:
    """Settings from given options and a file of options. A given option replaces that of the file.

    Args:
        given: options by name; an option that is None was not given.
        track: its options are known in addition to ``COMMON``, and its splits can be scored. An option ``track``, which has
            named it before, is ignored.
        file: TOML with the same options, e.g. ``score-split = ["validation", "test"]``. Paths in it are relative to its folder.

    Returns:
        The settings, and the names of files that a pattern for submissions matched but that are not submissions.

    Raises:
        ConfigurationError: the file cannot be read, an option does not exist, or a value has the wrong type.
    """
    known = {**COMMON, **track.options}
    chosen: dict[str, Any] = {} if file is None else _from_file(file, known, track)
    typed = {name: _typed(name, known[name], value, Path()) for name, value in given.items() if value is not None}
    if SEEDS & typed.keys():  # they exclude each other, so either of them replaces whichever the file has
        chosen = {name: value for name, value in chosen.items() if name not in SEEDS}
    chosen |= typed
    own = {name: chosen.pop(name, option.default) for name, option in track.options.items()}
    for name, value in own.items():
        if value == () or (track.options[name].many and value is not None and len(set(value)) != len(value)):
            said = (
                "no value was given; leave the option out, or give a value"
                if value == ()
                else f"a value is given more than once: {', '.join(map(str, value))}"
            )
            raise ConfigurationError(f"--{name.replace('_', '-')}: {said}")
    chosen.pop("track", None)
    chosen.setdefault("profile", track.default_profile(own))
    _check_splits(chosen.get("score_split", ()), track)
    found, skipped = _submissions(chosen.pop("submissions", ()))
    return Settings(submissions=found, options=own, **chosen), skipped


def options_of(given: Mapping[str, Any], track: Track, file: Path | None = None) -> dict[str, Any]:
    """The options that were given, or that a file has, by name and typed; paths are absolute, and defaults are not filled in.

    Raises:
        ConfigurationError: as ``read_settings``.
    """
    known = {**COMMON, **track.options}
    chosen: dict[str, Any] = {} if file is None else _from_file(file.absolute(), known, track)
    typed = {name: _typed(name, known[name], value, Path.cwd()) for name, value in given.items() if value is not None}
    if SEEDS & typed.keys():
        chosen = {name: value for name, value in chosen.items() if name not in SEEDS}
    return chosen | typed


def track_in(file: Path) -> str | None:
    """The option ``track`` of a file of options; None if the file does not have it.

    Raises:
        ConfigurationError: the file cannot be read, or the option is not a text.
    """
    found = _toml(file).get("track")
    if found is not None and not isinstance(found, str):
        raise ConfigurationError(f"{file}: the option track is {found!r}; it must be a text, the name of a track")
    return found


def _check_splits(given: Sequence[str], track: Track) -> None:
    unknown = sorted(set(given) - set(track.score_splits))
    if unknown and not track.score_splits:
        raise ConfigurationError(f"--score-split is {unknown[0]!r}; the track {track.name} has no choice of splits. Leave it out")
    if unknown:
        raise ConfigurationError(f"--score-split is {unknown[0]!r}; it must be {either(track.score_splits)}")


def _from_file(file: Path, known: Mapping[str, Option], track: Track) -> dict[str, Any]:
    options: dict[str, Any] = {}
    content = _toml(file)
    for key, value in content.items():
        name = str(key).replace("-", "_")
        if name not in known and (why := track.other_file(content)):
            raise ConfigurationError(f"{file}: {why}")
        if name not in known:
            spelt = [option.replace("_", "-") for option in sorted(known)]
            hint = meant(name.replace("_", "-"), spelt) or f"; known options are {', '.join(spelt)}"
            raise ConfigurationError(f"{place_of(file, key)}: a sweep has no option {key!r}{hint}")
        if name in options:
            raise ConfigurationError(f"{file}: the option {key!r} is given twice, with - and with _; write it once")
        try:
            options[name] = _typed(name, known[name], value, file.parent)
        except ConfigurationError as error:
            raise ConfigurationError(f"{place_of(file, key)}: {error}") from None
    return options


def _toml(file: Path) -> dict[str, Any]:
    try:
        return read_toml(file)
    except OSError as error:
        raise ConfigurationError(f"--file: {file} cannot be read ({error}); name a TOML file of options") from None


def _typed(name: str, option: Option, value: Any, folder: Path) -> Any:
    """A value as the type of its option; paths are relative to ``folder``."""
    if option.many:
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        return tuple(_single(name, option, item, folder) for item in several)
    found = _single(name, option, value, folder)
    if option.choices and found not in option.choices:
        raise ConfigurationError(f"the option {name.replace('_', '-')} is {found!r}; it must be {' or '.join(option.choices)}")
    return found


def _single(name: str, option: Option, value: Any, folder: Path) -> Any:
    kind = option.kind
    expected: Any = {Path: (str, Path), float: (int, float)}.get(kind, kind)
    given: Any = value
    # Python counts True as an int, but it is not a number of seeds.
    if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
        words = {Path: "a path", str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise ConfigurationError(f"the option {name.replace('_', '-')} is {_REPR.repr(value)}; it must be {words}")
    if kind is Path and (why := path_fault(str(given) if given else "")):
        raise ConfigurationError(f"the option {name.replace('_', '-')}: {why}")
    if kind is Path:
        return folder / Path(given).expanduser()
    if option.file and given.endswith(".toml"):
        return str(folder / Path(given).expanduser())
    return kind(given)


def _submissions(named: Sequence[Path]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Folders and Python files of the given paths and patterns; and the names of matched files that are not submissions.

    A path that exists is not read as a pattern, even if its name contains a star. A path that is named alone is a submission,
    whatever its name is.
    """
    if len(named) == 1 and os.path.exists(named[0]):
        return (named[0].absolute(),), ()
    found: dict[Path, None] = {}
    skipped = []
    for path in named:
        paths = [path] if os.path.exists(path) else [Path(p) for p in sorted(glob.glob(str(path)))]
        if not paths:
            raise ConfigurationError(
                f"--submissions: there is no submission {path}; name a folder, a .py file, or a pattern such as baselines/*"
            )
        for match in paths:
            if match.name.startswith(("_", ".")) or stays(match.name, top=True):  # README, aicrowd.json, files of editors
                skipped.append(match.name)
            else:
                found[match.absolute()] = None
    return tuple(found), tuple(dict.fromkeys(skipped))
