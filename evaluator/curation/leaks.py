"""Images that stand in two places: equal to the pixel, or nearly so.

Equal pixels are certain, so a rule may refuse them. Nearly equal is a guess of a hash, which is reported and refuses nothing:
images of handwriting look alike, and a coarse hash takes different numerals for copies of each other.

The hash is the perceptual hash of 16 x 16 bits (Zauner 2010; ``imagehash.phash`` with ``hash_size=16``): the image in gray, 64 x 64
pixels, its cosine transform, and for each of the 16 x 16 lowest frequencies whether it is above their median. The number of bits in
which two hashes differ is their distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from PIL import Image

from evaluator.curation.curated import pixel_digest
from evaluator.fields import count, doc
from evaluator.seeds import generator

BITS = 256
_SIDE, _LOW = 64, 16
_WAVES = 2 * np.cos(np.pi / (2 * _SIDE) * np.arange(_LOW)[:, None] * (2 * np.arange(_SIDE) + 1))
"""The 16 lowest waves of the cosine transform (type II, not normalised) of 64 values."""
_BLOCK = 1_024
"""Hashes that are compared at a time."""
MOST_DISTANCE = 64
"""Distances that a calibration looks at."""
ALLOWED = 1e-6
"""Share of the pairs of different images that may lie within a distance that a calibration chooses."""
LARGEST = 32
"""Largest distance that a calibration chooses, an eighth of the bits: few images have too few pairs to see a rare look-alike."""
PLANTS = ("crop 1 px", "crop 5 %", "turn 1 degree", "turn 3 degrees", "brighter", "noise")
"""What a calibration does to an image to plant a near-duplicate."""


def perceptual_hashes(images: Sequence[np.ndarray]) -> np.ndarray:
    """The hashes of images, uint8 (h, w) or (h, w, 3): bool (n, 256)."""
    bits = np.empty((len(images), BITS), bool)
    for start in range(0, len(images), _BLOCK):
        part = images[start : start + _BLOCK]
        small = np.empty((len(part), _SIDE, _SIDE), np.float64)
        for number, image in enumerate(part):
            gray = Image.fromarray(image).convert("L")
            small[number] = np.asarray(gray.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))
        low = (_WAVES @ small @ _WAVES.T).reshape(len(part), BITS)
        bits[start : start + len(part)] = low > np.median(low, axis=1, keepdims=True)
    return bits


def near_pairs(left: np.ndarray, right: np.ndarray | None, distance: int) -> np.ndarray:
    """Pairs of hashes at most so far apart, int64 (m, 3): row of ``left``, row of ``right``, distance; sorted.

    Args:
        left, right: bool (n, 256). ``right`` None: pairs within ``left``, each once, none with itself.
    """
    a = _signs(left)
    b = a if right is None else _signs(right)
    found = []
    for start in range(0, len(a), _BLOCK):
        apart = np.rint((BITS - a[start : start + _BLOCK] @ b.T) / 2).astype(np.int64)
        rows, columns = np.nonzero(apart <= distance)
        keep = columns > rows + start if right is None else np.ones(len(rows), bool)
        rows, columns = rows[keep], columns[keep]
        found.append(np.stack([rows + start, columns, apart[rows, columns]], axis=1))
    return np.concatenate(found) if found else np.zeros((0, 3), np.int64)


def equal_pairs(left: Sequence[str], right: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of rows whose digests of pixels are equal, in the order of ``left``."""
    place: dict[str, list[int]] = {}
    for number, digest in enumerate(right):
        place.setdefault(digest, []).append(number)
    return [(row, other) for row, digest in enumerate(left) for other in place.get(digest, ())]


@dataclass(frozen=True, kw_only=True)
class NearRow:
    """Images of two sets that look nearly alike."""

    between: Annotated[str, doc("the two sets, e.g. `train, val`")]
    equal: Annotated[int, count("pairs with equal pixels")]
    near: Annotated[int, count("further pairs within the distance")]
    other_label: Annotated[int, count("those of the near pairs whose labels differ")]
    examples: Annotated[list[str], doc("names of pairs, nearest first, at most 20; none where a set is hidden")]


@dataclass(frozen=True)
class Side:
    """One of the sets that are compared: names, digests of pixels, hashes bool (n, 256), and labels as words."""

    name: str
    ids: Sequence[str]
    digests: Sequence[str]
    hashes: np.ndarray
    labels: Sequence[str]


