"""Rounds of uncertainty, as many as budget and clock allow, that keep an eye on the quality of what they buy.

Ours. It puts together what measured well for itself:

- The entropy of every class (Lewis and Gale 1994), in rounds, as the winner of 2022 had them. Their number is decided by the
  budget (a round of a handful of labels teaches nothing) and by the time that a round takes here.
- Confident learning (Northcutt, Jiang and Chuang 2021): after every round the model, cross-validated, is held against what was
  bought. Where that contradicts it more often than chance and more often than the training labels do, which are right, suspected
  labels are no longer learnt from.
- An end: where a model knows the training labels less well with what was bought than without, labels hurt; no more are bought.

What it buys depends on the clock only where time is short.
"""

from __future__ import annotations

import time

import numpy as np

from evaluator.strategies.arrays import top
from evaluator.strategies.learner import Learner, LearnerRun
from evaluator.strategies.linear import fit
from evaluator.strategies.quality import excess, suspects
from evaluator.strategies.uncertainty import mean_entropy
from run import ZEWDPCBaseRun

ROUNDS, SMALLEST = 8, 8
"""The most rounds, and the fewest labels of one."""
RESERVE = 0.15
"""Share of the time that is left alone: being late costs everything."""
DOUBTFUL, HARMFUL = 3.0, 1.5
"""Standard errors from which bought labels are doubted, and from which they hurt."""


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
    if bought - max(usual, 0.0) <= DOUBTFUL * np.hypot(error, usual_error):
        return None
    wrong = suspects(p, labels)
    wrong[:known] = False
    return ~wrong


def harmful(x: np.ndarray, y: np.ndarray, known: int, rng: np.random.Generator, folds: int = 5) -> bool:
    """Whether the labels from ``known`` on make a model worse on those before, which are right, by cross-validation on these.

    Args:
        x, y: embeddings (m, d) and labels (m, classes).
    """
    if not folds <= known < len(x):
        return False
    bought, part = np.arange(known, len(x)), rng.permutation(known) % folds
    loss = np.empty((2, known))
    for k in range(folds):
        held, rest = part == k, np.flatnonzero(part != k)
        for row, rows in enumerate((rest, np.concatenate([rest, bought]))):
            p, right = fit(x[rows], y[rows]).probabilities(x[:known][held]), y[:known][held]
            loss[row, held] = -np.log(np.where(right == 1, p, 1 - p).clip(1e-12)).mean(1)
    worse = loss[1] - loss[0]
    return bool(worse.mean() > HARMFUL * worse.std(ddof=1) / np.sqrt(known))


class Adaptive(LearnerRun, ZEWDPCBaseRun):
    """Uncertain, in rounds, while labels help."""

    def purchase_phase(self, training_dataset, unlabelled_dataset, budget, seed, register_progress):
        market, budget = unlabelled_dataset, min(budget, len(unlabelled_dataset))
        reserve = RESERVE * market.remaining_time()
        learner = self.learner = Learner(training_dataset, market, seed, seconds=0.4 * market.remaining_time())
        known, one, made = len(learner.x), 0.0, 0
        free = np.ones(len(learner.pool), bool)
        while len(market.purchased) < budget:
            start, left = time.monotonic(), budget - len(market.purchased)
            rounds = rounds_left(left, market.remaining_time() - reserve, one, made)
            if made and harmful(learner.x, learner.y, known, learner.rng):
                break
            if made and rounds > 1:
                learner.trust(trustworthy(learner.held_out(), learner.y, known))
            worth = mean_entropy(learner.probabilities())
            worth[~free] = -1
            chosen = top(worth, -(-left // rounds))
            learner.buy(market, chosen)
            free[chosen] = False
            # The first round has nothing to check yet; the next ones also grow with the labels.
            one, made = 2 * max(one / 2, time.monotonic() - start) if made else 10 * (time.monotonic() - start), made + 1
            register_progress(len(market.purchased) / budget)
