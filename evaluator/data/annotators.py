"""Annotators: wrong labels at a set rate, for any labels, repeatable by a seed.

Two kinds of labels are served. A *table* is 0/1, a row per image and a column per class, where classes may appear together:
``annotator_noise`` makes a person's mistakes in it and ``flipped`` independent mistakes. *Class numbers* are one integer per image:
``confused_classes`` draws what an annotator says from a transition matrix, which ``uniform_confusion`` and ``pair_confusion`` make.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from evaluator.errors import ConfigurationError
from evaluator.seeds import generator

QUALITIES: dict[str, float] = {"perfect": 0.0, "careful": 0.02, "crowd": 0.08, "hasty": 0.15}
"""Named label qualities: the share of wrong entries in what an annotator of that kind returns."""

_MISSES, _CONFUSIONS = 0.50, 0.25  # of the wrong entries; the rest are false alarms
_MOST_MISSED, _MOST_CONFUSED = 0.9, 0.5  # an annotator still sees something

Columns = Sequence[tuple[int, int]]
"""Pairs of columns that an annotator takes for each other."""


# -- tables


def annotator_noise(labels: np.ndarray, rate: float, seed: int, confused: Columns) -> np.ndarray:
    """A table as given by an annotator who is wrong in a share ``rate`` of all entries, in expectation.

    Half of the wrong entries are misses (1 read as 0), a quarter comes from confused classes (where exactly one of the two is
    present they change places, two wrong entries at once), and a quarter are false alarms. A person misses what is barely visible
    far more often than they imagine it, and positive labels are rare: where they are 25 % of the entries, a positive label is
    about six times as likely to be wrong as a negative label. Where there are too few positive labels for that (a miss probability
    above 0.9, a confusion above 0.5) the rest become false alarms. Rows are independent given the counts of the whole array.

    Args:
        labels: (n, k) of 0 and 1, left unchanged.
        rate: expected share of wrong entries, 0..0.5; 0 gives an equal copy.
        seed: root seed of the mistakes.
        confused: pairs of columns that are taken for each other, each column in at most one pair; may be empty.

    Returns:
        uint8 (n, k).

    Raises:
        ConfigurationError: a rate outside 0..0.5, labels that are not a 0/1 table, or pairs that do not fit its columns.
    """
    truth = _table(labels, rate)
    noisy = truth.copy()
    eligible = _eligible(truth, confused)
    if rate == 0 or noisy.size == 0:
        return noisy
    rng = generator(seed, "annotator")
    swaps, missed, imagined = _probabilities(truth, rate, eligible)
    untouched = np.ones(noisy.shape, bool)
    for (first, second), rows in eligible.items():
        swapped = rows & (rng.random(len(noisy)) < swaps)
        numbers = np.flatnonzero(swapped)[:, None]
        noisy[numbers, [second, first]] = truth[numbers, [first, second]]
        untouched[numbers, [first, second]] = False
    wrong = untouched & (rng.random(noisy.shape) < np.where(truth == 1, missed, imagined))
    return noisy ^ wrong.astype(np.uint8)


def flipped(labels: np.ndarray, missed: ArrayLike, imagined: ArrayLike, seed: int) -> np.ndarray:
    """A table in which every entry is wrong independently of all others.

    Equal numbers for ``missed`` and ``imagined`` are uniform noise; a number per class is class-dependent noise.

    Args:
        labels: (n, k) of 0 and 1, left unchanged.
        missed: probability that a positive label is given as 0: a number in 0..1, or one number per class.
        imagined: probability that a negative label is given as 1: likewise.
        seed: root seed of the mistakes.

    Returns:
        uint8 (n, k).

    Raises:
        ConfigurationError: labels that are not a 0/1 table, or probabilities outside 0..1 or of another number than the classes.
    """
    truth = _table(labels)
    chances = [_per_class(name, value, truth.shape[1]) for name, value in (("missed", missed), ("imagined", imagined))]
    wrong = generator(seed, "annotator", "flips").random(truth.shape) < np.where(truth == 1, *chances)
    return truth ^ wrong.astype(np.uint8)


@dataclass(frozen=True, eq=False)
class ExpectedNoise:
    """What an annotator makes of a table of labels, in expectation. Those of several tables are added with ``+``.

    Attributes:
        images: rows of the table.
        positives: positive labels per class in truth, float64 (k,).
        missed: how many of them are given as 0, expected number, float64 (k,).
        imagined: negative labels that are given as 1, expected number, float64 (k,).
    """

    images: int
    positives: np.ndarray
    missed: np.ndarray
    imagined: np.ndarray

    def __add__(self, other: ExpectedNoise) -> ExpectedNoise:
        return ExpectedNoise(
            self.images + other.images,
            self.positives + other.positives,
            self.missed + other.missed,
            self.imagined + other.imagined,
        )

    @property
    def missed_share(self) -> np.ndarray:
        """Share of the true positive labels that are given as 0, float64 (k,); NaN for a class without positive labels."""
        return _ratio(self.missed, self.positives)

    @property
    def right_share(self) -> np.ndarray:
        """Share of the labels given as 1 that are 1 in truth, float64 (k,), of expected numbers; NaN where none is given as 1."""
        kept = self.positives - self.missed
        return _ratio(kept, kept + self.imagined)

    @property
    def positive_share(self) -> float:
        """Share of all entries that are positive in truth; NaN without an entry."""
        return float(_ratio(self.positives.sum(keepdims=True), np.array([self.images * len(self.positives)]))[0])

    def over_classes(self) -> ExpectedNoise:
        """All classes taken together, so that frequent classes count for more: arrays of shape (1,)."""
        columns = (np.atleast_1d(column.sum()) for column in (self.positives, self.missed, self.imagined))
        return ExpectedNoise(self.images * len(self.positives), *columns)


def expected_noise(labels: np.ndarray, rate: float, confused: Columns) -> ExpectedNoise:
    """What ``annotator_noise`` does to these labels, over all its seeds: exact for the numbers of misses and false alarms.

    A positive label is lost where its row is confused, or where it is not and the label is missed; a negative label becomes
    positive where its row is confused, or where it is not and the label is imagined.

    Args:
        labels, rate, confused: as of ``annotator_noise``.

    Raises:
        ConfigurationError: as ``annotator_noise``.
    """
    truth = _table(labels, rate)
    eligible = _eligible(truth, confused)
    positives = truth.sum(axis=0, dtype=np.float64)
    if rate == 0 or truth.size == 0:
        return ExpectedNoise(len(truth), positives, np.zeros_like(positives), np.zeros_like(positives))
    swaps, missed, imagined = _probabilities(truth, rate, eligible)
    swapped = np.zeros(truth.shape)
    for (first, second), rows in eligible.items():
        swapped[:, [first, second]] = swaps * rows[:, None]
    lost = np.where(truth == 1, swapped + (1 - swapped) * missed, 0).sum(axis=0)
    added = np.where(truth == 0, swapped + (1 - swapped) * imagined, 0).sum(axis=0)
    return ExpectedNoise(len(truth), positives, lost, added)


# -- class numbers


def uniform_confusion(classes: int, rate: float) -> np.ndarray:
    """A transition matrix by which a label is wrong with probability ``rate``, and every wrong class is as likely.

    Args:
        classes: their number K, 2 or more.
        rate: probability of a wrong label, from 0 to (K - 1) / K, where labels say nothing.

    Returns:
        float64 (K, K).

    Raises:
        ConfigurationError: fewer than 2 classes, or a rate outside these bounds.
    """
    _check_classes(classes, rate, (classes - 1) / max(classes, 1))
    matrix = np.full((classes, classes), rate / (classes - 1))
    np.fill_diagonal(matrix, 1 - rate)
    return matrix


def pair_confusion(classes: int, rate: float) -> np.ndarray:
    """A transition matrix by which a label is taken for the class with the next number (the last for the first) at ``rate``.

    Args:
        classes: their number K, 2 or more.
        rate: probability of a wrong label, 0..0.5.

    Returns:
        float64 (K, K).

    Raises:
        ConfigurationError: fewer than 2 classes, or a rate outside 0..0.5.
    """
    _check_classes(classes, rate, 0.5)
    return (1 - rate) * np.eye(classes) + rate * np.roll(np.eye(classes), 1, axis=1)


def confused_classes(labels: np.ndarray, transition: np.ndarray, seed: int) -> np.ndarray:
    """Class numbers as an annotator would give them, each drawn independently by the row of its true class.

    Args:
        labels: integers (n,) from 0 to K - 1, left unchanged.
        transition: (K, K); ``transition[i, j]`` is the probability that class ``i`` is given as class ``j``.
        seed: root seed of the mistakes.

    Returns:
        (n,), of the labels' dtype.

    Raises:
        ConfigurationError: labels that are not class numbers, or a matrix whose rows are not probabilities.
    """
    truth, matrix = np.asarray(labels), np.asarray(transition, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not len(matrix):
        raise ConfigurationError(f"transition: its shape is {matrix.shape}; give (K, K), a row per true class")
    if not (matrix >= 0).all() or not np.allclose(matrix.sum(axis=1), 1, rtol=0, atol=1e-9):
        raise ConfigurationError("transition: its rows are not probabilities; every entry must be 0 or more and every row sum to 1")
    if truth.ndim != 1 or truth.dtype.kind not in "iu":
        raise ConfigurationError(f"labels: {truth.dtype} of shape {truth.shape}; give integers (n,), a class number per image")
    outside = truth[(truth < 0) | (truth >= len(matrix))]
    if outside.size:
        raise ConfigurationError(f"labels: {outside[0]} was seen; class numbers must be 0 to {len(matrix) - 1}")
    draws = generator(seed, "annotator", "classes").random(len(truth))
    noisy = truth.copy()
    for number in np.unique(truth):
        rows = truth == number
        said = np.searchsorted(np.cumsum(matrix[number]), draws[rows], side="right")
        # Rounding may leave the last sum a little below 1, and a draw above it.
        noisy[rows] = np.minimum(said, np.flatnonzero(matrix[number])[-1])
    return noisy


class _Probabilities(NamedTuple):
    swaps: float  # of a row that shows exactly one of two confused classes
    missed: float  # of a positive label, and
    imagined: float  # of a negative label, that no confusion touched


def _probabilities(truth: np.ndarray, rate: float, eligible: dict[tuple[int, int], np.ndarray]) -> _Probabilities:
    """The annotator's habits that make a share ``rate`` of all entries wrong, in expectation."""
    wanted = rate * truth.size
    positives = int(truth.sum())
    candidates = sum(int(rows.sum()) for rows in eligible.values())
    swaps = min(_MOST_CONFUSED, _CONFUSIONS * wanted / (2 * candidates)) if candidates else 0.0
    # Expected numbers of labels that no confusion touched: each swap took one positive and one negative label.
    left_positives, left_negatives = positives - swaps * candidates, truth.size - positives - swaps * candidates
    missed = min(_MOST_MISSED, _MISSES * wanted / left_positives) if left_positives > 0 else 0.0
    imagined = (wanted - 2 * swaps * candidates - missed * left_positives) / left_negatives if left_negatives > 0 else 0.0
    if imagined > 1 or left_negatives <= 0:
        # With hardly any negative labels, the mistakes that they cannot take fall on the positive labels.
        imagined = min(imagined, 1.0)
        missed = min(1.0, (wanted - 2 * swaps * candidates - imagined * left_negatives) / left_positives)
    # Differences of rates near the smallest float may come out below 0 by one step.
    return _Probabilities(swaps, max(missed, 0.0), max(imagined, 0.0))


