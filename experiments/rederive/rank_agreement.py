"""Whether two pipelines rank strategies alike: Kendall's tau-b as measured, and without the noise of the scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from experiments.rederive.cells import NAN, Grid
from experiments.rederive.differences import ALPHA

KIT_DRAWS, DRAWS = 2_000, 100_000
"""Draws of the kit, and of this script."""


@dataclass(frozen=True)
class Tau:
    """Kendall's tau-b of two pipelines: as measured, and without noise where other draws may put (low, value, high), if told."""

    measured: float
    bands: tuple[tuple[float, float], ...] | None
    strategies: int
    pairs: int
    seeds: int

    @property
    def value(self) -> tuple[float, float]:
        """The band of the value."""
        assert self.bands is not None
        return self.bands[1]


def tau(mine: Grid, theirs: Grid) -> Tau | None:
    """Agreement of two pipelines on the strategies, pairs and seeds that both have; None without any.

    What tau-b says of the correlation of the noisy means is its confidence distribution for normal scores: Greiner's relation,
    Esscher's variance, half a step of tau for continuity. The part of noise in the variance of the means, estimated from what is
    left after the mean of each strategy and of each seed, follows F; Spearman's correction for attenuation takes it out.
    """
    pairs = [pair for pair in mine.main if pair in theirs.pairs]
    shared = sorted(set(mine.seeds) & set(theirs.seeds))
    scores = {}
    for name in [name for name in mine.names if name in theirs.names]:
        both = [grid.of(name, pairs) for grid in (mine, theirs)]
        rows = np.array(
            [[dict(zip(g.seeds, of.values, strict=True))[s] for s in shared] for g, of in zip((mine, theirs), both, strict=True)]
        )
        if not any(of.failed for of in both) and not np.isnan(rows).any(axis=0).all():
            scores[name] = rows
    values = np.array(list(scores.values()))  # (strategies, pipelines, seeds)
    if not len(values):
        return None
    values = values[:, :, ~np.isnan(values).any(axis=(0, 1))]
    n, _, seeds = values.shape
    means = values.mean(axis=2).round(12) if seeds else values.sum(axis=2)
    measured = float(stats.kendalltau(means[:, 0], means[:, 1]).statistic) if n > 1 else NAN
    told = n > 2 and seeds > 1 and not math.isnan(measured)
    return Tau(measured, without_noise(values, measured) if told else None, n, len(pairs), seeds)


def without_noise(values: np.ndarray, measured: float) -> tuple[tuple[float, float], ...] | None:
    """Bands of (low, value, high), four standard errors of the kit's quantiles to each side; None where noise is all there is."""
    n, _, seeds = values.shape
    left = (
        values - values.mean(axis=2, keepdims=True) - values.mean(axis=0, keepdims=True) + values.mean(axis=(0, 2), keepdims=True)
    )
    freedom = (n - 1) * (seeds - 1)
    noise = sum(left[:, :, s].T @ left[:, :, s] for s in range(seeds)) / freedom / seeds
    ratio = np.diag(noise) / values.mean(axis=2).var(axis=0, ddof=1)
    common = float(np.nan_to_num(noise[0, 1] / math.sqrt(noise[0, 0] * noise[1, 1]))) if noise.diagonal().all() else 0.0
    draw = np.random.default_rng(3)
    part = ratio[:, None] * draw.chisquare(n - 1, DRAWS) / (n - 1) * freedom / draw.chisquare(freedom, (2, DRAWS))
    seen = (part < 1).all(axis=0)
    if seen.mean() <= 0.5:
        return None
    where = draw.random(DRAWS)
    rho = np.sin(np.linspace(-np.pi / 2, np.pi / 2, 2_001)[1:-1])
    greiner, half = 2 / np.pi * np.arcsin(rho), 2 / np.pi * np.arcsin(rho / 2)
    variance = 2 / (n * (n - 1)) * (1 - greiner**2 + 2 * (n - 2) * (1 / 9 - half**2))
    found = []
    for step, quantile, blind in ((-1, ALPHA / 2, -1.0), (0, 0.5, None), (1, 1 - ALPHA / 2, 1.0)):
        below = special.ndtr((greiner - measured - step * 2 / (n * (n - 1))) / np.sqrt(variance))
        drawn = np.interp(where, np.maximum.accumulate(below), rho, left=-1, right=1)
        with np.errstate(invalid="ignore"):
            clean = (drawn - common * np.sqrt(part.prod(axis=0))) / np.sqrt((1 - part).prod(axis=0))
        clean = np.clip(clean, -1, 1)[seen] if blind is None else np.where(seen, np.clip(clean, -1, 1), blind)
        room = 4 * math.sqrt(quantile * (1 - quantile) / KIT_DRAWS * len(seen) / len(clean))
        ends = np.quantile(clean, np.clip([quantile - room, quantile + room], 0, 1))
        found.append((float(2 / np.pi * np.arcsin(ends[0])), float(2 / np.pi * np.arcsin(ends[1]))))
    return tuple(found)
