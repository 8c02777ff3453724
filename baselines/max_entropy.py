"""The images of which one class at least is in full doubt.

Uncertainty sampling (Lewis and Gale 1994) with the largest binary entropy among the classes.
"""

from __future__ import annotations

from evaluator.strategies.arrays import top
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.uncertainty import max_entropy
from run import ZEWDPCBaseRun


class MaxEntropy(LearnerRun, ZEWDPCBaseRun):
    """The largest binary entropy of a single class, bought at once."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        learner.buy(unlabelled_dataset, top(max_entropy(learner.probabilities()), budget))
