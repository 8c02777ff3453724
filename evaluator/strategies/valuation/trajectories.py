"""What a row's training looks like: wrong labels are learned late, with a small margin, and are forgotten again.

- Area under the margin: Pleiss, Zhang, Elenberg and Weinberger (2020), Identifying Mislabeled Data using the Area Under the Margin
  Ranking, NeurIPS. The margin of a row is the score of its label less the largest other score, averaged over epochs.
- Forgetting events: Toneva, Sordoni et al. (2019), An Empirical Study of Example Forgetting during Deep Neural Network Learning,
  ICLR. An event is an epoch after which a row that was right is wrong; a row that never was right is worst.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.special import expit, softmax

from evaluator.strategies.valuation.confidence import standardised
from evaluator.strategies.valuation.ranks import as_rows

EPOCHS, BATCH, RATE, MOMENTUM = 20, 64, 0.1, 0.9


def scores_by_epoch(
    rows: np.ndarray, labels: np.ndarray, seed: int, *, epochs: int = EPOCHS, batch: int = BATCH, rate: float = RATE
) -> Iterator[np.ndarray]:
    """Scores (logits) of the training rows after every epoch of a linear model, float64 (n, classes).

    Gradient descent in small batches with momentum, from weights of zero. Steps are measured in units of the inverse mean squared
    length of a row, so that a rate means the same for embeddings of any width.
    """
    x, y = as_rows(rows, labels)
    x = np.column_stack([standardised(x), np.ones(len(x))])
    goals = np.eye(int(y.max()) + 1)[y] if y.ndim == 1 else y.astype(np.float64)
    link = (lambda scores: softmax(scores, axis=1)) if y.ndim == 1 else expit
    weights, step = np.zeros((x.shape[1], goals.shape[1])), np.zeros((x.shape[1], goals.shape[1]))
    unit = rate / np.square(x).sum(axis=1).mean() * min(batch, len(x))
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        for part in np.array_split(rng.permutation(len(x)), max(1, len(x) // batch)):
            pull = x[part].T @ (link(x[part] @ weights) - goals[part]) / len(part)
            step = MOMENTUM * step - unit * pull
            weights += step
        yield x @ weights


def margins(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Score of each row's label less the largest other score, (n,); with several labels the smallest margin of them.

    Args:
        scores: (n, classes). ``labels``: int (n,), or (n, classes) of 0 and 1.
    """
    y = np.asarray(labels)
    if y.ndim == 2:
        return np.where(y == 1, scores, -scores).min(axis=1)
    own = scores[np.arange(len(y)), y]
    others = scores.copy()
    others[np.arange(len(y)), y] = -np.inf
    return own - others.max(axis=1)


def area_under_margin(rows: np.ndarray, labels: np.ndarray, seed: int, epochs: int = EPOCHS) -> np.ndarray:
    """Mean margin over the epochs of a training, float64 (n,)."""
    found = [margins(scores, labels) for scores in scores_by_epoch(rows, labels, seed, epochs=epochs)]
    return np.mean(found, axis=0)


def forgetting(right: np.ndarray) -> np.ndarray:
    """Minus the number of forgetting events, float64 (n,); one less than the worst for rows that never were right.

    Args:
        right: bool (epochs, n), whether a row was right after an epoch.
    """
    seen = np.asarray(right, bool)
    events = (seen[:-1] & ~seen[1:]).sum(axis=0)
    return -np.where(seen.any(axis=0), events, len(seen)).astype(np.float64)


def forgetting_events(rows: np.ndarray, labels: np.ndarray, seed: int, epochs: int = EPOCHS) -> np.ndarray:
    """``forgetting`` over the epochs of a training; rows that are equal in it are ordered by their mean margin, below one event."""
    by_epoch = [margins(scores, labels) for scores in scores_by_epoch(rows, labels, seed, epochs=epochs)]
    mean = np.mean(by_epoch, axis=0)
    return forgetting(np.stack(by_epoch) > 0) + 0.49 * np.tanh(mean)
