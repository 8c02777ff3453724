"""Images as short vectors, on a CPU and without a trained network: statistics of brightness, texture and colour over scales.

Damages may lie anywhere, so places are forgotten: what is kept of a filtered image is how its values are distributed (ranks of
pixels and of tiles). Nothing here reads labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh

RANKS = (0, 0.5, 2, 10, 25, 50, 75, 90, 98, 99.5, 100)
TAILS = [0, 1, 2, 8, 9, 10]
BLOCK = 64
"""Images that are worked on together; their filtered copies fit into a processor's cache or near it."""
LARGEST = 128
"""Longest side in pixels; larger images are averaged down by a whole number first."""


def image_statistics(images: np.ndarray, largest: int = LARGEST) -> np.ndarray:
    """Statistics of uint8 images (n, H, W, 3), H and W at least 4, as float32 (n, d); d depends on H and W alone.

    Raises:
        ValueError: another shape or type.
    """
    if images.ndim != 4 or images.shape[3] != 3 or min(images.shape[1:3]) < 4 or images.dtype != np.uint8:
        raise ValueError(f"images are {images.dtype} {images.shape}; uint8 (n, H, W, 3) of 4 pixels a side or more was expected")
    found = [_statistics(_reduced(images[start : start + BLOCK], largest)) for start in range(0, max(1, len(images)), BLOCK)]
    return np.concatenate(found)


def dataset_statistics(dataset: Sequence[Any], largest: int = LARGEST) -> np.ndarray:
    """``image_statistics`` of a data set as a submission is given it, without ever holding all its images."""
    found = []
    for start in range(0, len(dataset), BLOCK):
        block = [dataset[i]["image"] for i in range(start, min(start + BLOCK, len(dataset)))]
        found.append(image_statistics(np.stack(block), largest))
    return np.concatenate(found)


@dataclass(frozen=True)
class Embedder:
    """Standardises statistics and keeps their leading principal components.

    Attributes:
        mean, scale: of every statistic (d,).
        components: (d, kept).
    """

    mean: np.ndarray
    scale: np.ndarray
    components: np.ndarray

    @classmethod
    def fit(cls, statistics: np.ndarray, dimensions: int = 128) -> Embedder:
        """Learn from statistics (n, d), labelled or not; at most ``dimensions`` components are kept."""
        mean = statistics.mean(0, dtype=np.float64)
        scale = statistics.std(0, dtype=np.float64)
        scale[scale < 1e-6] = 1
        kept = _axes((statistics - mean) / scale, dimensions)
        # The sign of an eigenvector is free; its largest entry shall be positive.
        kept = kept * np.sign(kept[np.abs(kept).argmax(0), np.arange(kept.shape[1])])
        return cls(mean.astype(np.float32), scale.astype(np.float32), kept.astype(np.float32))

    def __call__(self, statistics: np.ndarray) -> np.ndarray:
        """Statistics (n, d) to embeddings, float32 (n, kept). Values far outside what was learnt from are cut off."""
        return np.clip((statistics - self.mean) / self.scale, -8, 8) @ self.components


def embed(*sets: np.ndarray, dimensions: int = 128) -> list[np.ndarray]:
    """Embeddings of several arrays of images, uint8 (n, H, W, 3) each, learnt from all of them together."""
    statistics = [image_statistics(images) for images in sets]
    embedder = Embedder.fit(np.concatenate(statistics), dimensions)
    return [embedder(part) for part in statistics]


def _axes(z: np.ndarray, most: int) -> np.ndarray:
    """Leading principal axes of centred data (n, d), orthonormal, (d, kept): ``most``, or as many as the data span.

    From the smaller of z'z and zz', which have the same eigenvalues; a network's 1,792 features of 1,000 images take a third of the
    time that way.
    """
    wide = len(z) < z.shape[1]
    square = z @ z.T if wide else z.T @ z
    last = len(square) - 1
    values, vectors = eigh(square, subset_by_index=(max(0, last - most + 1), last))
    spanned = values > values[-1] * len(square) * np.finfo(np.float64).eps
    spanned[-1] = True  # equal images span nothing, and get one coordinate that is 0
    values, vectors = values[spanned][::-1], vectors[:, spanned][:, ::-1]
    return z.T @ (vectors / np.sqrt(np.maximum(values, np.finfo(np.float64).tiny))) if wide else vectors


