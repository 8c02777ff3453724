"""The images on which draws of one model disagree although each is sure.

BALD (Houlsby, Huszar, Ghahramani and Lengyel 2011, Bayesian Active Learning for Classification and Preference Learning), with
draws by dropout (Gal and Ghahramani 2016; Gal, Islam and Ghahramani 2017), summed over the classes.
"""

from __future__ import annotations

from evaluator.strategies.arrays import top
from evaluator.strategies.committee import bald
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.linear import dropout
from run import ZEWDPCBaseRun


class BaldDropout(LearnerRun, ZEWDPCBaseRun):
    """The largest mutual information between label and dropped model, bought at once."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        members = dropout(learner.x, learner.y, learner.pool, learner.rng)
        learner.buy(unlabelled_dataset, top(bald(members), budget))
