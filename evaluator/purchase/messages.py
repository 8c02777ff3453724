"""Messages of the purchase track between a session and its worker: their schema, the orders that start a phase, the replies.

Replies come from the participant's process. Predictions are checked before they are used. What the purchase phase returns is only
compared with the ledger; training always uses the ledger.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from evaluator.data.cache import CachedImages
from evaluator.errors import Verdict
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.session_spec import SessionSpec
from evaluator.sandbox.channel import Message, Schema
from evaluator.sandbox.conversation import Order, Stopped
from evaluator.sandbox.readonly import Content
from evaluator.words import counted, was

SCHEMA = Schema(required={"buy": {}}, optional={"done": {"claim": str, "n": int, "shape": list}})
"""``buy`` asks for labels; its binary part is int64 indices. ``done`` after a purchase phase says what the hook returned: ``claim``
is ``none``, ``indices`` or ``labels``, of ``n`` labels. After a prediction phase it gives the ``shape`` of the predictions."""

ROUNDING = 1e-3
"""How far beyond 0 and 1 a probability may lie: a mean of probabilities in float16 may end one unit above 1, which is 0.00098."""


# -- orders; ``arrays`` in a message lists name, type and size of the arrays in its binary part


def training_order(spec: SessionSpec) -> Order:
    """The order to start pre-training: the training set with its labels."""
    layout, blob = _packed(training_rows=spec.training.rows, training_labels=spec.training_labels)
    order = _common(spec) | {"training": spec.training.path, "arrays": layout}
    return order | _embeddings(training_embeddings=spec.training), blob


def purchase_order(spec: SessionSpec) -> Order:
    """The order to start the purchase phase: the training set, the pool in this session's order, and the budget."""
    order, blob = training_order(spec)
    # Row in the image cache of every pool image, uint32. A file, which the worker maps: the binary part would grow with the pool,
    # and the worker would read it on the participant's clock.
    rows = Content(spec.pool.rows[spec.order].astype(np.uint32).tobytes())
    order |= {"pool": spec.pool.path, "pool_rows": rows, "budget": spec.budget}
    return order | _embeddings(pool_embeddings=spec.pool), blob


def prediction_order(spec: SessionSpec) -> Order:
    """The order to start the prediction phase: images without labels."""
    layout, blob = _packed(rows=spec.prediction.rows)
    order = _common(spec) | {"images": spec.prediction.path, "arrays": layout}
    return order | _embeddings(embeddings=spec.prediction), blob


def _common(spec: SessionSpec) -> dict[str, Any]:
    return {"seed": spec.seed, "classes": list(spec.classes)}


def _embeddings(**images: CachedImages) -> dict[str, Path]:
    """The files of the embeddings, for images that have embeddings."""
    return {name: cached.embeddings for name, cached in images.items() if cached.embeddings is not None}


def _packed(**arrays: np.ndarray) -> tuple[list[list[Any]], bytes]:
    """The layout of arrays (name, type and size of each, JSON-able), and their bytes one after the other."""
    layout = [[name, array.dtype.str, int(array.size)] for name, array in arrays.items()]
    return layout, b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())


# -- answers


def purchase_disagreement(message: Message, ledger: Ledger, n_images: int, n_classes: int) -> str | None:
    """How the return value of the purchase phase contradicts the ledger, in words; None if it agrees or the hook returned nothing.

    Args:
        message: ``done`` of the purchase phase.
        n_images: number of images in the pool.

    Raises:
        Stopped: PROTOCOL_ERROR; the message is too large, or its size does not fit its fields.
    """
    allowed = n_images * (8 + n_classes)
    if len(message.blob) > allowed:
        # The kit's own worker never sends so much, and comparing it would take time that no clock counts.
        raise Stopped(Verdict.PROTOCOL_ERROR, f"purchase_phase returned {len(message.blob)} bytes; at most {allowed} are allowed")
    kind, n = message.fields.get("claim", "none"), message.fields.get("n", 0)
    if kind == "none":
        return None
    width, size = 8 + (n_classes if kind == "labels" else 0), len(message.blob)
    if n < 0 or size != n * width:
        raise Stopped(Verdict.PROTOCOL_ERROR, f"purchase_phase returned {size} bytes for {n} labels; expected {width} per label")
    indices = np.frombuffer(message.blob, np.int64, count=n)
    sold = {purchase.index: purchase.label for purchase in ledger}
    claimed = set(indices.tolist())
    parts = []
    if extra := len(claimed - set(sold)):
        parts.append(f"purchase_phase returned {counted(extra, 'label')} that {was(extra)} not bought")
    if kept := len(set(sold) - claimed):
        parts.append(f"purchase_phase did not return {counted(kept, 'bought label')}")
    if kind == "labels":
        labels = np.frombuffer(message.blob, np.uint8, offset=8 * n).reshape(n, n_classes)
        changed = sum(i in sold and tuple(row) != sold[i] for i, row in zip(indices.tolist(), labels.tolist(), strict=True))
        if changed:
            parts.append(f"purchase_phase returned {counted(changed, 'label')} with other values than were sold")
    return "; ".join(parts) + "; training uses the ledger" if parts else None


AS_CLASSES = "as many as the round has classes"
"""Stands in the reason where predictions have another number of columns."""


def predictions(message: Message, n_images: int, n_classes: int) -> np.ndarray:
    """The checked predictions of the prediction phase, float64 (n_images, n_classes), every value from 0 to 1.

    A value that is at most ``ROUNDING`` below 0 or above 1 counts as 0 or 1.

    Raises:
        Stopped: INVALID_OUTPUT for a wrong shape, NaN, or a value further outside 0 to 1; PROTOCOL_ERROR if size and shape differ.
    """
    shape = message.fields.get("shape", [])
    if shape != [n_images, n_classes]:
        # Named is the side that is wrong: a word on rows beside wrong columns sends its reader to the wrong place.
        rows = f"{counted(n_images, 'row')}, as many as there are images"
        columns = f"{counted(n_classes, 'column')}, {AS_CLASSES}"
        flat = len(shape) != 2
        words = [] if not flat and shape[0] == n_images else [rows]
        words += [] if not flat and shape[1] == n_classes else [columns]
        raise Stopped(
            Verdict.INVALID_OUTPUT,
            f"prediction_phase returned an array of shape {str(tuple(shape))[:80]}; expected ({n_images}, {n_classes}): "
            f"{', and '.join(words)}",
        )
    if len(message.blob) != 8 * n_images * n_classes:
        raise Stopped(
            Verdict.PROTOCOL_ERROR,
            f"prediction_phase returned {len(message.blob)} bytes; expected 8 for each of {n_images} x {n_classes} values",
        )
    values = np.frombuffer(message.blob, np.float64).reshape(n_images, n_classes)
    bad = ~((values >= -ROUNDING) & (values <= 1 + ROUNDING))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise Stopped(
            Verdict.INVALID_OUTPUT,
            f"prediction_phase returned {values[row, column]} for image {row}, class {column}; expected 0, 1 or a probability",
        )
    return np.clip(values, 0.0, 1.0)
