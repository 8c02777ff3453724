"""Tests of paired differences on arrays, one row per test; the row's last axis is the seeds, NaN where a seed is missing.

Everything works on any number of leading axes, so that thousands of simulated grids are tested at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import numpy as np
from scipy import special

from evaluator import seeds

EXACT_SEEDS = 14  # all 2**13 different flips of 14 differences are tried; beyond, flips are drawn
SKEW_CAP = 6.0  # the largest t that enters the correction for skewness
ROUNDING = 32 * np.finfo(np.float64).eps  # relative error of a difference of two means of scores, generously


@dataclass(frozen=True, eq=False)
class PairedTests:
    """Results of ``paired_tests``: arrays of one shape, an entry per test.

    Attributes:
        n: int, differences that are not NaN.
        mean: of the differences; NaN where n is 0.
        deviation: standard deviation of the differences (n - 1 in the denominator); NaN where n < 2.
        low, high: t interval of the mean; NaN where n < 2.
        p: two-sided p of the paired t-test; NaN where n < 2, and where the differences have no spread.
    """

    n: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def paired_tests(differences: np.ndarray, level: float = 0.95, rounding: np.ndarray | float | None = None) -> PairedTests:
    """Two-sided paired t-test (Student 1908) and t interval of each row of ``differences`` (..., n), NaN left out.

    Where the differences have no spread there is no t, and no p: nothing tells how far another difference might lie. The interval
    has width 0.

    Args:
        differences: (..., n) float64.
        level: of the interval, in (0, 1).
        rounding: (...) or scalar, what counts as no spread: the rounding error of the differences. By default ``ROUNDING`` times
            the largest difference of the row; ``rounding_of`` the scores is better where they are known.

    Raises:
        ValueError: an infinite difference, no last axis, or a level outside (0, 1).
    """
    differences = _checked(differences)
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}; it must lie between 0 and 1, e.g. 0.95")
    present = ~np.isnan(differences)
    n = present.sum(axis=-1)
    filled = np.where(present, differences, 0.0)
    rounding = ROUNDING * np.abs(filled).max(axis=-1) if rounding is None else np.asarray(rounding)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = filled.sum(axis=-1) / n
        square = (np.where(present, filled - mean[..., None], 0.0) ** 2).sum(axis=-1)
        spread = np.where(present, differences, -np.inf).max(axis=-1) - np.where(present, differences, np.inf).min(axis=-1)
        flat = spread <= rounding  # the spread of nothing is -inf
        zero = flat & (np.abs(mean) <= rounding)
        mean = np.where(zero & (n > 0), 0.0, mean)
        deviation = np.where(n > 1, np.where(flat, 0.0, np.sqrt(square / (n - 1))), np.nan)
        error = deviation / np.sqrt(n)
        p = np.where(flat, np.nan, 2 * special.stdtr(n - 1, -np.abs(mean) / error))
    half = special.stdtrit(np.maximum(n - 1, 1), (1 + level) / 2) * error
    return PairedTests(n, mean, deviation, mean - half, mean + half, np.where(n > 1, p, np.nan))


def skew_p(differences: np.ndarray) -> np.ndarray:
    """Two-sided p of the t-test that Johnson (1978, JASA 73) corrected for skewness, of each row of ``differences`` (..., n).

    The mean of skewed values and their deviation go up and down together, so that Student's t is too often large on one side: with
    5 exponential differences whose mean is 0 it calls 12 % significant at 0.05. The correction adds two terms of the third moment
    to t, ``g / (6 sqrt(n)) + g t**2 / (3 sqrt(n))`` with the sample's skewness g. The second is meant for values of t about where
    significance begins, so that t enters it up to ``SKEW_CAP`` only: without this bound it would hide the largest differences.

    Args:
        differences: (..., n) float64, NaN left out.

    Returns:
        (...) float64; NaN where there are fewer than three differences, or no spread.

    Raises:
        ValueError: as ``paired_tests``.
    """
    differences = _checked(differences)
    present = ~np.isnan(differences)
    n = present.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(present, differences, 0.0).sum(axis=-1) / n
        away = np.where(present, differences - mean[..., None], 0.0)
        deviation = np.sqrt((away**2).sum(axis=-1) / (n - 1))
        skewness = n * (away**3).sum(axis=-1) / ((n - 1) * (n - 2.0)) / deviation**3
        t = mean * np.sqrt(n) / deviation
        corrected = t + skewness * (1 / 6 + np.minimum(t**2, SKEW_CAP**2) / 3) / np.sqrt(n)
        p = 2 * special.stdtr(n - 1, -np.maximum(corrected * np.sign(t), 0))
    return np.where((n > 2) & np.isfinite(p), p, np.nan)


def deciding_p(tests: PairedTests, skewed: np.ndarray) -> np.ndarray:
    """The p that decides: the larger of the t-test's and of the t-test's that is corrected for skewness (``skew_p``).

    A test that needs both is never called significant more often than either of them.
    """
    return np.where(np.isnan(tests.p), np.nan, np.fmax(tests.p, skewed))


def fewest_seeds(alpha: float) -> int:
    """The fewest differences of which a sign-flip test can give a p below alpha: 6 for 0.05."""
    return int(np.floor(1 - np.log2(alpha))) + 1


def sign_flip_p(
    differences: np.ndarray, flips: int = 9999, root: int = 0, rounding: np.ndarray | float | None = None
) -> np.ndarray:
    """Two-sided p of the sign-flip permutation test (Fisher 1935) of each row of ``differences`` (..., n), NaN left out.

    If a strategy and its reference are alike, each difference could as well have had the other sign. The p is the share of flips
    whose mean is at least as far from 0 as the mean seen: of all of them up to ``EXACT_SEEDS`` differences, beyond that of
        ``flips``
    drawn flips and the signs seen, ``(1 + hits) / (1 + flips)`` (Phipson and Smyth 2010). It needs symmetry, not normality. The
    least p that n differences can give is 2 / 2**n: fewer than 6 never come below 0.05. All rows use the same drawn flips.

    Args:
        differences: (..., n) float64.
        flips: number drawn.
        root: root seed of the draw.
        rounding: as in ``paired_tests``; means that differ by no more count as equal.

    Returns:
        (...) float64 in (0, 1]; NaN where a row has no difference at all.

    Raises:
        ValueError: as ``paired_tests``, or fewer than 1 flip.
    """
    differences = _checked(differences)
    if flips < 1:
        raise ValueError(f"{flips} flips are asked for; draw at least one, 9999 for a p of four digits")
    shape, width = differences.shape[:-1], differences.shape[-1]
    rows = differences.reshape(-1, width)
    missing = np.isnan(rows)
    n = width - missing.sum(axis=1)
    # Present differences to the left; a missing difference becomes a 0, which no flip changes.
    rows = np.nan_to_num(np.take_along_axis(rows, np.argsort(missing, axis=1, kind="stable"), axis=1))
    size = np.abs(rows).sum(axis=1)
    slack = 1e-10 * size
    if rounding is not None:
        slack = slack + n * np.broadcast_to(rounding, shape).reshape(-1)
    seen = np.abs(rows.sum(axis=1)) - slack
    p = np.full(len(rows), np.nan)
    exact = (n > 0) & (n <= EXACT_SEEDS)
    if exact.any():
        columns = int(n[exact].max())
        # A flip and its opposite have the same absolute mean, so that the first sign can stay.
        signs = 1.0 - 2.0 * ((np.arange(2 ** (columns - 1))[:, None] >> np.arange(columns)) & 1)[:, ::-1]
        p[exact] = _hits(rows[exact, :columns], signs, seen[exact]) / len(signs)
    drawn = n > EXACT_SEEDS
    if drawn.any():
        signs = np.where(seeds.generator(root, "sign flips").random((flips, width)) < 0.5, -1.0, 1.0)
        p[drawn] = (1 + _hits(rows[drawn], signs, seen[drawn])) / (1 + flips)
    return p.reshape(shape)


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's (1979) step-down correction of each row of p values (..., m): the family is the row.

    The k-th smallest of m is multiplied by m - k + 1, then none may be smaller than the p before it, nor above 1. The chance of one
    or more false findings in the family stays below alpha, whatever the tests' dependence. NaN (nothing was tested) stays NaN and
    does not count into m.

    Raises:
        ValueError: a value outside [0, 1], or no axis.
    """
    p = np.asarray(p, dtype=np.float64)
    if p.ndim == 0:
        raise ValueError("a family of p values is an array; for one value give [p]")
    if ((p < 0) | (p > 1)).any():
        raise ValueError(
            f"a p value is {p[(p < 0) | (p > 1)][0]}; all must lie between 0 and 1, or be NaN where nothing was tested"
        )
    order = np.argsort(p, axis=-1, kind="stable")  # NaN last
    factor = (~np.isnan(p)).sum(axis=-1, keepdims=True) - np.arange(p.shape[-1])
    stepped = np.minimum(np.maximum.accumulate(np.take_along_axis(p, order, axis=-1) * factor, axis=-1), 1.0)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, stepped, axis=-1)
    return adjusted


