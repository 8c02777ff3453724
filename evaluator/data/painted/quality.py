"""Label quality: the mistakes of a human annotator, at a set rate."""

from __future__ import annotations

from collections.abc import Sequence

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
    truth = np.asarray(labels)
    if not 0 <= rate <= 0.5:
        raise ConfigurationError(
            f"the rate of wrong labels is {rate}; choose 0..0.5 (at 0.5 labels of balanced classes say nothing)"
        )
    if truth.ndim != 2 or not np.isin(truth, (0, 1)).all():
        raise ConfigurationError(f"labels of shape {truth.shape} are no table of 0 and 1 with one row per image")
    if truth.shape[1] > len(classes):
        raise ConfigurationError(f"labels have {truth.shape[1]} columns but only {len(classes)} class names")
    noisy = truth.astype(np.uint8)
    if rate == 0 or noisy.size == 0:
        return noisy
    rng = generator(seed, "annotator")
    wanted = rate * noisy.size
    ones = int(noisy.sum())
    pairs = _sizes(classes[: noisy.shape[1]])

    eligible = {pair: noisy[:, pair[0]] != noisy[:, pair[1]] for pair in pairs}
    candidates = sum(int(rows.sum()) for rows in eligible.values())
    confused = min(_MOST_CONFUSED, _CONFUSIONS * wanted / (2 * candidates)) if candidates else 0.0
    untouched = np.ones(noisy.shape, bool)
    for (small, large), rows in eligible.items():
        swapped = rows & (rng.random(len(noisy)) < confused)
        noisy[np.ix_(swapped, [large, small])] = truth[np.ix_(swapped, [small, large])]
        untouched[np.ix_(swapped, [small, large])] = False

    # Expected numbers of ones and zeros that no confusion touched: the swaps took one of each.
    left_ones, left_zeros = ones - confused * candidates, noisy.size - ones - confused * candidates
    missed = min(_MOST_MISSED, _MISSES * wanted / left_ones) if left_ones > 0 else 0.0
    imagined = (wanted - 2 * confused * candidates - missed * left_ones) / left_zeros if left_zeros > 0 else 0.0
    if imagined > 1 or left_zeros <= 0:
        # Hardly any zeros: what they cannot take falls back on the ones.
        imagined = min(imagined, 1.0)
        missed = min(1.0, (wanted - 2 * confused * candidates - imagined * left_zeros) / left_ones)
    wrong = untouched & (rng.random(noisy.shape) < np.where(truth == 1, missed, imagined))
    return noisy ^ wrong.astype(np.uint8)


def _sizes(classes: Sequence[str]) -> list[tuple[int, int]]:
    """Columns (small, large) of one kind of damage."""
    names = list(classes)
    stems = [name.removesuffix("_small") for name in names if name.endswith("_small")]
    return [(names.index(f"{stem}_small"), names.index(f"{stem}_large")) for stem in stems if f"{stem}_large" in names]
