"""The score as a function of what a task costs, and the area under it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluator.scoring.scores import Scores

AREA = "area under the curve"


def cost_curve(scores: Scores, costs: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Scores by cost: (costs (c,) rising, scores (strategies, c, seeds)), NaN where a task of that cost is missing.

    Tasks of one cost are averaged. For the curve of some tasks alone, give ``scores.on`` these tasks.

    Args:
        scores: of t tasks.
        costs: what each task costs (labels, for instance), t positive numbers.

    Raises:
        ValueError: not a cost for each task, a cost that is not positive and finite, or fewer than two different costs.
    """
    given = np.asarray(costs, dtype=np.float64)
    if given.shape != (len(scores.pairs),):
        raise ValueError(f"there are {given.size} costs for {len(scores.pairs)} tasks; give each task its cost")
    if not (np.isfinite(given) & (given > 0)).all():
        raise ValueError(f"the costs are {given.tolist()}; they must be positive and finite")
    different, place = np.unique(given, return_inverse=True)
    if len(different) < 2:
        raise ValueError(f"every cost is {different[0]:g}; a curve needs two different costs")
    curve = np.stack([scores.values[:, place == c].mean(axis=1) for c in range(len(different))], axis=1)
    return different, curve


def areas(scores: Scores, costs: Sequence[float]) -> Scores:
    """Area under the curve of every strategy and seed, as scores on one task called ``AREA``.

    Trapezoids on the cost normalised to 0 (smallest) to 1 (largest), so that the area is the mean height of the curve, in units of
    the score. Being scores again, areas go to ``compare``, ``means``, ``shares`` and ``win_tie_loss``, paired by seed. A seed that
    lacks a task has no area.

    Raises:
        ValueError: as ``cost_curve``.
    """
    different, curve = cost_curve(scores, costs)
    normalised = (different - different[0]) / (different[-1] - different[0])
    area = np.trapezoid(curve, normalised, axis=1)
    return scores.one(AREA, area)
