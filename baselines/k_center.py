"""The images farthest from everything that is labelled.

Core-set selection by greedy k-center (Sener and Savarese 2018, Active Learning for Convolutional Neural Networks: A Core-Set
Approach).
"""

from __future__ import annotations

from evaluator.strategies.coverage import k_center
from evaluator.strategies.learner import Learner, LearnerRun
from run import ZEWDPCBaseRun


class KCenter(LearnerRun, ZEWDPCBaseRun):
    """Farthest first, from the training images on."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        learner.buy(unlabelled_dataset, k_center(learner.pool, budget, learner.x))
