"""Differences between two data sets' models, with both kinds of noise: another training, and other test images.

Seeds and test images are crossed: every training answers every image. The mean difference in accuracy has the variance

    (spread of seeds' means) / seeds + (spread of images' means) / images - (what is left) / (seeds x images)

where the last part stands in both others (a two-way random model with one observation a cell; Searle, Casella and McCulloch 1992,
Variance Components, chapter 4). Its degrees of freedom are Satterthwaite's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Difference:
    """A mean difference in accuracy with its 95 % interval over seeds and test images.

    Attributes:
        seeds_share: of the variance, the part that more seeds would lower; the rest needs more test images.
        p: two-sided.
    """

    mean: float
    low: float
    high: float
    p: float
    degrees: float
    seeds_share: float


def difference(new: np.ndarray, old: np.ndarray, level: float = 0.95) -> Difference:
    """How much better ``new`` is than ``old``.

    Args:
        new, old: bool (seeds, images), whether an image was classified right; rows of both belong to the same seeds.

    Raises:
        ValueError: shapes that differ, fewer than two seeds or images.
    """
    if new.shape != old.shape or new.ndim != 2 or min(new.shape) < 2:
        raise ValueError(f"the answers are {new.shape} and {old.shape}; expected twice (seeds, images), two or more of each")
    found = new.astype(np.float64) - old
    seeds, images = found.shape
    mean = float(found.mean())
    rows, columns = found.mean(axis=1), found.mean(axis=0)
    left = found - rows[:, None] - columns + mean
    parts = np.array(
        [
            rows.var(ddof=1) / seeds,
            columns.var(ddof=1) / images,
            -(left**2).sum() / ((seeds - 1) * (images - 1)) / (seeds * images),
        ]
    )
    # The difference of two estimates may fall below what one kind of noise alone gives.
    variance = max(float(parts.sum()), float(parts[0]), float(parts[1]))
    if variance <= 0:
        return Difference(mean, mean, mean, float(mean == 0), float(seeds - 1), 0.0)
    degrees = variance**2 / float((parts**2 / [seeds - 1, images - 1, (seeds - 1) * (images - 1)]).sum())
    degrees = max(degrees, float(seeds - 1))
    half = float(stats.t.ppf((1 + level) / 2, degrees)) * variance**0.5
    p = float(2 * stats.t.sf(abs(mean) / variance**0.5, degrees))
    return Difference(mean, mean - half, mean + half, p, degrees, min(1.0, float(parts[0]) / variance))
