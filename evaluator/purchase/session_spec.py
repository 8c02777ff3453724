"""What a session is given, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evaluator.data.cache import CachedImages
from evaluator.errors import Verdict
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.market import Market
from evaluator.sandbox.limits import Limits


@dataclass(frozen=True)
class SessionSpec:
    """Everything that one session needs.

    Attributes:
        training, pool, prediction: decoded images; ``training_labels`` uint8 (n, classes).
        market: sells the pool's labels; its ledger is filled here.
        order: int64, the canonical pool image behind every index of this session.
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
    market: Market
    seconds: float
    prediction_seconds: float
    load_seconds: float
    seed: int
    threads: int = 1
    weights: Path | None = None
    restart: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class PhaseReport:
    """How one phase went. ``seconds`` used on its clock, checkpoint hooks included; ``allowed``: the limit of that clock."""

    name: str
    verdict: Verdict
    reason: str
    seconds: float
    allowed: float


@dataclass(frozen=True)
class SessionResult:
    """What a session leaves.

    Attributes:
        verdict, reason: of loading, pre-training and purchase; the prediction phase has a report of its own.
        phases: reports of the phases that were started.
        seconds: used on the shared clock.
        predictions: float64 (images, classes), or None.
        disagreement: where the purchase phase's return value contradicts the ledger, in words; else None.
        clock_was_read: the submission asked for the time it has (as far as its worker says), so that what it bought may differ in
            another run; None where the purchase phase did not end.
        limited_by: what held the worker's limits, as ``Worker.limited_by``; empty where none was started.
        trace: the participant's traceback, where there was one.
    """

    verdict: Verdict
    reason: str
    ledger: Ledger
    phases: tuple[PhaseReport, ...]
    seconds: float
    predictions: np.ndarray | None
    disagreement: str | None
    clock_was_read: bool | None
    class_name: str | None
    guarded: bool
    limited_by: str
    trace: str
    log: str
