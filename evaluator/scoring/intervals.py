"""Confidence intervals of a mean, with every small-n case decided."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

SAME = 1e-12
"""Up to this difference, figures are equal."""


@dataclass(frozen=True)
class Interval:
    """A mean with the confidence interval around it.

    Attributes:
        mean: of the values.
        low, high: bounds; ``None`` where one value leaves nothing to estimate a spread from.
        n: number of values.
        level: confidence level, e.g. 0.95.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    level: float

    @property
    def half_width(self) -> float | None:
        """Distance from the mean to a bound; ``None`` without bounds."""
        return None if self.high is None else self.high - self.mean

    def __str__(self) -> str:
        spread = "no interval" if self.low is None else f"{self.low:.3f} to {self.high:.3f}"
        return f"{self.mean:.3f} ({spread}, n={self.n})"


def t_interval(values: Iterable[float], level: float = 0.95) -> Interval:
    """Student's t interval of the mean of independent values (unknown variance, n - 1 degrees of freedom).

    One value has a mean and no interval; equal values have an interval of width 0.

    Raises:
        ValueError: no values, values that are not finite, or a level outside (0, 1).
    """
    given = np.asarray(list(values), dtype=np.float64)
    if given.ndim != 1 or not len(given):
        raise ValueError("an interval needs at least one value, and a flat list of them")
    if not np.isfinite(given).all():
        raise ValueError(f"an interval needs finite values; got {given.tolist()}")
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}; it must lie between 0 and 1, e.g. 0.95")
    n = len(given)
    if n > 1 and np.all(given == given[0]):
        # Rounding in mean and deviation would otherwise give equal values a spread.
        value = float(given[0])
        return Interval(value, value, value, n, level)
    mean = float(given.mean())
    if n == 1:
        return Interval(mean, None, None, n, level)
    half = float(special.stdtrit(n - 1, (1 + level) / 2)) * float(given.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n, level)


def mean_of_seeds(values: Iterable[float], level: float = 0.95) -> Interval:
    """The mean of a score over seeds with its ``t_interval``; without bounds where all seeds gave the same score.

    Equal scores are copies of one observation as far as anybody knows, since a figure may not depend on the seed at all. They do
    not prove that there is no noise.

    Raises:
        ValueError: as ``t_interval``.
    """
    given = list(values)
    found = t_interval(given, level)
    return replace(found, low=None, high=None) if float(np.ptp(given)) <= SAME else found


def wilson_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's (1927) score interval of a share: it lies within 0 and 1 and holds its level for few items and extreme shares too.

    Raises:
        ValueError: no items, successes outside 0 to n, or a level outside (0, 1).
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}; expected 1 or more items and 0 to n successes")
    return wilson_of_share(successes / n, n, level)


def wilson_of_share(share: float, n: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a share of ``n`` independent items, e.g. of an accuracy over test images (Wilson 1927).

    It stays within 0 and 1, and has a width where the share is 0 or 1, too. ``share`` need not be a whole number of items: that of
    several models is the mean of theirs, which makes the interval a little wide.

    Raises:
        ValueError: a share beyond 0 to 1, no items, or a level outside (0, 1).
    """
    if not 0 <= share <= 1 or n < 1 or not 0 < level < 1:
        raise ValueError(f"a share of {share} of {n} items at the level {level}; expected 0 to 1, 1 or more, and within (0, 1)")
    z = float(special.ndtri((1 + level) / 2))
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # Rounding must not carry an end beyond the share itself.
    return Interval(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)), n, level)
