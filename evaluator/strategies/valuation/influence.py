"""Influence of each training row on the loss of the validation rows: what would change if it counted a little less.

Koh and Liang (2017), Understanding Black-box Predictions via Influence Functions, ICML, equation 2, for a penalised logistic
regression, whose Hessian is exact and small. All validation rows count (the original baseline of DataPerf used one).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression

from evaluator.strategies.valuation.components import principal_axes
from evaluator.strategies.valuation.ranks import as_rows

STRENGTH = 0.1
MOST = 4_000
"""Parameters of the model: its Hessian takes the square of them."""


def influence(
    rows: np.ndarray,
    labels: np.ndarray,
    validation_rows: np.ndarray,
    validation_labels: np.ndarray,
    strength: float = STRENGTH,
    width: int | None = None,
) -> np.ndarray:
    """How much less the mean validation loss would be per unit of weight that a row has, float64 (n,): harmful rows are negative.

    ``value_i = g_val . H^-1 g_i``, where ``g_i`` is the gradient of row i's loss, ``g_val`` that of the mean validation loss, and
    ``H`` the Hessian of the penalised training objective (sum of losses + penalty), all at the fitted weights.

    Args:
        rows, labels: float (n, d), int (n,) or (n, classes).
        strength: inverse of the penalty, as scikit-learn's C.
        width: principal components that are kept; None: as many as leave at most ``MOST`` parameters.
    """
    x, y = as_rows(rows, labels)
    v, w = as_rows(validation_rows, validation_labels, "validation")
    if y.ndim == 2:
        return sum(
            (influence(x, y[:, c], v, w[:, c], strength, width) for c in range(y.shape[1]) if 0 < y[:, c].sum() < len(y)),
            np.zeros(len(x)),
        )
    known = np.unique(y)
    if len(known) < 2:
        return np.zeros(len(x))
    kept = np.isin(w, known)
    x, v = _projected(x, v, width or max(2, MOST // len(known) - 1))
    place = np.searchsorted(known, y)
    goals, asked = np.eye(len(known))[place], np.eye(len(known))[np.searchsorted(known, w[kept])]
    v = v[kept]
    if not len(v):
        return np.zeros(len(x))
    weights = fitted(x, place, strength, len(known))
    if len(known) == 2:
        return _binary(x, goals[:, 1], v, asked[:, 1], weights, strength)
    return _many(x, goals, v, asked, weights, strength)


def fitted(x: np.ndarray, y: np.ndarray, strength: float, classes: int) -> np.ndarray:
    """Weights (d, outputs) of a logistic regression whose last column of ``x`` is the constant; 1 output for two classes.

    The constant is penalised like every other column, so that the Hessian is that of the objective.
    """
    model = LogisticRegression(C=strength, fit_intercept=False, tol=1e-10, max_iter=2_000).fit(x, y)
    return model.coef_.T if classes > 2 else model.coef_.reshape(-1, 1)


def _binary(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, weights: np.ndarray, strength: float) -> np.ndarray:
    p, q = expit(x @ weights[:, 0]), expit(v @ weights[:, 0])
    hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(x.shape[1]) / strength
    towards = cho_solve(cho_factor(hessian), v.T @ (q - w) / len(v))
    return (x @ towards) * (p - y)


def _many(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, weights: np.ndarray, strength: float) -> np.ndarray:
    p, q = softmax(x @ weights, axis=1), softmax(v @ weights, axis=1)
    width, classes = weights.shape
    hessian = np.empty((classes, width, classes, width))
    for a in range(classes):
        for b in range(a, classes):
            part = (x * (p[:, a] * ((a == b) - p[:, b]))[:, None]).T @ x
            hessian[a, :, b] = hessian[b, :, a] = part
    flat = hessian.reshape(classes * width, classes * width) + np.eye(classes * width) / strength
    towards = cho_solve(cho_factor(flat), (v.T @ (q - w) / len(v)).T.reshape(-1)).reshape(classes, width)
    return np.einsum("ij,cj,ic->i", x, towards, p - y, optimize=True)


def _projected(x: np.ndarray, v: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised columns, or their first principal components where there are more than ``width``, and a constant column."""
    centre, spread = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    spread[spread < 1e-12] = 1
    own, asked = (x - centre) / spread, (v - centre) / spread
    if own.shape[1] > width:
        axes = principal_axes(own, width)
        own, asked = own @ axes.T, asked @ axes.T
    return np.column_stack([own, np.ones(len(own))]), np.column_stack([asked, np.ones(len(asked))])
