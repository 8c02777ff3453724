"""A published table of accuracies without predictions: what it says of the ranking, and the bounds of what it leaves open.

Without predictions per image there is no paired test, no bootstrap, and no image behind a swap. What two accuracies on the same n
images do allow are bounds of the standard error of their difference: the errors of two models may overlap as far as their numbers
allow (the smallest error), or not at all (the largest).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from evaluator.audit.ranks import ranks_of, signs_of, spearman_of, swapped, tau_of
from evaluator.bounded import SMALL, BoundsError, read_json
from evaluator.report.console import hanging, label, line, titled
from evaluator.text import one_line

WIDEST_NAME = 24
"""Columns of a model's name in the terminal; a longer one is folded."""


@dataclass(frozen=True)
class PublishedSwap:
    """Two models that change places between the first column and another.

    Attributes:
        before, after: accuracy of ``ahead`` less that of ``behind`` in the two columns.
        errors_before, errors_after: least and largest standard error of either.
    """

    ahead: str
    behind: str
    column: int
    before: float
    after: float
    errors_before: tuple[float, float]
    errors_after: tuple[float, float]

    @property
    def decided(self) -> bool | None:
        """Whether both orders are beyond noise: True or False where the bounds leave no doubt, at two standard errors; else
        None."""
        gaps = ((self.before, self.errors_before), (self.after, self.errors_after))
        if all(abs(gap) > 1.96 * most for gap, (_, most) in gaps):
            return True
        return False if any(abs(gap) < 1.96 * least for gap, (least, _) in gaps) else None


@dataclass(frozen=True)
class Published:
    """A published table: accuracies as shares (models, columns), the first column is all images with labels as given."""

    models: tuple[str, ...]
    accuracies: tuple[tuple[float, ...], ...]
    images: tuple[int, ...]
    tau: tuple[float | None, ...]
    spearman: tuple[float | None, ...]
    swaps: tuple[PublishedSwap, ...]


def read_table(path: Path) -> dict[str, tuple[float, ...]]:
    """The accuracies of each model, in percent, from a JSON object.

    Raises:
        ConfigurationError: it is no such object; the message names the model and the value.
    """
    try:
        value = read_json(path, SMALL, once=True)
    except OSError as error:
        raise BoundsError(f"{path}: it cannot be read ({error.strerror}); expected a JSON object. Name another file") from None
    if not isinstance(value, Mapping) or len(value) < 2:
        raise BoundsError(
            f"{path}: it holds no object of two models or more; expected an object from model to its accuracies. Correct it"
        )
    wide = None
    for model, row in value.items():
        where = f"{path}, {one_line(model, 60)}"
        if not isinstance(row, list) or len(row) < 2 or (wide is not None and len(row) != wide):
            raise BoundsError(
                f"{where}: {one_line(repr(row), 60)}; expected a list of accuracies, as long for each model. Correct it"
            )
        wide = len(row)
        for accuracy in row:
            if isinstance(accuracy, bool) or not isinstance(accuracy, (int, float)) or not 0 <= accuracy <= 100:
                raise BoundsError(f"{where}: {one_line(repr(accuracy), 60)}; expected a percentage, 0 to 100. Correct it")
    if 0 < max(max(row) for row in value.values()) <= 1:
        raise BoundsError(f"{path}: no accuracy is above 1; expected percentages, such as 84.4. Multiply shares by 100")
    return {model: tuple(row) for model, row in value.items()}


