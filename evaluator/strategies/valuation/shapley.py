"""Shapley values by sampled permutations, for any learner that can be told one more row at a time.

Ghorbani and Zou (2019), Data Shapley: Equitable Valuation of Data for Machine Learning, ICML, algorithm 1 (truncated Monte Carlo):
rows join in a random order, each is credited with what the validation accuracy gains by it, and an order is cut off once the
accuracy is about that of all rows. The learner is a ridge classifier, which one more row changes in O(d^2): no fit is repeated.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

import numpy as np

from evaluator.strategies.valuation.components import principal_axes
from evaluator.strategies.valuation.ranks import as_rows

WIDTH = 32
"""Columns of the rows that the ridge classifier sees: their first principal components."""
RIDGE = 1.0
TOLERANCE = 0.01


class Ridge:
    """A ridge classifier that learns one row at a time. Sherman and Morrison (1950): the inverse is updated, never computed.

    Args:
        width: columns of a row, without the constant that is added here; ``outputs``: columns of the goals.
        penalty: added to the diagonal.
    """

    def __init__(self, width: int, outputs: int, penalty: float = RIDGE) -> None:
        self._inverse = np.eye(width + 1) / penalty
        self._moments = np.zeros((width + 1, outputs))

    def learn(self, row: np.ndarray, goal: np.ndarray) -> None:
        """Take in one row, float (width + 1,) with the constant, and its goal (outputs,)."""
        pulled = self._inverse @ row
        self._inverse -= np.outer(pulled, pulled) / (1 + row @ pulled)
        self._moments += np.outer(row, goal)

    def scores(self, rows: np.ndarray) -> np.ndarray:
        """Of rows with the constant, (m, width + 1): float64 (m, outputs)."""
        return rows @ (self._inverse @ self._moments)


def permutation_shapley(
    n: int,
    start: Callable[[], Callable[[int], float]],
    rng: np.random.Generator,
    permutations: int,
    *,
    nothing: float,
    everything: float,
    tolerance: float = TOLERANCE,
    seconds: float = np.inf,
) -> np.ndarray:
    """Mean gains of ``n`` rows over random orders, float64 (n,).

    Args:
        start: begins an order: returns a function that takes one more row, and gives the utility of those taken so far.
        rng: draws the orders. The same generator and as many orders give the same values.
        permutations: how many orders, fewer where ``seconds`` are over (one at least).
        nothing, everything: utility of no rows, and of all of them.
        tolerance: an order is cut off when its utility is so near to ``everything``; the rows after it are credited with nothing.
    """
    gains, began = np.zeros(n), monotonic()
    done = 0
    while done < permutations and (done == 0 or monotonic() - began < seconds):
        add, last = start(), nothing
        for row in rng.permutation(n):
            now = add(int(row))
            gains[row] += now - last
            last = now
            if abs(everything - now) <= tolerance:
                break
        done += 1
    return gains / max(1, done)


def tmc_shapley(
    rows: np.ndarray,
    labels: np.ndarray,
    validation_rows: np.ndarray,
    validation_labels: np.ndarray,
    seed: int,
    *,
    permutations: int = 200,
    seconds: float = np.inf,
    tolerance: float = TOLERANCE,
    width: int = WIDTH,
) -> np.ndarray:
    """Shapley values of the rows for a ridge classifier's accuracy on the validation rows, float64 (n,).

    Args: as of ``neighbours.knn_shapley`` and ``permutation_shapley``.
    """
    x, y = as_rows(rows, labels)
    v, w = as_rows(validation_rows, validation_labels, "validation")
    goals = _goals(y, 1 + max(int(y.max()), int(w.max())))
    x, v = _reduced(x, v, width)
    majority = _accuracy(np.tile(goals.mean(axis=0), (len(v), 1)), w)

    def start() -> Callable[[int], float]:
        model = Ridge(x.shape[1] - 1, goals.shape[1])

        def add(row: int) -> float:
            model.learn(x[row], goals[row])
            return _accuracy(model.scores(v), w)

        return add

    whole = start()
    everything = [whole(row) for row in range(len(x))][-1]
    rng = np.random.default_rng(seed)
    return permutation_shapley(
        len(x), start, rng, permutations, nothing=majority, everything=everything, tolerance=tolerance, seconds=seconds
    )


def _goals(y: np.ndarray, classes: int) -> np.ndarray:
    """What the ridge classifier is fitted to: -1 and 1 for every class."""
    return 2.0 * (np.eye(classes)[y] if y.ndim == 1 else y) - 1


def _accuracy(scores: np.ndarray, w: np.ndarray) -> float:
    return float(np.mean(scores.argmax(axis=1) == w) if w.ndim == 1 else np.mean((scores > 0) == w))


def _reduced(x: np.ndarray, v: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The first principal components of the training rows, scaled to a mean square of 1 in all, with a constant column."""
    centre = x.mean(axis=0)
    own = (x - centre).astype(np.float64)
    axes = principal_axes(own, width)
    made = own @ axes.T
    scale = np.sqrt(np.square(made).mean()) or 1.0
    return tuple(np.column_stack([part / scale, np.ones(len(part))]) for part in (made, (v - centre) @ axes.T))  # type: ignore[return-value]