def decide(tests: PairedTests, p_holm: np.ndarray, p_flip: np.ndarray, alpha: float) -> np.ndarray:
    """+1 better, -1 worse, 0 within noise, per test; int8. Not for tests of fewer than two seeds, which are 0 here too.

    A difference is shown where its interval does not hold 0, its corrected p is below ``alpha``, *and* the p of the sign-flip test,
    which is exact for any symmetric distribution, is below ``alpha`` before correction. So fewer than ``fewest_seeds`` differences
    show nothing.

    Args:
        p_holm: ``deciding_p`` after a correction; ``p_flip``: of ``sign_flip_p``.
    """
    shown = ((tests.low > 0) | (tests.high < 0)) & (np.asarray(p_holm) < alpha) & (np.asarray(p_flip) < alpha)
    return np.where(shown, np.sign(tests.mean), 0).astype(np.int8)


def rounding_of(*scores: np.ndarray) -> np.ndarray:
    """Rounding error (...) of differences between arrays of scores (..., n); 0 where nothing is known."""
    return ROUNDING * reduce(np.maximum, [np.nan_to_num(np.abs(array)).max(axis=-1) for array in scores])


def _hits(rows: np.ndarray, signs: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """How many flips (f, n) of each row (t, n) have an absolute sum of at least ``seen`` (t)."""
    hits = np.zeros(len(rows), dtype=np.int64)
    step = max(1, 4_000_000 // len(rows))  # 32 MB at a time
    for start in range(0, len(signs), step):
        hits += (np.abs(signs[start : start + step] @ rows.T) >= seen).sum(axis=0)
    return hits


def _checked(differences: np.ndarray) -> np.ndarray:
    differences = np.asarray(differences, dtype=np.float64)
    if differences.ndim == 0 or not differences.shape[-1]:
        raise ValueError(f"the differences are of shape {differences.shape}; the last axis must be the seeds, at least one")
    if np.isinf(differences).any():
        raise ValueError("a difference is infinite; give finite numbers, and NaN where a seed is missing")
    return differences
