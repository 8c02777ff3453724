"""The images whose labels promise the largest reduction of loss, if the model is right about how many they are.

Maximum loss reduction with maximal confidence, MMC (Yang, Sun, Wang and Chen 2009, Effective Multi-Label Active Learning for Text
Classification).
"""

from __future__ import annotations

from evaluator.strategies.arrays import top
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.uncertainty import mmc, predicted_counts
from run import ZEWDPCBaseRun


class MaximalConfidence(LearnerRun, ZEWDPCBaseRun):
    """Expected loss at the predicted number of labels, bought at once."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        p = learner.probabilities()
        counts = predicted_counts(learner.held_out(), learner.y, p)
        learner.buy(unlabelled_dataset, top(mmc(p, counts), budget))
