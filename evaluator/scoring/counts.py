"""Macro F1 out of counts per image, so that test images can be drawn again without predicting again."""

from __future__ import annotations

import numpy as np


def confusion(truth: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """What each image adds to the confusion counts of each class: (images, 2 * classes) float64.

    The first columns are hits (positive and called so) per class, the others positives of the truth plus positives of the
    prediction.

    Args:
        truth, prediction: (images, classes) of 0 and 1.

    Raises:
        ValueError: unequal shapes, or values other than 0 and 1.
    """
    truth, prediction = np.asarray(truth), np.asarray(prediction)
    if truth.shape != prediction.shape or truth.ndim != 2:
        raise ValueError(f"the truth is {truth.shape} and the prediction {prediction.shape}; both must be one (images, classes)")
    if not (np.isin(truth, (0, 1)).all() and np.isin(prediction, (0, 1)).all()):
        raise ValueError("truth and prediction must hold 0 and 1 alone")
    truth, prediction = truth.astype(np.float64), prediction.astype(np.float64)
    return np.concatenate([truth * prediction, truth + prediction], axis=1)


def macro_f1(counts: np.ndarray) -> np.ndarray:
    """Macro F1 (...) of sums or means (..., 2 * classes) of ``confusion`` over images; an absent class has F1 0, as in ``metrics``.

    Raises:
        ValueError: an odd number of columns.
    """
    counts = np.asarray(counts, dtype=np.float64)
    if counts.shape[-1] % 2 or not counts.shape[-1]:
        raise ValueError(f"the counts have {counts.shape[-1]} columns; there must be two per class")
    hits, total = np.split(counts, 2, axis=-1)
    return np.divide(2 * hits, total, out=np.zeros_like(hits), where=total > 0).mean(axis=-1)
