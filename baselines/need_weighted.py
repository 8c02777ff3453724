"""The images likely to show the classes that the model does worst on.

``sum_c p_c (1 - F1_c)`` with the F1 of cross-validation: a rule of thumb of the Data Purchasing Challenge 2022, whose score is
the mean of the classes' F1.
"""

from __future__ import annotations

from evaluator.strategies.arrays import top
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.linear import best_f1
from evaluator.strategies.uncertainty import need_weighted
from run import ZEWDPCBaseRun


class NeedWeighted(LearnerRun, ZEWDPCBaseRun):
    """Probable classes, weighted by how badly they go."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        f1 = best_f1(learner.held_out(), learner.y)
        learner.buy(unlabelled_dataset, top(need_weighted(learner.probabilities(), f1), budget))
