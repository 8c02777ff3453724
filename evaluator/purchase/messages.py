"""What passes between a session and its worker beside the base messages: the schema, the orders that start a phase, the answers.

Answers come from the participant's side. Predictions are checked before they are believed; what a purchase phase returns is only
compared with the ledger, which counts.
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

SCHEMA = Schema(required={"buy": {}}, optional={"done": {"claim": str, "n": int, "shape": list}})
"""``buy``: asks for labels; its binary part holds int64 indices. ``done`` of a purchase phase tells what the hook returned
(``claim`` is none, indices or labels, for ``n`` labels), that of a prediction phase the ``shape`` of the predictions."""


# -- orders; ``arrays`` in a message says how the arrays lie in its binary part


def training_order(spec: SessionSpec) -> Order:
    """Pre-training: the training set with its labels."""
    layout, blob = _packed(training_rows=spec.training.rows, training_labels=spec.training_labels)
    order = _common(spec) | {"training": spec.training.path, "arrays": layout}
    return order | _embeddings(training_embeddings=spec.training), blob


def purchase_order(spec: SessionSpec, pool_rows: Path) -> Order:
    """Purchase: the same, the pool in this session's order (a file of ``write_pool_rows``), and the budget."""
    order, blob = training_order(spec)
    order |= {"pool": spec.pool.path, "pool_rows": pool_rows, "budget": spec.budget}
    return order | _embeddings(pool_embeddings=spec.pool), blob


def prediction_order(spec: SessionSpec) -> Order:
    """Prediction: images alone."""
    layout, blob = _packed(rows=spec.prediction.rows)
    order = _common(spec) | {"images": spec.prediction.path, "arrays": layout}
    return order | _embeddings(embeddings=spec.prediction), blob


def write_pool_rows(spec: SessionSpec, path: Path) -> None:
    """Write the cache's row of every image of the pool, uint32 in this session's order, to a new file that anybody may read.

    In a file that the worker maps, because a message would grow with the pool, and be read on the participant's clock.

    Raises:
        OSError: the file is there already, or cannot be written.
    """
    with open(path, "xb") as file:
        file.write(spec.pool.rows[spec.order].astype(np.uint32))
    path.chmod(0o444)


def _common(spec: SessionSpec) -> dict[str, Any]:
    return {"seed": spec.seed, "classes": list(spec.classes)}


def _embeddings(**images: CachedImages) -> dict[str, Path]:
    """The files of embeddings, where there are any."""
    return {name: cached.embeddings for name, cached in images.items() if cached.embeddings is not None}


def _packed(**arrays: np.ndarray) -> tuple[list[list[Any]], bytes]:
    """Arrays as a layout that JSON can hold, and their bytes one after the other."""
    layout = [[name, array.dtype.str, int(array.size)] for name, array in arrays.items()]
    return layout, b"".join(np.ascontiguousarray(array).tobytes() for array in arrays.values())


# -- answers


def purchase_disagreement(message: Message, ledger: Ledger, n_images: int, n_classes: int) -> str | None:
    """Where the return value of the purchase phase contradicts the ledger, in words; None where it agrees or claims nothing.

    Args:
        n_images: images in the pool.

    Raises:
        Stopped: PROTOCOL_ERROR; the message is too large, or its own sizes do not fit together.
    """
    allowed = n_images * (8 + n_classes)
    if len(message.blob) > allowed:
        # The kit's own worker never sends so much; comparing it would take time that no clock counts.
        raise Stopped(Verdict.PROTOCOL_ERROR, f"purchase_phase returned {len(message.blob)} bytes; at most {allowed} are allowed")
    kind, n = message.fields.get("claim", "none"), message.fields.get("n", 0)
    if kind == "none":
        return None
    width, size = 8 + (n_classes if kind == "labels" else 0), len(message.blob)
    if n < 0 or size != n * width:
        raise Stopped(Verdict.PROTOCOL_ERROR, f"purchase_phase returned {size} bytes for {n} labels; {width} a label are expected")
    indices = np.frombuffer(message.blob, np.int64, count=n)
    sold = {purchase.index: purchase.label for purchase in ledger}
    claimed = set(indices.tolist())
    parts = []
    if claimed - set(sold):
        parts.append(f"{len(claimed - set(sold))} labels are returned that were not bought")
    if set(sold) - claimed:
        parts.append(f"{len(set(sold) - claimed)} bought labels are not returned")
    if kind == "labels":
        labels = np.frombuffer(message.blob, np.uint8, offset=8 * n).reshape(n, n_classes)
        changed = sum(i in sold and tuple(row) != sold[i] for i, row in zip(indices.tolist(), labels.tolist(), strict=True))
        if changed:
            parts.append(f"{changed} labels are returned with other values than were sold")
    return "; ".join(parts) + "; the ledger counts" if parts else None


def predictions(message: Message, n_images: int, n_classes: int) -> np.ndarray:
    """The predictions of the prediction phase, float64 (n_images, n_classes), every value from 0 to 1.

    Raises:
        Stopped: INVALID_OUTPUT for a wrong shape, NaN, or a value outside 0 to 1; PROTOCOL_ERROR for a wrong size.
    """
    shape = message.fields.get("shape", [])
    if shape != [n_images, n_classes]:
        raise Stopped(
            Verdict.INVALID_OUTPUT,
            f"prediction_phase returned an array of shape {str(tuple(shape))[:80]}; ({n_images}, {n_classes}) was expected, "
            "a row per image",
        )
    if len(message.blob) != 8 * n_images * n_classes:
        raise Stopped(Verdict.PROTOCOL_ERROR, f"predictions of {len(message.blob)} bytes for {n_images} x {n_classes} values")
    values = np.frombuffer(message.blob, np.float64).reshape(n_images, n_classes)
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise Stopped(
            Verdict.INVALID_OUTPUT,
            f"prediction_phase returned {values[row, column]} for image {row}, class {column}; 0/1 or probabilities were expected",
        )
    return values
