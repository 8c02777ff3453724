"""The images round which most others lie that no label covers yet.

ProbCover (Yehuda, Dekel, Hacohen and Weinshall 2022, Active Learning Through a Covering Lens). The radius is the largest at which
95 % of the balls hold one cluster only, of as many as there are classes.
"""

from __future__ import annotations

from evaluator.strategies.clusters import cluster
from evaluator.strategies.coverage import prob_cover, purity_radius
from evaluator.strategies.learner import Learner, LearnerRun
from run import ZEWDPCBaseRun


class ProbCover(LearnerRun, ZEWDPCBaseRun):
    """Greedy cover of the pool by balls."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        clusters, _ = cluster(learner.pool, min(len(learner.pool), max(2, learner.y.shape[1])), learner.rng)
        radius = purity_radius(learner.pool, clusters, 0.95, rng=learner.rng)
        learner.buy(unlabelled_dataset, prob_cover(learner.pool, budget, radius, learner.x))
