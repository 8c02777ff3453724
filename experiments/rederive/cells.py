"""The stored cells of a page: read from their files, by condition and data set, and as series of one value per seed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Key = tuple[str, str, float, str, int]
"""Profile, pipeline, label quality, split, number of the data set."""
NAN = float("nan")


class Cell(NamedTuple):
    """A stored cell. ``score``: NaN where it failed; ``content``: what it is an observation of, None where that is not known."""

    score: float
    content: tuple[Any, ...] | None
    collapsed: bool
    late: bool


@dataclass(eq=False)
class Series:
    """Values (seeds,), NaN where nothing is known. ``keys``: equal for copies of one observation; ``failed``: if any is."""

    values: np.ndarray
    keys: list[tuple[Any, ...]]
    fell: np.ndarray
    failed: bool

    def __sub__(self, other: Series) -> Series:
        keys = [(one, two) for one, two in zip(self.keys, other.keys, strict=True)]
        return Series(self.values - other.values, keys, self.fell | other.fell, self.failed or other.failed)

    @cached_property
    def observed(self) -> np.ndarray:
        """The observations: the mean of all copies of each; none where a cell failed."""
        found: dict[tuple[Any, ...], list[float]] = {}
        for key, value in zip(self.keys, self.values, strict=True):
            if not (self.failed or math.isnan(value)):
                found.setdefault(key, []).append(float(value))
        return np.array([np.mean(of) for of in found.values()])

    @property
    def seeds(self) -> int:
        """How many seeds have a value."""
        return int((~np.isnan(self.values)).sum())

    @property
    def collapsed(self) -> tuple[int, float | None]:
        """How many seeds rest on a collapsed cell, and the mean of the others; None where all do, or none."""
        there = ~np.isnan(self.values)
        fell, others = int(self.fell[there].sum()), self.values[there & ~self.fell]
        return fell, float(others.mean()) if fell and len(others) else None


def together(parts: Sequence[Series], values: np.ndarray) -> Series:
    """Values that were computed of several series."""
    keys = list(zip(*(of.keys for of in parts), strict=True))
    return Series(values, keys, np.any([of.fell for of in parts], axis=0), any(of.failed for of in parts))


@dataclass(eq=False)
class Grid:
    """The cells of one condition on one data set."""

    key: Key
    proxy: bool
    scale: float
    public: frozenset[str]
    cells: dict[tuple[str, str, int], Cell] = field(default_factory=dict)
    whole: dict[str, dict[int, Cell]] = field(default_factory=dict)
    """Of a strategy that bought the whole pool its cells by seed."""

    @cached_property
    def ceiling(self) -> str | None:
        """``full_pool``, where it bought everything and is not alone."""
        return "full_pool" if self.whole.get("full_pool") and {name for name, _, _ in self.cells} != {"full_pool"} else None

    @cached_property
    def names(self) -> list[str]:
        """The strategies that are compared."""
        return sorted({name for name, _, _ in self.cells} - {self.ceiling})

    @cached_property
    def others(self) -> list[str]:
        """The strategies that are compared with random; none where it was not run."""
        return [name for name in self.names if name != "random"] if "random" in self.names else []

    @cached_property
    def pairs(self) -> list[str]:
        """The pairs that a compared strategy has, by labels and minutes."""
        return sorted({pair for name, pair, _ in self.cells if name != self.ceiling}, key=labels_minutes)

    @cached_property
    def main(self) -> list[str]:
        """The pairs that means are taken over: those that every strategy has; if there are none, the set that covers most."""
        held = [frozenset(pair for of, pair, _ in self.cells if of == name) for name in self.names]
        common = frozenset.intersection(*held)

        def worth(pairs: frozenset[str]) -> tuple[int, int, list[str]]:
            n = sum(pairs <= own for own in held)
            return n * len(pairs), n, sorted(pairs)

        best = max({common, *held} - {frozenset()}, key=worth)
        return [pair for pair in self.pairs if pair in best]

    @cached_property
    def seeds(self) -> list[int]:
        """All seeds, also those of the ceiling alone."""
        return sorted({seed for _, _, seed in self.cells})

    def on(self, name: str, pair: str) -> Series:
        """Scores on one pair. The ceiling's cells count for every pair."""
        if name == self.ceiling:
            found = [self.whole[name].get(seed) for seed in self.seeds]
        else:
            found = [self.cells.get((name, pair, seed)) for seed in self.seeds]
        keys = [
            ("unknown", seed) if cell is None or cell.content is None else cell.content
            for seed, cell in zip(self.seeds, found, strict=True)
        ]
        failed = name != self.ceiling and any(cell is not None and math.isnan(cell.score) for cell in found)
        fell = np.array([cell is not None and cell.collapsed for cell in found])
        return Series(np.array([NAN if cell is None else cell.score for cell in found]), keys, fell, failed)

    def of(self, name: str, pairs: Sequence[str]) -> Series:
        """Means over pairs; NaN where one of them is missing or failed."""
        parts = [self.on(name, pair) for pair in pairs]
        return together(parts, np.mean([of.values for of in parts], axis=0))

    def less(self, name: str) -> Series | None:
        """Public minus hidden pairs; None where all are public, or all are hidden."""
        public, hidden = ([pair for pair in self.pairs if (pair in self.public) == kind] for kind in (True, False))
        return self.of(name, public) - self.of(name, hidden) if public and hidden else None

    @cached_property
    def curves(self) -> dict[str, list[str]]:
        """The pairs of each curve: of every time with two budgets; if there is none, all pairs."""
        times: dict[float, list[str]] = {}
        for pair in self.main:
            times.setdefault(labels_minutes(pair)[1], []).append(pair)
        found = {f"pairs of {minutes:g} minutes": of for minutes, of in sorted(times.items()) if len(of) > 1}
        if not found and len({labels_minutes(pair)[0] for pair in self.main}) > 1:
            found = {"all pairs, whose times differ, too": self.main}
        return found

    def area(self, name: str, pairs: Sequence[str]) -> Series:
        """Mean height of the curve of scores by labels, from the smallest budget to the largest."""
        parts = {pair: self.on(name, pair) for pair in pairs}
        labels = sorted({labels_minutes(pair)[0] for pair in pairs})
        heights = np.array([np.mean([of.values for p, of in parts.items() if labels_minutes(p)[0] == x], axis=0) for x in labels])
        area = ((heights[1:] + heights[:-1]) / 2 * np.diff(labels)[:, None]).sum(axis=0) / (labels[-1] - labels[0])
        return together(list(parts.values()), area)

    def count(self, name: str) -> tuple[int, int]:
        """How many cells of a strategy collapsed, and how many have a score."""
        own = [cell for (of, _, _), cell in self.cells.items() if of == name]
        return sum(cell.collapsed for cell in own), sum(not math.isnan(cell.score) for cell in own)


