"""The label issues that cleanlab finds, in its order, then all other rows by their label quality.

Needs cleanlab: pip install -r requirements-cleaning.txt.
"""

from __future__ import annotations

from evaluator.strategies.valuation.methods import METHODS
from run import CleaningRun


class Cleanlab(CleaningRun):
    """On out-of-sample probabilities of a logistic regression."""

    def rank(self, training_set, validation_set, time_available, seed):
        given = training_set.rows, training_set.labels, validation_set.rows, validation_set.labels
        return METHODS["cleanlab"](*given, seed, time_available)
