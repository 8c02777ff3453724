"""The rankings by name: every method of this package, called alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from evaluator.strategies.valuation import confidence, influence, neighbours, shapley, trajectories
from evaluator.strategies.valuation.ranks import worst_first

Method = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int, float], np.ndarray]
"""Called with training rows, given labels, validation rows, true labels of these, a seed, and seconds that it may take; gives a
permutation of the training rows, worst first."""


def _random(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    return np.random.default_rng(seed).permutation(len(x))


def _self_confidence(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    return worst_first(confidence.self_confidence(confidence.out_of_sample(x, y, seed), y))


def _own_loss(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    return worst_first(confidence.own_loss(x, y))


def _cleanlab(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    return confidence.cleanlab_order(confidence.out_of_sample(x, y, seed), y)


def _nearest(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    return worst_first(neighbours.knn_shapley(x, y, v, w))


def _ten_nearest(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    return worst_first(neighbours.knn_shapley(x, y, v, w, min(10, len(x))))


def _sampled(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    return worst_first(shapley.tmc_shapley(x, y, v, w, seed, seconds=seconds / 2))


def _influence(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    return worst_first(influence.influence(x, y, v, w))


def _margin(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    return worst_first(trajectories.area_under_margin(x, y, seed))


def _forgetting(x: np.ndarray, y: np.ndarray, v: np.ndarray, w: np.ndarray, seed: int, seconds: float) -> np.ndarray:
    return worst_first(trajectories.forgetting_events(x, y, seed))


METHODS: Mapping[str, Method] = {
    "random": _random,
    "own_loss": _own_loss,
    "self_confidence": _self_confidence,
    "cleanlab": _cleanlab,
    "knn_shapley_1": _nearest,
    "knn_shapley_10": _ten_nearest,
    "tmc_shapley": _sampled,
    "influence": _influence,
    "area_under_margin": _margin,
    "forgetting_events": _forgetting,
}
"""In the order of tables. ``cleanlab`` needs that package; ``tmc_shapley`` uses at most half of the seconds."""
