"""Split repair: validation images that look like the training images, chosen in the space of features, as moves.

Within each class the images of both splits are clustered by k-means, and each cluster gives the same share of its images to
validation. So no kind of writing or picture is in training alone, and none in validation alone. Only as many images move as the
shares ask for. Images with equal pixels move together, which also ends their being in both splits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evaluator.curation.neighbours import unit
from evaluator.errors import ConfigurationError
from evaluator.seeds import generator, short

PER_CLUSTER = 25
"""Images of a cluster, about."""


@dataclass(frozen=True)
class Coverage:
    """How well validation stands for training.

    Attributes:
        distance: mean over training images of the cosine distance to the nearest validation image of their class. ``within``: the
            same to the nearest other training image: what one would get from a validation set without gaps.
        uncovered: share of training images whose nearest validation image is further than ``reach``, the 95th percentile of the
            distances within training.
        empty: clusters of two images or more without a validation image, of ``clusters`` in all.
        twice: images that have equal pixels in the other split.
    """

    distance: float
    within: float
    uncovered: float
    reach: float
    empty: int
    clusters: int
    twice: int


@dataclass(frozen=True, eq=False)
class Rebalanced:
    """The new split.

    Attributes:
        validation: bool (n,). ``moved``: numbers of the images whose split changes.
        before, after: coverage.
    """

    validation: np.ndarray
    moved: np.ndarray
    before: Coverage
    after: Coverage


def rebalance(
    features: np.ndarray, labels: np.ndarray, validation: np.ndarray, groups: np.ndarray, share: float | None, seed: int
) -> Rebalanced:
    """Choose a new split.

    Args:
        features: float (n, d); ``labels``: int (n,); ``validation``: bool (n,), the split as it is.
        groups: int (n,), equal for images with equal pixels.
        share: of each cluster that goes to validation; None for the present share of all images.

    Raises:
        ConfigurationError: a split without images, or a share outside 0.01 to 0.9.
    """
    if validation.all() or not validation.any():
        raise ConfigurationError("one of the splits train and val has no images; expected images in both")
    wanted = float(validation.mean()) if share is None else share
    if not 0.01 <= wanted <= 0.9:
        raise ConfigurationError(f"--share is {wanted:g}; expected 0.01 to 0.9 of the images in validation")
    directions = unit(features)
    clusters = clustered(directions, labels, seed)
    new = validation.copy()
    _join_groups(new, groups)
    for cluster in np.unique(clusters):
        _settle(new, np.flatnonzero(clusters == cluster), groups, wanted, generator(seed, "rebalance", int(cluster)))
    before = coverage(directions, labels, validation, groups, clusters)
    after = coverage(directions, labels, new, groups, clusters)
    return Rebalanced(new, np.flatnonzero(new != validation), before, after)


def clustered(directions: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """The cluster of every image, int64 (n,), numbered over all classes: k-means within each class."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    found = np.zeros(len(labels), np.int64)
    first = 0
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        count = max(1, round(len(rows) / PER_CLUSTER))
        if count > 1:
            with threadpool_limits(1):
                model = KMeans(count, n_init=2, random_state=short(seed, "clusters", int(label)) % 2**32)
                found[rows] = first + model.fit_predict(directions[rows])
        else:
            found[rows] = first
        first += count
    return found


def _join_groups(validation: np.ndarray, groups: np.ndarray) -> None:
    """Bring groups that stand in both splits to training: what validation loses, its cluster gets back from others."""
    mixed = np.isin(groups, np.intersect1d(groups[validation], groups[~validation]))
    validation[mixed] = False


def _settle(validation: np.ndarray, rows: np.ndarray, groups: np.ndarray, share: float, draws: np.random.Generator) -> None:
    """Move images of one cluster, groups whole, until its share is in validation, as nearly as groups allow."""
    inside = set(rows.tolist())
    target, there = share * len(rows), int(validation[rows].sum())
    if len(rows) < 2 or max(1, math.floor(target)) <= there <= max(1, math.ceil(target)):
        return  # no whole number is nearer by much, and what need not move stays
    lacking = max(1, round(target)) - there
    into = lacking > 0
    for row in draws.permutation(rows[validation[rows] != into]).tolist():
        if not lacking:
            return
        members = np.flatnonzero(groups == groups[row])
        # A group that reaches into other clusters stays where it is; so does one that is larger than what is lacking.
        if validation[row] != into and len(members) <= abs(lacking) and inside.issuperset(members.tolist()):
            validation[members] = into
            lacking -= len(members) if into else -len(members)


def coverage(
    directions: np.ndarray, labels: np.ndarray, validation: np.ndarray, groups: np.ndarray, clusters: np.ndarray
) -> Coverage:
    """How well validation stands for training; ``directions`` have length 1."""
    across, within = gaps(directions, labels, validation, groups)
    reach = float(np.quantile(within, 0.95)) if len(within) else 0.0
    both = np.intersect1d(groups[validation], groups[~validation])
    empty = sum(not validation[clusters == c].any() and (clusters == c).sum() > 1 for c in np.unique(clusters))
    return Coverage(
        float(across.mean()),
        float(within.mean()),
        float((across > reach).mean()),
        reach,
        empty,
        len(np.unique(clusters)),
        int(np.isin(groups, both).sum()),
    )


def gaps(directions: np.ndarray, labels: np.ndarray, validation: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For every training image the cosine distance to the nearest validation image of its class, and to the nearest training image
    of its class with other pixels; float64 (training,) each. Where there is none it is 2, the largest."""
    train = np.flatnonzero(~validation)
    across, within = np.full(len(train), 2.0), np.full(len(train), 2.0)
    for label in np.unique(labels[train]):
        own = np.flatnonzero(labels[train] == label)
        rows = train[own]
        others = np.flatnonzero(validation & (labels == label))
        if len(others):
            across[own] = 1 - (directions[rows] @ directions[others].T).max(axis=1)
        same = directions[rows] @ directions[rows].T
        same[groups[rows][:, None] == groups[rows][None]] = -1
        within[own] = 1 - same.max(axis=1)
    return np.maximum(across, 0), np.maximum(within, 0)
