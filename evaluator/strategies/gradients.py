"""Choices by the gradient that an image's label would give to the last layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluator.strategies.arrays import as_budget, as_embeddings, as_probabilities, squared_norms


def badge(p: Any, x: Any, budget: int, rng: np.random.Generator) -> np.ndarray:
    """Indices (m,) by k-means++ among gradient embeddings.

    Ash et al. (2020), Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds, for multi-label data:
    the gradient of the binary cross-entropies with respect to the last layer, at the labels that the model itself would give
    (yes from 0.5 on), is the outer product of ``p - y`` and the features. It is never made: inner products of outer products are
    products of inner products. The first image is that of the longest gradient; every other is drawn with a chance in proportion
    to its squared distance to the nearest chosen image; where that is zero everywhere, evenly among those left.

    Args:
        p: probabilities (n, classes).
        x: features (n, d) that the last layer sees (with a column of ones for its bias).
    """
    residuals, x = _factors(p, x)
    chosen = np.empty(as_budget(budget, len(x)), np.int64)
    if len(chosen) == 0:
        return chosen
    norms = squared_norms(residuals) * squared_norms(x)
    free = np.ones(len(x), bool)
    nearest = None
    for step in range(len(chosen)):
        pick = int(norms.argmax()) if nearest is None else _draw(np.where(free, nearest, 0), free, rng)
        chosen[step] = pick
        free[pick] = False
        distance = (residuals @ residuals[pick]) * (x @ x[pick])
        distance *= -2
        distance += norms
        distance += norms[pick]
        np.maximum(distance, 0, out=distance)
        nearest = distance if nearest is None else np.minimum(nearest, distance, out=nearest)
    return chosen


def _draw(weights: np.ndarray, free: np.ndarray, rng: np.random.Generator) -> int:
    total = np.cumsum(weights, dtype=np.float64)
    if total[-1] <= 0:
        total = np.cumsum(free, dtype=np.float64)
    # The first place whose sum is above the draw has a weight above zero.
    pick = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
    return min(pick, int(np.flatnonzero(np.diff(total, prepend=0)).max()))


def _factors(p: Any, x: Any) -> tuple[np.ndarray, np.ndarray]:
    p, x = as_probabilities(p), as_embeddings(x)
    if len(p) != len(x):
        raise ValueError(f"there are probabilities of {len(p)} images and features of {len(x)}")
    return (p - (p >= 0.5)).astype(np.float32), x
