"""What a bundle tells its own scoring program: what is judged, in which tier, within which time, and under which columns."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from evaluator import __version__
from evaluator.bounded import SMALL, read_json
from evaluator.errors import ConfigurationError
from evaluator.tables import Metric

FILE = "order.json"
OPTIONS = "sweep.toml"
"""The options of the sweep, in the reference data."""
SCHEMA = 1
TIERS = ("bubblewrap", "landlock", "process")
"""The tiers that can work inside of a container, the strongest first."""
FAILED = "failed_cells"
MOST_KEY = 36
_KEY = re.compile(r"[a-z][a-z0-9_]{0,35}")
_DIGITS, _LARGEST = 10, 1e10
"""What the server's table of scores holds: ten digits before and ten after the point."""


@dataclass(frozen=True)
class Column:
    """A column of the board. ``key``: in ``scores.json``; ``sorting``: ``desc`` where higher is better, else ``asc``."""

    key: str
    title: str
    sorting: str


@dataclass(frozen=True)
class Order:
    """The content of ``order.json``.

    Attributes:
        track, metric: by name; ``word``: what the track calls a task.
        sandbox: the weakest tier that a submission may run in; stronger tiers are tried before.
        seconds: execution time limit of the step; the program ends itself before that.
        part: ``public`` or ``private``; ``version``: of the rules.
        texts: whether the page shows what the submission wrote itself (reasons, tracebacks, prints). It can write labels that it
            bought there, so only where participants have the labels anyway.
        answers: whether answers are judged, too (``judging.place.Rules.answers``).
        columns: of the board; ``floor``: by key, the row of a submission that ran and failed.
        kit: version of the kit that wrote the bundle, which the image must hold.

    Raises:
        ConfigurationError: a value makes no sense.
    """

    track: str
    metric: str
    word: str
    sandbox: str
    seconds: int
    columns: tuple[Column, ...]
    floor: dict[str, float]
    part: str = "public"
    version: int = 1
    texts: bool = False
    answers: bool = False
    kit: str = __version__

    def __post_init__(self) -> None:
        keys = [column.key for column in self.columns]
        if self.sandbox not in TIERS:
            raise ConfigurationError(f"--sandbox is {self.sandbox!r}; it must be {' or '.join(TIERS)}")
        if self.seconds < 60:
            raise ConfigurationError(f"--time-limit is {self.seconds}; expected 60 seconds or more. Give more")
        if bad := [key for key in keys if not _KEY.fullmatch(key)]:
            raise ConfigurationError(
                f"the metric {self.metric}: {bad[0]!r} is no key of a column; at most {MOST_KEY} plain letters"
            )
        if len(set(keys)) != len(keys) or set(keys) != set(self.floor):
            raise ConfigurationError(
                f"{FILE}: columns and floor name {keys} and {sorted(self.floor)}; expected the same, each once"
            )
        if self.part not in ("public", "private"):
            raise ConfigurationError(f"{FILE}: part is {self.part!r}; it must be public or private")

    def as_json(self) -> bytes:
        """The file's content."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, indent=1).encode() + b"\n"

    @classmethod
    def read(cls, path: Path) -> Order:
        """The order of a scoring program.

        Raises:
            ConfigurationError: the file is not one that this kit writes.
        """
        found = read_json(path, SMALL)
        names = {field.name for field in fields(cls)}
        if not isinstance(found, Mapping) or found.get("schema") != SCHEMA or set(found) - {"schema"} != names:
            raise ConfigurationError(f"{path}: its keys are not those of an order of schema {SCHEMA}. Export the bundle anew")
        rest: dict[str, Any] = {name: found[name] for name in names}
        rest["columns"] = tuple(Column(**column) for column in rest["columns"])
        return cls(**rest)

    def scores(self, row: Mapping[str, Any]) -> dict[str, float]:
        """The content of ``scores.json``: of a submission of which every cell was scored, else the floor.

        Where all seeds are copies of one answer there is one observation, and no interval: the row then has no ends.

        Args:
            row: of ``sweep.json``; without a score if a cell failed.
        """
        interval = (row["score"] or {}).get(self.metric)
        failed = row["cells"] - row["scored"]
        if interval is None:
            return self.floor | {FAILED: float(max(1, failed))}
        keys = [column.key for column in self.columns]
        ends = zip(keys, (interval["mean"], interval["low"], interval["high"], 0.0), strict=True)
        found = {key: round(float(value), _DIGITS) for key, value in ends if value is not None}
        if not all(math.isfinite(value) and abs(value) < _LARGEST for value in found.values()):
            raise ConfigurationError(f"the scores {found} do not fit into the board's numbers")
        return found


def columns_of(metric: Metric) -> tuple[Column, ...]:
    """The columns of a board: mean, both ends of its interval, and how many cells failed."""
    sorting = "desc" if metric.higher_is_better else "asc"
    label = metric.label[:20]
    return (
        Column(metric.name, label, sorting),
        Column(f"{metric.name}_low", f"{label}, 95 % low", sorting),
        Column(f"{metric.name}_high", f"{label}, 95 % high", sorting),
        Column(FAILED, "failed cells", "asc"),
    )


def floor_of(metric: Metric) -> dict[str, float]:
    """The row of a submission that ran and failed: the worst value of the metric, in all three columns.

    Raises:
        ConfigurationError: the metric has no worst value.
    """
    worst = metric.low if metric.higher_is_better else metric.high
    if worst is None:
        raise ConfigurationError(
            f"the metric {metric.name} has no worst value, and a submission that fails needs a row. Rank by another metric"
        )
    return {column.key: float(worst) for column in columns_of(metric)} | {FAILED: 1.0}
