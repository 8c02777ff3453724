"""How sure a model is of the labels as given, when it was fitted without the row, or with it.

``self_confidence`` is the label-quality score of Northcutt, Jiang and Chuang (2021), Confident Learning, JAIR 70: the out-of-sample
probability of the given label. ``own_loss`` is the loss of a row under a model that has seen it.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from evaluator.strategies import linear
from evaluator.strategies.valuation.ranks import as_rows

STRENGTH = 0.1
"""Inverse of the penalty, as scikit-learn's C, on standardised columns."""
FOLDS = 5


def standardised(rows: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1, float64 (n, d); a constant column becomes 0."""
    x = np.asarray(rows, np.float64)
    spread = x.std(axis=0)
    return (x - x.mean(axis=0)) / np.where(spread > 1e-12, spread, 1)


def out_of_sample(rows: np.ndarray, labels: np.ndarray, seed: int, folds: int = FOLDS, strength: float = STRENGTH) -> np.ndarray:
    """Probabilities of every row by a logistic regression that was fitted without it: float64 (n, classes).

    With several labels a row, every class has a model of its own, and rows do not sum to 1.

    Args:
        seed: of the folds; a fold has its share of every class where labels are classes.
    """
    x, y = as_rows(rows, labels)
    x, rng = standardised(x), np.random.default_rng(seed)
    if y.ndim == 2:
        return linear.cross_validated(x, y, rng, folds, strength)
    part = np.empty(len(y), np.int64)
    part[np.argsort(y + rng.random(len(y)), kind="stable")] = np.arange(len(y)) % folds
    found = np.zeros((len(y), int(y.max()) + 1))
    for fold in range(folds):
        held = part == fold
        if held.any() and not held.all():
            found[held] = probabilities(x[~held], y[~held], x[held], found.shape[1], strength)
    return found


def probabilities(x: np.ndarray, y: np.ndarray, asked: np.ndarray, classes: int, strength: float = STRENGTH) -> np.ndarray:
    """Of rows ``asked`` by a logistic regression on ``x``, ``y`` (n,): float64 (m, classes); a class that was not seen has 0."""
    found = np.zeros((len(asked), classes))
    seen = np.unique(y)
    if len(seen) == 1:
        found[:, seen[0]] = 1.0
        return found
    model = LogisticRegression(C=strength, max_iter=200).fit(x, y)
    found[:, model.classes_] = model.predict_proba(asked)
    return found


def self_confidence(given: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probability of the given label, float64 (n,); with several labels, of the least probable of them.

    Args:
        given: probabilities (n, classes), out of sample.
        labels: int (n,), or (n, classes) of 0 and 1.
    """
    y = np.asarray(labels)
    if y.ndim == 1:
        return given[np.arange(len(y)), y]
    return np.where(y == 1, given, 1 - given).min(axis=1)


def confident_issues(given: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Rows whose label is probably another: bool (n,), by the confident joint of Northcutt, Jiang and Chuang (2021).

    A class counts for a row if its probability is at least the mean probability that rows of the class have of it. A row is an
    issue if the most probable of the classes that count is not its own.

    Args:
        given: probabilities (n, classes), out of sample; ``labels``: int (n,).
    """
    p, y = np.asarray(given, np.float64), np.asarray(labels)
    rows = np.arange(len(y))
    held = [p[y == label, label] for label in range(p.shape[1])]
    thresholds = np.array([own.mean() if len(own) else np.inf for own in held])
    counts = np.where(p >= thresholds - 1e-6, p, -1.0)
    best = counts.argmax(axis=1)
    return (counts[rows, best] >= 0) & (best != y)


def own_loss(rows: np.ndarray, labels: np.ndarray, strength: float = STRENGTH) -> np.ndarray:
    """Minus the loss of each row under a model that was fitted with it, float64 (n,)."""
    x, y = as_rows(rows, labels)
    x = standardised(x)
    if y.ndim == 2:
        found = linear.fit(x, y, strength).probabilities(x)
        return np.log(np.clip(np.where(y == 1, found, 1 - found), 1e-12, 1)).sum(axis=1)
    found = probabilities(x, y, x, int(y.max()) + 1, strength)
    return np.log(np.clip(found[np.arange(len(y)), y], 1e-12, 1))


def cleanlab_order(given: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The ranking of cleanlab: first what ``find_label_issues`` names, by its order, then all others by their label quality.

    Args: as of ``self_confidence``.

    Raises:
        ImportError: cleanlab is not installed; the message says how to install it.
    """
    try:
        from cleanlab.filter import find_label_issues
        from cleanlab.multilabel_classification import get_label_quality_scores as of_sets
        from cleanlab.multilabel_classification.filter import find_label_issues as in_sets
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        raise ImportError("cleanlab is not installed; run `pip install -r requirements-cleaning.txt`") from None
    y = np.asarray(labels)
    p = np.asarray(given, np.float64)
    if y.ndim == 2:
        sets = [np.flatnonzero(row).tolist() for row in y]
        issues = in_sets(sets, p, return_indices_ranked_by="self_confidence", n_jobs=1)
        quality = of_sets(sets, p)
    else:
        issues = find_label_issues(y, p, return_indices_ranked_by="self_confidence", n_jobs=1)
        quality = get_label_quality_scores(y, p)
    first = np.asarray(issues, np.int64)
    rest = np.argsort(quality, kind="stable")
    return np.concatenate([first, rest[~np.isin(rest, first)]])
