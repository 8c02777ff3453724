"""Images that cover the pool: choices from embeddings (n, d) and Euclidean distance alone."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from evaluator.strategies.arrays import as_budget, as_embeddings, blocks, centred, squared_distances, squared_norms


def k_center(x: Any, budget: int, labelled: Any = None) -> np.ndarray:
    """Indices (m,) of the farthest-first traversal: always the image farthest from all that is chosen or labelled.

    Sener and Savarese (2018), Active Learning for Convolutional Neural Networks: A Core-Set Approach (the greedy 2-approximation).
    Without labelled images it starts at the image nearest to the mean. Distances to a new centre are needed only where an image
    could
    be the farthest: they are kept exact for a front of the farthest images, and brought up to date for all, many centres at once,
    when the front no longer holds the farthest for certain. O(n) memory beside the embeddings.

    Args:
        labelled: embeddings (m, d) of images whose labels are known already; they count as centres.
    """
    x = as_embeddings(x)
    known = _known(labelled, x)
    chosen = np.empty(as_budget(budget, len(x)), np.int64)
    if len(chosen) == 0:
        return chosen
    x, known = centred(x, known)
    norms = squared_norms(x)
    # Rows are centred, so without centres the shortest row is nearest to the mean.
    nearest = nearest_squared(x, known) if len(known) else norms.max() - norms
    size = max(1024, len(x) // 16)
    front, bound, synced = np.empty(0, np.int64), np.inf, 0
    for step in range(len(chosen)):
        pick = int(front[nearest[front].argmax()]) if len(front) else 0
        # Outside the front distances may be too large, never too small.
        if len(front) == 0 or nearest[pick] <= bound:
            if step and synced == 0 and len(known) == 0:
                nearest = nearest_squared(x, x[chosen[:step]])
            elif synced < step:
                np.minimum(nearest, nearest_squared(x, x[chosen[synced:step]]), out=nearest)
            nearest[chosen[:step]] = -1
            synced = step
            pick = int(nearest.argmax())
            # The first choice alone says nothing about distances yet.
            if len(x) > size and (step or len(known)):
                ranked = np.argpartition(-nearest, size)
                front, bound = np.sort(ranked[:size]), nearest[ranked[size]]
        chosen[step] = pick
        if len(front):
            distance = squared_distances(x[pick][None], norms[pick][None], x[front], norms[front])[0]
            nearest[front] = np.minimum(nearest[front], distance)
        nearest[pick] = -1
    return chosen


def nearest_squared(x: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distance of every row of ``x`` (n, d) to the nearest of ``centres`` (m, d), m at least 1; float32 (n,)."""
    norms, centre_norms = squared_norms(x), squared_norms(centres)
    found = np.full(len(x), np.inf, np.float32)
    for rows in blocks(len(x)):
        for columns in blocks(len(centres)):
            part = squared_distances(x[rows], norms[rows], centres[columns], centre_norms[columns])
            np.minimum(found[rows], part.min(1), out=found[rows])
    return found


def prob_cover(x: Any, budget: int, delta: float, labelled: Any = None) -> np.ndarray:
    """Indices (m,): always the image with the most uncovered images (itself too) within ``delta``, which then are covered.

    Yehuda et al. (2022), Active Learning Through a Covering Lens. Labelled images cover as well. When all is covered, the rest of
    the budget goes by position. The graph of near pairs is never kept: degrees are counted in blocks, and lowered by the images
    that a choice newly covers. Every image is covered once, so both take at most one pass over all pairs each, at O(n) memory.

    Args:
        delta: radius, above 0; ``purity_radius`` finds a radius.
        labelled: embeddings (m, d) of images whose labels are known already.

    Raises:
        ValueError: ``delta`` is not a finite number above 0.
    """
    x = as_embeddings(x)
    if not 0 < delta < math.inf:
        raise ValueError(f"the radius is {delta}; a finite number above 0 was expected")
    known = _known(labelled, x)
    chosen = np.empty(as_budget(budget, len(x)), np.int64)
    if len(chosen) == 0:
        return chosen
    x, known = centred(x, known)
    norms, limit = squared_norms(x), np.float32(min(float(delta) ** 2, 1e38))
    uncovered = nearest_squared(x, known) > limit if len(known) else np.ones(len(x), bool)
    degree = _degrees(x, norms, limit, uncovered)
    free = np.ones(len(x), bool)
    for step in range(len(chosen)):
        # A distance that equals the radius may round to either side of it, from one product to the next.
        pick = int(np.where(free, np.maximum(degree, 0), -1).argmax())
        chosen[step] = pick
        free[pick] = False
        if degree[pick] <= 0:
            continue
        near = squared_distances(x[pick][None], norms[pick][None], x, norms)[0] <= limit
        near[pick] = True  # its distance to itself is zero, whatever rounding says
        newly = np.flatnonzero(near & uncovered)
        uncovered[newly] = False
        for part in blocks(len(newly)):
            members = newly[part]
            for rows in blocks(len(x)):
                within = squared_distances(x[rows], norms[rows], x[members], norms[members]) <= limit
                degree[rows] -= np.count_nonzero(within | (np.arange(rows.start, rows.stop)[:, None] == members), axis=1)
    return chosen


