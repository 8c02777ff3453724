"""Uncertain images that differ: k-means among them, weighted by uncertainty.

Zhdanov (2019), Diverse Mini-Batch Active Learning: the ten times as many images of largest entropy take part, and the image
nearest to every centroid is bought.
"""

from __future__ import annotations

from evaluator.strategies.clusters import weighted_k_means
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.uncertainty import mean_entropy
from run import ZEWDPCBaseRun


class WeightedKMeans(LearnerRun, ZEWDPCBaseRun):
    """The images nearest to the centroids of the uncertain."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        entropy = mean_entropy(learner.probabilities())
        learner.buy(unlabelled_dataset, weighted_k_means(learner.pool, entropy, budget, learner.rng))
