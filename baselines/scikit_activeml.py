"""A pool strategy of scikit-activeml; another one is one line away, and `evaluator/strategies/activeml.py` says which run.

By default Falcun (Gilhuber, Beer, Ma and Seidl 2024, FALCUN: A Simple and Efficient Deep Active Learning Strategy): uncertain
images whose predicted probabilities differ from each other. It needs a model of the labels, asks it once, and takes a second.
scikit-activeml (Kottke et al. 2021) is an extra: pip install -r requirements-activeml.txt
"""

from __future__ import annotations

from evaluator.strategies.activeml import PoolStrategy
from evaluator.strategies.learner import Learner, LearnerRun
from run import ZEWDPCBaseRun

# Made when the file is loaded: the import is not on the clock, and what cannot run is refused before a label is bought.
STRATEGY = PoolStrategy("Falcun")


class ScikitActiveml(LearnerRun, ZEWDPCBaseRun):
    """The whole budget by one strategy of scikit-activeml."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed):
        learner = self.learner = Learner(training_dataset, unlabelled_dataset, seed)
        STRATEGY.purchase(learner, unlabelled_dataset, budget)
