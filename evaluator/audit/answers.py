"""What people answered when they were asked whether a label is right for an image, and the label sets that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from evaluator.audit.sets import LabelSets

MAJORITY = 0.5
"""A label counts as right where more than this share of its answers are yes."""


@dataclass(frozen=True, eq=False)
class Answers:
    """Raw answers, each of one rater about one label of one image.

    Attributes:
        ids: the images that were asked about.
        image: int64 (m,), the place of each answer's image in ``ids``; ``label``: int64 (m,), the label that was asked about.
        rater: int64 (m,), the place of who answered in ``raters``; ``yes``: bool (m,), whether the label was said to be right.
        raters: their names.
        threshold: a label is right where more than this share of its answers are yes.
    """

    ids: tuple[str, ...]
    image: np.ndarray
    label: np.ndarray
    rater: np.ndarray
    yes: np.ndarray
    raters: tuple[str, ...]
    threshold: float = MAJORITY

    def __post_init__(self) -> None:
        lengths = {len(column) for column in (self.image, self.label, self.rater, self.yes)}
        if len(lengths) != 1 or not len(self.image):
            raise ValueError(f"the columns of answers have {sorted(lengths)} rows; expected the same number, and one or more")
        if not 0 <= self.threshold < 1:
            raise ValueError(f"the threshold is {self.threshold}; expected 0 or more and below 1, e.g. 0.5 for more than half")

    @cached_property
    def questions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(image, label, question): int64 (q,) of every question, sorted by image and label, and int64 (m,) of every answer."""
        width = int(self.label.max()) + 1
        keys, inverse = np.unique(self.image * width + self.label, return_inverse=True)
        return keys // width, keys % width, inverse

    def accepted(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Which questions have more than ``threshold`` of their answers yes: bool (q,).

        Args:
            weights: (raters,), how often each counts; by default once. A question whose raters all count 0 keeps what everybody's
                answers say of it.
        """
        if weights is None:
            return self._everybody
        _, _, question = self.questions
        each = np.asarray(weights, np.float64)[self.rater]
        asked, yes = np.bincount(question, each), np.bincount(question, each * self.yes)
        return np.where(asked > 0, yes > self.threshold * asked, self._everybody)

    @cached_property
    def _everybody(self) -> np.ndarray:
        _, _, question = self.questions
        return np.bincount(question, self.yes) > self.threshold * np.bincount(question)

    def sets(self, accepted: np.ndarray | None = None) -> LabelSets:
        """The labels that are accepted for each of ``ids``."""
        image, label, _ = self.questions
        kept = self.accepted() if accepted is None else accepted
        sizes = np.bincount(image[kept], minlength=len(self.ids))
        return LabelSets(np.concatenate([[0], np.cumsum(sizes)]), label[kept])

    def not_asked(self, given: LabelSets) -> LabelSets:
        """Of the given labels of each of ``ids`` those that nobody was asked about."""
        image, label, _ = self.questions
        width = 1 + max(int(label.max()), int(given.labels.max(initial=0)))
        kept = ~np.isin(given.image * width + given.labels, image * width + label)
        sizes = np.bincount(given.image[kept], minlength=len(given))
        return LabelSets(np.concatenate([[0], np.cumsum(sizes)]), given.labels[kept])
