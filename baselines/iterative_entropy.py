"""Train, buy the most uncertain batch, train again: as many times as the clock allows.

The idea of the winner of the Data Purchasing Challenge 2022: rounds of uncertainty sampling (Lewis and Gale 1994) whose number,
and the epochs of each, are planned from the time that is left and the epochs measured so far. What it buys depends on the clock
only where time is so short that the plan is cut.
"""

from __future__ import annotations

import time

import numpy as np

from evaluator.strategies.arrays import top
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.linear import Descent
from evaluator.strategies.uncertainty import mean_entropy
from run import ZEWDPCBaseRun

ROUNDS, EPOCHS = 8, 40
"""Rounds that are wanted, and epochs in each, where there is time for them."""
RATE = 0.3
"""Of every step, as `Descent` counts it."""
RESERVE = 0.15
"""Share of the time that is left alone: being late costs everything."""


def plan(seconds: float, epoch: float, rounds: int) -> tuple[int, int]:
    """Rounds still to make, and epochs for the next, when ``rounds`` are wanted and an epoch takes ``epoch`` seconds."""
    affordable = max(0.0, seconds) / max(epoch, 1e-6)
    rounds = max(1, min(rounds, int(affordable // EPOCHS)))
    return rounds, max(1, min(EPOCHS, int(affordable / rounds)))


class IterativeEntropy(LearnerRun, ZEWDPCBaseRun):
    """Rounds of mean entropy, planned on the fly."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed, register_progress):
        market, budget = unlabelled_dataset, min(budget, len(unlabelled_dataset))
        reserve = RESERVE * market.remaining_time()
        learner = self.learner = Learner(training_dataset, market, seed, seconds=0.4 * market.remaining_time())
        growth = (len(learner.x) + budget) / len(learner.x)
        free, rounds = np.ones(len(learner.pool), bool), ROUNDS
        while len(market.purchased) < budget:
            model = Descent(learner.x.shape[1], learner.y.shape[1], learner.rng)
            start = time.monotonic()
            model.epoch(learner.x, learner.y, rate=RATE)
            # Epochs grow with the labels: the plan counts with the longest.
            rounds, epochs = plan(market.remaining_time() - reserve, (time.monotonic() - start) * growth, rounds)
            for _ in range(epochs - 1):
                model.epoch(learner.x, learner.y, rate=RATE)
            entropy = mean_entropy(model.model().probabilities(learner.pool))
            entropy[~free] = -1
            chosen = top(entropy, -(-(budget - len(market.purchased)) // rounds))
            learner.buy(market, chosen)
            free[chosen] = False
            rounds = max(1, rounds - 1)
            register_progress(len(market.purchased) / budget)
