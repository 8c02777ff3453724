"""A strategy's share of the gap between random and the ceiling, with Fieller's interval."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import stats

from experiments.rederive.cells import NAN, Series
from experiments.rederive.differences import ALPHA, t_bounds
from experiments.rederive.forms import Form


class Share(NamedTuple):
    """Share of the gap. ``bounds``: value and interval, or None; ``gap``: interval of the gap, and observations."""

    bounds: tuple[float, float, float] | None
    gap: tuple[float, float | None, float | None, int]
    fell: int

    @property
    def form(self) -> Form:
        """As tables show it."""
        mark = " !" if self.fell else ""
        if self.bounds is not None:
            return f"{{}}% [{{}}%, {{}}%]{mark}", [100 * value for value in self.bounds]
        _, low, high, n = self.gap
        unknown = n > 1 and low is not None and high is not None and low <= 0 <= high
        return ("not bounded" if unknown else "-") + mark, []


def share_of_gap(own: Series, base: Series, top: Series) -> Share:
    """Ratio of means and Fieller's interval: all r for which mean(gain - r gap) is within its t interval of 0."""
    gain, gap = own - base, top - base
    both = gain - gap  # its seeds and observations are those that all three have
    a, b = (
        Series(np.where(np.isnan(both.values), NAN, of.values), both.keys, both.fell, both.failed).observed for of in (gain, gap)
    )
    fell, found = int((own.fell | base.fell | top.fell).sum()), t_bounds(b)
    n = len(a)
    if n < 2 or found[1] is None or found[1] <= 0:
        return Share(None, found, fell)
    t = stats.t.ppf(1 - ALPHA / 2, n - 1)
    c = np.cov(a, b) / n
    quadratic = [b.mean() ** 2 - t**2 * c[1, 1], -2 * (a.mean() * b.mean() - t**2 * c[0, 1]), a.mean() ** 2 - t**2 * c[0, 0]]
    low, high = sorted(np.roots(quadratic).real)
    return Share((float(a.mean() / b.mean()), float(low), float(high)), found, fell)