def _table(labels: np.ndarray, rate: float = 0.0) -> np.ndarray:
    """The labels, uint8 (n, k), as a copy."""
    truth = np.asarray(labels)
    if not 0 <= rate <= 0.5:
        raise ConfigurationError(
            f"the rate of wrong labels is {rate}; choose 0..0.5 (at 0.5 labels of balanced classes say nothing)"
        )
    if truth.ndim != 2 or not np.isin(truth, (0, 1)).all():
        raise ConfigurationError(f"labels of shape {truth.shape} are no table of 0 and 1 with a row per image; give such a table")
    return truth.astype(np.uint8)


def _eligible(truth: np.ndarray, confused: Columns) -> dict[tuple[int, int], np.ndarray]:
    """Per pair of confused columns, the rows that show exactly one of the two: bool (n,)."""
    columns = [column for pair in confused for column in pair]
    if len(set(columns)) != len(columns) or not all(0 <= column < truth.shape[1] for column in columns):
        raise ConfigurationError(
            f"confused: the pairs are {list(confused)}; give different columns, each in one pair and from 0 to {truth.shape[1] - 1}"
        )
    return {(first, second): truth[:, first] != truth[:, second] for first, second in confused}


def _per_class(name: str, value: ArrayLike, classes: int) -> np.ndarray:
    chances = np.asarray(value, dtype=np.float64)
    if chances.shape not in ((), (classes,)) or not ((chances >= 0) & (chances <= 1)).all():
        raise ConfigurationError(f"{name} is {value!r}; give a probability in 0..1, or {classes} of them, one per class")
    return np.broadcast_to(chances, (classes,))


def _check_classes(classes: int, rate: float, most: float) -> None:
    if classes < 2:
        raise ConfigurationError(f"classes is {classes}; labels can be confused among 2 classes or more")
    if not 0 <= rate <= most:
        raise ConfigurationError(f"the rate of wrong labels is {rate}; choose 0..{most:.4g} for {classes} classes")


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)
