"""How much of the way from floor to ceiling a strategy goes: the reference is 0, everything there is to have is 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from evaluator.scoring.observations import collapsed, joined
from evaluator.scoring.paired import ROUNDING, PairedTests, paired_tests, rounding_of
from evaluator.scoring.scores import Scores

NOT_BOUNDED = "not bounded"
"""How the reason ends where the gap may be 0, so that a share of it may be anything."""


@dataclass(frozen=True)
class Share:
    """Share of the gap between floor and ceiling.

    Attributes:
        strategy, pair: which; the pair may be ``OVER_PAIRS``.
        value: mean gain over mean gap: 0 as the floor, 1 as the ceiling, below and above both possible; ``None`` where undefined.
        low, high: its interval; ``None`` where the value is.
        n: seeds that strategy, floor and ceiling all have.
        left_out: number of other seeds.
        level: of the interval, and of the question whether there is a gap.
        method: "fieller".
        reason: why the value is ``None``; ``None`` where there is a value.
    """

    strategy: str
    pair: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    left_out: int
    level: float
    reason: str | None
    method: str = "fieller"

    def __post_init__(self) -> None:
        known = [part is not None for part in (self.value, self.low, self.high)]
        if any(known) != all(known) or all(known) == (self.reason is not None):
            raise ValueError(
                f"{self.strategy} on {self.pair}: a share has a value and both bounds, or else a reason why it has none"
            )


def shares(
    scores: Scores,
    floor: str = "random",
    ceiling: str = "full_pool",
    *,
    level: float = 0.95,
) -> tuple[Share, ...]:
    """Share of the gap of every strategy on every pair, pair by pair; over pairs: give ``scores.over_pairs()``.

    The share is the mean over seeds of (strategy - floor), divided by that of (ceiling - floor): not the mean of the seeds' own
    shares, in which one seed with hardly a gap would outweigh all the others. A seed that any of the three lacks is left out. Where
    the gap's own t interval holds 0 there is nothing to take a share of: just there Fieller's interval is not bounded. The value is
    then ``None``, with the reason. The interval is exact for normal differences, whatever the number of seeds.

    Args:
        scores: with floor and ceiling among the strategies.
        floor, ceiling: their names.
        level: in (0, 1).

    Raises:
        ValueError: an unknown strategy, a level outside (0, 1), or a floor that is the ceiling.
    """
    if floor == ceiling:
        raise ValueError(f"{floor!r} is floor and ceiling; a gap needs two strategies")
    base, top = scores.of(floor), scores.of(ceiling)
    gains, gaps = scores.values - base, np.broadcast_to(top - base, scores.values.shape)
    gaps = np.where(np.isnan(gains), np.nan, gaps)  # the gap is that of the strategy's own seeds
    of = [scores.numbers[scores.index(name)] for name in (floor, ceiling)]
    copies = joined(scores.numbers, *(np.broadcast_to(numbers, gaps.shape) for numbers in of))
    gains, gaps = collapsed(gains, copies), collapsed(gaps, copies)
    value, low, high = fieller(gains, gaps, level)
    tests = paired_tests(gaps, level, rounding_of(np.broadcast_to(base, gaps.shape), np.broadcast_to(top, gaps.shape)))
    found = []
    for p, pair in enumerate(scores.pairs):
        for s, strategy in enumerate(scores.strategies):
            n = int(tests.n[s, p])
            reason = _reason(tests, (s, p), floor, ceiling)
            bounds: tuple[float | None, float | None, float | None] = (None, None, None)
            if reason is None and np.isnan(value[s, p]):  # a gap of the size of rounding errors
                reason = f"the gap between {floor} and {ceiling} is within rounding"
            if reason is None:
                bounds = (float(value[s, p]), float(low[s, p]), float(high[s, p]))
            found.append(Share(strategy, pair, *bounds, n, len(scores.seeds) - n, level, reason))
    return tuple(found)


def fieller(above: np.ndarray, below: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ratio of two paired means and Fieller's (1954) interval: (value, low, high), each (...), of arrays (..., n), NaN left out.

    The interval holds every ratio r for which the t-test of mean(above - r * below) = 0 is not significant. Where the mean of
    ``below`` is itself not different from 0 that is an unbounded set: bounds and value are NaN.

    Args:
        above, below: (..., n), paired along the last axis; a pair with a NaN is left out.
        level: in (0, 1).

    Raises:
        ValueError: shapes that differ, infinite values, or a level outside (0, 1).
    """
    above, below = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    if above.shape != below.shape:
        raise ValueError(f"the arrays are of shapes {above.shape} and {below.shape}; they are paired, so they must be of one shape")
    lacking = np.isnan(above) | np.isnan(below)
    above, below = np.where(lacking, np.nan, above), np.where(lacking, np.nan, below)
    tests = paired_tests(below, level)
    paired_tests(above, level)  # for its checks
    n = tests.n
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (np.where(lacking, 0, x).sum(axis=-1) / n for x in (above, below))
        da, db = (np.where(lacking, 0, x - mean[..., None]) for x, mean in ((above, a), (below, b)))
        q = special.stdtrit(np.maximum(n - 1, 1), (1 + level) / 2) ** 2 / (n * (n - 1))
        square = b * b - q * (db * db).sum(axis=-1)
        middle = a * b - q * (da * db).sum(axis=-1)
        last = a * a - q * (da * da).sum(axis=-1)
        # Below the rounding error of its terms the discriminant is that of a ratio without spread.
        discriminant = middle * middle - square * last
        discriminant = np.where(np.abs(discriminant) <= ROUNDING * (middle * middle + np.abs(square * last)), 0, discriminant)
        bounded = (n > 1) & (square > 0) & ((tests.low > 0) | (tests.high < 0))
        root = np.sqrt(np.maximum(discriminant, 0))
        results = a / b, (middle - root) / square, (middle + root) / square
    value, low, high = (np.where(bounded, result, np.nan) for result in results)
    return value, np.fmin(low, value), np.fmax(high, value)  # equal up to rounding where there is no spread


def _reason(tests: PairedTests, at: tuple[int, int], floor: str, ceiling: str) -> str | None:
    n, gap = int(tests.n[at]), f"the gap between {floor} and {ceiling}"
    if n == 0:
        return "no seed in common"
    if n == 1:
        return f"one observation cannot tell whether {gap} is more than noise"
    spread = f"({tests.low[at]:.3g} to {tests.high[at]:.3g}, n={n})"
    if tests.high[at] < 0:
        return f"{ceiling} scores below {floor} {spread}"
    return None if tests.low[at] > 0 else f"{gap} is within noise {spread}, so that the interval of a share of it is {NOT_BOUNDED}"
