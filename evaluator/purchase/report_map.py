"""A map of the pool: every image a point, images that look alike near each other, purchases in the colour of their order.

The points are the first two principal components of embeddings, where the profile gives submissions some, else of the images at
8 x 8 pixels. ``tsne`` arranges the components by openTSNE, an extra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluator.data.arrays import map_npy
from evaluator.data.cache import CachedImages
from evaluator.purchase.report_sets import ShownSets
from evaluator.report.format import percent
from evaluator.report.projection import COMPONENTS, principal, tsne
from evaluator.sections import Cloud, Section
from evaluator.words import counted

MOST = 1_500
"""Images of the pool that are shown; of a larger pool every so-many-th, and all that were bought."""
MOST_MAPS = 6
"""Pairs that have a map."""
SIDE = 8
"""Side of the images that are compared, in pixels."""
TITLE = "Where the purchases lie in the pool"


def pool_map(cells: Sequence[Mapping[str, Any]], sets: ShownSets, projection: str = "pca") -> Section:
    """A map for every pair of its first seed. Cells of one seed share the places of the points.

    Raises:
        ConfigurationError: ``tsne`` was asked for, and openTSNE is not installed.
    """
    cells = [cell for cell in cells if cell["spec"]["seed"] == cells[0]["spec"]["seed"]][:MOST_MAPS]
    _, images = sets.pool(cells[0])
    bought = {sold["image"] for cell in cells for sold in cell["ledger"] if sold["image"] < len(images)}
    step = max(1, -(-len(images) // MOST))
    shown = sorted(bought | set(range(0, len(images), step)))
    vectors, of = _vectors(images, shown)
    points, explained = principal(vectors, COMPONENTS if projection == "tsne" else 2)
    if projection == "tsne":
        points, how = tsne(points), f"t-SNE (openTSNE) of {min(COMPONENTS, vectors.shape[1])} principal components of {of}"
    else:
        how = f"The first two principal components of {of}; they explain {percent(float(explained[:2].sum()))} of the variance"
    place = {number: at for at, number in enumerate(shown)}
    seed = cells[0]["spec"]["seed"]
    some = f"{len(shown):,} of {counted(len(images), 'image')}" if len(shown) < len(images) else counted(len(images), "image")
    clouds = []
    for cell in cells:
        order = [place[sold["image"]] for sold in sorted(cell["ledger"], key=lambda sold: sold["order"]) if sold["image"] in place]
        thirds = [tuple(part.tolist()) for part in np.array_split(np.array(order, int), 3)]
        groups = tuple(zip(("bought first", "then", "last"), thirds, strict=True))
        title = f"{cell['spec']['task']}: {counted(len(order), 'purchase')} in the pool"
        clouds.append(Cloud(title, f"Seed {seed}; {some}.", points[:, :2], groups, "not bought"))
    return Section(TITLE, tuple(clouds), (f"{how}. Points near each other look alike; the axes have no unit.",))


def _vectors(images: CachedImages, numbers: Sequence[int]) -> tuple[np.ndarray, str]:
    """What images are compared by, float64 (n, d), and what that is in words."""
    stored = images.embeddings or images.path.with_name(f"{images.path.stem}-embeddings.npy")
    if stored.is_file():
        array = map_npy(stored, np.float32, 2)
        found = (
            np.asarray(array[images.rows[list(numbers)]], np.float64) if len(array) == len(images.open()) else np.array([np.nan])
        )
        if np.isfinite(found).all():
            return found, "the embeddings that submissions are given"
    small = [_small(images.gather(numbers[start : start + 256])) for start in range(0, len(numbers), 256)]
    return np.concatenate(small), f"the images at {SIDE} x {SIDE} pixels"


def _small(images: np.ndarray) -> np.ndarray:
    """Images as vectors of their means over ``SIDE`` x ``SIDE`` blocks, float64 (n, SIDE * SIDE * 3).

    Of a block of many pixels every so-many-th counts: eight rows of eight are enough for a mean.
    """
    n, side = images.shape[:2]
    if side <= SIDE:
        return images.reshape(n, -1).astype(np.float64)
    block = side // SIDE
    cut = images[:, : block * SIDE, : block * SIDE]
    step = max(1, block // 8)
    return cut.reshape(n, SIDE, block, SIDE, block, 3)[:, :, ::step, :, ::step].mean(axis=(2, 4)).reshape(n, -1)
