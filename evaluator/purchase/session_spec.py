"""What a session is given, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evaluator.data.cache import CachedImages
from evaluator.purchase.ledger import Ledger
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.phases import PhaseReport, SessionOutcome

__all__ = ["PhaseReport", "SessionResult", "SessionSpec"]


@dataclass(frozen=True)
class SessionSpec:
    """Everything that one session needs. Nothing in it changes, so that a spec may be run again.

    Attributes:
        training, pool, prediction: decoded images; ``training_labels`` uint8 (n, classes).
        order: int64, the canonical pool image behind every index of this session.
        sold: uint8 (n, classes), the labels that the market sells, in canonical order of the pool.
        budget: labels that may be bought.
        seconds: limit that pre-training and purchase share; ``prediction_seconds`` of the prediction phase, ``load_seconds`` for
            starting and importing.
        seed: handed to the participant.
        restart: run every phase in a fresh worker that is restored from the participant's checkpoint.
        limits: of memory, processes and disk.
    """

    submission: Path
    classes: tuple[str, ...]
    training: CachedImages
    training_labels: np.ndarray
    pool: CachedImages
    order: np.ndarray
    prediction: CachedImages
    sold: np.ndarray
    budget: int
    seconds: float
    prediction_seconds: float
    load_seconds: float
    seed: int
    threads: int = 1
    weights: Path | None = None
    restart: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class SessionResult(SessionOutcome):
    """What a session leaves. ``verdict`` is of loading, pre-training and purchase; the prediction phase has a report of its own.

    Attributes:
        ledger: what was bought; filled also where the session failed later.
        predictions: float64 (images, classes), or None.
        disagreement: where the purchase phase's return value contradicts the ledger, in words; else None.
    """

    ledger: Ledger
    predictions: np.ndarray | None
    disagreement: str | None
