"""What the cleaning track adds to a report: the curves of accuracy and of wrong labels found, per task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluator.cleaning.cells import ACTIONS, EDITS
from evaluator.cleaning.rules import ORIGINAL
from evaluator.scoring.intervals import t_interval
from evaluator.sections import Cells, Curve, Curves, Section, Value

POINTS, FEW_POINTS, OPEN_POINTS = 61, 21, 11
"""Numbers of checks at which a curve is drawn: beside few others, beside many, and where everybody may see it."""
FEW = 3
"""Curves in one chart up to which their intervals are drawn."""
MOST = 8
"""Curves in one chart."""


def sections(cells: Cells, open_to_all: bool = False) -> Iterator[Section]:
    """A section per task, with the mean over seeds. Cells that hold no curve (those of a comparison) have none.

    Cells of another recipe, or with another action, are in sections of their own.

    Args:
        open_to_all: draw the accuracy alone, at ``OPEN_POINTS``; the cells then need no ``hits``.
    """
    found: dict[tuple[str, str, str], dict[str, list[Mapping[str, Any]]]] = {}
    for name, own in cells.items():
        for cell in own:
            if cell.get("curve"):
                spec = cell["spec"]
                key = spec["task"], spec["action"], spec["pipeline"]["name"]
                found.setdefault(key, {}).setdefault(name, []).append(cell)
    recipes = {recipe for _, _, recipe in found}
    for (task, action, recipe), of_task in found.items():
        beside = [own for key, own in found.items() if key[1:] == (action, recipe)]
        shown = {name: of_task[name] for name in _chosen(beside) if name in of_task}
        rows = next(iter(shown.values()))[0]["rows"]
        points = OPEN_POINTS if open_to_all else POINTS if len(shown) <= FEW else FEW_POINTS
        checks = np.unique(np.linspace(0, rows, min(points, rows + 1)).round().astype(int))
        seeds = max(len(own) for own in shown.values())
        caption = f"mean over {seeds} seeds" if seeds > 1 else "one seed"
        left_out = len(of_task) - len(shown)
        caption += f" of {len(shown)} of {len(of_task)} submissions, the best and the worst" if left_out else ""
        caption += ", without intervals" if seeds > 1 and len(shown) > FEW else ""
        if recipe != ORIGINAL.name:  # the original's target is another for every method
            caption += f"; the target is {np.mean([cell['target'] for own in shown.values() for cell in own]):.3f}"
        left = max(cell.get("unjudged", 0) for own in shown.values() for cell in own)
        what = "Share of right labels among the rows with a verdict" if left else "Accuracy on the test set"
        caption += f"; {left:,} rows without a verdict are left out" if left else ""
        across = "edits made" if action == EDITS else "labels checked"
        parts = [Curves(what, caption, across, "share" if left else "accuracy", tuple(_curves(shown, checks, _accuracy)))]
        if not open_to_all:
            parts.append(
                Curves("Wrong labels found", "share of all that are wrong", across, "share", tuple(_curves(shown, checks, _found)))
            )
        named = f", {recipe}" if len(recipes) > 1 else ""
        yield Section(f"Cleaning {task}: {ACTIONS[action]}{named}", tuple(parts))


def _chosen(tasks: Sequence[Mapping[str, Sequence[Mapping[str, Any]]]]) -> list[str]:
    """The submissions in the charts of all tasks, in one order: by their share fixed, best first.

    Of many they are the best, and the worst, which often is chance.
    """
    values: dict[str, list[float]] = {}
    for found in tasks:
        for name, own in found.items():
            values.setdefault(name, []).extend(cell["metrics"]["fraction_fixed"] for cell in own)
    best = sorted(values, key=lambda name: (float(np.mean(values[name])), name))
    return best if len(best) <= MOST else [*best[: MOST - 1], best[-1]]


def _curves(shown: Mapping[str, Sequence[Mapping[str, Any]]], checks: np.ndarray, values: Any) -> Iterator[Curve]:
    for name, own in shown.items():
        table = np.stack([values(cell, checks) for cell in own])
        points = []
        for at, column in zip(checks, table.T, strict=True):
            found = t_interval(column.tolist())
            points.append((float(at), Value(found.mean, found.low, found.high) if len(shown) <= FEW else Value(found.mean)))
        yield Curve(name, tuple(points))


def _accuracy(cell: Mapping[str, Any], checks: np.ndarray) -> np.ndarray:
    at = np.searchsorted([point["checks"] for point in cell["curve"]], checks, side="right") - 1
    return np.array([point["accuracy"] for point in cell["curve"]])[at]


def _found(cell: Mapping[str, Any], checks: np.ndarray) -> np.ndarray:
    wrong = cell.get("wrong") or len(cell["hits"])
    return np.searchsorted(cell["hits"], checks, side="right") / max(1, wrong)