def _statistics(x: np.ndarray) -> np.ndarray:
    n, light = len(x), x.mean(-1)
    found = [_ranks(light, (2, 25, 50, 75, 98)), x.mean((1, 2)), x.std((1, 2))]
    level = light
    for octave in range(4):
        if min(level.shape[1:]) < 4:
            break
        low = _blur(level)
        detail = level - low
        ranks = _ranks(detail)
        spread = ranks[:, 6:7] - ranks[:, 4:5] + 1e-3
        found += [ranks, np.log(spread), ranks[:, TAILS] / spread]
        if min(detail.shape[1:]) >= 16:
            # Energy of tiles against the tile in the middle of the ranks: how many stand out, and by how much.
            energy = np.sort(np.log(_tiles(detail * detail) + 1e-6), 1)
            middle = energy[:, energy.shape[1] // 2][:, None]
            picked = (np.array([0, 0.25, 0.5, 0.75, 0.88, 0.95, 0.98, 1]) * (energy.shape[1] - 1)).astype(int)
            found += [energy[:, picked] - middle, middle]
        if octave < 3:
            found += _lines(low)
        level = low[:, ::2, ::2]
    chroma = x / (light[..., None] + np.float32(0.05))
    found.append(chroma.mean((1, 2)))
    for channel in (0, 2):
        level = _blur(_blur(chroma[..., channel])[:, ::2, ::2])
        for _ in range(3):
            if min(level.shape[1:]) < 4:
                break
            low = _blur(level)
            found += [_ranks(low - np.median(low.reshape(n, -1), 1)[:, None, None]), _ranks(low - _blur(_blur(low)))]
            level = low[:, ::2, ::2]
    return np.hstack(found).astype(np.float32)


def _lines(level: np.ndarray) -> list[np.ndarray]:
    """Strength and direction of gradients round every pixel, by the structure tensor: scratches are strong in one direction."""
    down, right = np.gradient(level, axis=(1, 2))
    a, b, c = (_blur(_blur(product)) for product in (right * right, right * down, down * down))
    one_way, strength = np.sqrt((a - c) ** 2 + 4 * b * b), a + c
    return [
        _ranks(np.log(one_way + 1e-6), (50, 75, 90, 98, 100)),
        _ranks(np.log(np.maximum(strength, 0) + 1e-6), (0, 10, 50, 90, 98, 100)),
        _ranks(one_way / (strength + 1e-5), (10, 50, 90, 98)),
    ]


def _blur(x: np.ndarray) -> np.ndarray:
    """Binomial filter of five taps along both sides of images (n, H, W)."""
    p = np.pad(x, ((0, 0), (2, 2), (0, 0)), mode="edge")
    x = p[:, :-4] + p[:, 4:] + 4 * (p[:, 1:-3] + p[:, 3:-1]) + 6 * p[:, 2:-2]
    p = np.pad(x, ((0, 0), (0, 0), (2, 2)), mode="edge")
    x = p[:, :, :-4] + p[:, :, 4:] + 4 * (p[:, :, 1:-3] + p[:, :, 3:-1]) + 6 * p[:, :, 2:-2]
    return x * np.float32(1 / 256)


def _ranks(x: np.ndarray, percents: Sequence[float] = RANKS) -> np.ndarray:
    """Values at the given percents of every image's sorted pixels, (n, len(percents))."""
    ordered = np.sort(x.reshape(len(x), -1), 1)
    return ordered[:, np.round(np.array(percents) / 100 * (ordered.shape[1] - 1)).astype(int)]


def _tiles(x: np.ndarray, side: int = 8) -> np.ndarray:
    """Means of side x side tiles, (n, side * side); pixels beyond a multiple are left out."""
    n, height, width = x.shape
    height, width = height // side * side, width // side * side
    return x[:, :height, :width].reshape(n, side, height // side, side, width // side).mean((2, 4)).reshape(n, -1)


def _reduced(images: np.ndarray, largest: int) -> np.ndarray:
    """Images as float32 0 to 1, averaged over squares until the longer side is at most ``largest``, the shorter at least 4."""
    x = images.astype(np.float32) / 255
    factor = min(-(-max(x.shape[1:3]) // largest), min(x.shape[1:3]) // 4)
    if factor <= 1:
        return x
    n, height, width = len(x), x.shape[1] // factor, x.shape[2] // factor
    return x[:, : height * factor, : width * factor].reshape(n, height, factor, width, factor, 3).mean((2, 4))
