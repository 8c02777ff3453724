"""Embeddings that submissions are given: those of the store, in the order of the decoded images' file, for a worker to map.

The store's own rows are in canonical order, which a worker must not learn. The rows of this file are those of the images' cache, an
order drawn once per machine, so that a worker finds an image's embedding by the row that it has for the image anyway.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from evaluator.data.arrays import map_npy
from evaluator.data.cache import CachedImages
from evaluator.errors import DataError
from evaluator.files import replaced
from evaluator.training.embeddings.store import ImageSource, embeddings_of
from evaluator.training.pipeline import Pipeline
from evaluator.training.recipes import fitted, load_pipeline

SMALLEST = 32
"""Side in pixels below which a network of strides leaves nothing to pool; smaller images are brought to it."""


def shown_embeddings(
    digest: str, images: CachedImages, weights: str, by: str = "", progress: Callable[[float], None] = lambda share: None
) -> CachedImages:
    """``images`` with a file of embeddings, float32 (n, d), beside their own; made where it is not there or not right.

    Always computed on one CPU thread, so that every device gives submissions the same numbers, and the pipeline ``proxy``
    shares them.

    Args:
        digest: of the split; ``weights``: the profile's starting weights.
        by: the proxy pipeline whose features they are; empty: ``proxy``.

    Raises:
        ConfigurationError, WeightsError, TrainingError: as ``fitted`` and ``embeddings_of``.
        DataError: the folder cannot be written.
    """
    pipeline = embedding_pipeline(images.size, weights, by)
    source = ImageSource(images.named(digest), len(images), images.size, images.gather, images.path.parent)
    embeddings = embeddings_of(pipeline, source, device="cpu", threads=1, progress=progress)
    path = images.path.with_name(f"{images.path.stem}-embeddings{'-' + by if by else ''}.npy")
    try:
        if not _right(path, embeddings, images.rows):
            shuffled = np.empty_like(embeddings)
            shuffled[images.rows] = embeddings
            with replaced(path, "wb") as file:
                np.save(file, shuffled)
                os.fchmod(file.fileno(), 0o444)
    except OSError as error:
        raise DataError(f"the embeddings {path} cannot be written ({error}); free some space, or name another --cache") from error
    return replace(images, embeddings=path)


def embedding_pipeline(size: int, weights: str, by: str = "") -> Pipeline:
    """The pipeline whose frozen features are shown, at a profile's size or the smallest that works: ``proxy`` with the profile's
    weights, or the one named ``by``."""
    return fitted(load_pipeline(by or "proxy"), max(size, SMALLEST), weights)


def _right(path: os.PathLike[str], embeddings: np.ndarray, rows: np.ndarray) -> bool:
    """Whether the file holds exactly these, by its bytes: a submission in a weak tier may have changed it."""
    try:
        found = map_npy(path, np.float32, 2)
    except (FileNotFoundError, EOFError, ValueError):
        return False
    return found.dtype == embeddings.dtype and found.shape == embeddings.shape and np.array_equal(found[rows], embeddings)
