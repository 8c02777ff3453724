"""How far labels can be trusted: confident learning, from probabilities of a model that did not see them."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import stdtrit

from evaluator.strategies.arrays import as_binary, as_probabilities
from evaluator.strategies.linear import fit

FOLDS, FALSE_ALARMS = 5, 0.01
"""Of the test that ends a purchase: parts of its cross-validation, and the level of each look, for labels that are worth nothing.
Right labels are worth something, so they are refused more rarely: ``baselines/adaptive.py`` says how rarely."""


def suspects(p: Any, labels: Any) -> np.ndarray:
    """Labels that are likely wrong, bool (n, classes).

    Northcutt et al. (2021), Confident Learning, class by class as yes/no. The threshold of an answer is the mean probability that
    the model gives it among images so labelled. A label is suspected where the other answer reaches its threshold and is the more
    probable of those that do. A class with one answer only has no suspects.

    Args:
        p: probabilities (n, classes) from a model that was fitted without the image (cross-validation).
        labels: 0/1 (n, classes).
    """
    p, labels = as_probabilities(p), as_binary(labels)
    if p.shape != labels.shape:
        raise ValueError(f"probabilities are {p.shape} and labels {labels.shape}; they must be of one shape")
    found = np.zeros(labels.shape, bool)
    for c in range(labels.shape[1]):
        yes = labels[:, c]
        if yes.all() or not yes.any():
            continue
        for_yes, for_no = p[:, c], 1 - p[:, c]
        reaches_yes, reaches_no = for_yes >= for_yes[yes].mean(), for_no >= for_no[~yes].mean()
        found[:, c] = np.where(
            yes, reaches_no & (~reaches_yes | (for_no > for_yes)), reaches_yes & (~reaches_no | (for_yes > for_no))
        )
    return found


def agreement(p: Any, labels: Any) -> float:
    """Share of labels that are not suspected, 0 to 1; 1 where there is none."""
    found = suspects(p, labels)
    return 1.0 if found.size == 0 else float(1 - found.mean())


def excess(p: Any, labels: Any) -> tuple[float, float]:
    """How much more often labels contradict a model than it expects itself, and the standard error of that.

    A label is contradicted by ``|y - p|``, which a calibrated model expects to be ``2 p (1 - p)``. Hard images raise both, wrong
    labels the first alone, so that images chosen for their uncertainty are not taken for wrong labels. Flips at the rate q raise it
    by about q times the mean of ``(1 - 2 p)^2``. Errors are clustered by image.

    Args:
        p: probabilities (n, classes), n at least 2, from a model that was fitted without the image.
        labels: 0/1 (n, classes).
    """
    p, labels = as_probabilities(p), as_binary(labels)
    if p.shape != labels.shape or len(p) < 2:
        raise ValueError(f"probabilities are {p.shape} and labels {labels.shape}; they must be of one shape with at least 2 rows")
    found = (np.abs(labels - p) - 2 * p * (1 - p)).mean(1)
    return float(found.mean()), float(found.std(ddof=1) / np.sqrt(len(found)))


class Harm:
    """Do bought labels hurt? A test after every round, against labels that are right.

    A model is fitted with and without what was bought, cross-validated on the training set, whose labels are right. Where its log
    loss is larger with what was bought, beyond what chance explains, the labels hurt. The folds are drawn once, so that the
    models without what was bought are fitted once, and the tests of a purchase hang together.

    Args:
        x, y: embeddings (n, d) and labels (n, classes) of the training set.
        rng: draws the folds.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> None:
        self.x, self.y, self.part = x, y, rng.permutation(len(x)) % FOLDS
        self._without: np.ndarray | None = None

    def statistic(self, x: np.ndarray, y: np.ndarray) -> float:
        """By how many standard errors the loss (mean over classes, by image) is larger with the bought labels (x, y)."""
        if self._without is None:
            self._without = self._losses(x[:0], y[:0])
        larger = self._losses(x, y) - self._without
        error = larger.std(ddof=1) / np.sqrt(len(larger))
        return float(larger.mean() / error) if error > 0 else 0.0

    def shown(self, x: np.ndarray, y: np.ndarray) -> bool:
        """Whether the bought labels (x, y) hurt. Never where there are too few images of either kind to tell."""
        if len(self.x) < FOLDS or not len(x):
            return False
        return self.statistic(x, y) > stdtrit(len(self.x) - 1, 1 - FALSE_ALARMS)

    def _losses(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        found = np.empty(len(self.x))
        for k in range(FOLDS):
            held = self.part == k
            model = fit(np.concatenate([self.x[~held], x]), np.concatenate([self.y[~held], y]))
            p, right = model.probabilities(self.x[held]), self.y[held]
            found[held] = -np.log(np.where(right == 1, p, 1 - p).clip(1e-12)).mean(1)
        return found
