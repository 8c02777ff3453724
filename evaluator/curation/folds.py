"""K-fold cross-validation whose folds share nothing: images with equal pixels stay in one fold."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evaluator.errors import ConfigurationError
from evaluator.seeds import generator
from evaluator.words import counted

Learner = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""``(learn, ask, fold)``: numbers of the images to learn from and of those to predict; gives probabilities (len(ask), classes)."""


def grouped_folds(labels: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of every image, int64 (n,): classes spread evenly, groups kept whole.

    Groups are drawn in random order, large ones first, and each goes to the fold that has the fewest images of its class (of the
    class of its first image, where its images differ), then the fewest images.

    Args:
        labels: int (n,): the class, or for labels that hold together any number that stands for what should be spread.
        groups: int (n,): equal numbers stay together.

    Raises:
        ConfigurationError: fewer than 2 folds, or more than groups.
    """
    members: dict[int, list[int]] = {}
    for row, group in enumerate(groups.tolist()):
        members.setdefault(group, []).append(row)
    if not 2 <= folds <= len(members):
        raise ConfigurationError(
            f"--folds is {folds}; expected 2 to {len(members)} (there are {counted(len(members), 'image')} that differ)"
        )
    order = list(members.values())
    shuffled = [order[i] for i in generator(seed, "folds").permutation(len(order))]
    shuffled.sort(key=len, reverse=True)
    found = np.empty(len(labels), np.int64)
    per_class = np.zeros((folds, int(labels.max(initial=0)) + 1), np.int64)
    for rows in shuffled:
        kind = int(labels[rows[0]])
        fold = min(range(folds), key=lambda f: (per_class[f, kind], per_class[f].sum(), f))
        found[rows] = fold
        np.add.at(per_class[fold], labels[rows], 1)
    return found


def cross_validated(
    folds: np.ndarray, classes: int, learner: Learner, progress: Callable[[float], None] = lambda share: None
) -> np.ndarray:
    """Probabilities of every image by a model that was trained without its fold, float64 (n, classes).

    Raises:
        ValueError: the learner gives another shape, or values that are not finite.
    """
    found = np.full((len(folds), classes), np.nan)
    every = np.unique(folds)
    for done, fold in enumerate(every.tolist()):
        ask = np.flatnonzero(folds == fold)
        answers = np.asarray(learner(np.flatnonzero(folds != fold), ask, fold), np.float64)
        if answers.shape != (len(ask), classes) or not np.isfinite(answers).all():
            raise ValueError(f"fold {fold}: the model gave {answers.shape}; expected finite probabilities {(len(ask), classes)}")
        found[ask] = answers
        progress((done + 1) / len(every))
    return found


def linear_learner(features: np.ndarray, labels: np.ndarray, classes: int, strength: float) -> Learner:
    """A linear model on features: softmax regression for labels (n,), logistic regression per class for 0/1 labels (n, classes).

    Features are scaled by mean and deviation of the images that are learnt from. A class that the images to learn from lack has
    probability 0 (softmax), or its rate.

    Args:
        strength: inverse of the penalty, as scikit-learn's ``C``.
    """
    from threadpoolctl import threadpool_limits

    def softmax(x: np.ndarray, y: np.ndarray, ask: np.ndarray) -> np.ndarray:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=strength, max_iter=400).fit(x, y)
        answers = np.zeros((len(ask), classes))
        answers[:, model.classes_] = model.predict_proba(ask)
        return answers

    def learn(rows: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        from evaluator.strategies.linear import fit

        mean, deviation = features[rows].mean(axis=0), features[rows].std(axis=0)
        scaled = (features - mean) / np.where(deviation > 1e-6, deviation, 1.0)
        x, y, ask = scaled[rows], labels[rows], scaled[asked]
        with threadpool_limits(1):
            if labels.ndim == 2:
                return fit(x, y, strength).probabilities(ask)
            if (y == y[0]).all():
                return np.eye(classes)[np.full(len(ask), y[0])]
            return softmax(x, y, ask)

    return learn
