"""The orders that start a phase: what the worker is told, and the arrays that go with it. Paths are the host's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evaluator.data.cache import CachedImages
from evaluator.purchase.session_spec import SessionSpec

Order = tuple[dict[str, Any], bytes]
"""A message and its binary part; ``arrays`` in the message says how the parts lie in it."""


def training_order(spec: SessionSpec) -> Order:
    """Pre-training: the training set with its labels."""
    layout, blob = _packed(training_rows=spec.training.rows, training_labels=spec.training_labels)
    order = {"t": "phase", "name": "pre_training_phase", "training": spec.training.path, "arrays": layout}
    return order | _embeddings(training_embeddings=spec.training), blob


def purchase_order(spec: SessionSpec, pool_rows: Path) -> Order:
    """Purchase: the same, the pool in this session's order (a file of ``write_pool_rows``), and the budget."""
    layout, blob = _packed(training_rows=spec.training.rows, training_labels=spec.training_labels)
    order = {"t": "phase", "name": "purchase_phase", "training": spec.training.path, "pool": spec.pool.path}
    order |= {"pool_rows": pool_rows, "budget": spec.market.budget, "arrays": layout}
    return order | _embeddings(training_embeddings=spec.training, pool_embeddings=spec.pool), blob


def write_pool_rows(spec: SessionSpec, path: Path) -> None:
    """Write the cache's row of every image of the pool, uint32 in this session's order, to a new file that anybody may read.

    In a file that the worker maps, because a message would grow with the pool, and be read on the participant's clock.

    Raises:
        OSError: the file is there already, or cannot be written.
    """
    with open(path, "xb") as file:
        file.write(spec.pool.rows[spec.order].astype(np.uint32))
    path.chmod(0o444)


def prediction_order(spec: SessionSpec) -> Order:
    """Prediction: images alone."""
    layout, blob = _packed(rows=spec.prediction.rows)
    order = {"t": "phase", "name": "prediction_phase", "images": spec.prediction.path, "arrays": layout}
    return order | _embeddings(embeddings=spec.prediction), blob


def _embeddings(**images: CachedImages) -> dict[str, Path]:
    """The files of embeddings, where there are any."""
    return {name: cached.embeddings for name, cached in images.items() if cached.embeddings is not None}


def _packed(**arrays: np.ndarray) -> tuple[list[list[Any]], bytes]:
    """Arrays as a layout that JSON can hold, and their bytes one after the other."""
    layout = [[name, array.dtype.str, int(array.size)] for name, array in arrays.items()]
    return layout, b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())
