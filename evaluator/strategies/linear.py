"""Linear models for labels that may hold together: one logistic regression per class, and committees of them.

Fitted in well under a second on a thousand images of a hundred features. ``x`` is float (n, d), standardised or nearly so; ``y`` is
0/1 (n, classes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

STRENGTH = 0.03
"""Inverse of the penalty, as scikit-learn's C."""


@dataclass(frozen=True)
class Linear:
    """A fitted model.

    Attributes:
        weights: (d, classes).
        bias: (classes,).
    """

    weights: np.ndarray
    bias: np.ndarray

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Probability of every class by itself, float64 (n, classes)."""
        return expit(x.astype(np.float64) @ self.weights + self.bias)


def fit(x: np.ndarray, y: np.ndarray, strength: float = STRENGTH, trusted: np.ndarray | None = None) -> Linear:
    """Logistic regression per class. A class that was always or never seen is its own rate, (sum + 0.5) / (n + 1).

    Args:
        trusted: bool (n, classes), the labels to learn from; all where it is None.
    """
    trusted = np.ones(y.shape, bool) if trusted is None else trusted
    weights = np.zeros((x.shape[1], y.shape[1]))
    bias = logit(((y * trusted).sum(0) + 0.5) / (trusted.sum(0) + 1))
    for c in range(y.shape[1]):
        rows = trusted[:, c]
        answers = y[rows, c]
        if answers.min(initial=1) != answers.max(initial=0):
            model = LogisticRegression(C=strength, max_iter=300).fit(x[rows], answers)
            weights[:, c], bias[c] = model.coef_[0], model.intercept_[0]
    return Linear(weights, bias)


def cross_validated(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, folds: int = 5, strength: float = STRENGTH
) -> np.ndarray:
    """Probabilities (n, classes) of every image from a model that was fitted without it."""
    part = rng.permutation(len(x)) % max(2, folds)
    found = np.empty(y.shape)
    for k in range(max(2, folds)):
        held = part == k
        found[held] = fit(x[~held], y[~held], strength).probabilities(x[held])
    return found


def best_f1(p: np.ndarray, y: np.ndarray) -> np.ndarray:
    """F1 per class (classes,) at the threshold that serves it best; 0 where a class was never seen."""
    order = np.argsort(-p, 0, kind="stable")
    hits = np.cumsum(np.take_along_axis(np.asarray(y, np.float64), order, 0), 0)
    called = np.arange(1, len(p) + 1)[:, None]
    return (2 * hits / (called + hits[-1])).max(0) if len(p) else np.zeros(y.shape[1])


def dropout(
    x: np.ndarray, y: np.ndarray, pool: np.ndarray, rng: np.random.Generator, members: int = 20, rate: float = 0.3, copies: int = 5
) -> np.ndarray:
    """Draws (members, n, classes) of a model trained and asked with dropout on its inputs.

    Gal and Ghahramani (2016), Dropout as a Bayesian Approximation: features are dropped with the chance ``rate`` in training (on
    ``copies`` of every image) and again, with one mask per member, when it is asked.
    """
    keep = 1 - rate
    many = np.tile(x, (copies, 1)) * (rng.random((copies * len(x), x.shape[1])) < keep) / keep
    model = fit(many, np.tile(y, (copies, 1)), STRENGTH / copies)
    masks = (rng.random((members, x.shape[1])) < keep) / keep
    return np.stack([Linear(model.weights * mask[:, None], model.bias).probabilities(pool) for mask in masks])


class Descent:
    """Logistic regression by mini-batch gradient descent with momentum, for a fixed number of epochs.

    Steps are measured in units of the largest that is surely stable, 4 over the mean squared length of an image's embedding, so
    that a rate means the same for embeddings of any scale.

    Args:
        width, classes: of the model; all weights start at zero.
        rng: shuffles.
        strength: inverse of the penalty, as scikit-learn's C.
        momentum: share of the last step that goes on (Polyak 1964).
    """

    def __init__(
        self, width: int, classes: int, rng: np.random.Generator, strength: float = STRENGTH, momentum: float = 0.9
    ) -> None:
        self.weights, self.bias = np.zeros((width, classes)), np.zeros(classes)
        self._rng, self._strength, self._momentum = rng, strength, momentum
        self._steps = np.zeros((width + 1, classes))

    def epoch(self, x: np.ndarray, y: np.ndarray, rate: float, batch: int = 32) -> None:
        """Pass once over all images in a new order."""
        order = self._rng.permutation(len(x))
        unit = 4 / max(np.square(x, dtype=np.float64).sum(1).mean(), 1e-12)
        for start in range(0, len(x), batch):
            rows = order[start : start + batch]
            error = (expit(x[rows] @ self.weights + self.bias) - y[rows]) / len(rows)
            penalty = self.weights / (self._strength * len(x))
            slope = np.vstack([unit * (x[rows].T @ error + penalty), 4 * error.sum(0)])
            self._steps = self._momentum * self._steps - rate * slope
            self.weights += self._steps[:-1]
            self.bias += self._steps[-1]

    def model(self) -> Linear:
        """The model as it is now."""
        return Linear(self.weights.copy(), self.bias.copy())


def snapshots(
    x: np.ndarray, y: np.ndarray, pool: np.ndarray, rng: np.random.Generator, members: int = 8, epochs: int = 12, rate: float = 0.3
) -> np.ndarray:
    """Probabilities (members, n, classes) of models along one training.

    Huang et al. (2017), Snapshot Ensembles: the learning rate falls along a cosine over ``epochs`` and starts again; the model at
    the end of every cycle is kept.
    """
    descent = Descent(x.shape[1], y.shape[1], rng)
    found = []
    for _ in range(members):
        for epoch in range(epochs):
            descent.epoch(x, y, rate * (1 + np.cos(np.pi * epoch / epochs)) / 2)
        found.append(descent.model().probabilities(pool))
    return np.stack(found)
