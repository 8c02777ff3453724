"""A difference over seeds: its mean and interval, its three tests, and the finding that follows from them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import stats

from experiments.rederive.cells import NAN, Series

ALPHA = 0.05
EXACT, FEWEST = 14, 6
"""Largest number of differences of which all flips are tried, and the smallest of which a sign-flip test can be below 0.05."""
KIT_FLIPS, FLIPS = 9_999, 20_000
"""Flips of the kit, and of this script."""


def t_bounds(values: np.ndarray) -> tuple[float, float | None, float | None, int]:
    """Mean, 95 % t interval and number of values."""
    n = len(values)
    if n < 2:
        return float(values[0]) if n else NAN, None, None, n
    if np.ptp(values) <= 1e-12:
        return (float(values[0]),) * 3 + (n,)
    low, high = stats.t.interval(1 - ALPHA, n - 1, values.mean(), stats.sem(values))
    return float(values.mean()), float(low), float(high), n


def johnson_p(values: np.ndarray) -> float:
    """Two-sided p of Johnson's t on the side of Student's: t + g / (6 sqrt(n)) + g t^2 / (3 sqrt(n)), with t^2 at most 36."""
    n, error = len(values), stats.sem(values)
    t, skewness = values.mean() / error, stats.kstat(values, 3) / (error * math.sqrt(n)) ** 3
    corrected = t + skewness / (6 * math.sqrt(n)) + skewness * min(t * t, 36.0) / (3 * math.sqrt(n))
    return float(min(1.0, 2 * stats.t.sf(math.copysign(1.0, t) * corrected, n - 1)))


@lru_cache(maxsize=128)
def flips(n: int) -> np.ndarray:
    """Signs (flips, n): all of them up to ``EXACT``, else drawn."""
    if n <= EXACT:
        return 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    return np.random.default_rng(n).choice([-1.0, 1.0], (FLIPS, n))


def flip_p(values: np.ndarray) -> float:
    """Two-sided p of the sign-flip test: the share of flips whose sum is as far from 0 as the sum that was seen."""
    signs = flips(len(values))
    hits = int((np.abs(signs @ values) >= abs(values.sum()) - 1e-10 * np.abs(values).sum()).sum())
    return hits / len(signs) if len(values) <= EXACT else (1 + hits) / (1 + len(signs))


@dataclass(eq=False)
class Test:
    """A difference and its tests. ``corrected``, ``family``: of the tree, once it is known."""

    of: Series
    corrected: float = NAN
    family: int = 1

    @cached_property
    def bounds(self) -> tuple[float, float | None, float | None, int]:
        """Mean, interval and observations; no interval where there is no spread."""
        mean, low, high, n = t_bounds(self.of.observed)
        return (mean, low, high, n) if self.spread else (mean, None, None, n)

    @cached_property
    def spread(self) -> bool:
        """Whether a test is possible at all."""
        return len(self.of.observed) > 1 and bool(np.ptp(self.of.observed) > 1e-12)

    @cached_property
    def p_t(self) -> float:
        """Of Student's t; NaN without a test."""
        return float(stats.ttest_1samp(self.of.observed, 0.0).pvalue) if self.spread else NAN

    @cached_property
    def p(self) -> float:
        """The p that decides: the larger of Student's and Johnson's."""
        return max(self.p_t, johnson_p(self.of.observed)) if self.spread and len(self.of.observed) > 2 else self.p_t

    @cached_property
    def p_flip(self) -> float:
        """Of the sign-flip test."""
        return flip_p(self.of.observed)

    @property
    def open(self) -> bool:
        """Whether other draws may put the sign-flip test on the other side of 0.05."""
        error = math.sqrt(ALPHA * (1 - ALPHA) * (1 / KIT_FLIPS + 1 / FLIPS))
        return len(self.of.observed) > EXACT and abs(self.p_flip - ALPHA) < 4 * error

    def shown(self, corrected: float) -> list[str]:
        """The finding with a corrected p; two where chance decides."""
        mean, low, high, n = self.bounds
        if self.of.failed:
            return ["failed cells"]
        if n < 2:
            return ["no seed" if not n else "one observation" if self.of.seeds > 1 else "too few seeds"]
        if not self.spread:
            return ["no spread"]
        if n < FEWEST:
            return ["too few seeds"]
        if low is None or high is None or low <= 0 <= high or not corrected < ALPHA:
            return ["within noise"]
        word = "better" if mean > 0 else "worse"
        if self.open:
            return [word, "within noise"]
        return [word if self.p_flip < ALPHA else "within noise"]

    @property
    def findings(self) -> list[str]:
        """As ``shown``, after the correction of the tree."""
        return self.shown(self.corrected)

    @property
    def mark(self) -> str:
        """Behind what rests on collapsed cells."""
        return " !" if len(self.of.observed) and self.of.collapsed[0] else ""

    @property
    def marked(self) -> list[str]:
        """The findings as tables show them, with their marks."""
        found = []
        for word in self.findings:
            for other in (self.p_flip < ALPHA, *((self.p_flip >= ALPHA,) if self.open else ())) if self.spread else ():
                differ = len({self.p < ALPHA, self.p_t < ALPHA, other}) > 1 and len(self.of.observed) >= FEWEST
                found.append(word + (" ?" if differ else "") + self.mark)
        return list(dict.fromkeys(found)) or [word + self.mark for word in self.findings]
