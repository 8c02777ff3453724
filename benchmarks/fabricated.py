"""Purchases and cells that nobody made, of the product's own types. Processes that judge import it, so it imports little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evaluator.errors import Verdict
from evaluator.machine import versions
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.purchased import Purchased, phase_rows, sold_rows
from evaluator.purchase.result import MetricsRow, PurchaseResult, PurchaseTraining, without_score
from evaluator.purchase.session_spec import PhaseReport, SessionResult
from evaluator.purchase.spec import PurchaseSpec
from evaluator.records import Epoch
from evaluator.track import Judged

IMAGES = 300
"""Images that a fabricated cell is scored on, as many as `quick` scores."""
VERSIONS = versions()


def purchase(spec: PurchaseSpec, ledger: Ledger) -> Purchased:
    """A purchase of that ledger, with every phase well."""
    phases = tuple(PhaseReport(name, Verdict.OK, "", 5.0, 51.0) for name in ("pre_training_phase", "purchase_phase"))
    session = SessionResult(
        verdict=Verdict.OK,
        reason="",
        ledger=ledger,
        phases=phases,
        seconds=10.0,
        predictions=None,
        disagreement=None,
        clock_was_read=False,
        class_name="Buyer",
        guarded=True,
        limited_by="watch",
        trace="",
        log="",
    )
    return Purchased(spec.answer_digest(), spec.answer_dict(), session, VERSIONS)


def ledger_of(labels: int) -> Ledger:
    """A ledger of so many labels."""
    row = {"seconds": 1.234567, "label": [0, 1, 0, 0, 1, 0]}
    return Ledger.from_rows([row | {"order": i, "index": i, "image": i} for i in range(labels)])


def judged(spec: PurchaseSpec, purchased: Purchased) -> Judged:
    """A scored cell that was never trained, as large as a cell of `quick`, with its predictions.

    Its score is one of 1,000 values, by the digest of the spec.
    """
    value = (int(spec.digest()[:8], 16) % 1000) / 1000
    classes = spec.profile.round.classes
    empty, ledger = without_score(spec, ""), purchased.session.ledger
    result: PurchaseResult = replace(
        empty,
        verdict=Verdict.OK,
        metrics=MetricsRow(
            macro_f1=value,
            f1=dict.fromkeys(classes, value),
            accuracy=value,
            hamming_loss=value,
            n=IMAGES,
            best_constant_macro_f1=0.2,
        ),
        fingerprint="0" * 64,
        training=_training(len(ledger), len(classes)),
        answer=replace(empty.answer, checksum=purchased.checksum),
        purchase=replace(empty.purchase, bought=len(ledger), seconds=10.0, clock_was_read=False),
        phases=phase_rows(purchased.session),
        ledger=sold_rows(ledger),
        versions=VERSIONS,
    )
    return Judged(result, np.full((IMAGES, len(classes)), value))


def _training(bought: int, classes: int) -> PurchaseTraining:
    return PurchaseTraining(
        n_items=100 + bought,
        n_training_set=100,
        n_bought=bought,
        n_train=100 + bought,
        n_validation=0,
        thresholds=[0.5] * classes,
        seconds=60.0,
        weights="none",
        device="cpu",
        threads=1,
        precision="float32",
        micro_batch=16,
        peak_memory_bytes=None,
        timings={},
        notes=[],
        history=[Epoch(epoch=i, loss=0.5, learning_rate=1e-3, gradient_norm=1.0) for i in range(10)],
    )
