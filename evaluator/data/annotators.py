"""Label quality: the mistakes of a human annotator, at a set rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from evaluator.data.painted.shift import CLASSES
from evaluator.errors import ConfigurationError
from evaluator.seeds import generator

QUALITIES: dict[str, float] = {"perfect": 0.0, "careful": 0.02, "crowd": 0.08, "hasty": 0.15}
"""Named label qualities: the share of wrong entries in what an annotator of that kind returns."""

_MISSES, _CONFUSIONS = 0.50, 0.25  # of the wrong entries; the rest are false alarms
_MOST_MISSED, _MOST_CONFUSED = 0.9, 0.5  # an annotator still sees something


def annotator_noise(labels: np.ndarray, rate: float, seed: int, classes: Sequence[str] = CLASSES) -> np.ndarray:
    """Labels as an annotator would give them who is wrong in a share ``rate`` of all entries, in expectation.

    Half of the wrong entries are misses (1 read as 0), a quarter comes from small taken for large and the reverse (where exactly
    one of the two is present they change places, two wrong entries at once), and a quarter are false alarms. A person misses what
    is barely visible far more often than they imagine it, and damages are rare: at 25 % ones a one is about six times as likely
    to be wrong as a zero. Where there are too few ones for that (a miss probability above 0.9, a confusion above 0.5) the rest
    become false alarms. Rows are independent given the counts of the whole array.

    Args:
        labels: uint8 (n, k), 0 or 1, left unchanged.
        rate: expected share of wrong entries, 0..0.5; 0 gives an equal copy.
        seed: root seed of the mistakes.
        classes: names of the columns; the first k count. Only names that end in ``_small`` and ``_large`` are confused.

    Returns:
        uint8 (n, k).

    Raises:
        ConfigurationError: a rate outside 0..0.5, labels that are no 0/1 table, or fewer names than columns.
    """
    truth = _checked(labels, rate, classes)
    noisy = truth.copy()
    if rate == 0 or noisy.size == 0:
        return noisy
    rng = generator(seed, "annotator")
    eligible = _eligible(truth, classes)
    confused, missed, imagined = _probabilities(truth, rate, eligible)
    untouched = np.ones(noisy.shape, bool)
    for (small, large), rows in eligible.items():
        swapped = rows & (rng.random(len(noisy)) < confused)
        noisy[np.ix_(swapped, [large, small])] = truth[np.ix_(swapped, [small, large])]
        untouched[np.ix_(swapped, [small, large])] = False
    wrong = untouched & (rng.random(noisy.shape) < np.where(truth == 1, missed, imagined))
    return noisy ^ wrong.astype(np.uint8)


@dataclass(frozen=True, eq=False)
class ExpectedNoise:
    """What an annotator makes of a table of labels, in expectation. Those of several tables are added with ``+``.

    Attributes:
        images: rows of the table.
        ones: true ones per class, float64 (k,).
        missed: of them those that are given as 0, expected number, float64 (k,).
        imagined: zeros that are given as 1, expected number, float64 (k,).
    """

    images: int
    ones: np.ndarray
    missed: np.ndarray
    imagined: np.ndarray

    def __add__(self, other: ExpectedNoise) -> ExpectedNoise:
        return ExpectedNoise(
            self.images + other.images, self.ones + other.ones, self.missed + other.missed, self.imagined + other.imagined
        )

    @property
    def missed_share(self) -> np.ndarray:
        """Share of the true ones that are given as 0, float64 (k,); NaN for a class that has none."""
        return _ratio(self.missed, self.ones)

    @property
    def right_share(self) -> np.ndarray:
        """Share of the given ones that are true, float64 (k,): true ones expected over ones expected; NaN where none is given."""
        kept = self.ones - self.missed
        return _ratio(kept, kept + self.imagined)

    @property
    def share_of_ones(self) -> float:
        """Share of all entries that are ones in truth; NaN without an entry."""
        return float(_ratio(self.ones.sum(), np.float64(self.images * len(self.ones))))

    def over_classes(self) -> ExpectedNoise:
        """All classes as one, so that frequent ones count for more: arrays of shape (1,)."""
        columns = (np.atleast_1d(column.sum()) for column in (self.ones, self.missed, self.imagined))
        return ExpectedNoise(self.images * len(self.ones), *columns)


def expected_noise(labels: np.ndarray, rate: float, classes: Sequence[str] = CLASSES) -> ExpectedNoise:
    """What ``annotator_noise`` does to these labels, over all its seeds: exact for the numbers of misses and false alarms.

    A one is lost where its row is confused, or where it is not and the one is missed; a zero turns into a one where its row is
    confused, or where it is not and the one is imagined. Only rows that show exactly one of small and large can be confused.

    Args:
        labels, rate, classes: as of ``annotator_noise``.

    Raises:
        ConfigurationError: as ``annotator_noise``.
    """
    truth = _checked(labels, rate, classes)
    ones = truth.sum(axis=0, dtype=np.float64)
    if rate == 0 or truth.size == 0:
        return ExpectedNoise(len(truth), ones, np.zeros_like(ones), np.zeros_like(ones))
    eligible = _eligible(truth, classes)
    confused, missed, imagined = _probabilities(truth, rate, eligible)
    swapped = np.zeros(truth.shape)
    for (small, large), rows in eligible.items():
        swapped[:, [small, large]] = confused * rows[:, None]
    lost = np.where(truth == 1, swapped + (1 - swapped) * missed, 0).sum(axis=0)
    added = np.where(truth == 0, swapped + (1 - swapped) * imagined, 0).sum(axis=0)
    return ExpectedNoise(len(truth), ones, lost, added)


class _Probabilities(NamedTuple):
    confused: float  # of a row that shows exactly one of small and large
    missed: float  # of a one, and
    imagined: float  # of a zero, that no confusion touched


def _probabilities(truth: np.ndarray, rate: float, eligible: dict[tuple[int, int], np.ndarray]) -> _Probabilities:
    """The annotator's habits that make a share ``rate`` of all entries wrong, in expectation."""
    wanted = rate * truth.size
    ones = int(truth.sum())
    candidates = sum(int(rows.sum()) for rows in eligible.values())
    confused = min(_MOST_CONFUSED, _CONFUSIONS * wanted / (2 * candidates)) if candidates else 0.0
    # Expected numbers of ones and zeros that no confusion touched: the swaps took one of each.
    left_ones, left_zeros = ones - confused * candidates, truth.size - ones - confused * candidates
    missed = min(_MOST_MISSED, _MISSES * wanted / left_ones) if left_ones > 0 else 0.0
    imagined = (wanted - 2 * confused * candidates - missed * left_ones) / left_zeros if left_zeros > 0 else 0.0
    if imagined > 1 or left_zeros <= 0:
        # Hardly any zeros: what they cannot take falls back on the ones.
        imagined = min(imagined, 1.0)
        missed = min(1.0, (wanted - 2 * confused * candidates - imagined * left_zeros) / left_ones)
    return _Probabilities(confused, missed, imagined)