def near_row(left: Side, right: Side, distance: int, *, named: bool) -> NearRow:
    """What two sets have in common. ``named``: whether pairs may be named."""
    equal = equal_pairs(left.digests, right.digests)
    pairs = near_pairs(left.hashes, right.hashes, distance)
    pairs = pairs[[left.digests[a] != right.digests[b] for a, b, _ in pairs.tolist()]] if len(pairs) else pairs
    pairs = pairs[np.argsort(pairs[:, 2], kind="stable")]
    examples = [f"{left.ids[a]} = {right.ids[b]}" for a, b in equal[:20]]
    examples += [f"{left.ids[a]} ~ {right.ids[b]} ({apart} bits)" for a, b, apart in pairs.tolist()[: 20 - len(examples)]]
    return NearRow(
        between=f"{left.name}, {right.name}",
        equal=len(equal),
        near=len(pairs),
        other_label=sum(left.labels[a] != right.labels[b] for a, b, _ in pairs.tolist()),
        examples=examples if named else [],
    )


@dataclass(frozen=True)
class Calibration:
    """Which distance tells copies from images that merely look alike, on given images.

    Attributes:
        distance: the largest, up to ``LARGEST``, at which at most ``ALLOWED`` of all pairs of different images lie, and no more
            than one pair below a million; -1 if not even distance 0 is as rare.
        images: how many were looked at; ``pairs``: of different images.
        found: by plant, the share of planted copies within each distance, float (MOST_DISTANCE + 1,).
        unrelated: number of pairs of different images within each distance, int64 (MOST_DISTANCE + 1,).
        other_label: those of them whose labels differ.
    """

    distance: int
    images: int
    pairs: int
    found: Mapping[str, np.ndarray]
    unrelated: np.ndarray
    other_label: np.ndarray


def calibrate(images: Sequence[np.ndarray], labels: np.ndarray, seed: int, most: int = 200) -> Calibration:
    """Plant near-duplicates (``PLANTS``) of some images, and compare their distances with those of different images.

    Args:
        images: as of ``perceptual_hashes``; those with equal pixels count once. ``labels``: int64 (n,).
        most: images that copies are planted of.
    """
    digests = [pixel_digest(image) for image in images]
    once = sorted({digest: row for row, digest in reversed(list(enumerate(digests)))}.values())
    images, labels = [images[row] for row in once], np.asarray(labels)[once]
    hashes = perceptual_hashes(images)
    pairs = near_pairs(hashes, None, MOST_DISTANCE)
    differ = labels[pairs[:, 0]] != labels[pairs[:, 1]]
    unrelated = np.bincount(pairs[:, 2], minlength=MOST_DISTANCE + 1).cumsum()
    other = np.bincount(pairs[differ, 2], minlength=MOST_DISTANCE + 1).cumsum()
    many = len(images) * (len(images) - 1) // 2
    rare = unrelated <= max(1.0, ALLOWED * many)
    chosen = generator(seed, "planted copies").permutation(len(images))[:most]
    found = {}
    for kind in PLANTS:
        copies = perceptual_hashes([planted(images[row], kind, generator(seed, kind, int(row))) for row in chosen])
        apart = (copies != hashes[chosen]).sum(axis=1)
        found[kind] = np.array([(apart <= distance).mean() for distance in range(MOST_DISTANCE + 1)])
    distance = min(LARGEST, int(rare.sum()) - 1)
    return Calibration(distance, len(images), many, found, unrelated, other)


def planted(image: np.ndarray, kind: str, draws: np.random.Generator) -> np.ndarray:
    """A near-duplicate of an image: cropped, turned with its border repeated, brighter or noisier.

    Raises:
        ValueError: there is no such kind.
    """
    height, width = image.shape[:2]
    if kind.startswith("crop"):
        x, y = (1, 1) if kind == "crop 1 px" else (max(1, round(0.05 * width)), max(1, round(0.05 * height)))
        x, y = (x if width > 2 * x else 0), (y if height > 2 * y else 0)
        return np.ascontiguousarray(image[y : height - y, x : width - x])
    if kind.startswith("turn"):
        degrees = (1.0 if kind == "turn 1 degree" else 3.0) * (1 if draws.random() < 0.5 else -1)
        ground = int(np.median(np.concatenate([image[0].ravel(), image[-1].ravel()])))
        filled = ground if image.ndim == 2 else (ground,) * 3
        return np.asarray(Image.fromarray(image).rotate(degrees, Image.Resampling.BICUBIC, fillcolor=filled))
    if kind == "brighter":
        return np.clip(image.astype(np.int64) + 12, 0, 255).astype(np.uint8)
    if kind == "noise":
        return np.clip(np.rint(image + 4 * draws.standard_normal(image.shape)), 0, 255).astype(np.uint8)
    raise ValueError(f"there is no plant {kind!r}; known: {', '.join(PLANTS)}")


def _signs(bits: np.ndarray) -> np.ndarray:
    return np.where(bits, np.float32(1), np.float32(-1))
