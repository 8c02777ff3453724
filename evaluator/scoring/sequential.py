"""Looking after every few seeds without finding more than alpha allows: boundaries by alpha spending.

Whoever tests at 0.05 after 5, 10, 15, ... seeds and stops at the first p below it is wrong far more often than in 5 % of the cases.
Lan & DeMets (1983, "Discrete sequential boundaries for clinical trials") divide alpha among the looks by a function of the share of
the planned seeds that is there. The function used here spends as O'Brien & Fleming's boundaries do: next to nothing at first, and
nearly all of alpha at the end, so that the last look tests almost as if it were the only one.

The boundaries are those of normal means with a known deviation; a t-test is compared with the same nominal p (significance-level
approach: Pocock 1977, Jennison & Turnbull 2000, section 3.8), which is accurate from a few seeds on.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import optimize, special

_WIDEST = 9.0  # boundaries beyond so many standard deviations are never reached
_POINTS = 601  # of the grid on which the density of the paths that go on is kept


def spent(share: float, alpha: float = 0.05) -> float:
    """How much of a two-sided alpha is spent when a share, in (0, 1], of the planned seeds is there.

    On each side ``2 - 2 Phi(z / sqrt(share))``, where z is the quantile of ``1 - alpha / 4``.

    Raises:
        ValueError: the share or alpha is out of range.
    """
    if not 0 < alpha < 1 or not 0 < share <= 1:
        raise ValueError(f"the share is {share} and alpha {alpha}; expected 0 < share <= 1 and 0 < alpha < 1")
    return float(4 * special.ndtr(special.ndtri(alpha / 4) / np.sqrt(share)))


def nominal_levels(shares: Sequence[float], alpha: float = 0.05) -> list[float]:
    """The two-sided p below which a test is significant at each look, so that all looks together have a chance of alpha.

    Args:
        shares: of the planned seeds that are there at each look, rising, in (0, 1].

    Raises:
        ValueError: shares that do not rise, or are out of range.
    """
    return [float(2 * special.ndtr(-bound)) for bound in boundaries(shares, alpha)]


def boundaries(shares: Sequence[float], alpha: float = 0.05) -> list[float]:
    """The standardised mean, from 0, beyond which a test is significant at each look; arguments as in ``nominal_levels``.

    Armitage, McPherson & Rowe's (1969) recursion: the density of the sums that have crossed no boundary is integrated from look to
    look, and every boundary is the one that the alpha of its look is spent at.
    """
    given = [float(share) for share in shares]
    if not given or any(later <= earlier for earlier, later in pairwise(given)):
        raise ValueError(f"the shares are {given}; give at least one, and each larger than the one before it")
    total = [spent(share, alpha) for share in given]
    found: list[float] = []
    grid, mass, before, used = np.zeros(1), np.ones(1), 0.0, 0.0
    for share, until_now in zip(given, total, strict=True):
        step = np.sqrt(share - before)
        wanted = until_now - used

        path = (grid, mass, float(step), float(np.sqrt(share)))
        narrower = _beyond(_WIDEST, 0.0, *path) < wanted
        bound = float(optimize.brentq(_beyond, 0.0, _WIDEST, args=(wanted, *path))) if narrower else _WIDEST
        found.append(bound)
        used += _beyond(bound, 0.0, *path)
        edge = bound * np.sqrt(share)
        new = np.linspace(-edge, edge, _POINTS)
        weights = np.full(_POINTS, new[1] - new[0])
        weights[[0, -1]] /= 2
        density = np.exp(-(((new[:, None] - grid) / step) ** 2) / 2) / (step * np.sqrt(2 * np.pi))
        mass, grid, before = (density @ mass) * weights, new, share
    return found


def _beyond(bound: float, less: float, grid: np.ndarray, mass: np.ndarray, step: float, scale: float) -> float:
    """The chance that a sum which went on to ``grid`` with ``mass`` crosses the boundary at the next look, minus ``less``.

    Args:
        step: standard deviation of what is added; ``scale``: of the sum.
    """
    edge = bound * scale
    return float(mass @ (special.ndtr((grid - edge) / step) + special.ndtr((-edge - grid) / step))) - less
