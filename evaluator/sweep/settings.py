"""What a sweep is asked for: options of the command line, a file of the same options, or both."""

from __future__ import annotations

import glob
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from evaluator.data.layout import SCORED_SPLITS
from evaluator.errors import ConfigurationError
from evaluator.places import RESULTS
from evaluator.track import Option, Track

COMMON: dict[str, Option] = {
    "submissions": Option(Path, "folders, .py files or patterns", many=True, metavar="PATH"),
    "profile": Option(str, "default: quick"),
    "seeds": Option(int, "repetitions of every task (default: 1)", metavar="N"),
    "first_seed": Option(int, "number of the first repetition (default: 0)", metavar="N"),
    "root_seed": Option(int, "every draw is split from it (default: 2022)", metavar="N"),
    "pipelines": Option(str, "default: the profile's own", many=True, metavar="NAME|FILE"),
    "score_split": Option(str, "validation or test, or both", many=True, metavar="SPLIT"),
    "starting_weights": Option(str, "default: the profile's", choices=("imagenet", "procedural", "none")),
    "weights_dir": Option(Path, "pretrained weights for the participant, as TORCH_HOME", metavar="DIR"),
    "sandbox": Option(str, "isolation tier (default: auto)", choices=("auto", "bubblewrap", "docker", "process")),
    "device": Option(str, "cpu, cuda or auto (default: auto)"),
    "threads": Option(int, "CPU threads of one training (default: 1)", metavar="N"),
    "workers": Option(int, "trainings at a time (default: cores / threads; one per CUDA device)", metavar="N"),
    "ray": Option(str, "run on a Ray cluster: auto, HOST:PORT, or local to start one here (docs/cluster.md)", metavar="ADDRESS"),
    "data": Option(Path, "folder of the splits (default: data/ and the profile's)", metavar="DIR"),
    "out": Option(Path, "results folder (default: results/)", metavar="DIR"),
    "fresh": Option(bool, "repeat what is finished already, answers too"),
    "mixed_versions": Option(bool, "take stored cells that other versions of Python or of the libraries computed"),
}
"""Options that every track has."""


