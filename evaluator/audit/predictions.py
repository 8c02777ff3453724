"""What one model says of every image of a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.bounded import BoundsError
from evaluator.text import one_line

MOST_KEPT = 32
"""Labels that are kept of a ranking by scores: more than the largest set of valid labels of an image has in known benchmarks."""
THRESHOLD = 0.5
"""From this score on a label counts as predicted, where an image may have any number of labels."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """The predictions of a model, in the order of ``ids``.

    Attributes:
        model: its name.
        ids: of the images. ``aligned`` brings them into the order of a benchmark.
        top: int64 (n, k), the likeliest classes of each image, the likeliest first; -1 fills a row that has fewer. Where an image
            may have any number of labels: bool (n, classes), those that are predicted.
        source: the file they came from, for messages; may be empty.
    """

    model: str
    ids: tuple[str, ...]
    top: np.ndarray
    source: str = ""

    def __post_init__(self) -> None:
        if self.top.dtype != bool:
            top = np.ascontiguousarray(self.top, np.int64)
            object.__setattr__(self, "top", top[:, None] if top.ndim == 1 else top)
        if self.top.ndim != 2 or len(self.top) != len(self.ids) or not self.top.shape[1]:
            raise BoundsError(
                f"{self.where}: {len(self.ids):,} ids and predictions of shape {self.top.shape}; expected a row for each id. "
                "Give as many of both"
            )

    @property
    def where(self) -> str:
        """What messages call them."""
        return self.source or one_line(self.model, 60)

    @property
    def multi(self) -> bool:
        """Whether they are sets of labels."""
        return self.top.dtype == bool

    @classmethod
    def of_scores(
        cls,
        model: str,
        ids: Sequence[str],
        scores: np.ndarray,
        *,
        multi: bool = False,
        threshold: float = THRESHOLD,
        source: str = "",
        kept: int = MOST_KEPT,
    ) -> Predictions:
        """The same from a score for every class: of equal scores the class with the smaller number is likelier.

        Args:
            scores: finite, (n, classes); higher is likelier.
            multi: whether an image may have any number of labels; then those with ``threshold`` or more are predicted.
            kept: how many of the likeliest classes are kept.

        Raises:
            BoundsError: another shape, or a score that is not finite.
        """
        where = source or one_line(model, 60)
        if scores.ndim != 2 or len(scores) != len(ids) or not scores.shape[1]:
            raise BoundsError(
                f"{where}: {len(ids):,} ids and scores of shape {scores.shape}; expected a row for each id and a column for "
                f"each class"
            )
        if (bad := np.argwhere(~np.isfinite(scores))).size:
            row, column = bad[0]
            raise BoundsError(
                f"{where}, {one_line(ids[row], 60)}: the score of class {column} is {scores[row, column]}; expected a "
                f"finite number. "
                "Correct it"
            )
        if multi:
            return cls(model, tuple(ids), scores >= threshold, source)
        return cls(model, tuple(ids), best(scores, min(kept, scores.shape[1])), source)

    def aligned(self, benchmark: Benchmark) -> Predictions:
        """The same in the order of a benchmark.

        Raises:
            IdsError: an image is missing, doubled or unknown.
            BoundsError: a class that the benchmark does not have, or predictions of the other kind of task.
        """
        if self.multi != benchmark.multi:
            one, many = "a class for each image", "a set of labels for each image"
            raise BoundsError(
                f"{self.where}: it holds {many if self.multi else one}; the labels are {many if benchmark.multi else one}. "
                "Give predictions of the same task"
            )
        classes = len(benchmark.classes)
        if self.multi and self.top.shape[1] != classes:
            raise BoundsError(
                f"{self.where}: {self.top.shape[1]} classes; the benchmark has {classes}. Give a column for each class"
            )
        if not self.multi and ((self.top < -1) | (self.top >= classes)).any():
            row, column = np.argwhere((self.top < -1) | (self.top >= classes))[0]
            raise BoundsError(
                f"{self.where}, {one_line(self.ids[row], 60)}: class {self.top[row, column]}; expected 0 to {classes - 1}. "
                "Correct it, or say with --classes how many there are"
            )
        places = benchmark.places(self.ids, self.where, all_of_them=True)
        top = np.empty_like(self.top)
        top[places] = self.top
        return Predictions(self.model, benchmark.ids, top, self.source)


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """The ``k`` columns with the highest scores of each row, the highest first; of equal scores the smaller column first.

    Args:
        scores: (n, classes), finite.

    Returns:
        int64 (n, k).
    """
    found = np.empty((len(scores), k), np.int64)
    for begin in range(0, len(scores), 4_096):
        part = -np.asarray(scores[begin : begin + 4_096], np.promote_types(scores.dtype, np.float32))
        if k >= part.shape[1] // 2:
            found[begin : begin + 4_096] = np.argsort(part, axis=1, kind="stable")[:, :k]
            continue
        chosen = np.argpartition(part, k - 1, axis=1)[:, :k]
        values = np.take_along_axis(part, chosen, axis=1)
        rows = np.take_along_axis(chosen, np.lexsort((chosen, values), axis=1), axis=1)
        # Where more columns than k reach the k-th score, which of them was chosen is chance.
        tied = np.flatnonzero((part <= values.max(axis=1)[:, None]).sum(axis=1) > k)
        rows[tied] = np.argsort(part[tied], axis=1, kind="stable")[:, :k]
        found[begin : begin + 4_096] = rows
    return found
