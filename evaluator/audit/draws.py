"""Images drawn anew: the bootstrap over images, and the exclusion of as many images at random, for all models and views at once.

A draw is a weight for every image. The sums of a draw for m models are a row of one matrix product, of a block of draws by images
with images by models, and every view adds its own few images to that. So all models and views are compared on the same draws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from evaluator.audit.views import View
from evaluator.seeds import generator

BLOCK = 250
"""Draws at a time: the weights of 50,000 images take 50 MB."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """Sums over drawn images.

    Attributes:
        sums: float32 (views, draws, m), how right each model is, summed; ``images``: float32 (views, draws), how many images count.
    """

    sums: np.ndarray
    images: np.ndarray

    def accuracies(self, view: int) -> np.ndarray:
        """Accuracies in the draws of a view: float32 (draws, m); NaN where no image of it was drawn."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(self.sums[view] / self.images[view][:, None])


def resampled(right: np.ndarray, views: Sequence[View], draws: int, seed: int) -> Drawn:
    """The bootstrap over images (Efron 1979): as many images as there are, with replacement. View 0 is ``all``; the others follow.

    Args:
        right: bool (n, m), of ``all``.
        seed: root of the draws.
    """
    n = len(right)
    rng = generator(seed, "audit", "images")

    def weights() -> Iterator[np.ndarray]:
        for begin in range(0, draws, BLOCK):
            made = np.empty((min(BLOCK, draws - begin), n), np.float32)
            for row in made:
                row[:] = np.bincount(rng.integers(0, n, n), minlength=n)
            yield made

    return _summed(right, views, draws, weights())


def _summed(right: np.ndarray, views: Sequence[View], draws: int, weights: Iterator[np.ndarray]) -> Drawn:
    base = right.astype(np.float32)
    changes = [np.ascontiguousarray(view.change(right)) for view in views]
    out = [np.flatnonzero(~view.kept) for view in views]
    sums = np.empty((len(views) + 1, draws, right.shape[1]), np.float32)
    images = np.empty((len(views) + 1, draws), np.float32)
    at = 0
    for block in weights:
        rows = slice(at, at + len(block))
        np.matmul(block, base, out=sums[0, rows])
        images[0, rows] = block.sum(axis=1)
        for number, view in enumerate(views, 1):
            sums[number, rows] = sums[0, rows] + block[:, view.touched] @ changes[number - 1]
            images[number, rows] = images[0, rows] - block[:, out[number - 1]].sum(axis=1)
        at += len(block)
    return Drawn(sums, images)


def excluded(right: np.ndarray, out: Sequence[np.ndarray], strata: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """What is left after as many images were left out at random, from each stratum as many as were.

    With one stratum the exclusion is plainly random. With the number of models that are right on an image as its stratum it is
    matched on difficulty: the images left out are as hard as those that the corrections name, and chosen without them.

    Args:
        right: bool (n, m).
        out: for each view bool (n,), the images that it leaves out.
        strata: int (n,), 0 or more.
        seed: root of the draws; all views use the same.

    Returns:
        float32 (views, draws, m), how often each model is right on the images that are left.
    """
    order = np.argsort(strata, kind="stable")
    sizes = np.bincount(strata)
    base = right[order].astype(np.float32)
    totals = base.sum(axis=0)
    many = [np.repeat(np.bincount(strata[gone], minlength=len(sizes)), sizes) for gone in out]
    rng = generator(seed, "audit", "exclusion", len(sizes))
    found = np.empty((len(out), draws, right.shape[1]), np.float32)
    for begin in range(0, draws, BLOCK):
        rows = slice(begin, min(begin + BLOCK, draws))
        ranks = np.empty((rows.stop - rows.start, len(right)), np.int32)
        place = 0
        for size in sizes:
            part = ranks[:, place : place + size]
            part[:] = np.arange(size, dtype=np.int32)
            rng.permuted(part, axis=1, out=part)
            place += size
        for view, limit in enumerate(many):
            found[view, rows] = totals - (ranks < limit).astype(np.float32) @ base
    return found
