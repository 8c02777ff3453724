"""Embeddings of a task's images: features of a frozen network, computed once and kept in the cache, and brought to one scale.

The network is that of the pipeline ``proxy`` (EfficientNet-B4 with the kit's own starting weights), on one thread of the CPU, so
that every machine with the same libraries and processor gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from evaluator.cleaning.tasks import Part

SIDE = 64
"""Of the images in pixels."""
WIDTH = 128
"""Principal components that are kept of the embeddings."""
FOLDER = "cleaning"
"""Below the cache."""


def embeddings(digest: str, count: int, gather: Callable[[range], np.ndarray], cache_folder: Path) -> np.ndarray:
    """Embeddings of images, float32 (count, width); from the cache where they are there.

    Args:
        digest: names the images: equal for equal images, and known by nobody who must not know them.
        gather: images by number, uint8 (m, SIDE, SIDE, 3); called only where they must be computed.

    Raises:
        DataError, WeightsError, TrainingError: as ``evaluator.training.embeddings.store.embeddings_of``.
    """
    from evaluator.training.embeddings.shown import embedding_pipeline
    from evaluator.training.embeddings.store import ImageSource, embeddings_of

    source = ImageSource(digest, count, SIDE, gather, cache_folder / FOLDER)
    return np.array(embeddings_of(embedding_pipeline(SIDE, "procedural"), source, device="cpu", threads=1))


@cache
def network() -> str:
    """What decides the embeddings of an image, but for the libraries: size, network and the SHA-256 of its weights."""
    from evaluator.training.embeddings.shown import embedding_pipeline
    from evaluator.training.embeddings.store import weights_of

    pipeline = embedding_pipeline(SIDE, "procedural")
    return f"{pipeline.architecture} at {SIDE} px, {weights_of(pipeline.weights, pipeline.architecture)}"


def scaled(train: Part, validation: Part, test: Part) -> tuple[Part, Part, Part]:
    """The three parts with columns that have mean 0 and standard deviation 1 over the training rows; no label is looked at.

    The fixed model takes 100 steps of a size that does not depend on the scale of its rows, so that features far from this scale
    would leave it untrained.
    """
    x = train.rows.astype(np.float64)
    centre, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread < 1e-9] = 1
    first, second, third = (
        Part(((part.rows - centre) / spread).astype(np.float32), part.labels) for part in (train, validation, test)
    )
    return first, second, third


def components(train: Part, validation: Part, test: Part, width: int = WIDTH) -> tuple[Part, Part, Part]:
    """The three parts in the first principal components of the training rows, which ``scaled`` brought to one scale.

    With some hundred rows further components hold little that a linear model could use, and a training takes a time that is
    proportional to the width. Components have the sign by which their largest weight is positive, so that they are the same
    wherever they are computed, and one common scale by which the mean square of the training rows is 1.

    Args:
        width: of the result; less where there are fewer training rows.
    """
    parts = scaled(train, validation, test)
    axes = np.linalg.svd(parts[0].rows.astype(np.float64), full_matrices=False)[2][:width]
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    made = [part.rows.astype(np.float64) @ axes.T for part in parts]
    scale = np.sqrt(np.square(made[0]).mean())
    first, second, third = (Part((rows / scale).astype(np.float32), part.labels) for rows, part in zip(made, parts, strict=True))
    return first, second, third
