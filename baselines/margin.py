"""The images whose two most probable label vectors are nearly as probable.

Margin sampling (Scheffer, Decomain and Wrobel 2001, Active Hidden Markov Models for Information Extraction), on whole label
vectors.
"""

from __future__ import annotations

from evaluator.strategies.arrays import top
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.uncertainty import margin
from run import ZEWDPCBaseRun


class Margin(LearnerRun, ZEWDPCBaseRun):
    """The smallest margin between best and second best, bought at once."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        learner.buy(unlabelled_dataset, top(margin(learner.probabilities()), budget))
