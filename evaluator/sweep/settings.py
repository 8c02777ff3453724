"""What a sweep is asked for: options of the command line, a file of the same options, or both."""

from __future__ import annotations

import glob
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from evaluator.data.layout import SPLITS
from evaluator.errors import ConfigurationError

LISTS: dict[str, type] = {"submissions": Path, "pairs": str, "pipelines": str, "label_quality": float, "score_split": str}
"""Options that take several values."""
SINGLE: dict[str, type] = {
    "profile": str,
    "seeds": int,
    "first_seed": int,
    "root_seed": int,
    "round_seed": int,
    "starting_weights": str,
    "on_timeout": str,
    "restart_workers": bool,
    "weights_dir": Path,
    "sandbox": str,
    "device": str,
    "threads": int,
    "workers": int,
    "data": Path,
    "out": Path,
    "fresh": bool,
    "ray": str,
}


@dataclass(frozen=True)
class Settings:
    """The options of a sweep, by the names of the command line.

    Attributes:
        submissions: folders and files, patterns already read.
        pairs: words for ``pairs.choose_pairs``; ``round_seed``: of hidden ones.
        pipelines: names or files; empty for the profile's own.
        label_quality, score_split: every one of them is run; no split means the round's.
        seeds: repetitions, numbered from ``first_seed`` on, so that later ones may be run elsewhere or another day.
        threads: CPU threads of one training; ``workers``: trainings at a time, None for as many as there is room for.
        data: folder of the splits, None for the profile's.
        ray: address of a Ray cluster that cells are run on, see ``cluster.ClusterSlots``; None runs them on this machine.
    """

    submissions: tuple[Path, ...]
    pairs: tuple[str, ...] = ("profile",)
    pipelines: tuple[str, ...] = ()
    label_quality: tuple[float, ...] = (1.0,)
    score_split: tuple[str, ...] = ()
    profile: str = "quick"
    seeds: int = 1
    first_seed: int = 0
    root_seed: int = 2022
    round_seed: int | None = None
    starting_weights: str | None = None
    on_timeout: str = "fail"
    restart_workers: bool = False
    weights_dir: Path | None = None
    sandbox: str = "auto"
    device: str = "auto"
    threads: int = 1
    workers: int | None = None
    data: Path | None = None
    out: Path = Path("results")
    fresh: bool = False
    ray: str | None = None

    def __post_init__(self) -> None:
        if not self.submissions:
            raise ConfigurationError("no submission was named; write --submissions baselines/*, for instance")
        for name in ("pairs", "label_quality"):
            if not getattr(self, name):
                raise ConfigurationError(f"--{name.replace('_', '-')} was given without a value; leave it out, or name one")
        for name in ("pipelines", "label_quality", "score_split"):
            given = getattr(self, name)
            if len(set(given)) != len(given):
                raise ConfigurationError(f"--{name.replace('_', '-')} names one twice: {', '.join(map(str, given))}")
        unknown = set(self.score_split) - set(SPLITS[2:4])
        if unknown:
            raise ConfigurationError(f"--score-split is {sorted(unknown)[0]!r}; it is {' or '.join(SPLITS[2:4])}")
        if self.starting_weights not in (None, "imagenet", "procedural", "none"):
            raise ConfigurationError(f"--starting-weights is {self.starting_weights!r}; it is imagenet, procedural or none")
        if self.workers is not None and self.workers < 1:
            raise ConfigurationError(f"--workers is {self.workers}; it must be 1 or more")
        if self.ray is not None and self.workers is not None:
            raise ConfigurationError(
                "--workers and --ray were both given; on a cluster Ray decides how many trainings there is room for"
            )
        if self.weights_dir is not None and not self.weights_dir.is_dir():
            raise ConfigurationError(f"--weights-dir {self.weights_dir} is not a folder")


def read_settings(given: Mapping[str, Any], file: Path | None = None) -> tuple[Settings, tuple[str, ...]]:
    """Settings out of options that were given and a file of options; what was given wins.

    Args:
        given: options by name; those of None were not given.
        file: TOML (or YAML, where PyYAML is installed): a table of the same options, ``label-quality = [1.0, 0.9]``. Paths in it
            are seen from its folder.

    Returns:
        (settings, names that lie among the submissions and are none).

    Raises:
        ConfigurationError: a file that cannot be read, an option that does not exist, a value of the wrong type.
    """
    chosen: dict[str, Any] = {} if file is None else _from_file(file)
    chosen |= {name: _typed(name, value, Path()) for name, value in given.items() if value is not None}
    found, skipped = _submissions(chosen.pop("submissions", ()))
    return Settings(submissions=found, **chosen), skipped


def _from_file(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the sweep's file {file} cannot be read ({error})") from None
    table = _yaml(file, text) if file.suffix in (".yaml", ".yml") else _toml(file, text)
    known = {field.name for field in fields(Settings)}
    options: dict[str, Any] = {}
    for key, value in table.items():
        name = str(key).replace("-", "_")
        if name not in known:
            listed = ", ".join(sorted(known)).replace("_", "-")
            raise ConfigurationError(f"{file} holds the option {key!r}, which a sweep does not have; known are {listed}")
        if name in options:
            raise ConfigurationError(f"{file} holds the option {key!r} twice, with - and with _; write it once")
        try:
            options[name] = _typed(name, value, file.parent)
        except ConfigurationError as error:
            raise ConfigurationError(f"{file}: {error}") from None
    return options


def _toml(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"the sweep's file {file} is no TOML: {error}") from None


def _yaml(file: Path, text: str) -> dict[str, Any]:
    try:
        import yaml
    except ImportError:
        raise ConfigurationError(f"{file} is YAML, and PyYAML is not installed; write it as TOML, or pip install pyyaml") from None

    # YAML 1.1 takes the pair 621:17 for a number to the base of sixty, and of a key that is there twice the last.
    pair = ("tag:yaml.org,2002:str", re.compile(r"\d+:[\d:.]+\Z"))

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers = {  # noqa: RUF012 (PyYAML's own name)
            first: [pair, *resolvers] for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value]
            for key in keys:
                if keys.count(key) > 1:
                    raise yaml.constructor.ConstructorError(None, None, f"{key!r} is there twice", node.start_mark)
            return super().construct_mapping(node, deep)

    try:
        table = yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the sweep's file {file} is no YAML: {error}") from None
    if not isinstance(table, dict):
        raise ConfigurationError(f"the sweep's file {file} holds a {type(table).__name__}; expected a table of options")
    return table


def _typed(name: str, value: Any, folder: Path) -> Any:
    """A value as the type of its option; paths from ``folder``."""
    if name in LISTS:
        several = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
        return tuple(_one(name, LISTS[name], item, folder) for item in several)
    return _one(name, SINGLE[name], value, folder)


def _one(name: str, kind: type, value: Any, folder: Path) -> Any:
    expected = {Path: (str, Path), float: (int, float)}.get(kind, kind)
    # True is an int to Python, and no number of seeds.
    if not isinstance(value, expected) or (isinstance(value, bool) and kind is not bool):
        words = {Path: "a path", str: "a text", int: "a whole number", float: "a number", bool: "true or false"}[kind]
        raise ConfigurationError(f"the option {name.replace('_', '-')} is {value!r}; it must be {words}")
    if kind is Path:
        return folder / Path(value).expanduser()
    if name == "pipelines" and value.endswith(".toml"):  # a person's own, among names of the kit's
        return str(folder / Path(value).expanduser())
    return kind(value)


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
