"""The images on which snapshots of one training vote against each other.

Query by committee (Seung, Opper and Sompolinsky 1992) with vote entropy (Dagan and Engelson 1995); the committee are snapshots at
the ends of learning-rate cycles (Huang et al. 2017, Snapshot Ensembles). Equal votes go by the entropy of the mean.
"""

from __future__ import annotations

from evaluator.strategies.arrays import top
from evaluator.strategies.committee import consensus_entropy, vote_entropy
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.linear import snapshots
from run import ZEWDPCBaseRun


class Committee(LearnerRun, ZEWDPCBaseRun):
    """The largest entropy of votes, bought at once."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        members = snapshots(learner.x, learner.y, learner.pool, learner.rng)
        learner.buy(unlabelled_dataset, top(vote_entropy(members) + 1e-3 * consensus_entropy(members), budget))
