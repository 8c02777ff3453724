"""The metrics of the challenge, on 0/1 arrays. Pure NumPy, so that no version of another library can move an old score.

Zero-division is pinned: the F1 of a class with no positive in the truth and none in the prediction is 0.0, as scikit-learn's
``zero_division=0``. A model that is right about an absent class gets no credit for it, and nobody can gain by a class's absence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Metrics:
    """What a set of predictions scored.

    Attributes:
        macro_f1: unweighted mean of the classes' F1.
        f1: class name to F1.
        accuracy: share of items with every class right (exact match).
        hamming_loss: share of wrong entries among all items and classes.
        n: number of items.
    """

    macro_f1: float
    f1: dict[str, float]
    accuracy: float
    hamming_loss: float
    n: int


def score(truth: np.ndarray, prediction: np.ndarray, classes: Sequence[str]) -> Metrics:
    """Score 0/1 predictions (m, k) against the truth (m, k).

    Raises:
        ValueError: unequal shapes, no items, values other than 0 and 1, or class names that are not k different names.
    """
    truth, prediction = _binary("truth", truth), _binary("prediction", prediction)
    if truth.shape != prediction.shape:
        raise ValueError(f"the truth is {truth.shape} and the prediction {prediction.shape}; they must be of one shape")
    if len(classes) != truth.shape[1] or len(set(classes)) != len(classes):
        raise ValueError(f"{len(classes)} class names {list(classes)} for {truth.shape[1]} columns; give each column its name")
    f1 = _f1(truth, prediction)
    return Metrics(
        macro_f1=float(f1.mean()),
        f1={name: float(value) for name, value in zip(classes, f1, strict=True)},
        accuracy=float((truth == prediction).all(axis=1).mean()),
        hamming_loss=float((truth != prediction).mean()),
        n=len(truth),
    )


def best_constant(truth: np.ndarray) -> float:
    """Macro F1 of the best answer that is the same for every item: F1 counts no true negatives, so it is to call every class
    positive, with F1 ``2 r / (1 + r)`` for a class of rate ``r``. A model that scores no more than this has learnt nothing.

    Raises:
        ValueError: as ``score``.
    """
    truth = _binary("truth", truth)
    return float(_f1(truth, np.ones_like(truth)).mean())


def _f1(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """F1 per class, 0.0 where neither array holds a positive."""
    hits = (truth & prediction).sum(axis=0)
    total = truth.sum(axis=0, dtype=np.int64) + prediction.sum(axis=0, dtype=np.int64)
    return np.divide(2 * hits, total, out=np.zeros(len(total)), where=total > 0)


def _binary(name: str, values: np.ndarray) -> np.ndarray:
    array = np.asarray(values)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(f"the {name} is of shape {array.shape}; it must be (items, classes) with at least one of each")
    bad = ~np.isin(array, (0, 1))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(f"the {name} holds {array[row, column]!r} at item {row}, class {column}; it must hold only 0 and 1")
    return array.astype(np.int64)
