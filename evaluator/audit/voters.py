"""How far voters agree: coefficients from counts of answers, with intervals over images.

``counts`` is int (images, answers): how many voters gave an image each answer. Images may have different numbers of votes; an image
with fewer than two says nothing about agreement.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from evaluator.seeds import generator

DRAWS = 2_000
"""Resamples of the images for an interval."""
FEWEST_IMAGES = 2


@dataclass(frozen=True)
class Coefficient:
    """A coefficient of agreement. ``low``, ``high``: its 95 % percentile interval over images; None where it does not exist."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class VoterAgreement:
    """How far voters agree.

    Attributes:
        images: with two votes or more; ``votes``: on these.
        pairwise: chance that two voters of the same image give the same answer, mean over images.
        alpha: Krippendorff's, for nominal answers: 1 is perfect agreement, 0 what chance would give.
        kappa: Fleiss'; without a value where images have different numbers of votes.
    """

    images: int
    votes: int
    pairwise: Coefficient
    alpha: Coefficient
    kappa: Coefficient


def agreement(counts: np.ndarray, seed: int = 0, draws: int = DRAWS) -> VoterAgreement:
    """Agreement over all images with two votes or more. ``seed``: root of the resamples."""
    table = np.asarray(counts, np.int64)
    table = table[table.sum(axis=1) >= 2]
    rows = len(table)
    sums = _sums(table)
    same = len(set(table.sum(axis=1).tolist())) == 1
    measured = _coefficients(sums, np.ones((1, rows)))
    parts = [_coefficients(sums, weights) for weights in _resamples(rows, seed, draws)]
    resampled = [np.concatenate(part) for part in zip(*parts, strict=True)] or [np.empty(0)] * 3
    found = [_with_interval(*pair) for pair in zip(measured, resampled, strict=True)]
    missing = Coefficient(None, None, None)
    return VoterAgreement(rows, int(table.sum()), found[0], found[1], found[2] if same else missing)


def _resamples(rows: int, seed: int, draws: int) -> Iterator[np.ndarray]:
    """How often each image is drawn, float64 (some draws, rows), block by block; nothing for fewer than two images."""
    if rows < FEWEST_IMAGES:
        return
    rng = generator(seed, "audit", "voters")
    most = max(1, 2**21 // rows)
    for start in range(0, draws, most):
        yield rng.multinomial(rows, np.full(rows, 1 / rows), size=min(most, draws - start)).astype(np.float64)


@dataclass(frozen=True)
class _Sums:
    """Of every image: its pairwise agreement (n,), votes (n,), and counts weighted in the ways of alpha (n, answers)."""

    agree: np.ndarray
    votes: np.ndarray
    counts: np.ndarray


def _sums(table: np.ndarray) -> _Sums:
    votes = table.sum(axis=1).astype(np.float64)
    pairs = (table * (table - 1)).sum(axis=1)
    return _Sums(pairs / np.maximum(votes * (votes - 1), 1), votes, table.astype(np.float64))


def _coefficients(sums: _Sums, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairwise agreement, alpha and kappa for every row of weights (draws, n): three arrays (draws,), NaN where undefined.

    Krippendorff (2004), Content Analysis, chapter 11: ``alpha = 1 - observed / expected`` disagreement, where an image counts by
    its votes and chance draws two votes without replacement. Fleiss (1971) counts images alike and draws with replacement.
    """
    images = weights.sum(axis=1)
    answers = weights @ sums.counts
    votes = weights @ sums.votes
    with np.errstate(invalid="ignore", divide="ignore"):
        pairwise = weights @ sums.agree / images
        observed = 1 - weights @ (sums.agree * sums.votes) / votes
        expected = 1 - (answers * (answers - 1)).sum(axis=1) / (votes * (votes - 1))
        alpha = np.where(expected > 1e-12, 1 - observed / expected, np.nan)
        chance = ((answers / votes[:, None]) ** 2).sum(axis=1)
        kappa = np.where(chance < 1 - 1e-12, (pairwise - chance) / (1 - chance), np.nan)
    return pairwise, alpha, kappa


def _with_interval(value: np.ndarray, resampled: np.ndarray) -> Coefficient:
    if not np.isfinite(value[0]):
        return Coefficient(None, None, None)
    kept = resampled[np.isfinite(resampled)]
    if not len(kept):
        return Coefficient(float(value[0]), None, None)
    low, high = np.quantile(kept, [0.025, 0.975])
    return Coefficient(float(value[0]), float(low), float(high))
