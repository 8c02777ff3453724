"""The images on which the model is least sure over all classes.

Uncertainty sampling (Lewis and Gale 1994, A Sequential Algorithm for Training Text Classifiers; Settles 2009) with the binary
entropy of every class, averaged.
"""

from __future__ import annotations

from evaluator.strategies.arrays import top
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.uncertainty import mean_entropy
from run import ZEWDPCBaseRun


class MeanEntropy(LearnerRun, ZEWDPCBaseRun):
    """The largest mean binary entropy, bought at once."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        learner.buy(unlabelled_dataset, top(mean_entropy(learner.probabilities()), budget))
