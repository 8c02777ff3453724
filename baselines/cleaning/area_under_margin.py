"""The rows with the smallest margin of their label, averaged over a training.

Pleiss et al. (2020), Identifying Mislabeled Data using the Area Under the Margin Ranking, NeurIPS.
"""

from __future__ import annotations

from evaluator.strategies.valuation.methods import METHODS
from run import CleaningRun


class AreaUnderMargin(CleaningRun):
    """Of a linear model."""

    def rank(self, training_set, validation_set, time_available, seed):
        given = training_set.rows, training_set.labels, validation_set.rows, validation_set.labels
        return METHODS["area_under_margin"](*given, seed, time_available)
