"""The least valuable rows to a nearest-neighbour classifier, by exact Shapley values.

Jia et al. (2019), Efficient Task-Specific Data Valuation for Nearest Neighbor Algorithms, VLDB 12(11).
"""

from __future__ import annotations

from evaluator.strategies.valuation.methods import METHODS
from run import CleaningRun


class NearestShapley(CleaningRun):
    """One neighbour."""

    def rank(self, training_set, validation_set, time_available, seed):
        given = training_set.rows, training_set.labels, validation_set.rows, validation_set.labels
        return METHODS["knn_shapley_1"](*given, seed, time_available)