@dataclass(frozen=True)
class Settings:
    """The options of a sweep, by the names of the command line.

    Attributes:
        submissions: folders and files, patterns already read.
        options: the track's own; all of them, with their defaults.
        pipelines: names or files; empty for the profile's own.
        score_split: every one of them is run; no split means the round's.
        seeds: repetitions, numbered from ``first_seed`` on, so that later ones may be run elsewhere or another day.
        threads: CPU threads of one training; ``workers``: trainings at a time, None for as many as there is room for.
        data: folder of the splits, None for the profile's.
        ray: address of a Ray cluster that cells are run on, see ``cluster.ClusterWorkers``; None runs them on this machine.
        mixed_versions: what other versions of Python or of the libraries computed counts as finished, too.
    """

    submissions: tuple[Path, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    pipelines: tuple[str, ...] = ()
    score_split: tuple[str, ...] = ()
    profile: str = "quick"
    seeds: int = 1
    first_seed: int = 0
    root_seed: int = 2022
    starting_weights: str | None = None
    weights_dir: Path | None = None
    sandbox: str = "auto"
    device: str = "auto"
    threads: int = 1
    workers: int | None = None
    data: Path | None = None
    out: Path = RESULTS
    fresh: bool = False
    mixed_versions: bool = False
    ray: str | None = None

    def __post_init__(self) -> None:
        if not self.submissions:
            raise ConfigurationError("--submissions: nothing was named; name folders or files, baselines/* for instance")
        for name in ("pipelines", "score_split"):
            given = getattr(self, name)
            twice = sorted({value for value in given if given.count(value) > 1})
            if twice:
                raise ConfigurationError(f"--{name.replace('_', '-')}: {twice[0]!r} is given more than once; name it once")
        unknown = set(self.score_split) - set(SCORED_SPLITS)
        if unknown:
            raise ConfigurationError(f"--score-split is {min(unknown)!r}; it is {' or '.join(SCORED_SPLITS)}")
        if self.starting_weights not in (None, "imagenet", "procedural", "none"):
            raise ConfigurationError(f"--starting-weights is {self.starting_weights!r}; it is imagenet, procedural or none")
        for name, least in (("seeds", 1), ("threads", 1), ("workers", 1), ("first_seed", 0), ("root_seed", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigurationError(f"--{name.replace('_', '-')} is {value}; it must be {least} or more")
        if self.ray is not None and self.workers is not None:
            raise ConfigurationError(
                "--workers and --ray were both given; on a cluster Ray decides how many trainings there is room for"
            )
        if self.weights_dir is not None and not self.weights_dir.is_dir():
            raise ConfigurationError(f"--weights-dir {self.weights_dir} is not a folder")

    @property
    def seed_numbers(self) -> range:
        """The numbers of the repetitions."""
        return range(self.first_seed, self.first_seed + self.seeds)


def read_settings(given: Mapping[str, Any], track: Track, file: Path | None = None) -> tuple[Settings, tuple[str, ...]]:
    """Settings out of options that were given and a file of options; what was given wins.

    Args:
        given: options by name; those of None were not given.
        track: whose own options there are beside the common ones.
        file: TOML: a table of the same options, ``score-split = ["validation", "test"]``. Paths in it are seen from its folder.

    Returns:
        (settings, names that lie among the submissions and are none).

    Raises:
        ConfigurationError: a file that cannot be read, an option that does not exist, a value of the wrong type.
    """
    known = {**COMMON, **track.options}
    chosen: dict[str, Any] = {} if file is None else _from_file(file, known)
    chosen |= {name: _typed(name, known[name], value, Path()) for name, value in given.items() if value is not None}
    own = {name: chosen.pop(name, option.default) for name, option in track.options.items()}
    for name, value in own.items():
        if value == () or (track.options[name].many and value is not None and len(set(value)) != len(value)):
            said = (
                "no value was given; leave the option out, or give a value"
                if value == ()
                else f"a value is given more than once: {', '.join(map(str, value))}"
            )
            raise ConfigurationError(f"--{name.replace('_', '-')}: {said}")
    found, skipped = _submissions(chosen.pop("submissions", ()))
    return Settings(submissions=found, options=own, **chosen), skipped


def _from_file(file: Path, known: Mapping[str, Option]) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the sweep's file {file} cannot be read ({error})") from None
    options: dict[str, Any] = {}
    for key, value in _toml(file, text).items():
        name = str(key).replace("-", "_")
        if name not in known:
            listed = ", ".join(sorted(known)).replace("_", "-")
            near = get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0].replace('_', '-')!r}?" if near else f"; known are {listed}"
            raise ConfigurationError(f"{file} holds the option {key!r}, which a sweep does not have{hint}")
        if name in options:
            raise ConfigurationError(f"{file} holds the option {key!r} twice, with - and with _; write it once")
        try:
            options[name] = _typed(name, known[name], value, file.parent)
        except ConfigurationError as error:
            raise ConfigurationError(f"{file}: {error}") from None
    return options


def _toml(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"the sweep's file {file} is no TOML: {error}") from None


def _typed(name: str, option: Option, value: Any, folder: Path) -> Any:
    """A value as the type of its option; paths from ``folder``."""
    if option.many:
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        return tuple(_single(name, option.kind, item, folder) for item in several)
    found = _single(name, option.kind, value, folder)
    if option.choices and found not in option.choices:
        raise ConfigurationError(f"the option {name.replace('_', '-')} is {found!r}; it is {', '.join(option.choices)}")
    return found


def _single(name: str, kind: type, value: Any, folder: Path) -> Any:
    expected: Any = {Path: (str, Path), float: (int, float)}.get(kind, kind)
    given: Any = value
    # True is an int to Python, and no number of seeds.
    if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
        words = {Path: "a path", str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise ConfigurationError(f"the option {name.replace('_', '-')} is {value!r}; it must be {words}")
    if kind is Path:
        return folder / Path(given).expanduser()
    if name == "pipelines" and given.endswith(".toml"):  # a person's own, among names of the kit's
        return str(folder / Path(given).expanduser())
    return kind(given)


def _submissions(named: Sequence[Path]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Folders and Python files, patterns read; and what a pattern names that is no submission.

    A path that is there is what it says, whatever stars are in its name.
    """
    found: dict[Path, None] = {}
    skipped = []
    for path in named:
        paths = [path] if path.exists() else [Path(p) for p in sorted(glob.glob(str(path)))]
        if not paths:
            raise ConfigurationError(f"there is no submission {path}; name a folder, a .py file, or a pattern such as baselines/*")
        for one in paths:
            if one.name.startswith(("_", ".")) or one.stem.upper() == "README":
                skipped.append(one.name)
            else:
                found[one.absolute()] = None
    return tuple(found), tuple(dict.fromkeys(skipped))