def analysed(table: Mapping[str, Sequence[float]], images: Sequence[int]) -> Published:
    """Analyse a published table.

    Args:
        table: accuracies in percent by model, the first with all images and labels as given.
        images: how many each column is of.

    Raises:
        BoundsError: another number of columns, or a column without images.
    """
    models, values = tuple(table), np.array(list(table.values()), np.float64) / 100
    if len(images) != values.shape[1] or min(images) < 1:
        raise BoundsError(
            f"--images names {len(images)} numbers, {', '.join(map(str, images[:8]))}; expected {values.shape[1]} of 1 or "
            f"more, one for each "
            "column. Correct them"
        )
    if max(images) > images[0]:
        raise BoundsError(
            f"--images begins with {images[0]}, and a column has {max(images)}; expected all images first. Give the numbers in "
            "the order of the columns"
        )
    reference = signs_of(values[:, 0])
    taus = [float(tau_of(signs_of(column), reference)) for column in values.T]
    spearman = [spearman_of(ranks_of(values[:, 0]), ranks_of(column)) for column in values.T]
    swaps = []
    for column in range(1, values.shape[1]):
        for a, b in swapped(values[:, 0], values[:, column]):
            before, after = (float(values[a, c] - values[b, c]) for c in (0, column))
            bounds = [error_bounds(float(values[a, c]), float(values[b, c]), images[c]) for c in (0, column)]
            swaps.append(PublishedSwap(models[a], models[b], column, before, after, bounds[0], bounds[1]))
    known = [None if math.isnan(tau) else tau for tau in taus], [None if math.isnan(rho) else rho for rho in spearman]
    rows = tuple(tuple(map(float, row)) for row in values)
    return Published(models, rows, tuple(images), tuple(known[0]), tuple(known[1]), tuple(swaps))


def error_bounds(first: float, second: float, n: int) -> tuple[float, float]:
    """Least and largest standard error of the difference of two accuracies on the same n images, as shares.

    The share of images on which exactly one of two models is right is at least the difference of their accuracies (all errors of
    the better model are errors of the other), and at most what it is if they are never wrong, or never right, together.
    """
    gap = abs(first - second)
    most = min(first + second, 2 - first - second)
    return math.sqrt(max(gap - gap**2, 0) / n), math.sqrt(max(most - gap**2, 0) / n)


def as_dict(found: Published) -> dict[str, Any]:
    """The analysis as a JSON value."""
    return (
        {"schema": "audit-bounds", "version": 1}
        | asdict(found)
        | {"swaps": [asdict(swap) | {"beyond_noise": swap.decided} for swap in found.swaps]}
    )


def show_published(console: Console, found: Published) -> None:
    """Print the analysis: the ranking of each column, and the bounds of every swap."""
    table = Table(box=None, pad_edge=False)
    for head in ("column", "images", "tau-b", "Spearman", "pairs that change places"):
        table.add_column(head, justify="left" if head == "column" else "right")
    for column, images in enumerate(found.images):
        many = sum(swap.column == column for swap in found.swaps)
        tau, rho = found.tau[column], found.spearman[column]
        texts = ("-" if value is None else f"{value:.3f}" for value in (tau, rho))
        table.add_row(str(column + 1), f"{images:,}", *texts, "-" if column == 0 else str(many))
    titled(console, f"{len(found.models)} models, the ranking of each column against that of the first", table)
    if found.swaps:
        table = Table(box=None, pad_edge=False)
        table.add_column("ahead", min_width=min(max(len(swap.ahead) for swap in found.swaps), WIDEST_NAME))
        for head in ("then behind", "column", "gap before", "s.e.", "gap after", "s.e.", "beyond noise"):
            table.add_column(head, justify="right")
        for swap in found.swaps:
            table.add_row(
                label(swap.ahead),
                label(swap.behind),
                str(swap.column + 1),
                line(_points(swap.before)),
                line(_between(swap.errors_before)),
                line(_points(swap.after)),
                line(_between(swap.errors_after)),
                {True: "yes", False: "no", None: "cannot be told"}[swap.decided],
            )
        titled(console, "pairs that change places, in points", table)
    hanging(
        console,
        "s.e.: bounds of the standard error of the gap, since the table does not say on which images both models are wrong. Tests, "
        "intervals and the images behind a swap need the predictions of each model: audit rank.",
        "dim",
    )


def _points(share: float) -> str:
    return f"{100 * share:+.3f}"


def _between(bounds: tuple[float, float]) -> str:
    return f"{100 * bounds[0]:.3f} to {100 * bounds[1]:.3f}"
