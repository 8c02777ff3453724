"""What the cleaning track adds to a report: the curves of accuracy and of wrong labels found, per task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from evaluator.scoring.intervals import t_interval
from evaluator.sections import Cells, Curve, Curves, Section, Value

POINTS = 61
"""Numbers of checks at which a curve is drawn."""


def sections(cells: Cells) -> Iterator[Section]:
    """A section per task, with the mean over seeds. Cells that hold no curve (those of a comparison) have none."""
    tasks = dict.fromkeys(cell["spec"]["task"] for own in cells.values() for cell in own if cell.get("curve"))
    for task in tasks:
        of_task = {
            name: [cell for cell in own if cell.get("curve") and cell["spec"]["task"] == task] for name, own in cells.items()
        }
        shown = {name: own for name, own in of_task.items() if own}
        rows = next(iter(shown.values()))[0]["rows"]
        checks = np.unique(np.linspace(0, rows, min(POINTS, rows + 1)).round().astype(int))
        target = np.mean([cell["target"] for own in shown.values() for cell in own])
        seeds = max(len(own) for own in shown.values())
        caption = f"mean over {seeds} seeds; the target is {target:.3f}" if seeds > 1 else f"one seed; the target is {target:.3f}"
        left = max(cell.get("unjudged", 0) for own in shown.values() for cell in own)
        what = "Share of right labels among the rows with a verdict" if left else "Accuracy on the test set"
        caption += f"; {left:,} rows without a verdict are left out" if left else ""
        parts = (
            Curves(what, caption, "labels checked", "share" if left else "accuracy", tuple(_curves(shown, checks, _accuracy))),
            Curves(
                "Wrong labels found",
                "share of all that are wrong",
                "labels checked",
                "share",
                tuple(_curves(shown, checks, _found)),
            ),
        )
        yield Section(f"Cleaning {task}", parts)


def _curves(shown: Mapping[str, Sequence[Mapping[str, Any]]], checks: np.ndarray, values: Any) -> Iterator[Curve]:
    for name, own in shown.items():
        table = np.stack([values(cell, checks) for cell in own])
        points = []
        for at, column in zip(checks, table.T, strict=True):
            found = t_interval(column.tolist())
            points.append((float(at), Value(found.mean, found.low, found.high)))
        yield Curve(name, tuple(points))


def _accuracy(cell: Mapping[str, Any], checks: np.ndarray) -> np.ndarray:
    at = np.searchsorted([point["checks"] for point in cell["curve"]], checks, side="right") - 1
    return np.array([point["accuracy"] for point in cell["curve"]])[at]


def _found(cell: Mapping[str, Any], checks: np.ndarray) -> np.ndarray:
    return np.searchsorted(cell["hits"], checks, side="right") / max(1, len(cell["hits"]))
