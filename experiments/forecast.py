"""How long the sweeps of the page take on two cores, from figures that were measured: ``python -m experiments --forecast``.

Each constant names where it was measured. The forecast counts everything as if nothing were stored; a run that goes on takes less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from evaluator.purchase.profiles import Profile, profile_named
from evaluator.purchase.rounds import Pair
from evaluator.purchase.sets import cost_of
from evaluator.sweep.forecast import STARTING_SECONDS
from evaluator.training.recipes import load_pipeline
from experiments.grids import Grid

CORES = 2
HOURS = 4.0
"""What the page may take."""
START = STARTING_SECONDS + 0.5
"""Seconds in which a worker starts, imports a submission and goes through the phases in which nothing is bought, about."""
STEP, FORWARD = 0.0114, 0.0045
"""Seconds of one core for an image in a training step and in a prediction, EfficientNet-B4 at 64 px (docs/benchmarks.md)."""
EMBEDDED = 0.007
"""Seconds of one core for an image that is embedded for the proxy (docs/benchmarks.md)."""
HEAD = 0.15
"""Seconds of one core for a cell of the proxy of about 160 items (docs/benchmarks.md)."""


@dataclass(frozen=True)
class Cost:
    """Of a grid: ``answers`` and ``trainings``: how many; ``seconds``: of each kind of work, on two cores."""

    name: str
    answers: int
    trainings: int
    data: float
    answering: float
    training: float

    @property
    def seconds(self) -> float:
        """Of the grid."""
        return self.data + self.answering + self.training


def costs(grids: Sequence[Grid], stored: Iterable[Mapping[str, Any]]) -> list[Cost]:
    """The cost of every grid. A data set that several grids share is made for the first.

    Args:
        stored: files of cells (``columns``), for the seconds that each submission's purchases took.
    """
    measured = seconds_of(stored)
    usual = mean(measured.values()) if measured else 1.0
    made: set[tuple[str, int]] = set()
    found = []
    for grid in grids:
        profile = profile_named(grid.settings.profile)
        new = {(profile.name, number) for number in grid.data_sets} - made
        made |= new
        each = grid.settings.seeds * len(grid.data_sets) * len(grid.qualities)
        answers = each * len(grid.pairs) * len(grid.submissions)
        answering = each * len(grid.pairs) * sum(START + measured.get(name, usual) for name in grid.submissions)
        train = sum(_training(grid, profile, pair) for pair in grid.pairs) * each * len(grid.submissions)
        trainings = answers * len(grid.pipelines)
        data = len(new) * _data_set(profile) / CORES
        found.append(Cost(grid.name, answers, trainings, data, answering, train * len(grid.pipelines) / CORES))
    return found


def seconds_of(stored: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The mean seconds of a purchase, by name of the submission."""
    found: dict[str, list[float]] = {}
    for file in stored:
        columns = file["columns"]
        for place, seconds in zip(columns["submission"], columns["seconds"], strict=True):
            if seconds is not None:
                found.setdefault(file["submissions"][place]["name"], []).append(seconds)
    return {name: mean(values) for name, values in found.items()}


def _data_set(profile: Profile) -> float:
    return cost_of(profile)[0] + sum(profile.sizes.values()) * EMBEDDED


def _training(grid: Grid, profile: Profile, pair: str) -> float:
    """Seconds of one core for a training and its predictions."""
    sizes = profile.sizes | profile.drawn
    items = sizes["training"] + min(profile.budget(Pair.parse(pair)), sizes["unlabelled"])
    if grid.proxy:
        return HEAD * max(1.0, items / 160)
    epochs = max(load_pipeline(name.partition("@")[0]).epochs for name in grid.pipelines)
    return epochs * items * STEP + sum(profile.sizes[split] for split in grid.splits) * FORWARD


def in_words(found: Sequence[Cost]) -> list[str]:
    """A line per grid, and their sum against ``HOURS``."""
    lines = [
        f"{cost.name:20} {cost.answers:6,} purchases, {cost.trainings:6,} trainings: data {cost.data / 60:4.0f} min, purchases "
        f"{cost.answering / 60:4.0f} min, trainings {cost.training / 60:4.0f} min"
        for cost in found
    ]
    hours = sum(cost.seconds for cost in found) / 3600
    return [*lines, f"all of it: about {hours:.1f} h of {CORES} cores; at most {HOURS:g} h are allowed"]
