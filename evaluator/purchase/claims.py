"""What a worker hands back at the end of a phase, checked before it is believed (predictions) or merely compared (purchases)."""

from __future__ import annotations

import numpy as np

from evaluator.errors import Verdict
from evaluator.purchase.ledger import Ledger
from evaluator.sandbox.channel import Message


class ClaimRefused(Exception):
    """What was handed back is not what the phase must hand back."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict = verdict


def purchase_disagreement(message: Message, ledger: Ledger, n_classes: int) -> str | None:
    """Where the return value of the purchase phase contradicts the ledger, in words; None where it agrees or claims nothing.

    Raises:
        ClaimRefused: the message's own sizes do not fit together.
    """
    kind, n = message.fields.get("claim", "none"), message.fields.get("n", 0)
    if kind == "none":
        return None
    width = 8 + (n_classes if kind == "labels" else 0)
    if n < 0 or len(message.blob) != n * width:
        raise ClaimRefused(Verdict.PROTOCOL_ERROR, f"a purchase phase's return of {len(message.blob)} bytes for {n} labels")
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
        ClaimRefused: wrong shape, wrong size, NaN, or a value outside 0 to 1.
    """
    shape = message.fields.get("shape", [])
    if shape != [n_images, n_classes]:
        raise ClaimRefused(
            Verdict.INVALID_OUTPUT,
            f"prediction_phase returned an array of shape {str(tuple(shape))[:80]}; ({n_images}, {n_classes}) was expected, "
            "a row per image",
        )
    if len(message.blob) != 8 * n_images * n_classes:
        raise ClaimRefused(Verdict.PROTOCOL_ERROR, f"predictions of {len(message.blob)} bytes for {n_images} x {n_classes} values")
    values = np.frombuffer(message.blob, np.float64).reshape(n_images, n_classes)
    bad = ~((values >= 0) & (values <= 1))
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ClaimRefused(
            Verdict.INVALID_OUTPUT,
            f"prediction_phase returned {values[row, column]} for image {row}, class {column}; 0/1 or probabilities were expected",
        )
    return values
