"""Shapley values of a nearest-neighbour classifier, exactly and without training anything.

Jia, Dao, Wang et al. (2019), Efficient Task-Specific Data Valuation for Nearest Neighbor Algorithms, VLDB 12(11), theorem 1: for
one validation row the values follow from the sorted distances in one pass, from the farthest row to the nearest. The value of a row
is its mean over the validation rows.
"""

from __future__ import annotations

import numpy as np

from evaluator.strategies.valuation.ranks import as_rows

BLOCK = 100
"""Validation rows at a time: with 50,000 rows a block needs about 120 MB."""
PRECISE = 20_000_000
"""Distances (rows x validation rows) times nothing more than this are computed in float64."""


def knn_shapley(
    rows: np.ndarray, labels: np.ndarray, validation_rows: np.ndarray, validation_labels: np.ndarray, neighbours: int = 1
) -> np.ndarray:
    """The Shapley value of every training row for a classifier by its ``neighbours`` nearest rows, float64 (n,).

    A coalition of no rows predicts the class that is most often wrong on the validation rows, so that the values sum to the
    accuracy above that of this constant. That is how datascope 0.0.32 starts.

    Args:
        rows, labels: float (n, d), int (n,) or (n, classes). With several labels a neighbour counts by its share of right labels.
        validation_rows, validation_labels: rows whose labels are trusted, float (m, d) and as ``labels``.
        neighbours: K, 1 or more.

    Raises:
        ValueError: the arrays do not fit each other, or ``neighbours`` is below 1.
    """
    x, y = as_rows(rows, labels)
    v, w = as_rows(validation_rows, validation_labels, "validation")
    if v.shape[1] != x.shape[1] or w.shape[1:] != y.shape[1:]:
        raise ValueError(
            f"validation rows {v.shape} with labels {w.shape}; expected the width and labels of training, {x.shape}, {y.shape}"
        )
    if neighbours < 1:
        raise ValueError(f"neighbours is {neighbours}; expected 1 or more")
    precise = np.float64 if x.shape[0] * v.shape[0] <= PRECISE else np.float32
    x, v = x.astype(precise, copy=False), v.astype(precise, copy=False)
    squares = np.einsum("ij,ij->i", x, x)
    null = _worst_constant(w)
    n = len(x)
    ranks = np.arange(1, n + 1, dtype=np.float32)
    # How much the next nearer row changes: min(K, rank) / K / rank.
    share = (np.minimum(neighbours, ranks) / np.float32(neighbours)) / ranks
    total = np.zeros(n)
    for start in range(0, len(v), BLOCK):
        part = v[start : start + BLOCK]
        distances = part @ x.T
        distances *= -2
        distances += squares
        order = np.argsort(distances, axis=1, kind="stable")
        right = _right(y, w[start : start + BLOCK], order)
        steps = np.empty_like(right)
        steps[:, :-1] = right[:, :-1] - right[:, 1:]
        steps[:, -1] = right[:, -1] - null[start : start + BLOCK]
        steps *= share
        values = np.cumsum(steps[:, ::-1], axis=1, dtype=np.float32)[:, ::-1]
        for row, own in zip(order, values, strict=True):
            total[row] += own  # every row once, so that nothing is added twice
    return total / len(v)


def _right(y: np.ndarray, w: np.ndarray, order: np.ndarray) -> np.ndarray:
    """How right each training row's label is for each validation row, nearest first: float32 (m, n), 0 to 1."""
    if y.ndim == 1:
        return (y[order] == w[:, None]).astype(np.float32)
    equal = y.astype(np.float32) @ w.T.astype(np.float32) + (1 - y).astype(np.float32) @ (1 - w).T.astype(np.float32)
    return np.take_along_axis((equal / y.shape[1]).T, order, axis=1)


def _worst_constant(w: np.ndarray) -> np.ndarray:
    """How right the least right constant prediction is for each validation row: float32 (m,)."""
    if w.ndim == 1:
        classes, counts = np.unique(w, return_counts=True)
        return (w == classes[np.argmin(counts)]).astype(np.float32)
    rare = (w.mean(axis=0) < 0.5).astype(np.int64)
    return (w == rare).mean(axis=1).astype(np.float32)
