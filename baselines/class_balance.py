"""The images that should bring all classes to equal numbers: a negative control.

Matching a target distribution of classes was tried in the Data Purchasing Challenge 2022, and lost.
"""

from __future__ import annotations

from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.uncertainty import expected_balance
from run import ZEWDPCBaseRun


class ClassBalance(LearnerRun, ZEWDPCBaseRun):
    """Expected labels even out the classes."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        chosen = expected_balance(learner.probabilities(), learner.y, budget)
        learner.buy(unlabelled_dataset, chosen)
