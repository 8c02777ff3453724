"""Images whose labels would move the model far, and in different directions.

BADGE (Ash, Zhang, Krishnamurthy, Langford and Agarwal 2020, Deep Batch Active Learning by Diverse, Uncertain Gradient Lower
Bounds), in its form for labels that may hold together.
"""

from __future__ import annotations

import numpy as np

from evaluator.strategies.gradients import badge
from evaluator.strategies.learner import Learner, LearnerRun
from run import ZEWDPCBaseRun


class Badge(LearnerRun, ZEWDPCBaseRun):
    """k-means++ among the gradients of the last layer."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        features = np.hstack([learner.pool, np.ones((len(learner.pool), 1))])
        learner.buy(unlabelled_dataset, badge(learner.probabilities(), features, budget, learner.rng))
