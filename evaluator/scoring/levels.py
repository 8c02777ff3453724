"""Differences on several data sets: an interval that holds for other data sets too, and which part of the chance each level has.

A difference ``d[k, s]`` was measured on data set ``k`` with seed ``s``. It is taken as ``mean + a[k] + e[k, s]``: an effect of the
data set, and the chance of a seed on it. Every data set has draws of its own, so a seed of one has nothing to do with the seed of
the same number on another. The intervals over seeds of one data set hold ``e`` alone, and say nothing of ``a``, however many seeds
there are.

Two questions have two intervals. *What is the mean over data sets of this kind?* has that of ``interval``: Student's t over the
means of the data sets, which is exact for normal effects. *What will the difference be on one other data set?* has that of
``another_data_set``: a generalised prediction interval (Weerahandi 1993; Lin and Liao 2008), because the closed forms cover only
88 to 92 % where data sets differ a little. ``docs/data-sets.md`` has their simulated coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special
from scipy.stats import qmc

from evaluator import seeds
from evaluator.scoring.paired import ROUNDING, sign_flip_p, skew_p

DRAWS = 16_384
"""Draws of a generalised interval, rounded up to a power of 2; its bounds then move by less than 1 % from one root to another."""
MOST = 10_000
"""Largest number of data sets that is planned for."""


@dataclass(frozen=True, eq=False)
class Variances:
    """Mean squares of differences (..., K, n): arrays (...).

    Attributes:
        mean: over data sets and seeds.
        of_sets, of_seeds: mean squares between data sets, with K - 1 degrees of freedom, and within them, with K (n - 1); with one
            seed, the second is NaN.
        data_sets, seeds: K and n.
    """

    mean: np.ndarray
    of_sets: np.ndarray
    of_seeds: np.ndarray
    data_sets: int
    seeds: int

    @property
    def data_set(self) -> np.ndarray:
        """Variance of the effect of a data set, at least 0; NaN with one seed."""
        return np.maximum(self.of_sets - self.of_seeds, 0.0) / self.seeds

    @property
    def of_mean(self) -> np.ndarray:
        """Variance of the mean over data sets and seeds."""
        return self.of_sets / (self.data_sets * self.seeds)


@dataclass(frozen=True)
class Levels:
    """A difference over several data sets.

    Attributes:
        mean: over data sets and seeds; ``low``, ``high``: interval of the mean over data sets of this kind.
        other_low, other_high: interval of what the difference is on one other data set, with as many seeds as one likes; with
            ``seeds`` 1, of what one seed would give there, because the chance of the seed cannot be taken out.
        level: of both; ``p``: two-sided, of no difference over data sets: the larger of Student's t-test's over the means of the
            data sets and of the one that is corrected for skewness (``paired.skew_p``), as it decides over seeds; ``None`` where
            the data sets do not differ at all, because nothing tells how far that of another data set might lie. ``p_flip``: of
            the sign-flip test of the same means.
        data_sets, seeds: how many; every data set has as many seeds.
        data_set_deviation: standard deviation from data set to data set, without the chance of seeds; ``seed_deviation``: from seed
            to seed on one data set. ``None`` with one seed, as the two below.
        data_set_share: the part of the variance of ``mean`` that is due to the data sets; the rest is due to the seeds.
        floor: half-width of the interval with these data sets and any number of seeds.
        enough: number of data sets with as many seeds for which the half-width is at most ``wanted``; ``None`` for more than
            ``MOST``.
    """

    mean: float
    low: float
    high: float
    other_low: float
    other_high: float
    level: float
    p: float | None
    p_flip: float | None
    data_sets: int
    seeds: int
    data_set_deviation: float | None
    seed_deviation: float | None
    data_set_share: float | None
    floor: float | None
    enough: int | None

    @property
    def half_width(self) -> float:
        """Of the interval of the mean."""
        return (self.high - self.low) / 2


def variances(values: np.ndarray) -> Variances:
    """The analysis of variance of differences (..., K, n): K data sets, each with n seeds.

    Raises:
        ValueError: fewer than 2 data sets, no seed, or a value that is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim < 2 or values.shape[-2] < 2 or not values.shape[-1]:
        raise ValueError(f"the differences are of shape {values.shape}; give (..., data sets, seeds), with 2 data sets or more")
    if not np.isfinite(values).all():
        raise ValueError("a difference is missing or infinite; give data sets that have all seeds")
    k, n = values.shape[-2:]
    by_set = values.mean(axis=-1)
    least = k * n * (ROUNDING * np.abs(values).max(axis=(-2, -1))) ** 2  # below it a mean square is rounding

    def square(found: np.ndarray) -> np.ndarray:
        return np.where(found <= least, 0.0, found)

    of_sets = square(n * by_set.var(axis=-1, ddof=1))
    of_seeds = square(values.var(axis=-1, ddof=1).mean(axis=-1)) if n > 1 else np.full_like(of_sets, np.nan)
    return Variances(by_set.mean(axis=-1), of_sets, of_seeds, k, n)


