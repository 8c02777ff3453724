"""One image from the middle of every cluster.

k-means with as many clusters as labels, and the image nearest to every centroid (Xu et al. 2003, Representative Sampling for Text
Classification Using Support Vector Machines; here for the whole pool).
"""

from __future__ import annotations

from evaluator.strategies.clusters import k_means
from evaluator.strategies.learner import Learner, LearnerRun
from run import ZEWDPCBaseRun


class KMeans(LearnerRun, ZEWDPCBaseRun):
    """The images nearest to the centroids of as many clusters."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        learner.buy(unlabelled_dataset, k_means(learner.pool, budget, learner.rng))
