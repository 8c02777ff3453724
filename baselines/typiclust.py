"""The most typical image of every large cluster without a label.

TypiClust (Hacohen, Dekel and Weinshall 2022, Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets).
"""

from __future__ import annotations

from evaluator.strategies.clusters import typiclust
from evaluator.strategies.learner import Learner, LearnerRun
from run import ZEWDPCBaseRun


class TypiClust(LearnerRun, ZEWDPCBaseRun):
    """Typical images of clusters that the labels do not reach."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        learner.buy(unlabelled_dataset, typiclust(learner.pool, budget, learner.rng, learner.x))
