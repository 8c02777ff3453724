"""Ranks of models, how alike two rankings are, and which pairs change places."""

from __future__ import annotations

import numpy as np
import scipy  # its modules are loaded when they are first used: stats takes half a second


def ranks_of(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis, 1 for the highest value; equal values share the mean of their ranks. NaN stays NaN."""
    return np.asarray(scipy.stats.rankdata(-np.asarray(values, np.float64), axis=-1, nan_policy="propagate"))


def pairs_of(m: int) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of m models: the smaller numbers, and the larger."""
    first, second = np.triu_indices(m, 1)
    return first, second


def signs_of(values: np.ndarray) -> np.ndarray:
    """int8 (..., pairs): 1 where the first model of a pair has the higher value, -1 where the second has, 0 for a tie."""
    first, second = pairs_of(values.shape[-1])
    return np.sign(values[..., first] - values[..., second]).astype(np.int8)


def tau_of(signs: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Kendall's tau-b (Kendall 1945) between orders, given as signs of pairs (..., pairs); NaN where all is tied in one of them.

    Args:
        reference: (pairs,), or of the shape of ``signs``.
    """
    together = (signs.astype(np.float32) * reference).sum(axis=-1)
    scale = np.sqrt(np.abs(signs).sum(axis=-1, dtype=np.float64) * np.abs(reference).sum(axis=-1, dtype=np.float64))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(together / scale)


def spearman_of(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's correlation of two lists of ranks (m,); NaN where all is tied in one of them."""
    a, b = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / scale if scale > 0 else float("nan")


def swapped(before: np.ndarray, after: np.ndarray) -> list[tuple[int, int]]:
    """(ahead, behind) of every pair whose order turns round between two lists of values (m,), in the order of the first ranking."""
    first, second = pairs_of(len(before))
    turned = np.flatnonzero(signs_of(before) * signs_of(after) == -1)
    pairs = [(int(first[p]), int(second[p])) for p in turned]
    found = [(a, b) if before[a] > before[b] else (b, a) for a, b in pairs]
    return sorted(found, key=lambda pair: (-before[pair[0]], -before[pair[1]], pair))


def images_of(ahead: np.ndarray, behind: np.ndarray, touched: np.ndarray) -> tuple[tuple[int, ...], int]:
    """Which images move the difference of two models in a view.

    Args:
        ahead, behind: float (t,), by how much the value of either model changes on each touched image.

    Returns:
        The images that move it towards the second model, those that move it most first, and how many move it the other way.
    """
    moved = behind - ahead
    chosen = np.flatnonzero(moved > 0)
    chosen = chosen[np.argsort(-moved[chosen], kind="stable")]
    return tuple(touched[chosen].tolist()), int((moved < 0).sum())