def _checked(labels: np.ndarray, rate: float, classes: Sequence[str]) -> np.ndarray:
    """The labels, uint8 (n, k), as a copy."""
    truth = np.asarray(labels)
    if not 0 <= rate <= 0.5:
        raise ConfigurationError(
            f"the rate of wrong labels is {rate}; choose 0..0.5 (at 0.5 labels of balanced classes say nothing)"
        )
    if truth.ndim != 2 or not np.isin(truth, (0, 1)).all():
        raise ConfigurationError(f"labels of shape {truth.shape} are no table of 0 and 1 with one row per image")
    if truth.shape[1] > len(classes):
        raise ConfigurationError(f"labels have {truth.shape[1]} columns but only {len(classes)} class names")
    return truth.astype(np.uint8)


def _eligible(truth: np.ndarray, classes: Sequence[str]) -> dict[tuple[int, int], np.ndarray]:
    """Per pair of columns (small, large), the rows that show exactly one of the two: bool (n,)."""
    return {(small, large): truth[:, small] != truth[:, large] for small, large in _sizes(classes[: truth.shape[1]])}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def _sizes(classes: Sequence[str]) -> list[tuple[int, int]]:
    """Columns (small, large) of one kind of damage."""
    names = list(classes)
    stems = [name.removesuffix("_small") for name in names if name.endswith("_small")]
    return [(names.index(f"{stem}_small"), names.index(f"{stem}_large")) for stem in stems if f"{stem}_large" in names]
