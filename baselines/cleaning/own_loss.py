"""The rows with the largest loss under a logistic regression that was fitted with them."""

from __future__ import annotations

from evaluator.strategies.valuation.methods import METHODS
from run import CleaningRun


class OwnLoss(CleaningRun):
    """Largest loss first."""

    def rank(self, training_set, validation_set, time_available, seed):
        given = training_set.rows, training_set.labels, validation_set.rows, validation_set.labels
        return METHODS["own_loss"](*given, seed, time_available)
