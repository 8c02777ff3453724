"""Every strategy against one reference, paired by seed: shown, or called noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from evaluator.scoring.intervals import Interval
from evaluator.scoring.observations import collapsed, joined
from evaluator.scoring.paired import (
    PairedTests,
    decide,
    deciding_p,
    fewest_seeds,
    holm,
    paired_tests,
    rounding_of,
    sign_flip_p,
    skew_p,
)
from evaluator.scoring.scores import Scores


class Finding(StrEnum):
    """What a comparison found, in the words of the tables."""

    BETTER = "better"
    WORSE = "worse"
    NOISE = "within noise"
    FEW = "too few seeds"
    FEW_SETS = "too few data sets"
    COPIES = "one observation"
    FLAT = "no spread"
    FAILED = "failed cells"
    NO_SEED = "no seed in common"


class Decider(StrEnum):
    """Which test gave the p that decides, the larger of two."""

    T = "t"
    SKEW = "skew-corrected t"


@dataclass(frozen=True)
class Mean:
    """Mean score of a strategy with its t interval over seeds.

    Attributes:
        strategy, pair: which; the pair may be ``OVER_PAIRS``.
        interval: of the mean; ``None`` where any cell failed, or no seed has a score. Its ``n`` counts observations.
        left_out: seeds without a score.
        seeds: with a score; more than ``interval.n`` where some are copies of one observation.
        failed: whether a cell failed.
    """

    strategy: str
    pair: str
    interval: Interval | None
    left_out: tuple[int | str, ...]
    seeds: int
    failed: bool


@dataclass(frozen=True)
class Difference:
    """Paired difference of a strategy to a reference.

    Attributes:
        strategy, reference, pair: which; the pair may be ``OVER_PAIRS``.
        difference: strategy minus reference, mean over the observations that both have, with its t interval at level
            ``1 - alpha``; ``None`` without a seed in common, or where a cell of either failed. No bounds where there is no spread.
        deviation: standard deviation of the paired differences, which ``power`` plans with; ``None`` where there is no test: with
            fewer than two observations, or differences without spread. So are the five below.
        p: the p that decides (two-sided): the larger of the paired t-test's and of the one corrected for skewness (``deciding_p``).
        p_t: of the paired t-test alone.
        decider: which of the two it was.
        p_holm: ``p`` after Holm's correction over the family.
        p_permutation: of the sign-flip test, uncorrected: it must be below alpha, too.
        family: number of tests that were corrected together.
        seeds: that both have; more than ``n`` where some are copies of one observation (``observations``).
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
    p_t: float | None
    decider: Decider | None
    p_holm: float | None
    p_permutation: float | None
    family: int
    seeds: int
    left_out: tuple[int | str, ...]
    alpha: float
    finding: Finding

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is {self.alpha}; it must lie between 0 and 1, e.g. 0.05")
        tests = (self.deviation, self.p, self.p_t, self.decider, self.p_holm, self.p_permutation)
        known = [value is not None for value in tests]
        spread = self.difference is not None and self.difference.low is not None
        if any(known) != all(known) or all(known) != spread:
            raise ValueError(
                f"{self.strategy} on {self.pair}: {self.n} observations and only some tests; give all tests where the difference "
                "has an interval, else none"
            )
        if self.p is not None and self.p_holm is not None and not 0 <= self.p <= self.p_holm <= 1:
            raise ValueError(
                f"{self.strategy} on {self.pair}: p is {self.p} and corrected {self.p_holm}; a correction only raises it"
            )
        if self.p is None and self.finding in (Finding.BETTER, Finding.WORSE, Finding.NOISE):
            raise ValueError(f"{self.strategy} on {self.pair}: found {self.finding!s} without a test")

    @property
    def n(self) -> int:
        """Observations that both have."""
        return 0 if self.difference is None else self.difference.n

    @property
    def doubtful(self) -> bool:
        """Whether the uncorrected tests fall on different sides of alpha, with seeds enough for the sign-flip test to reach it."""
        if self.p is None or self.p_permutation is None or self.p_t is None:
            return False
        sides = {p < self.alpha for p in (self.p, self.p_t, self.p_permutation)}
        return self.n >= fewest_seeds(self.alpha) and len(sides) > 1


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
    bounds: tuple[float, float] | None = None,
) -> Comparisons:
    """Compare every strategy with the reference, seed by seed, over the pairs and on each.

    A strategy of which a cell failed has no difference on that pair and over the pairs: it must not be judged by the seeds that it
    survived. If a cell of the reference failed, none has. A seed that was not run is left out, and named in ``left_out``; over
    pairs, a seed needs every pair in both. Seeds that are copies of one observation in both count once. Over pairs, the mean over
    pairs is taken first for every seed, and the test is over seeds: pairs are the round's choice, and the seeds are what varies by
    chance.

    Args:
        scores: of s strategies.
        reference: name of the strategy to compare with; it is in no family itself.
        alpha: significance level, which is also 1 minus the level of the intervals. The intervals are not widened for the family.
        family: the tests that Holm's correction covers together on the pairs. ``"pair"``: the strategies on one pair, so that each
            pair's table has at most a chance of alpha of any false finding. ``"table"``: all pairs and strategies, so that all
            tables together have.
        flips, root: of the sign-flip test, as in ``sign_flip_p``.
        bounds: the worst and the best possible score. With them, a strategy of which a cell failed is compared all the same, twice:
            with the worst score for its failed cells (and the best for those of the reference), and the other way round. Its
            interval holds both intervals, its p values are the larger of both, and it has a finding only if both have it.

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
    if bounds is not None and scores.is_failed.any():
        options: dict[str, Any] = {"alpha": alpha, "family": family, "flips": flips, "root": root}
        plain, *both = (
            compare(of, reference, **options)
            for of in (scores, *(scores.filled(reference, *ends) for ends in (bounds, bounds[::-1])))
        )
        overall, per_pair = (
            tuple(
                _between(worst, best) if found.finding is Finding.FAILED else found
                for found, worst, best in zip(*(getattr(of, name) for of in (plain, *both)), strict=True)
            )
            for name in ("overall", "per_pair")
        )
        return Comparisons(reference, alpha, overall, per_pair)

    def differences(given: Scores, whole: bool) -> tuple[Difference, ...]:
        """Differences pair by pair; ``whole``: one family, otherwise one per pair."""
        of = given.without_failures()
        there = given.values[others].transpose(1, 0, 2) - given.values[at][:, None]
        ours, base = of.values[others].transpose(1, 0, 2), of.values[at][:, None]
        rounding = rounding_of(ours, base)
        each = ours - base
        gaps = collapsed(each, joined(of.numbers[others].transpose(1, 0, 2), of.numbers[at][:, None]))
        spoilt = np.array([[bool(row.any()) for row in rows] for rows in of.is_failed])
        tests = paired_tests(gaps, 1 - alpha, rounding)
        p = deciding_p(tests, skew_p(gaps))
        p_holm = holm(p.reshape(1, -1) if whole else p).reshape(p.shape)
        tested = (~np.isnan(p)).sum(axis=None if whole else 1)
        p_flip = sign_flip_p(gaps, flips, root, rounding)
        signs = decide(tests, p_holm, p_flip, alpha)
        found = []
        for k, pair in enumerate(of.pairs):
            for row, s in enumerate(others):
                at_row, n = (k, row), int(tests.n[k, row])
                known = not np.isnan(p[at_row])
                interval = None if n == 0 else _interval(tests, at_row, 1 - alpha, bounded=known)
                seeds = int((~np.isnan(each[at_row])).sum())
                if spoilt[s, k] or spoilt[at, k]:
                    words = Finding.FAILED
                elif n < 2:
                    words = Finding.NO_SEED if n == 0 else Finding.COPIES if seeds > 1 else Finding.FEW
                elif not known:
                    words = Finding.FLAT
                else:
                    words = Finding.FEW if n < fewest_seeds(alpha) else _WORDS[int(signs[at_row])]
                found.append(
                    Difference(
                        strategy=of.strategies[s],
                        reference=reference,
                        pair=pair,
                        difference=interval,
                        deviation=float(tests.deviation[at_row]) if known else None,
                        p=float(p[at_row]) if known else None,
                        p_t=float(tests.p[at_row]) if known else None,
                        decider=(Decider.SKEW if p[at_row] > tests.p[at_row] else Decider.T) if known else None,
                        p_holm=float(p_holm[at_row]) if known else None,
                        p_permutation=float(p_flip[at_row]) if known else None,
                        family=int(tested if whole else tested[k]),
                        seeds=seeds,
                        left_out=_missing(there[at_row], of.seeds),
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
    known = scores.without_failures()
    tests = paired_tests(collapsed(known.values, known.numbers), level, rounding_of(known.values))
    return tuple(
        Mean(
            strategy,
            pair,
            _interval(tests, (s, p), level) if tests.n[s, p] else None,
            _missing(scores.values[s, p], scores.seeds),
            int((~np.isnan(scores.values[s, p])).sum()),
            bool(scores.is_failed[s, p].any()),
        )
        for p, pair in enumerate(scores.pairs)
        for s, strategy in enumerate(scores.strategies)
    )


def _between(worst: Difference, best: Difference) -> Difference:
    """What is known of a difference whose failed cells may have any score between the worst and the best."""
    first, second = worst.difference, best.difference
    if first is None or second is None or worst.p is None or best.p is None or worst.p_holm is None or best.p_holm is None:
        return replace(worst, finding=Finding.FAILED) if worst.p is None else replace(best, finding=Finding.FAILED)
    assert first.low is not None
    assert second.low is not None
    assert first.high is not None
    assert second.high is not None
    low, high = min(first.low, second.low), max(first.high, second.high)
    decides = max(worst, best, key=lambda d: d.p or 0)
    return replace(
        decides,
        difference=Interval((first.mean + second.mean) / 2, low, high, first.n, first.level),
        deviation=max(worst.deviation or 0.0, best.deviation or 0.0),
        p_holm=max(worst.p_holm, best.p_holm),
        p_permutation=max(worst.p_permutation or 0.0, best.p_permutation or 0.0),
        finding=worst.finding if worst.finding is best.finding else Finding.NOISE,
    )


_WORDS = {1: Finding.BETTER, 0: Finding.NOISE, -1: Finding.WORSE}


def _interval(tests: PairedTests, at: tuple[int, int], level: float, bounded: bool = True) -> Interval:
    n = int(tests.n[at])
    low, high = (float(tests.low[at]), float(tests.high[at])) if n > 1 and bounded else (None, None)
    return Interval(float(tests.mean[at]), low, high, n, level)


def _missing(values: np.ndarray, names: tuple[int | str, ...]) -> tuple[int | str, ...]:
    return tuple(names[k] for k in np.flatnonzero(np.isnan(values)))
