"""The images whose most probable label vector is least probable.

Least confidence (Lewis and Gale 1994; Culotta and McCallum 2005), on whole label vectors with classes taken for independent.
"""

from __future__ import annotations

from evaluator.strategies.arrays import top
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.uncertainty import least_confidence
from run import ZEWDPCBaseRun


class LeastConfidence(LearnerRun, ZEWDPCBaseRun):
    """The least probable best guess, bought at once."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        learner.buy(unlabelled_dataset, top(least_confidence(learner.probabilities()), budget))
