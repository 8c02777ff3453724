"""The rows whose given label is least probable to a model that was fitted without them.

Northcutt, Jiang and Chuang (2021), Confident Learning, JAIR 70.
"""

from __future__ import annotations

from evaluator.strategies.valuation.methods import METHODS
from run import CleaningRun


class SelfConfidence(CleaningRun):
    """Logistic regression in five folds."""

    def rank(self, training_set, validation_set, time_available, seed):
        given = training_set.rows, training_set.labels, validation_set.rows, validation_set.labels
        return METHODS["self_confidence"](*given, seed, time_available)
