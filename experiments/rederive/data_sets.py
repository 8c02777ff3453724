"""Several data sets of one condition: the analysis of variance of a strategy, and its difference to random over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from experiments.rederive.cells import NAN, Grid
from experiments.rederive.corrections import Gate
from experiments.rederive.differences import ALPHA, FEWEST, flip_p, johnson_p, t_bounds
from experiments.rederive.power import WANTED


def anova(values: np.ndarray) -> dict[str, float]:
    """One-way analysis of variance of (data sets, seeds): intervals, parts and floor."""
    k, n = values.shape
    means = values.mean(axis=1)
    mean, low, *_ = t_bounds(means)
    between, within = n * means.var(ddof=1), values.var(axis=1, ddof=1).mean() if n > 1 else 0.0
    own = max(0.0, between - within) / n
    draw = np.random.default_rng(1)
    sets = between / (draw.chisquare(k - 1, 200_000) / (k - 1))
    seeds = within / (draw.chisquare(max(k * (n - 1), 1), 200_000) / max(k * (n - 1), 1))
    spread = np.maximum(sets - seeds, 0) / n + sets / (k * n)

    def width(count: int) -> float:
        return stats.t.ppf(1 - ALPHA / 2, count - 1) * math.sqrt(between / n / count)

    enough = next((count for count in range(2, 10_001) if width(count) <= WANTED), math.inf)
    return {
        "mean": mean,
        "half": mean - (mean if low is None else low),
        **over_means(means),
        "other": float(np.quantile(np.abs(draw.normal(size=200_000)) * np.sqrt(spread), 1 - ALPHA)),
        "sd of data sets": math.sqrt(own),
        "sd of seeds": math.sqrt(within),
        "share": own * n / between if between else 0.0,
        "floor": stats.t.ppf(1 - ALPHA / 2, k - 1) * math.sqrt(own / k),
        "enough": enough,
    }


def over_means(means: np.ndarray) -> dict[str, float]:
    """The p that decides over the means of data sets, the larger of Student's and Johnson's, and that of the sign-flip test."""
    if np.ptp(means) <= 1e-12:
        return {"p": NAN, "p flip": NAN}
    plain = float(stats.ttest_1samp(means, 0.0).pvalue)
    return {"p": max(plain, johnson_p(means)) if len(means) > 2 else plain, "p flip": flip_p(means)}


def matrix(grids: Sequence[Grid], name: str) -> tuple[np.ndarray, np.ndarray, bool]:
    """Scores (data sets, seeds) of a strategy over the pairs and seeds that all data sets have, NaN where one is missing; which of
    them rest on a collapsed cell; and whether a cell failed."""
    pairs = [pair for pair in grids[0].main if all(pair in grid.pairs for grid in grids)]
    seeds = sorted(set.intersection(*(set(grid.seeds) for grid in grids)))
    parts = [grid.of(name, pairs) for grid in grids]
    places = [[grid.seeds.index(seed) for seed in seeds] for grid in grids]
    values, fell = (np.array([getattr(of, what)[at] for of, at in zip(parts, places, strict=True)]) for what in ("values", "fell"))
    failed = any(
        math.isnan(cell.score)
        for grid in grids
        for (of, pair, seed), cell in grid.cells.items()
        if of == name and pair in pairs and seed in seeds
    )
    return values, fell, failed


def on_sets(values: np.ndarray, fell: np.ndarray) -> dict[str, Any]:
    """The analysis of variance of the seeds that every data set has, and the collapsed cells among them; empty without a seed."""
    there = ~np.isnan(values).any(axis=0)
    if not there.any():
        return {}
    own: dict[str, Any] = anova(values[:, there])
    others = values[:, there][~fell[:, there]]
    own |= {"data sets": len(values), "seeds": int(there.sum()), "n": int(there.sum()) * len(values)}
    own["collapsed"] = int(fell[:, there].sum())
    return own | {"without": float(others.mean()) if own["collapsed"] and len(others) else None}


def over_data_sets(grids: Sequence[Grid]) -> dict[str, dict[str, Any]]:
    """What every strategy's difference to random is over data sets; a strategy with a failed cell is left out."""
    if not grids:
        return {}
    names = sorted(set.intersection(*(set(grid.names) for grid in grids)) - {"random"})
    base, base_fell, base_failed = matrix(grids, "random")
    found = {}
    for name in names:
        values, fell, failed = matrix(grids, name)
        own = {} if failed or base_failed else on_sets(values - base, fell | base_fell)
        found |= {name: own} if own else {}
    for own in found.values():
        own["gate"] = Gate(own["p"])
    return found


def over_sets_verdict(own: dict[str, Any], noise: str = "within noise") -> str:
    """The finding over data sets, marked where it rests on collapsed cells. ``noise``: in overviews, where nothing is marked."""
    mark = " !" if own["collapsed"] else ""
    if math.isnan(own["gate"].corrected):
        return f"no spread{mark}"
    if own["data sets"] < FEWEST:
        return f"too few data sets{mark}"
    if abs(own["mean"]) <= own["half"] or own["gate"].corrected >= ALPHA or own["p flip"] >= ALPHA:
        return f"within noise{mark}" if mark else noise
    return ("better" if own["mean"] > 0 else "worse") + mark
