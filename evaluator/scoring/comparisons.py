"""Every strategy against one reference, paired by seed: shown, or called noise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from evaluator.scoring.intervals import Interval
from evaluator.scoring.paired import PairedTests, decide, holm, paired_tests, rounding_of, sign_flip_p
from evaluator.scoring.scores import Scores


class Finding(StrEnum):
    """What a comparison found, in the words of the tables."""

    BETTER = "better"
    WORSE = "worse"
    NOISE = "within noise"
    ONE_SEED = "needs 2 seeds"
    NO_SEED = "no seed in common"


@dataclass(frozen=True)
class Mean:
    """Mean score of a strategy with its t interval over seeds.

    Attributes:
        strategy, pair: which; the pair may be ``OVER_PAIRS``.
        interval: of the mean; ``None`` where every seed failed.
        left_out: seeds that failed.
    """

    strategy: str
    pair: str
    interval: Interval | None
    left_out: tuple[int | str, ...]


@dataclass(frozen=True)
class Difference:
    """Paired difference of a strategy to a reference.

    Attributes:
        strategy, reference, pair: which; the pair may be ``OVER_PAIRS``.
        difference: strategy minus reference, mean over the seeds that both have, with its t interval at level ``1 - alpha``;
            ``None`` without a seed in common.
        deviation: standard deviation of the paired differences, which ``power`` plans with; ``None`` with fewer than two seeds.
        p: of the paired t-test (two-sided); ``None`` with fewer than two seeds, as the two below.
        p_holm: the same after Holm's correction over the family.
        p_permutation: of the sign-flip test, uncorrected: a check that needs no normal distribution.
        family: number of tests that were corrected together.
        left_out: seeds that the strategy or the reference lacks.
        alpha: significance level.
        finding: in words.
    """

    strategy: str
    reference: str
    pair: str
    difference: Interval | None
    deviation: float | None
    p: float | None
    p_holm: float | None
    p_permutation: float | None
    family: int
    left_out: tuple[int | str, ...]
    alpha: float
    finding: Finding

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}; it must lie between 0 and 1, e.g. 0.05")
        known = [value is not None for value in (self.deviation, self.p, self.p_holm, self.p_permutation)]
        if any(known) != all(known) or all(known) != (self.n > 1):
            raise ValueError(
                f"{self.strategy} on {self.pair}: {self.n} seeds and only some tests; give all tests from 2 seeds on, else none"
            )
        if self.p is not None and self.p_holm is not None and not 0 <= self.p <= self.p_holm <= 1:
            raise ValueError(
                f"{self.strategy} on {self.pair}: p is {self.p} and corrected {self.p_holm}; a correction only raises it"
            )
        expected = {0: Finding.NO_SEED, 1: Finding.ONE_SEED}.get(self.n)
        if expected is not None and self.finding is not expected:
            raise ValueError(f"{self.strategy} on {self.pair}: {self.n} seeds, found {self.finding!s}; it must be {expected!s}")

    @property
    def n(self) -> int:
        """Seeds that both have."""
        return 0 if self.difference is None else self.difference.n

    @property
    def doubtful(self) -> bool:
        """Whether the uncorrected tests fall on different sides of alpha, with seeds enough for the sign-flip test to reach it."""
        if self.p is None or self.p_permutation is None:
            return False
        return 2.0 ** (1 - self.n) < self.alpha and (self.p < self.alpha) != (self.p_permutation < self.alpha)


@dataclass(frozen=True)
class Comparisons:
    """All differences to one reference.

    Attributes:
        reference, alpha: as asked.
        overall: a difference per strategy on the mean over pairs; one family.
        per_pair: a difference per pair and strategy, pair by pair; families as asked.
    """

    reference: str
    alpha: float
    overall: tuple[Difference, ...]
    per_pair: tuple[Difference, ...]

    def of(self, strategy: str, pair: str | None = None) -> Difference:
        """The difference of a strategy, over pairs unless a pair is named.

        Raises:
            KeyError: there is no such comparison.
        """
        for difference in self.overall if pair is None else self.per_pair:
            if difference.strategy == strategy and pair in (None, difference.pair):
                return difference
        raise KeyError(f"no comparison of {strategy!r} to {self.reference!r}" + ("" if pair is None else f" on {pair!r}"))


def compare(
    scores: Scores,
    reference: str = "random",
    *,
    alpha: float = 0.05,
    family: str = "pair",
    flips: int = 9999,
    root: int = 0,
) -> Comparisons:
    """Compare every strategy with the reference, seed by seed, over the pairs and on each.

    A seed that failed in a strategy is left out of the differences of that strategy alone; a seed that failed in the reference is
    left out of all; over pairs, a seed needs every pair in both. ``left_out`` names them. Over pairs, the mean over pairs is taken
    first
    for every seed, and the test is over seeds: pairs are the round's choice, and the seeds are what varies by chance.

    Args:
        scores: of s strategies.
        reference: name of the strategy to compare with; it is in no family itself.
        alpha: significance level, which is also 1 minus the level of the intervals. The intervals are not widened for the family.
        family: the tests that Holm's correction covers together on the pairs. ``"pair"``: the strategies on one pair, so that each
            pair's table has at most a chance of alpha of any false finding. ``"table"``: all pairs and strategies, so that all
            tables together have.
        flips, root: of the permutation check, as in ``sign_flip_p``.

    Raises:
        ValueError: an unknown reference or family, no other strategy, or alpha outside (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, e.g. 0.05")
    if family not in ("pair", "table"):
        raise ValueError(f"the family is {family!r}; it must be 'pair' (each pair by itself) or 'table' (all pairs together)")
    at = scores.index(reference)
    if len(scores.strategies) < 2:
        raise ValueError(f"there is only {reference!r}; a comparison needs another strategy")
    others = [s for s in range(len(scores.strategies)) if s != at]

    def differences(of: Scores, whole: bool) -> tuple[Difference, ...]:
        """Differences pair by pair; ``whole``: one family, otherwise one per pair."""
        ours, base = of.values[others].transpose(1, 0, 2), of.values[at][:, None]
        gaps, rounding = ours - base, rounding_of(ours, base)
        tests = paired_tests(gaps, 1 - alpha, rounding)
        p_holm = holm(tests.p.reshape(1, -1) if whole else tests.p).reshape(tests.p.shape)
        tested = (tests.n > 1).sum(axis=None if whole else 1)
        p_flip = sign_flip_p(gaps, flips, root, rounding)
        signs = decide(tests, p_holm, alpha)
        found = []
        for p, pair in enumerate(of.pairs):
            for row, s in enumerate(others):
                at_row, n = (p, row), int(tests.n[p, row])
                interval = None if n == 0 else _interval(tests, at_row, 1 - alpha)
                words = {0: Finding.NO_SEED, 1: Finding.ONE_SEED}.get(n) or _WORDS[int(signs[at_row])]
                found.append(
                    Difference(
                        strategy=of.strategies[s],
                        reference=reference,
                        pair=pair,
                        difference=interval,
                        deviation=float(tests.deviation[at_row]) if n > 1 else None,
                        p=float(tests.p[at_row]) if n > 1 else None,
                        p_holm=float(p_holm[at_row]) if n > 1 else None,
                        p_permutation=float(p_flip[at_row]) if n > 1 else None,
                        family=int(tested if whole else tested[p]),
                        left_out=_missing(gaps[at_row], of.seeds),
                        alpha=alpha,
                        finding=words,
                    )
                )
        return tuple(found)

    return Comparisons(reference, alpha, differences(scores.over_pairs(), True), differences(scores, family == "table"))


def means(scores: Scores, level: float = 0.95) -> tuple[Mean, ...]:
    """Mean and t interval over seeds of every strategy on every pair, pair by pair; for those over pairs, give
    ``scores.over_pairs()``.

    These intervals say how sure each mean is. Whether two strategies differ is a question for ``compare``: their scores go up and
    down together from seed to seed, so that overlapping intervals prove nothing.

    Raises:
        ValueError: a level outside (0, 1).
    """
    tests = paired_tests(scores.values, level, rounding_of(scores.values))
    return tuple(
        Mean(
            strategy,
            pair,
            _interval(tests, (s, p), level) if tests.n[s, p] else None,
            _missing(scores.values[s, p], scores.seeds),
        )
        for p, pair in enumerate(scores.pairs)
        for s, strategy in enumerate(scores.strategies)
    )


_WORDS = {1: Finding.BETTER, 0: Finding.NOISE, -1: Finding.WORSE}


def _interval(tests: PairedTests, at: tuple[int, int], level: float) -> Interval:
    n = int(tests.n[at])
    low, high = (float(tests.low[at]), float(tests.high[at])) if n > 1 else (None, None)
    return Interval(float(tests.mean[at]), low, high, n, level)


def _missing(values: np.ndarray, names: tuple[int | str, ...]) -> tuple[int | str, ...]:
    return tuple(names[k] for k in np.flatnonzero(np.isnan(values)))
