"""The rows that a training forgets most often, those first that it never learns.

Toneva, Sordoni et al. (2019), An Empirical Study of Example Forgetting, ICLR.
"""

from __future__ import annotations

from evaluator.strategies.valuation.methods import METHODS
from run import CleaningRun


class ForgettingEvents(CleaningRun):
    """Of a linear model."""

    def rank(self, training_set, validation_set, time_available, seed):
        given = training_set.rows, training_set.labels, validation_set.rows, validation_set.labels
        return METHODS["forgetting_events"](*given, seed, time_available)
