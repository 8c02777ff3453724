"""Choices by k-means on embeddings (n, d): an image per cluster, typical images, uncertain images."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus
from threadpoolctl import threadpool_limits

from evaluator.strategies.arrays import (
    as_budget,
    as_embeddings,
    as_utilities,
    blocks,
    squared_distances,
    squared_norms,
    top,
)

SEEDED = 5
"""Images per cluster among which the first centres are drawn; drawing among all costs more than it gains."""


def cluster(
    x: np.ndarray, k: int, rng: np.random.Generator, weights: np.ndarray | None = None, iterations: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """k-means (Lloyd 1982, seeded by k-means++, Arthur and Vassilvitskii 2007): clusters int (n,) and centroids float32 (k, d).

    ``k`` is at most n. Clusters may be empty where images are equal. One thread, or sums would depend on which thread is first.
    """
    seed = int(rng.integers(2**31))
    few = np.sort(rng.choice(len(x), min(len(x), max(SEEDED * k, 2000)), replace=False))
    some = None if weights is None else weights[few]
    with threadpool_limits(1, user_api="openmp"):
        if some is not None and np.count_nonzero(some) < k:
            # Weights of zero are never drawn, and there must be a draw for every centre.
            some = some + max(float(some.max()), 1.0) * 1e-6
        first, _ = kmeans_plusplus(x[few], k, sample_weight=some, random_state=seed)
        model = KMeans(k, init=first, n_init=1, max_iter=iterations, random_state=seed, algorithm="lloyd")
        with np.errstate(all="ignore"):
            members = _fit(model, x, weights)
    return members, model.cluster_centers_.astype(np.float32)


def k_means(x: Any, budget: int, rng: np.random.Generator) -> np.ndarray:
    """Indices (m,): for each of ``budget`` k-means centroids the nearest image that is not taken yet."""
    x = as_embeddings(x)
    m = as_budget(budget, len(x))
    if m == 0 or m == len(x):
        return np.arange(m)
    return _nearest_free(x, cluster(x, m, rng)[1])


def weighted_k_means(x: Any, utilities: Any, budget: int, rng: np.random.Generator, beta: float | None = 10) -> np.ndarray:
    """Indices (m,): k-means among the most uncertain images, weighted by their uncertainty; then as ``k_means``.

    Zhdanov (2019), Diverse Mini-Batch Active Learning: only the ``beta * budget`` images of largest utility take part. With
    ``beta=None`` all do (CLUE, Prabhu et al. 2021).

    Args:
        utilities: float (n,), 0 or more; all zero counts as all equal.

    Raises:
        ValueError: a negative utility, or ``beta`` below 1.
    """
    x = as_embeddings(x)
    u = as_utilities(utilities, size=len(x))
    if len(u) and u.min() < 0:
        raise ValueError(f"a utility is {u.min():g}; as a weight, 0 or more was expected")
    if beta is not None and not beta >= 1:
        raise ValueError(f"beta is {beta}; 1 or more was expected, or None for the whole pool")
    m = as_budget(budget, len(x))
    if m == 0 or m == len(x):
        return np.arange(m)
    taking = np.arange(len(x)) if beta is None else np.sort(top(u, max(m, int(min(beta * m, len(x))))))
    if m == len(taking):
        return taking
    weights = u[taking] if u[taking].any() else np.ones(len(taking))
    return taking[_nearest_free(x[taking], cluster(x[taking], m, rng, weights)[1])]


def typiclust(
    x: Any, budget: int, rng: np.random.Generator, labelled: Any = None, neighbours: int = 20, most: int = 500, smallest: int = 6
) -> np.ndarray:
    """Indices (m,) of the most typical images of large clusters without labels.

    Hacohen et al. (2022), Active Learning on a Budget: pool and labelled images are clustered together into as many clusters as
    there will be labels, at most ``most``. Every choice is made in the cluster with the fewest labels, the largest of those, and is
    its most typical image left: the image with the smallest mean distance to its ``neighbours`` nearest in the cluster. Clusters
        with
    fewer than ``smallest`` images come last.

    Args:
        labelled: embeddings (m, d) of images whose labels are known already.
    """
    x = as_embeddings(x)
    known = np.zeros((0, x.shape[1]), np.float32)
    if labelled is not None:
        known = as_embeddings(labelled, "embeddings of labelled images", x.shape[1])
    m = as_budget(budget, len(x))
    if m == 0 or m == len(x):
        return np.arange(m)
    everything = np.vstack([x, known])
    k = min(m + len(known), most)
    members, _ = cluster(everything, k, rng)
    return typical(x, members[: len(x)], np.bincount(members[len(x) :], minlength=k), m, neighbours, smallest)


def typical(x: Any, clusters: Any, labels_per_cluster: Any, budget: int, neighbours: int = 20, smallest: int = 6) -> np.ndarray:
    """The second half of ``typiclust``: indices (m,), from clusters int (n,) and the labels (k,) that every cluster has."""
    x = as_embeddings(x)
    clusters = np.asarray(clusters)
    have = np.array(labels_per_cluster, np.int64)
    sizes = np.bincount(clusters, minlength=len(have))
    order = np.argsort(clusters, kind="stable")
    inside = dict(enumerate(np.split(order, np.cumsum(sizes)[:-1])))
    queues: dict[int, np.ndarray] = {}
    taken = np.zeros(len(have), np.int64)
    chosen = np.empty(as_budget(budget, len(x)), np.int64)
    for step in range(len(chosen)):
        empty = taken >= sizes
        # lexsort's last key counts most; clusters of equal standing go by their number.
        c = int(np.lexsort((-sizes, have, sizes < smallest, empty))[0])
        if c not in queues:
            queues[c] = inside[c][np.argsort(-typicality(x[inside[c]], neighbours), kind="stable")]
        chosen[step] = queues[c][taken[c]]
        taken[c] += 1
        have[c] += 1
    return chosen


def typicality(x: np.ndarray, neighbours: int) -> np.ndarray:
    """Inverse of the mean distance to the ``neighbours`` nearest other rows (fewer where there are fewer); float64 (n,)."""
    k = min(neighbours, len(x) - 1)
    if k < 1:
        return np.ones(len(x))
    norms = squared_norms(x)
    found = np.empty(len(x))
    for rows in blocks(len(x), 512):
        distances = squared_distances(x[rows], norms[rows], x, norms)
        distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = np.inf
        found[rows] = np.sqrt(np.partition(distances, k - 1, 1)[:, :k], dtype=np.float64).mean(1)
    return 1 / (found + 1e-7)


def _fit(model: KMeans, x: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Fewer distinct images than clusters: some clusters stay empty, and the choice goes on without them.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, sample_weight=weights).labels_


def _nearest_free(x: np.ndarray, centroids: np.ndarray, reach: int = 32) -> np.ndarray:
    """For every centroid, in their order, the nearest row of ``x`` that no earlier centroid has taken."""
    norms, centroid_norms = squared_norms(x), squared_norms(centroids)
    free = np.ones(len(x), bool)
    chosen = np.empty(len(centroids), np.int64)
    reach = min(reach, len(x))
    for part in blocks(len(centroids), 64):
        distances = squared_distances(centroids[part], centroid_norms[part], x, norms)
        near = np.sort(np.argpartition(distances, reach - 1, 1)[:, :reach], 1)
        for number, candidates in enumerate(near, part.start):
            row = distances[number - part.start]
            left = candidates[free[candidates]]
            if len(left) == 0:
                left = np.flatnonzero(free)
            chosen[number] = left[np.argmin(row[left])]
            free[chosen[number]] = False
    return chosen
