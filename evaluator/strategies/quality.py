"""How far labels can be trusted: confident learning, from probabilities of a model that did not see them."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluator.strategies.arrays import as_binary, as_probabilities


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
