"""The images whose predicted number of labels is far from the usual.

Label cardinality inconsistency (Li and Guo 2013, Active Learning with Multi-Label SVM Classification). Many images are equal by it;
those go by position, which is an order drawn at random.
"""

from __future__ import annotations

from evaluator.strategies.arrays import top
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.uncertainty import cardinality_inconsistency
from run import ZEWDPCBaseRun


class Cardinality(LearnerRun, ZEWDPCBaseRun):
    """The number of predicted labels farthest from the mean number among labelled images."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        usual = float(learner.y.sum(1).mean())
        learner.buy(unlabelled_dataset, top(cardinality_inconsistency(learner.probabilities(), usual), budget))
