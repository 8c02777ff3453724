"""What the author of a submission is shown after a session that is not judged: the checks of a run, in words, and no score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluator.errors import Verdict
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.purchased import PurchaseInputs, session_spec
from evaluator.purchase.remarks import spending
from evaluator.purchase.session import debug_session
from evaluator.purchase.session_spec import PhaseReport, SessionSpec
from evaluator.purchase.spec import PurchaseSpec
from evaluator.track import CellInputs, Debugged, Progress
from evaluator.words import counted, number, was

CLOCKED = ("pre_training_phase", "purchase_phase")
"""The phases that share a clock."""


def debug(spec: PurchaseSpec, inputs: CellInputs, progress: Progress) -> Debugged:
    """Run the submission of a cell for its author to look at."""
    given = inputs.sold if isinstance(inputs, PurchaseInputs) else None
    session = session_spec(spec, inputs.data, inputs.path, inputs.weights_dir, given)
    result = debug_session(session, inputs.sandbox, progress)
    rows, faults = checks(session, result.ledger, result.phases, result.disagreement, result.predictions)
    started = {phase.name for phase in result.phases}
    if result.verdict is not Verdict.OK and not any(phase.verdict is not Verdict.OK for phase in result.phases):
        faults = (result.reason, *faults)  # it failed before a phase began
    faults += tuple(f"{name} did not run" for name in (*CLOCKED, "prediction_phase") if started and name not in started)
    return Debugged(rows, faults, result.class_name, noticed(session, result.ledger, result.phases, result.disagreement))


def checks(
    spec: SessionSpec,
    ledger: Ledger,
    phases: Sequence[PhaseReport],
    disagreement: str | None,
    predictions: np.ndarray | None,
) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """What a session that no clock ended did, as rows (label, text); and what would make a run fail, or unfit to submit.

    Args:
        spec: of the session; ``phases``: the phases that were started; the rest as in ``SessionResult``.
    """
    ran = {phase.name: phase for phase in phases}
    rows = [(phase.name, _times(phase, spec)) for phase in phases]
    faults = [phase.reason for phase in phases if phase.verdict is not Verdict.OK]
    shared = sum(ran[name].seconds for name in CLOCKED if name in ran)
    if shared > spec.seconds:
        faults.append(
            f"the clock of pre-training and purchase passed {number(spec.seconds)} s: a run ends there with TIME_LIMIT (time at a "
            "breakpoint counts here, too)"
        )
    predicting = ran.get("prediction_phase")
    if predicting is not None and predicting.seconds > spec.prediction_seconds:
        faults.append(f"prediction_phase took more than its {number(spec.prediction_seconds)} s: a run ends it with TIME_LIMIT")
    if "purchase_phase" in ran:
        late = sum(sold.seconds > spec.seconds for sold in ledger)
        after = f"; {late} of them {was(late)} bought after the time limit" if late else ""
        rows.append(("labels", f"{len(ledger)} of {spec.budget} bought{after}"))
        if ran["purchase_phase"].verdict is Verdict.OK:
            rows.append(("return value", disagreement or "does not contradict what was bought"))
    if predictions is not None:
        shape = f"{counted(len(predictions), 'image')} x {counted(predictions.shape[1], 'class', 'classes')}"
        rows.append(("predictions", f"{shape}, every value from 0 to 1"))
    return tuple(rows), tuple(faults)


def noticed(spec: SessionSpec, ledger: Ledger, phases: Sequence[PhaseReport], disagreement: str | None) -> tuple[str, ...]:
    """What a judged run would warn of, in sentences; nothing where the purchase phase failed or did not run."""
    if not any(phase.name == "purchase_phase" and phase.verdict is Verdict.OK for phase in phases):
        return ()
    found = spending(len(ledger), min(spec.budget, len(spec.order)), disagreement)
    return tuple(f"{remark.what} ({remark.detail}). {remark.advice}" for remark in found)


def _times(phase: PhaseReport, spec: SessionSpec) -> str:
    shared = ", which pre-training and purchase share" if phase.name in CLOCKED else ""
    failed = "" if phase.verdict is Verdict.OK else f"; {phase.verdict}"
    return f"{phase.seconds:.2f} s of {number(phase.allowed)} s{shared}{failed}"