def interval(found: Variances, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (...) of the mean over data sets of this kind.

    Raises:
        ValueError: a level outside (0, 1).
    """
    half = t_quantile(found.data_sets - 1, level) * np.sqrt(found.of_mean)
    return found.mean - half, found.mean + half


def another_data_set(found: Variances, level: float = 0.95, root: int = 0, draws: int = DRAWS) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (...) of the true difference on one other data set.

    The unknown variances are drawn from what the mean squares leave open: ``MS / (chi-squared / degrees of freedom)``. With one
    seed the chance of the seeds cannot be told from that of the data sets, and the interval holds both: it is that of the
    difference which one seed would give there.

    Args:
        root: root seed of the draws; all tests use the same. ``draws``: how many.

    Raises:
        ValueError: a level outside (0, 1), or fewer than 100 draws.
    """
    if draws < 100:
        raise ValueError(f"{draws} draws are asked for; bounds of an interval need at least 100")
    k, n = found.data_sets, found.seeds
    # Points that fill the cube evenly: the quantile then hardly depends on the root.
    points = qmc.Sobol(3, rng=seeds.generator(root, "another data set")).random_base2(math.ceil(math.log2(draws)))
    normal, *chances = np.clip(points.T, 1e-12, 1 - 1e-12)
    normal = np.abs(special.ndtri(normal))

    def drawn(square: np.ndarray, degrees: int, chance: np.ndarray) -> np.ndarray:
        return square[..., None] / (special.chdtri(degrees, chance) / degrees)

    of_sets = drawn(found.of_sets, k - 1, chances[0])
    if n == 1:
        spread = of_sets * (1 + 1 / k)
    else:
        of_seeds = drawn(found.of_seeds, k * (n - 1), chances[1])
        spread = np.maximum(of_sets - of_seeds, 0.0) / n + of_sets / (k * n)
    _check(level)
    half = np.quantile(normal * np.sqrt(spread), level, axis=-1)
    return found.mean - half, found.mean + half


def two_levels(values: np.ndarray | Sequence[Sequence[float]], level: float = 0.95, wanted: float = 0.01, root: int = 0) -> Levels:
    """A difference (K, n) on K data sets with n seeds each.

    Args:
        wanted: half-width for which the needed data sets are computed.
        root: as in ``another_data_set``.

    Raises:
        ValueError: as ``variances``, a level outside (0, 1), or a wanted half-width that is not positive.
    """
    if not wanted > 0:
        raise ValueError(f"the wanted half-width is {wanted}; it must be more than 0, e.g. 0.01")
    values = np.asarray(values, dtype=np.float64)
    found = variances(values)
    if found.mean.ndim:
        raise ValueError(f"the differences have {found.mean.ndim + 2} axes; give (data sets, seeds)")
    low, high = interval(found, level)
    other_low, other_high = another_data_set(found, level, root)
    known = found.seeds > 1
    own = float(found.data_set) if known else None
    variance = float(found.of_mean)
    share = None if own is None else min(1.0, own / found.data_sets / variance) if variance > 0 else 0.0
    p = _p(float(found.mean), variance, found.data_sets - 1)
    by_set = values.mean(axis=-1)
    floor = None if own is None else t_quantile(found.data_sets - 1, level) * math.sqrt(own / found.data_sets)
    return Levels(
        mean=float(found.mean),
        low=float(low),
        high=float(high),
        other_low=float(other_low),
        other_high=float(other_high),
        level=level,
        p=None if p is None else float(np.fmax(p, skew_p(by_set))),
        p_flip=None if p is None else float(sign_flip_p(by_set, root=root, rounding=ROUNDING * float(np.abs(values).max()))),
        data_sets=found.data_sets,
        seeds=found.seeds,
        data_set_deviation=None if own is None else math.sqrt(own),
        seed_deviation=math.sqrt(float(found.of_seeds)) if known else None,
        data_set_share=share,
        floor=floor,
        enough=enough(found, wanted, level),
    )


def enough(found: Variances, wanted: float, level: float = 0.95) -> int | None:
    """The number of data sets, each with as many seeds, for which the half-width is at most ``wanted``; None above ``MOST``.

    With one seed the variance between data sets holds that of the seeds.
    """
    own = float(found.of_sets) / found.seeds

    def half(count: int) -> float:
        return t_quantile(count - 1, level) * math.sqrt(own / count)

    if half(MOST) > wanted:
        return None
    low, high = 1, MOST  # half(high) is small enough; half(low) is not, or is not known
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if half(middle) <= wanted else (middle, high)
    return high


def _p(mean: float, variance: float, degrees: int) -> float | None:
    if variance == 0:
        return None
    return float(2 * special.stdtr(degrees, -abs(mean) / math.sqrt(variance)))


def t_quantile(degrees: int, level: float) -> float:
    """The factor of a two-sided t interval.

    Raises:
        ValueError: a level outside (0, 1).
    """
    _check(level)
    return float(special.stdtrit(degrees, (1 + level) / 2))


def _check(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}; it must lie between 0 and 1, e.g. 0.95")
