"""The rows whose given label is least probable to a model that was fitted without them (Northcutt et al. 2021)."""

from __future__ import annotations

from evaluator.strategies.valuation.confidence import out_of_sample, self_confidence
from evaluator.strategies.valuation.ranks import worst_first
from run import CleaningRun


class SelfConfidence(CleaningRun):
    """Logistic regression in five folds."""

    def rank(self, training_set, seed):
        given = out_of_sample(training_set.rows, training_set.labels, seed)
        return worst_first(self_confidence(given, training_set.labels))
