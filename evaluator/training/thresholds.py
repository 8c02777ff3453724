"""Decision thresholds per class. A class is predicted where its probability is at or above the threshold.

Multi-label damages are rare, and at 0.5 a rare class is hardly ever predicted by a model that saw few of its items; F1 then is 0
for it whatever the model ranks. The threshold of the best F1 lies at half of that F1 (Lipton, Elkan & Narayanaswamy 2014, "Optimal
thresholding of classifiers to maximize F1 measure"), so well below 0.5 for every class that is not learnt perfectly.
"""

from __future__ import annotations

import numpy as np

FEWEST_POSITIVES = 4
"""Fewer positives (or negatives) than this on the validation share decide nothing: one item would move the threshold anywhere."""


def best_f1(probabilities: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """The threshold of one class with the highest F1, and that F1.

    The threshold lies midway between two neighbouring probabilities. Of thresholds with equal F1, the threshold that calls the
    fewest items positive is taken.

    Args:
        probabilities: float (n,).
        truth: 0/1 (n,), with at least one positive label.
    """
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order].astype(np.float64)
    hits = np.cumsum(truth[order].astype(np.int64))
    called = np.arange(1, len(ranked) + 1)
    f1 = 2 * hits / (called + hits[-1])
    # A cut inside a run of equal probabilities cannot be made by any threshold.
    last_of_run = np.append(ranked[1:] < ranked[:-1], True)
    best = int(np.argmax(np.where(last_of_run, f1, -1.0)))
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2), float(f1[best])


def base_rate(probabilities: np.ndarray, labels: np.ndarray, *, fallback: float = 0.5) -> np.ndarray:
    """Thresholds such that each class is called positive as often as it is positive.

    Args:
        probabilities: float (n, k), of the items whose labels are given.
        labels: 0/1 (n, k).
        fallback: for a class without any positive, or with nothing but positives; there is no rate to meet.

    Returns:
        float64 (k,); ties may call more items positive than the rate asks for, never fewer.
    """
    thresholds = np.full(labels.shape[1], fallback, dtype=np.float64)
    for k in range(labels.shape[1]):
        positives = int(labels[:, k].sum())
        if 0 < positives < len(labels):
            ranked = np.sort(probabilities[:, k].astype(np.float64))[::-1]
            thresholds[k] = (ranked[positives - 1] + ranked[positives]) / 2
    return thresholds


def prior(labels: np.ndarray, gain: float, *, fallback: float = 0.5) -> np.ndarray:
    """Thresholds from the class rates alone: half of the F1 that a model is expected to reach.

    A blind model's best F1 on a class of rate ``r`` is ``c = 2 r / (1 + r)``; a model that closes a share ``gain`` of what is
    missing to 1 reaches ``c + gain (1 - c)``. It looks at no prediction, so a model that knows its training items by heart cannot
    fool it; and it follows the rates of a set in which positives were bought on purpose.

    Args:
        labels: 0/1 (n, k) of the training items.
        gain: in [0, 1]; 0 trusts the model least.
        fallback: for a class without any positive.

    Returns:
        float64 (k,).
    """
    rates = labels.mean(axis=0, dtype=np.float64)
    blind = 2 * rates / (1 + rates)
    return np.where(rates > 0, (blind + gain * (1 - blind)) / 2, fallback)


def validation(probabilities: np.ndarray, labels: np.ndarray, *, otherwise: np.ndarray) -> np.ndarray:
    """Thresholds of the best F1 per class.

    Args:
        probabilities, labels: (n, k) of the validation share.
        otherwise: (k,) thresholds for classes with fewer than ``FEWEST_POSITIVES`` positives or negatives on the share.

    Returns:
        float64 (k,).
    """
    thresholds = np.array(otherwise, dtype=np.float64)
    for k in range(labels.shape[1]):
        positives = int(labels[:, k].sum())
        if min(positives, len(labels) - positives) >= FEWEST_POSITIVES:
            thresholds[k], _ = best_f1(probabilities[:, k], labels[:, k])
    return thresholds
