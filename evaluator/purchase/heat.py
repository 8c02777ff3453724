"""Heat maps: score, labels bought and time used of every submission over a grid of label budgets x times.

Pairs form a grid if their label budgets occur with two or more times, and their times with two or more budgets. A map is JSON-able;
``docs/results-format.md`` documents its keys, and ``heat_tables`` and ``heat_picture`` show it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.plans import Task
from evaluator.purchase.rounds import Pair
from evaluator.scoring.collapse import over_seeds
from evaluator.tables import Run

MOST_PLACES = 10_000
"""Most places of a map; a larger grid has no map."""
HeatMap = dict[str, Any]
"""The matrices of one condition, row by row; see ``heat_map``."""


@dataclass(frozen=True)
class Axes:
    """The label budgets (rows) and times (columns) of a grid, in the round's units, each in rising order."""

    labels: tuple[int, ...]
    minutes: tuple[float, ...]

    def __contains__(self, pair: Pair) -> bool:
        return pair.labels in self.labels and pair.minutes in self.minutes

    @property
    def pairs(self) -> tuple[str, ...]:
        """Names of all pairs of the grid, run or not: all times of the first budget, then all times of the next."""
        return tuple(Pair(labels, minutes).name for labels in self.labels for minutes in self.minutes)


def grids(pairs: Iterable[Pair], asked: Collection[Pair] = ()) -> list[Axes]:
    """The grids that pairs form, the largest first.

    A budget with a single time belongs to no grid, and neither does a time with a single budget. Such pairs are removed until none
    is left: the rest is the 2-core of the graph that joins budgets and times. Every connected part of it is a grid; different grids
    have no budget and no time in common. A grid may have places without a pair.

    Args:
        asked: pairs that were asked for as a grid; they are kept, even as a grid of one row.
    """
    kept = set(pairs)
    while True:
        budgets, times = Counter(pair.labels for pair in kept), Counter(pair.minutes for pair in kept)
        lone = {pair for pair in kept if pair not in asked and (budgets[pair.labels] < 2 or times[pair.minutes] < 2)}
        if not lone:
            break
        kept -= lone
    found = []
    while kept:
        part = {min(kept)}
        while more := {p for p in kept - part if any(p.labels == q.labels or p.minutes == q.minutes for q in part)}:
            part |= more
        kept -= part
        axes = Axes(tuple(sorted({p.labels for p in part})), tuple(sorted({p.minutes for p in part})))
        if len(part) > 1 and len(axes.labels) * len(axes.minutes) <= MOST_PLACES:
            found.append(axes)
    return sorted(found, key=lambda axes: (-len(axes.pairs), axes.labels, axes.minutes))


def grids_of_tasks(tasks: Sequence[Task]) -> list[Axes]:
    """The grids that were asked for; if none was, all grids that the pairs form."""
    pairs = {Pair.parse(task.name): task.kind for task in tasks}
    asked = {pair for pair, kind in pairs.items() if kind == "grid"}
    found = grids(pairs, asked)
    return [axes for axes in found if any(pair in axes for pair in asked)] if asked else found


def require_grid(tasks: Sequence[Task]) -> None:
    """Check that the pairs form a grid, before anything is run for a picture of it.

    Raises:
        ConfigurationError: the pairs form no grid.
    """
    if not grids_of_tasks(tasks):
        named = ", ".join(task.name for task in tasks)
        raise ConfigurationError(
            f"--heat-map: the pairs {named} form no grid of label budgets x times, which is what it draws. Add a grid, e.g. "
            "--pairs grid:500,1000x15,30"
        )


