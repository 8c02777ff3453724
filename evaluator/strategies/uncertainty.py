"""Utilities of images from the probabilities of one model, for labels that may hold together (multi-label).

Throughout, ``p`` is float (n, classes), the probability of every class by itself. Joint quantities take the classes for
independent given the image.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import entr

from evaluator.strategies.arrays import as_binary, as_budget, as_probabilities, as_utilities


def binary_entropy(p: np.ndarray) -> np.ndarray:
    """Entropy in nats of yes/no with probability ``p``, elementwise; 0 at 0 and at 1."""
    return entr(p) + entr(1 - p)


def mean_entropy(p: Any) -> np.ndarray:
    """Mean binary entropy over the classes, nats (n,). Shannon (1948); as sampling by Lewis and Gale (1994), Settles (2009)."""
    return binary_entropy(as_probabilities(p)).mean(1)


def max_entropy(p: Any) -> np.ndarray:
    """Binary entropy of the least certain class, nats (n,)."""
    return binary_entropy(as_probabilities(p)).max(1)


def least_confidence(p: Any) -> np.ndarray:
    """One minus the probability of the most probable label vector, (n,). Lewis and Gale (1994), on whole label vectors."""
    p = as_probabilities(p)
    return -np.expm1(np.log(np.maximum(p, 1 - p)).sum(1))


def ambiguity(p: Any) -> np.ndarray:
    """``sum_c 0.5 - |p_c - 0.5|``, (n,): the expected number of wrong labels where every class is decided at 0.5."""
    return (0.5 - np.abs(as_probabilities(p) - 0.5)).sum(1)


def margin(p: Any) -> np.ndarray:
    """One minus the margin between the two most probable label vectors, (n,).

    Scheffer et al. (2001), on whole label vectors: the second best differs from the best in the least certain class alone.
    """
    p = as_probabilities(p)
    sure = np.maximum(p, 1 - p)
    least = sure.min(1)
    best = np.exp(np.log(sure).sum(1))
    return 1 - best * (1 - (1 - least) / least)


def cardinality_inconsistency(p: Any, cardinality: float, threshold: float = 0.5) -> np.ndarray:
    """Distance between the number of predicted labels and ``cardinality``, the mean number among labelled images; (n,).

    Label cardinality inconsistency, Li and Guo (2013), Active Learning with Multi-Label SVM Classification. Whole numbers are
    compared with one figure, so many images are equal.

    Raises:
        ValueError: ``cardinality`` is not a number from 0 to the number of classes.
    """
    p = as_probabilities(p)
    if not 0 <= cardinality <= p.shape[1]:
        raise ValueError(f"the mean number of labels is {cardinality}; with {p.shape[1]} classes, 0 to {p.shape[1]} was expected")
    return np.abs((p > threshold).sum(1) - cardinality)


def mmc(p: Any, counts: Any) -> np.ndarray:
    """Maximum loss reduction with maximal confidence, (n,): ``sum_c (1 - y_c f_c) / 2``.

    Yang et al. (2009), Effective Multi-Label Active Learning for Text Classification. ``counts`` (n,) is the predicted number of
    labels of every image (see ``predicted_counts``); ``y_c`` is +1 for that many of the most probable classes and -1 for the
    others, and ``f_c = 2 p_c - 1`` is taken for the decision value.

    Raises:
        ValueError: counts are not whole numbers from 0 to the number of classes.
    """
    p = as_probabilities(p)
    counts = as_utilities(counts, "counts", len(p))
    if len(counts) and not (np.equal(counts, np.round(counts)).all() and counts.min() >= 0 and counts.max() <= p.shape[1]):
        raise ValueError(f"counts are not all whole numbers from 0 to {p.shape[1]}, the number of classes")
    rank = np.argsort(np.argsort(-p, 1, kind="stable"), 1, kind="stable")
    return np.where(rank < counts[:, None], 1 - p, p).sum(1)


def predicted_counts(labelled_p: Any, labels: Any, p: Any) -> np.ndarray:
    """How many labels every image has, by logistic regression on its sorted probabilities; int64 (n,).

    The second step of Yang et al. (2009): features are the probabilities of an image from the largest to the smallest, scaled to
    sum 1; the target is the number of labels.

    Args:
        labelled_p: probabilities (m, classes) of labelled images, best from a model that did not see them.
        labels: their labels, 0/1 (m, classes), at least one row.
        p: probabilities (n, classes) of the images asked about.
    """
    labelled_p, labels, p = as_probabilities(labelled_p), as_binary(labels), as_probabilities(p)
    if labels.shape != labelled_p.shape or len(labels) == 0 or p.shape[1] != labels.shape[1]:
        raise ValueError(
            f"labels {labels.shape}, their probabilities {labelled_p.shape} and those asked about {p.shape} do not fit"
        )
    counts = labels.sum(1)
    if len(np.unique(counts)) == 1:
        return np.full(len(p), counts[0], np.int64)
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=1000).fit(_profile(labelled_p), counts)
    return model.predict(_profile(p)).astype(np.int64) if len(p) else np.zeros(0, np.int64)


def need_weighted(p: Any, f1: Any) -> np.ndarray:
    """``sum_c p_c (1 - F1_c)``, (n,): images likely to show classes that the model does badly on.

    Args:
        f1: the model's F1 per class (classes,), from 0 to 1, best from cross-validation.

    Raises:
        ValueError: ``f1`` has another length, or lies outside 0 to 1.
    """
    p = as_probabilities(p)
    f1 = as_utilities(f1, "the F1 of the classes", p.shape[1])
    if not (f1.min() >= 0 and f1.max() <= 1):
        raise ValueError(f"the F1 of the classes lies between {f1.min():g} and {f1.max():g}; 0 to 1 was expected")
    return p @ (1 - f1)


def expected_balance(p: Any, labels: Any, budget: int) -> np.ndarray:
    """Indices (m,) whose expected labels bring the classes nearest to equal numbers, chosen one by one.

    A negative control: matching a target distribution did not help in the challenge of 2022. In every step the image with the
    largest ``sum_c w_c p_c`` is taken, where ``w_c`` is the class's share of what is still missing to the largest class.

    Args:
        labels: 0/1 (m, classes), what is known already.
    """
    p, labels = as_probabilities(p), as_binary(labels)
    if labels.shape[1] != p.shape[1]:
        raise ValueError(f"labels have {labels.shape[1]} classes and probabilities {p.shape[1]}")
    have = labels.sum(0).astype(np.float64)
    left = p.copy()
    chosen = np.empty(as_budget(budget, len(p)), np.int64)
    for step in range(len(chosen)):
        missing = have.max() - have
        # Where all are equal, every class is as welcome as the other.
        weights = missing / missing.sum() if missing.sum() > 0 else np.full(len(have), 1 / len(have))
        pick = chosen[step] = int(np.argmax(left @ weights))
        left[pick] = -1  # below every probability, whatever the weights
        have += p[pick]
    return chosen


def _profile(p: np.ndarray) -> np.ndarray:
    ranked = -np.sort(-p, 1)
    return ranked / np.maximum(ranked.sum(1, keepdims=True), np.finfo(np.float64).tiny)
