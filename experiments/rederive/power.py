"""What seeds can show: the smallest difference that a number of them shows, and how many show the wanted difference."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy import optimize, special, stats

from experiments.rederive.differences import ALPHA, FEWEST, Test

POWER, WANTED = 0.8, 0.01


def chance(effect: float, n: int, alpha: float) -> float:
    """Power of a two-sided t-test: the scale of the deviation is integrated over its chi-squared distribution."""
    scale = scales(n) * stats.t.ppf(1 - alpha / 2, n - 1)
    centre = effect * math.sqrt(n)
    return float((special.ndtr(centre - scale) + special.ndtr(-scale - centre)).mean())


@lru_cache(maxsize=1024)
def scales(n: int) -> np.ndarray:
    """Quantiles of the ratio of a measured to the true deviation, from n values."""
    return np.sqrt(stats.chi2.ppf((np.arange(4_000) + 0.5) / 4_000, n - 1) / (n - 1))


@lru_cache(maxsize=1024)
def smallest_effect(n: int, tests: int) -> float:
    """The difference that n seeds show with a power of 0.8 in the worst case of the correction, in standard deviations."""
    return float(optimize.brentq(lambda effect: chance(effect, n, ALPHA / tests) - POWER, 0.0, 1e6))


def enough_seeds(deviation: float, tests: int) -> int:
    """The fewest seeds that show ``WANTED`` with that power."""
    low, high = 1, 2
    while chance(WANTED / deviation, high, ALPHA / tests) < POWER:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if chance(WANTED / deviation, middle, ALPHA / tests) < POWER else (low, middle)
    return high


def deviations(test: Test) -> list[float]:
    """The standard deviation of the differences, and its interval for normal differences."""
    n, deviation = len(test.of.observed), float(np.std(test.of.observed, ddof=1))
    tails = stats.chi2.ppf([1 - ALPHA / 2, ALPHA / 2], n - 1)
    return [deviation, *(deviation * math.sqrt((n - 1) / tail) for tail in tails)]


def smallest(test: Test, deviation: float) -> float:
    """The smallest difference that as many seeds show, if the deviation is this."""
    return deviation * smallest_effect(max(len(test.of.observed), FEWEST), test.family)