def heat_map(
    runs: Iterable[Run],
    axes: Axes,
    submissions: Sequence[str],
    *,
    scale: tuple[float, float],
    metric: str,
    seeds: int,
    reference: str | None = None,
    level: float = 0.95,
) -> HeatMap:
    """Means over seeds at every place (pair) of a grid, for every submission.

    Labels and time are means over the cells that were scored. A place of which a cell failed has no score: that of the seeds which
    it survived would be too good; it tells how many of its cells failed with which verdict, or that none was run. Seeds that are
    copies of one observation (``Run.observation``) count once in the score and its interval.

    Args:
        runs: the cells; cells of other pairs are ignored.
        axes: the grid.
        submissions: names, in order.
        scale: labels per label of the round, and seconds per minute of the round.
        metric: name of the scores' metric; ``seeds``: how many cells a place should have.
        reference: the submission whose score is subtracted from that of every other, paired by seed; None for none.
        level: of the t intervals over seeds. Every interval is for one place; there is no correction for their number.
    """
    there: dict[tuple[str, str], dict[int, Run]] = {}
    for run in runs:
        there.setdefault((run.submission, run.task), {})[run.seed] = run
    reference = reference if reference in submissions else None
    budgets = [round(labels * scale[0]) for labels in axes.labels]
    seconds = [minutes * scale[1] for minutes in axes.minutes]
    allowed = dict(zip(axes.pairs, ((budget, limit) for budget in budgets for limit in seconds), strict=True))

    def cell(name: str, pair: str) -> dict[str, Any]:
        of = there.get((name, pair), {})
        other = there.get((reference, pair), {}) if reference not in (None, name) else {}
        failed = Counter(run.verdict for run in of.values() if run.score is None)
        scored = {seed: (run.score, run.collapsed) for seed, run in sorted(of.items()) if run.score is not None}
        whole = {} if failed else scored  # no mean of what it survived
        theirs = {seed: (run.score, run.collapsed) for seed, run in other.items() if run.score is not None}
        both = [] if len(theirs) < len(other) else [seed for seed in whole if seed in theirs]
        alike = _together([of[seed].observation for seed in both], [other[seed].observation for seed in both])
        less = [(whole[seed][0] - theirs[seed][0], whole[seed][1] or theirs[seed][1]) for seed in both]
        bought = _mean([of[seed].figures["bought"] for seed in scored])
        used = _mean([of[seed].figures.get("seconds") for seed in scored])
        return {
            "pair": pair,
            "score": over_seeds(whole.values(), level, [of[seed].observation for seed in whole]),
            "scored": len(scored),
            "bought": bought,
            "bought_share": _share(bought, allowed[pair][0]),
            "seconds": used,
            "seconds_share": _share(used, allowed[pair][1]),
            "minus_reference": over_seeds(less, level, alike),
            "failed": dict(sorted(failed.items())),
            "missing": max(0, seeds - len(of)),
        }

    return {
        "metric": metric,
        "reference": reference,
        "seeds": seeds,
        "labels": list(axes.labels),
        "budgets": budgets,
        "minutes": list(axes.minutes),
        "seconds_allowed": seconds,
        "submissions": [{"submission": name, "cells": [cell(name, pair) for pair in axes.pairs]} for name in submissions],
    }


def heat_maps(
    profile: Mapping[str, Any],
    runs: Sequence[Run],
    tasks: Sequence[Task] | None,
    names: Sequence[str],
    *,
    metric: str,
    seeds: int | None,
    reference: str | None,
    level: float = 0.95,
) -> list[HeatMap]:
    """One map per grid of a set of cells; empty if their pairs form no grid.

    Args:
        profile: as stored.
        tasks: the pairs that were asked for; every submission is then on every map. None: the pairs of the cells; a submission
            without a cell on a grid is then left out of its map.
        names: of the submissions, in order.
        seeds: how many cells a place should have; None: as many as any place of the grid has.
    """
    scale = (profile["budget_scale"], profile["seconds_per_minute"])
    found = grids({Pair.parse(run.task) for run in runs}) if tasks is None else grids_of_tasks(tasks)
    maps = []
    for axes in found:
        there = [run for run in runs if run.task in axes.pairs]
        shown = names if tasks is not None else [name for name in names if any(run.submission == name for run in there)]
        expected = len({run.seed for run in there}) if seeds is None else seeds
        maps.append(heat_map(there, axes, shown, scale=scale, metric=metric, seeds=expected, reference=reference, level=level))
    return maps


def _together(ours: Sequence[str | None], theirs: Sequence[str | None]) -> list[tuple[str, str] | None]:
    """What pairs of cells are an observation of: known only where both are."""
    return [None if a is None or b is None else (a, b) for a, b in zip(ours, theirs, strict=True)]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 6) if known and len(known) == len(values) else None


def _share(used: float | None, of: float) -> float | None:
    return None if used is None or not of else round(used / of, 6)
