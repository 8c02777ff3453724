"""What a number of seeds can show: power of the paired t-test, before the computing is paid for.

All of it is about the rule of ``comparisons``: a two-sided paired t-test at alpha, Holm-corrected. With m comparisons, Holm's worst
case is that the difference in question must pass alpha / m; that is what ``comparisons=m`` plans for, so that the stated power is
the least there will be. Units are those of the score.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy import optimize, special

MOST_SEEDS = 100_000
_GRID = np.linspace(-8, 8, 1601)  # in standard deviations of a normal variable
_WEIGHTS = np.exp(-(_GRID**2) / 2) / np.exp(-(_GRID**2) / 2).sum()


@dataclass(frozen=True)
class Bounded:
    """An answer, and what it becomes if the deviation is as small or as large as its interval allows.

    Attributes:
        value, low, high: ``None`` where more than ``MOST_SEEDS`` seeds would be needed.
    """

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Sensitivity:
    """What a measured deviation of paired differences says about past and future comparisons.

    Attributes:
        deviation: of the paired differences, with its chi-square interval.
        measured: seeds it was measured on.
        planned: seeds that ``smallest`` is for.
        smallest: the smallest true difference that ``planned`` seeds show with the wanted power.
        wanted: a difference that somebody would like to be able to show, and
        seeds: how many seeds that takes; both ``None`` when not asked.
        power, alpha, comparisons, level: as asked.
    """

    deviation: Bounded
    measured: int
    planned: int
    smallest: Bounded
    wanted: float | None
    seeds: Bounded | None
    power: float
    alpha: float
    comparisons: int
    level: float


def sensitivity(
    deviation: float,
    measured: int,
    *,
    planned: int | None = None,
    wanted: float | None = None,
    power: float = 0.8,
    alpha: float = 0.05,
    comparisons: int = 1,
    level: float = 0.95,
) -> Sensitivity:
    """The smallest difference that can be shown, and the seeds for a wanted difference, each with its uncertainty.

    A deviation from a handful of seeds is itself uncertain (from 5 seeds: 0.6 to 2.9 times what was measured), and so is every plan
    made from it: both answers come with those at both ends of the deviation's interval. It is no use to ask for the power at the
    difference that was seen; that says no more than the p value.

    Args:
        deviation: standard deviation of the paired differences, as in ``Difference.deviation``.
        measured: number of differences it was measured on, 2 or more.
        planned: seeds of the comparison to judge; as measured by default.
        wanted: a difference to plan for, above 0.
        power: chance of showing it, between alpha and 1.
        alpha: significance level.
        comparisons: m of the Holm family, for its worst case alpha / m.
        level: of the deviation's interval.

    Raises:
        ValueError: anything outside its range; a deviation of one seed.
    """
    planned = measured if planned is None else planned
    spread = _deviation_bounds(deviation, measured, level)
    smallest = [smallest_difference(d, planned, power=power, alpha=alpha, comparisons=comparisons) for d in spread]
    seeds = None
    if wanted is not None:
        seeds = Bounded(*(seeds_needed(wanted, d, power=power, alpha=alpha, comparisons=comparisons) for d in spread))
    return Sensitivity(Bounded(*spread), measured, planned, Bounded(*smallest), wanted, seeds, power, alpha, comparisons, level)


def smallest_difference(deviation: float, n: int, *, power: float = 0.8, alpha: float = 0.05, comparisons: int = 1) -> float:
    """The smallest true difference that n seeds show with the power given; 0 where the deviation is 0.

    Raises:
        ValueError: fewer than 2 seeds, a negative deviation, alpha or comparisons out of range, or a power that is not between
            alpha and 1.
    """
    _check(n, alpha, comparisons, power)
    _check_deviation(deviation)
    return _smallest_effect(n, power, alpha / comparisons) * deviation


def seeds_needed(
    difference: float, deviation: float, *, power: float = 0.8, alpha: float = 0.05, comparisons: int = 1
) -> int | None:
    """The fewest seeds that show a true difference with the power given, at least 2; ``None`` for more than ``MOST_SEEDS``.

    Raises:
        ValueError: as ``smallest_difference``, or a difference that is not above 0.
    """
    _check(2, alpha, comparisons, power)
    _check_deviation(deviation)
    if not (math.isfinite(difference) and difference > 0):
        raise ValueError(f"the wanted difference is {difference}; it must be above 0")
    if deviation == 0:
        return 2
    effect, each = difference / deviation, alpha / comparisons
    # Seeds for a known deviation: nearly the answer, and a little too few, so that few steps are left. The root is compared first,
    # because its square may be larger than any float.
    root = (float(special.ndtri(1 - each / 2)) + float(special.ndtri(power))) * (deviation / difference)
    if root > math.sqrt(2 * MOST_SEEDS):
        return None
    known = root**2
    too_few = max(1, min(int(0.98 * known) - 1, MOST_SEEDS - 1))
    if too_few > 1 and _chance(effect, too_few, each) >= power:
        too_few = 1
    step, enough = 1, too_few + 1
    while _chance(effect, enough, each) < power:
        if enough >= MOST_SEEDS:
            return None
        too_few, step = enough, 2 * step
        enough = min(enough + step, MOST_SEEDS)
    while enough - too_few > 1:
        middle = (enough + too_few) // 2
        if _chance(effect, middle, each) < power:
            too_few = middle
        else:
            enough = middle
    return enough


def deviation_interval(deviation: float, n: int, level: float = 0.95) -> Bounded:
    """Chi-square interval of the standard deviation of normal values, from n of them.

    Raises:
        ValueError: fewer than 2 values, a negative deviation, or a level outside (0, 1).
    """
    return Bounded(*_deviation_bounds(deviation, n, level))


def _deviation_bounds(deviation: float, n: int, level: float) -> tuple[float, float, float]:
    _check_deviation(deviation)
    if n < 2:
        raise ValueError(f"the deviation is of {n} difference(s); at least 2 seeds are needed to estimate a standard deviation")
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}; it must lie between 0 and 1, e.g. 0.95")
    high, low = (special.chdtri(n - 1, tail) for tail in ((1 - level) / 2, (1 + level) / 2))
    return deviation, deviation * math.sqrt((n - 1) / float(high)), deviation * math.sqrt((n - 1) / float(low))


def _chance(effect: float, n: int, alpha: float) -> float:
    """Power at a standardised effect of 0 or more: the chance that ``|Z + centre| > critical * S``, with Z normal and S the scale
    of the deviation, ``sqrt(chi-square / (n - 1))``; S in closed form, Z on a grid. Right to 1e-6 up to 100,000 seeds.

    SciPy's noncentral t distribution answers NaN in places (1.17: 49 degrees of freedom, centre 7.07, at 3.417), so that no plan
    can rely on it.
    """
    critical = float(special.stdtrit(n - 1, 1 - alpha / 2))
    parts = special.chdtr(n - 1, (n - 1) * ((_GRID + effect * math.sqrt(n)) / critical) ** 2)
    return min(1.0, float(_WEIGHTS @ parts))


@lru_cache(maxsize=4096)
def _smallest_effect(n: int, power: float, alpha: float) -> float:
    high = 1.0
    while _chance(high, n, alpha) < power:
        high *= 2
    return float(optimize.brentq(lambda effect: _chance(effect, n, alpha) - power, 0.0, high, xtol=1e-12))


def _check(n: int, alpha: float, comparisons: int, power: float | None = None) -> None:
    if n < 2:
        raise ValueError(f"{n} seed(s) were given; a paired test needs at least 2")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, e.g. 0.05")
    if comparisons < 1:
        raise ValueError(f"there are {comparisons} comparisons; there must be 1 or more")
    if power is not None and not alpha < power < 1:
        raise ValueError(f"the power is {power}; it must lie between alpha ({alpha}) and 1, e.g. 0.8")


def _check_deviation(deviation: float) -> None:
    if not (math.isfinite(deviation) and deviation >= 0):
        raise ValueError(f"the deviation is {deviation}; it must be 0 or more, and finite")