def purity_radius(x: Any, clusters: Any, purity: float = 0.95, sample: int = 4096, rng: np.random.Generator | None = None) -> float:
    """The largest radius at which at least a share ``purity`` of the balls round images holds one cluster only.

    The rule of Yehuda et al. (2022), who take k-means clusters for labels, without their grid: a ball is pure while it is smaller
    than the distance to the nearest image of another cluster, so the radius is a quantile of those distances. Balls are drawn round
    ``sample`` images where there are more; their members are always of the whole pool.

    Args:
        clusters: int (n,), the cluster of every image.
        rng: draws the sample; needed only where there are more images than ``sample``.

    Raises:
        ValueError: shapes do not fit, there is a single cluster, or ``purity`` lies outside 0 to 1.
    """
    x = as_embeddings(x)
    clusters = np.asarray(clusters)
    if clusters.shape != (len(x),):
        raise ValueError(f"clusters have the shape {clusters.shape}; ({len(x)},) was expected")
    if len(np.unique(clusters)) < 2:
        raise ValueError("all images are of one cluster, so that every radius is pure; two clusters or more were expected")
    if not 0 < purity <= 1:
        raise ValueError(f"the purity is {purity}; above 0 and up to 1 was expected")
    if len(x) <= sample:
        centres = np.arange(len(x))
    elif rng is None:
        raise ValueError(f"{len(x)} images are more than the sample of {sample}; pass a generator to draw it")
    else:
        centres = np.sort(rng.choice(len(x), sample, replace=False))
    (x,) = centred(x)
    norms = squared_norms(x)
    foreign = np.full(len(centres), np.inf, np.float32)
    for part in blocks(len(centres)):
        rows = centres[part]
        for columns in blocks(len(x)):
            found = squared_distances(x[rows], norms[rows], x[columns], norms[columns])
            found[clusters[rows][:, None] == clusters[columns]] = np.inf
            np.minimum(foreign[part], found.min(1), out=foreign[part])
    impure = int((1 - purity) * len(centres) + 1e-9)  # this many balls may touch another cluster
    return float(np.nextafter(np.sqrt(np.sort(foreign)[impure]), np.float32(0)))


def _degrees(x: np.ndarray, norms: np.ndarray, limit: np.float32, uncovered: np.ndarray) -> np.ndarray:
    """How many uncovered images lie within the radius of every image, itself too; int64 (n,)."""
    degree = np.zeros(len(x), np.int64)
    for rows in blocks(len(x)):
        for columns in blocks(len(x)):
            if columns.start < rows.start:
                continue
            within = squared_distances(x[rows], norms[rows], x[columns], norms[columns]) <= limit
            if columns == rows:
                np.fill_diagonal(within, True)
            else:
                degree[columns] += np.count_nonzero(within[uncovered[rows]], axis=0)
            degree[rows] += np.count_nonzero(within[:, uncovered[columns]], axis=1)
    return degree


def _known(labelled: Any, x: np.ndarray) -> np.ndarray:
    if labelled is None:
        return np.zeros((0, x.shape[1]), np.float32)
    return as_embeddings(labelled, "embeddings of labelled images", x.shape[1])