def labels_minutes(pair: str) -> tuple[float, ...]:
    """The two numbers of a pair."""
    return tuple(map(float, pair.split(":")))


def load(files: Sequence[Path]) -> dict[Key, Grid]:
    """The grids of files of cells, as ``experiments/columns.py`` describes them."""
    grids: dict[Key, Grid] = {}
    for content in (json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()):
        columns = content["columns"]
        for values in zip(*columns.values(), strict=True):
            row = dict(zip(columns, values, strict=True))
            setup = content["setups"][row["setup"]]
            spec = setup["spec"]
            profile, pipeline = spec["profile"], spec["pipeline"]
            key = (profile["name"], pipeline["name"], spec["label_quality"], spec["score_split"], spec.get("data_set", 0))
            proxy = pipeline.get("trains") == "head" and pipeline["epochs"] == 100
            public = frozenset(f"{pair['labels']:g}:{pair['minutes']:g}" for pair in profile["round"]["pairs"])
            grid = grids.setdefault(key, Grid(key, proxy, profile["budget_scale"], public))
            name, pair, score = content["submissions"][row["submission"]]["name"], content["pairs"][row["pair"]], row["macro_f1"]
            drawn = any((profile.get("drawn") or {}).values())
            bought = None if row.get("content") is None else (row["content"], row["seed"] if drawn else None)
            late = score is not None and content["verdicts"][row["verdict"]] == "TIME_LIMIT"
            collapsed = score is not None and score <= setup.get("constant", 0.0) + 1e-9
            cell = Cell(NAN if score is None else score, bought if score is not None else None, collapsed, late)
            grid.cells[name, pair, row["seed"]] = cell
            if row["labels"] == setup["pool"] and score is not None:
                grid.whole.setdefault(name, {})[row["seed"]] = cell
    return grids
