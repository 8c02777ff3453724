"""The score as a function of the label budget, and the area under it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluator.scoring.scores import Scores

AREA = "area under the budget curve"


def budget_curve(scores: Scores, budgets: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Scores by budget: (budgets (b,) rising, scores (strategies, b, seeds)), NaN where a pair of that budget is missing.

    Pairs of one budget and different times are averaged. For the curve at one fixed time, give ``scores.on`` the pairs of that
    time.

    Args:
        scores: of p pairs.
        budgets: the label budget of each pair, p positive numbers.

    Raises:
        ValueError: not a budget for each pair, a budget that is not positive and finite, or fewer than two different budgets.
    """
    given = np.asarray(budgets, dtype=np.float64)
    if given.shape != (len(scores.pairs),):
        raise ValueError(f"there are {given.size} budgets for {len(scores.pairs)} pairs; give each pair its budget")
    if not (np.isfinite(given) & (given > 0)).all():
        raise ValueError(f"the budgets are {given.tolist()}; they must be positive and finite")
    different, place = np.unique(given, return_inverse=True)
    if len(different) < 2:
        raise ValueError(f"every budget is {different[0]:g}; a curve needs at least 2 different budgets")
    curve = np.stack([scores.values[:, place == b].mean(axis=1) for b in range(len(different))], axis=1)
    return different, curve


def areas(scores: Scores, budgets: Sequence[float]) -> Scores:
    """Area under the budget curve of every strategy and seed, as scores on one pair called ``AREA``.

    Trapezoids on the budget normalised to 0 (smallest) to 1 (largest), so that the area is the mean height of the curve, in units
    of the score. Being scores again, areas go to ``compare``, ``means``, ``shares`` and ``win_tie_loss``, paired by seed. A seed
    that lacks a pair has no area.

    Raises:
        ValueError: as ``budget_curve``.
    """
    different, curve = budget_curve(scores, budgets)
    normalised = (different - different[0]) / (different[-1] - different[0])
    area = np.trapezoid(curve, normalised, axis=1)
    return Scores(scores.strategies, (AREA,), scores.seeds, area[:, None])
