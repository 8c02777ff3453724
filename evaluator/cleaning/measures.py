"""From the probabilities of a fitted model to an accuracy: as the original prints it, and as it is.

Both choose the threshold of a binary label on the training labels, from a grid; ``printed`` rounds to two decimals wherever the
original does. All of it takes probabilities, so that the two ways to fit a model are measured alike.
"""

from __future__ import annotations

import numpy as np

from evaluator.cleaning.tasks import Kind

THRESHOLDS = np.arange(0.1, 1, 0.05)
"""18 values; the last is 0.9500000000000003. The original's torch compares with each as float32."""
_GRID = THRESHOLDS.astype(np.float32)
FRAGILE = 1e-4
"""Largest change of a probability that must not change what ``printed`` gives, or the model is fitted exactly."""


def printed(train: np.ndarray, test: np.ndarray, labels: np.ndarray, test_labels: np.ndarray) -> float:
    """The accuracy on the test set as the original's output shows it: two decimals, of binary labels.

    The threshold is the first with the best accuracy on the training labels, itself rounded; numpy rounds, not Python.

    Args:
        train, test: probabilities, float32 (n,) and (m,).
        labels: of the training rows as they were trained on, 0 or 1; ``test_labels``: of the test rows.
    """
    rounded = _rounded((train > _GRID[:, None]) == labels)
    best = int(np.argmax(rounded))
    threshold = _GRID[best] if rounded[best] > 0 else np.float32(0)
    return float(_rounded((test > threshold) == test_labels))


def is_fragile(train: np.ndarray, test: np.ndarray, labels: np.ndarray, test_labels: np.ndarray, by: float = FRAGILE) -> bool:
    """Whether ``printed`` could differ if every probability moved by ``by`` or less. Arguments as of ``printed``."""
    least, most = _bounds(train, _GRID, labels, by)
    # A threshold can be the first with the best accuracy if none before it is surely as good, and none after it surely better.
    before = np.maximum.accumulate(np.concatenate([[-1.0], least[:-1]]))
    after = np.maximum.accumulate(np.concatenate([least[1:], [-1.0]])[::-1])[::-1]
    possible = _GRID[(most > before) & (most >= after)]
    if not len(possible) or most.max() <= 0 or least.max() <= 0:
        return True
    low, high = _bounds(test, possible, test_labels, by)
    return bool(low.min() != high.max())


def accuracy(kind: Kind, train: np.ndarray, test: np.ndarray, labels: np.ndarray, test_labels: np.ndarray) -> float:
    """The share of right labels in the test set, of any kind of labels and not rounded.

    Args:
        train, test: probabilities, float32 (n, outputs) and (m, outputs).
        labels, test_labels: as of ``tasks.Part``.
    """
    if kind == "multiclass":
        return float(np.mean(np.argmax(test, axis=1) == test_labels))
    labels, test_labels = labels.reshape(len(labels), -1), test_labels.reshape(len(test_labels), -1)
    right = np.mean((train[None] > _GRID[:, None, None]) == labels[None], axis=1)  # thresholds, outputs
    return float(np.mean((test > _GRID[np.argmax(right, axis=0)]) == test_labels))


def _rounded(right: np.ndarray) -> np.ndarray:
    """Means over the last axis, rounded as numpy does: times 100, to the nearest whole number (half to even), divided by 100."""
    return np.round(np.asarray(np.mean(right, axis=-1)), 2)


def _bounds(probabilities: np.ndarray, thresholds: np.ndarray, labels: np.ndarray, by: float) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest rounded accuracy at every threshold, if the probabilities move by ``by`` or less."""
    surely = probabilities[None] > thresholds[:, None] + by
    perhaps = probabilities[None] > thresholds[:, None] - by
    positive = labels == 1
    least = np.where(positive, surely, ~perhaps)
    most = np.where(positive, perhaps, ~surely)
    return _rounded(least), _rounded(most)
