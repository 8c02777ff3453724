"""From values to a ranking, and the checks that every valuation begins with."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluator.strategies.arrays import as_embeddings


def worst_first(values: np.ndarray) -> np.ndarray:
    """The rows by their values, lowest first, int64 (n,). Equal values are in the order of the rows.

    Raises:
        ValueError: a value is NaN.
    """
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or np.isnan(found).any():
        raise ValueError(f"values of shape {found.shape}, {int(np.isnan(found).sum())} of them NaN; expected numbers (n,)")
    return np.argsort(found, kind="stable")


def as_rows(rows: Any, labels: Any, name: str = "training") -> tuple[np.ndarray, np.ndarray]:
    """Embeddings as float32 (n, d) and labels as int64 (n,) or (n, classes).

    Raises:
        ValueError: they do not fit each other, or a label is no whole number, 0 or more.
    """
    x = as_embeddings(rows, f"{name} rows")
    y = np.asarray(labels)
    if y.ndim not in (1, 2) or len(y) != len(x) or not len(x):
        raise ValueError(f"{name} labels of shape {y.shape} for {len(x)} rows; expected one label (or row of labels) each")
    whole = y.astype(np.int64)
    if (whole != y).any() or whole.min() < 0 or (y.ndim == 2 and whole.max() > 1):
        raise ValueError(
            f"{name} labels lie between {y.min()} and {y.max()}; expected whole numbers, 0 or more, 0 and 1 in a matrix"
        )
    return x, whole
