"""The images with the largest ``sum_c 0.5 - |p_c - 0.5|``: the most labels that a decision at 0.5 is expected to get wrong.

Uncertainty sampling (Lewis and Gale 1994), a rule that several submissions of the Data Purchasing Challenge 2022 used.
"""

from __future__ import annotations

from evaluator.strategies.arrays import top
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.uncertainty import ambiguity
from run import ZEWDPCBaseRun


class Ambiguity(LearnerRun, ZEWDPCBaseRun):
    """The largest sum of distances from certainty, bought at once."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        learner.buy(unlabelled_dataset, top(ambiguity(learner.probabilities()), budget))
