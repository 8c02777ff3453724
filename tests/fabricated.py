"""Answers and cells that nobody bought or trained, through the product's own types. Processes import it, so nothing of pytest."""

from __future__ import annotations

from dataclasses import replace

from evaluator.errors import Verdict
from evaluator.machine import versions
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.purchased import Purchased
from evaluator.purchase.result import PurchaseResult, PurchaseTraining, without_score
from evaluator.purchase.session_spec import PhaseReport, SessionResult
from evaluator.purchase.spec import PurchaseSpec
from evaluator.records import PhaseRow

LABELS = 4
"""Labels of a fabricated purchase."""
PHASES = {"pre_training_phase": 1.0, "purchase_phase": 0.5, "prediction_phase": 0.25}
"""Seconds by the name of a phase."""


def purchase(spec: PurchaseSpec, labels: int = LABELS) -> Purchased:
    """A purchase that was never made: of so many labels, with every phase well."""
    row = {"seconds": 1.234567, "label": [0, 1, 0, 0, 1, 0]}
    session = SessionResult(
        verdict=Verdict.OK,
        reason="",
        # Another seed buys other images, so that it is another observation.
        ledger=Ledger.from_rows([row | {"order": i, "index": i, "image": i + spec.seed} for i in range(labels)]),
        phases=tuple(PhaseReport(name, Verdict.OK, "", seconds, 2.0) for name, seconds in PHASES.items()),
        seconds=1.5,
        predictions=None,
        disagreement=None,
        clock_was_read=False,
        class_name="Buyer",
        guarded=True,
        limited_by="watch",
        trace="",
        log="log",
    )
    return Purchased(spec.answer_digest(), spec.answer_dict(), session, versions())


def training(seconds: float = 4.0, n_items: int = 20) -> PurchaseTraining:
    """A training that was never done."""
    return PurchaseTraining(
        n_items=n_items,
        n_training_set=n_items - LABELS,
        n_bought=LABELS,
        n_train=n_items,
        n_validation=0,
        thresholds=[0.5] * 6,
        seconds=seconds,
        weights="none",
        device="cpu",
        threads=1,
        precision="float32",
        micro_batch=8,
        peak_memory_bytes=None,
        timings={},
        notes=[],
        history=[],
    )


def scored(spec: PurchaseSpec, checksum: str, value: float | None = None) -> PurchaseResult:
    """A scored cell that was never trained.

    Args:
        checksum: of the answer it is told to be judged on.
        value: its macro F1, 0 to 1; of the spec's digest where None.
    """
    value = (int(spec.digest()[:8], 16) % 1000) / 1000 if value is None else value
    metrics = {"macro_f1": value, "accuracy": value / 2, "hamming_loss": 1 - value, "f1": {}, "n": 8, "best_constant_macro_f1": 0.1}
    empty = without_score(spec, "")
    return replace(
        empty,
        verdict=Verdict.OK,
        fit_to_submit=True,
        metrics=metrics,
        fingerprint=2 * spec.digest(),  # no two cells have the same predictions
        training=training(),
        answer=replace(empty.answer, checksum=checksum),
        purchase=replace(empty.purchase, bought=LABELS, seconds=1.5, clock_was_read=False),
        phases=[PhaseRow(name=name, verdict="OK", reason="", seconds=seconds, allowed=2.0) for name, seconds in PHASES.items()],
        versions=versions(),
    )
