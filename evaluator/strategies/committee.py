"""Utilities of images from several models' probabilities, float (members, n, classes): draws of dropout, snapshots, bags."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluator.strategies.arrays import as_probabilities
from evaluator.strategies.uncertainty import binary_entropy


def bald(p: Any) -> np.ndarray:
    """Mutual information between label and model, summed over the classes, nats (n,).

    Houlsby et al. (2011), Bayesian Active Learning for Classification and Preference Learning: the entropy of the mean prediction
    less the mean entropy of the predictions. Classes are taken for independent, so their information adds up.
    """
    p = as_probabilities(p, 3)
    within = np.zeros(p.shape[1:])
    for member in p:
        within += binary_entropy(member)
    # Rounding may leave a member-free disagreement a hair below zero.
    return np.maximum(binary_entropy(p.mean(0)) - within / len(p), 0).sum(1)


def vote_entropy(p: Any, threshold: float = 0.5) -> np.ndarray:
    """Entropy of the members' yes/no votes, summed over the classes, nats (n,). Dagan and Engelson (1995).

    A member votes yes from ``threshold`` on.
    """
    return binary_entropy((as_probabilities(p, 3) >= threshold).mean(0)).sum(1)


def consensus_entropy(p: Any) -> np.ndarray:
    """Entropy of the members' mean probability, summed over the classes, nats (n,). McCallum and Nigam (1998), first term."""
    return binary_entropy(as_probabilities(p, 3).mean(0)).sum(1)
