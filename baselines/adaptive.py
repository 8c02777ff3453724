"""Rounds of uncertainty weighted by need, as many as budget and clock allow, that keep an eye on the quality of what they buy.

Ours. It puts together what measured well for itself:

- The entropy of every class (Lewis and Gale 1994), weighted by how few examples of the class are known, because the score is the
  mean over the classes.
- Rounds, as the winner of 2022 had them. Their number is decided by the budget (a round of a handful of labels teaches nothing)
  and by the time that a round takes here.
- Confident learning (Northcutt, Jiang and Chuang 2021): after every round the model, cross-validated, is held against what was
  bought. Where that contradicts it more often than chance and more often than the training labels do, which are right, suspected
  labels are no longer learnt from.

What it buys depends on the clock only where time is short.
"""

from __future__ import annotations

import time

import numpy as np

from evaluator.strategies.arrays import top
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.quality import excess, suspects
from evaluator.strategies.uncertainty import binary_entropy
from run import ZEWDPCBaseRun

ROUNDS, SMALLEST = 8, 8
"""The most rounds, and the fewest labels of one."""
RESERVE = 0.15
"""Share of the time that is left alone: being late costs everything."""


def rounds_left(labels: int, seconds: float, one: float, made: int) -> int:
    """Rounds still to make, at least 1: by the labels and seconds left, at ``one`` second a round, when ``made`` are done."""
    return max(1, min(ROUNDS - made, labels // SMALLEST, int(max(0.0, seconds) / max(one, 1e-6))))


def trustworthy(p: np.ndarray, labels: np.ndarray, known: int) -> np.ndarray | None:
    """Which labels to learn from, bool (m, classes), the first ``known`` being right; None where all seem to be.

    Args:
        p: cross-validated probabilities (m, classes).
    """
    if not 2 <= known <= len(labels) - 2:
        return None
    usual, usual_error = excess(p[:known], labels[:known])
    bought, error = excess(p[known:], labels[known:])
    if bought - max(usual, 0.0) <= 2 * np.hypot(error, usual_error):
        return None
    wrong = suspects(p, labels)
    wrong[:known] = False
    return ~wrong


class Adaptive(LearnerRun, ZEWDPCBaseRun):
    """Needed and uncertain, in rounds."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed, register_progress):
        market, budget = unlabelled_dataset, min(budget, len(unlabelled_dataset))
        reserve = RESERVE * market.remaining_time()
        learner = self.learner = Learner(training_dataset, market, seed, seconds=0.4 * market.remaining_time())
        known, one, made = len(learner.x), 0.0, 0
        free = np.ones(len(learner.pool), bool)
        while len(market.purchased) < budget:
            start, left = time.monotonic(), budget - len(market.purchased)
            rounds = rounds_left(left, market.remaining_time() - reserve, one, made)
            if made and rounds > 1:
                learner.trust(trustworthy(learner.held_out(), learner.y, known))
            worth = binary_entropy(learner.probabilities()) @ (1 / (1 + learner.y.sum(0)))
            worth[~free] = -1
            chosen = top(worth, -(-left // rounds))
            learner.buy(market, chosen)
            free[chosen] = False
            # The first round has nothing to check yet; the next ones also grow with the labels.
            one, made = 2 * max(one / 2, time.monotonic() - start) if made else 10 * (time.monotonic() - start), made + 1
            register_progress(len(market.purchased) / budget)
