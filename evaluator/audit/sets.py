"""Sets of labels, a set per image, as two flat arrays: what is right for an image may be no label, one label or several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np


@dataclass(frozen=True, eq=False)
class LabelSets:
    """The labels that are right for each of n images.

    Attributes:
        start: int64 (n + 1,), the set of image i is ``labels[start[i]:start[i + 1]]``.
        labels: int64, within a set ascending and each once.
    """

    start: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", np.ascontiguousarray(self.start, np.int64))
        object.__setattr__(self, "labels", np.ascontiguousarray(self.labels, np.int64))
        if self.start.ndim != 1 or not len(self.start) or self.start[0] != 0 or self.start[-1] != len(self.labels):
            raise ValueError(f"sets of labels begin at 0 and end at {len(self.labels)}; got {self.start[:1]} to {self.start[-1:]}")
        if (np.diff(self.start) < 0).any():
            raise ValueError("a set of labels ends before it begins; give ascending starts")
        rising = np.diff(self.labels) > 0
        inner = np.ones(max(len(self.labels) - 1, 0), bool)
        borders = self.start[1:-1]
        inner[borders[(borders > 0) & (borders < len(self.labels))] - 1] = False
        if (inner & ~rising).any() or (len(self.labels) and self.labels.min() < 0):
            raise ValueError("the labels of a set are 0 or more, ascending, and each once")

    @classmethod
    def of(cls, sets: Iterable[Iterable[int]]) -> LabelSets:
        """The same from lists, in any order and with repeats."""
        made = [sorted(set(members)) for members in sets]
        flat = np.fromiter((label for members in made for label in members), np.int64)
        return cls(np.concatenate([[0], np.cumsum([len(members) for members in made], dtype=np.int64)]), flat)

    @classmethod
    def single(cls, labels: np.ndarray) -> LabelSets:
        """A set of one label for each of ``labels`` (n,)."""
        return cls(np.arange(len(labels) + 1), labels)

    @classmethod
    def where(cls, table: np.ndarray) -> LabelSets:
        """The columns of ``table``, bool (n, classes), that are true in each row."""
        table = np.asarray(table, bool)
        return cls(np.concatenate([[0], np.cumsum(table.sum(axis=1))]), np.nonzero(table)[1])

    def __len__(self) -> int:
        return len(self.start) - 1

    def __getitem__(self, image: int) -> tuple[int, ...]:
        return tuple(self.labels[self.start[image] : self.start[image + 1]].tolist())

    @cached_property
    def sizes(self) -> np.ndarray:
        """int64 (n,), how many labels each set has."""
        return np.diff(self.start)

    @cached_property
    def image(self) -> np.ndarray:
        """int64, of which image each of ``labels`` is."""
        return np.repeat(np.arange(len(self)), self.sizes)

    @cached_property
    def single_label(self) -> np.ndarray:
        """int64 (n,), the label of each set that has one label; -1 for every other."""
        found = np.full(len(self), -1, np.int64)
        alone = self.sizes == 1
        found[alone] = self.labels[self.start[:-1][alone]]
        return found

    def contains(self, labels: np.ndarray) -> np.ndarray:
        """Whether labels stand in the sets.

        Args:
            labels: int (n,) or (n, k), of each image; -1 stands in no set.

        Returns:
            bool, of the same shape.
        """
        labels = np.asarray(labels)
        if len(labels) != len(self):
            raise ValueError(f"there are {len(self)} sets and labels of {len(labels)} images; give the same images")
        if not len(self.labels):
            return np.zeros(labels.shape, bool)
        width = int(max(self.labels.max(), labels.max(initial=0))) + 1
        keys = self.image * width + self.labels
        rows = np.arange(len(self)).reshape((-1,) + (1,) * (labels.ndim - 1))
        asked = np.where(labels >= 0, rows * width + labels, -1)
        found = np.searchsorted(keys, asked)
        return keys[np.minimum(found, len(keys) - 1)] == asked

    def take(self, images: np.ndarray) -> LabelSets:
        """The sets of some images, in their order."""
        sizes = self.sizes[images]
        start = np.concatenate([[0], np.cumsum(sizes)])
        at = np.repeat(self.start[:-1][images] - start[:-1], sizes) + np.arange(start[-1])
        return LabelSets(start, self.labels[at])

    def replaced(self, images: np.ndarray, by: LabelSets) -> LabelSets:
        """These sets, with those of some images (each once) replaced."""
        order = np.arange(len(self))
        order[images] = len(self) + np.arange(len(by))
        both = LabelSets(np.concatenate([self.start, self.start[-1] + by.start[1:]]), np.concatenate([self.labels, by.labels]))
        return both.take(order)

    def equal(self, other: LabelSets) -> np.ndarray:
        """bool (n,), whether the sets of an image are equal."""
        same = self.sizes == other.sizes
        first, second = self.take(np.flatnonzero(same)), other.take(np.flatnonzero(same))
        unlike = np.bincount(first.image, first.labels != second.labels, minlength=len(first)) > 0
        same[same] = ~unlike
        return same

    def subset(self, other: LabelSets) -> np.ndarray:
        """bool (n,), whether every label of a set stands in the other set of that image; true of an empty set."""
        outside = ~other.take(self.image).contains(self.labels)
        return np.bincount(self.image, outside, minlength=len(self)) == 0

    def lists(self) -> list[tuple[int, ...]]:
        """The sets as tuples."""
        flat, start = self.labels.tolist(), self.start.tolist()
        return [tuple(flat[a:b]) for a, b in pairwise(start)]


def combined(sets: Sequence[LabelSets], fewest: int) -> LabelSets:
    """The labels that stand in at least ``fewest`` of several sets of an image: 1 is the union, ``len(sets)`` the intersection."""
    n = len(sets[0])
    width = 1 + max((int(s.labels.max(initial=0)) for s in sets), default=0)
    keys, times = np.unique(np.concatenate([s.image * width + s.labels for s in sets]), return_counts=True)
    kept = keys[times >= fewest]
    return LabelSets(np.concatenate([[0], np.cumsum(np.bincount(kept // width, minlength=n))]), kept % width)
