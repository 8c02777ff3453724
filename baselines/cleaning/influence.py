"""The rows that raise the validation loss most, by influence functions.

Koh and Liang (2017), Understanding Black-box Predictions via Influence Functions, ICML.
"""

from __future__ import annotations

from evaluator.strategies.valuation.methods import METHODS
from run import CleaningRun


class Influence(CleaningRun):
    """Of a logistic regression, on all validation rows."""

    def rank(self, training_set, validation_set, time_available, seed):
        given = training_set.rows, training_set.labels, validation_set.rows, validation_set.labels
        return METHODS["influence"](*given, seed, time_available)
