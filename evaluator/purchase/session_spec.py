"""The input and the outcome of a session."""

from __future__ import annotations

from collections.abc import Callable
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
    """Everything that a session needs. A session changes nothing in it, so a spec may be run again.

    Attributes:
        submission: folder or file of the submission; ``submission_digest``: that it had when it was read, empty if it was not read;
            it is an error of the evaluation if it has another now. ``classes``: names, in the order of the label vector.
        training, pool, prediction: decoded images; ``training_labels``: uint8 (n, classes).
        order: int64 (n,); ``order[i]`` is the canonical number of the pool image with index i in this session.
        sold: uint8 (n, classes), the labels that the market sells, in canonical order of the pool.
        budget: number of labels that may be bought.
        seconds: time limit that pre-training and purchase share; ``prediction_seconds``: of the prediction phase; ``load_seconds``:
            for starting the worker and importing the submission.
        seed: given to the participant; ``threads``: CPU threads that the worker is told to use.
        weights: folder of pretrained weights that the worker may read, or None.
        restart: whether every phase runs in a fresh worker, restored from the participant's checkpoint.
        limits: of memory, processes and disk.
        printed: called with what the submission prints, as it comes.
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
    submission_digest: str = ""
    limits: Limits = field(default_factory=Limits)
    printed: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class SessionResult(SessionOutcome):
    """The outcome of a session. ``verdict`` covers loading, pre-training and purchase; the prediction phase has its own report.

    Attributes:
        ledger: the labels that were bought, also if the session failed later.
        predictions: float64 (images, classes), or None.
        disagreement: how the return value of the purchase phase contradicts the ledger, in words; else None.
    """

    ledger: Ledger
    predictions: np.ndarray | None
    disagreement: str | None
