"""One session: the three phases of a submission in a worker. The market is open in the second phase.

The session owns the clocks, the market and the ledger. It returns what happened; it never raises because of what a participant's
code does.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from evaluator.errors import SubmissionError, Verdict
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.market import Market
from evaluator.purchase.messages import (
    SCHEMA,
    prediction_order,
    predictions,
    purchase_disagreement,
    purchase_order,
    training_order,
)
from evaluator.purchase.session_spec import PhaseReport, SessionResult, SessionSpec
from evaluator.sandbox.channel import Message, ProtocolError
from evaluator.sandbox.clock import UNLIMITED, Clock, ShownClock
from evaluator.sandbox.conversation import Order, Progress, Terms
from evaluator.sandbox.phases import Phase, run_phases
from evaluator.sandbox.tier import Sandbox, WorkerSpec
from evaluator.submission.staging import Staged, staged
from evaluator.words import number
from evaluator.worker.purchase import MarketClosedError, OutOfBudgetError

__all__ = ["PhaseReport", "Session", "SessionResult", "SessionSpec", "debug_session", "run_session"]


def run_session(spec: SessionSpec, sandbox: Sandbox, progress: Progress = lambda phase, fraction: None) -> SessionResult:
    """Run the phases of one submission; see ``SessionResult``.

    The worker gets a copy of the submission; texts of the result name the original. A submission that cannot be read, or that has
    changed since it was read, has a result that says so.

    Raises:
        ConfigurationError: the spec's order is no permutation of its labels, or its budget is negative.
        OSError: no folder for the session can be made.
    """
    with ExitStack() as stack:
        try:
            submission = stack.enter_context(staged(spec.submission, spec.submission_digest))
        except SubmissionError as error:
            return _not_started(str(error), error.verdict)
        printed = spec.printed
        session = Session(replace(spec, submission=submission.path, printed=lambda text: printed(submission.named(text))))
        return _naming_the_original(session.run(sandbox, progress), submission)


def debug_session(spec: SessionSpec, sandbox: Sandbox, progress: Progress = lambda phase, fraction: None) -> SessionResult:
    """As ``run_session``, for the author to look at: on the submission's own files instead of a copy, so that tracebacks and a
    debugger name them; and no clock ends anything, so that one can stop at a breakpoint. What it returns is no answer to judge.

    Raises:
        ConfigurationError: as ``run_session``.
    """
    return Session(replace(spec, load_seconds=UNLIMITED), ShownClock).run(sandbox, progress)


class Session:
    """The trusted half of one session.

    Args:
        spec: what decides it.
        clock: kind of its clocks; a ``ShownClock`` does not end anything.

    Attributes:
        clock: shared by pre-training and purchase; ``prediction_clock``: of the prediction phase.
        market: with its ledger.
        disagreement, predicted: set when the phases that give them have ended; see ``SessionResult``.

    Raises:
        ConfigurationError: as ``run_session``.
    """

    def __init__(self, spec: SessionSpec, clock: type[Clock] = Clock) -> None:
        self.spec = spec
        self.clock = clock(spec.seconds)
        self.prediction_clock = clock(spec.prediction_seconds)
        self.market = Market(spec.sold, spec.order, spec.budget, seconds=lambda: self.clock.used)
        self.disagreement: str | None = None
        self.predicted: np.ndarray | None = None

    def phases(self) -> tuple[Phase, ...]:
        """The phases in order."""
        predicting = self.prediction_clock
        return (
            Phase("pre_training_phase", training_order(self.spec), self.clock),
            Phase("purchase_phase", purchase_order(self.spec), self.clock, self._take_claim),
            Phase("prediction_phase", prediction_order(self.spec), predicting, self._take_predictions, decides=False),
        )

    def run(self, sandbox: Sandbox, progress: Progress) -> SessionResult:
        """Run the phases in a worker."""
        outcome = run_phases(self._terms(), self.phases(), sandbox, progress)
        self.market.close()
        return SessionResult(**vars(outcome), ledger=self.market.ledger, predictions=self.predicted, disagreement=self.disagreement)

    def _terms(self) -> Terms:
        spec = self.spec
        worker = WorkerSpec(
            submission=spec.submission,
            weights=spec.weights,
            seed=spec.seed,
            threads=spec.threads,
            limits=spec.limits,
        )
        return Terms(
            track="purchase",
            worker=worker,
            load_seconds=spec.load_seconds,
            restart=spec.restart,
            schema=SCHEMA,
            handlers={"buy": self.sell},
            printed=spec.printed,
            advice=self._advice,
        )

    def sell(self, message: Message, what: str) -> Order:
        """The reply to a request for labels: the labels, or the reason why they are refused."""
        if len(message.blob) % 8 or len(message.blob) > 8 * len(self.market):
            raise ProtocolError(
                f"a purchase has {len(message.blob)} bytes; expected 8 per index, for at most {len(self.market)} images"
            )
        try:
            if what != "purchase_phase":
                # The checkpoint hooks after the phase may not buy either.
                raise MarketClosedError("labels are sold during the purchase phase only")
            labels = self.market.purchase_labels(np.frombuffer(message.blob, np.int64))
        except (OutOfBudgetError, IndexError, TypeError, MarketClosedError) as error:
            return {"t": "refused", "error": type(error).__name__, "message": str(error)}, b""
        return {"t": "sold", "remaining": self.market.remaining_budget}, labels.tobytes()

    def _advice(self, what: str) -> str:
        if what == "prediction_phase":
            return f"it has {number(self.spec.prediction_seconds)} s of its own"
        shared = f"pre-training, purchase and checkpoint hooks share {number(self.spec.seconds)} s"
        return f"{shared}: look at time_available and remaining_time()"

    def _take_claim(self, message: Message) -> None:
        self.market.close()
        self.disagreement = purchase_disagreement(message, self.market.ledger, len(self.market), len(self.spec.classes))

    def _take_predictions(self, message: Message) -> None:
        self.predicted = predictions(message, len(self.spec.prediction), len(self.spec.classes))


def _naming_the_original(result: SessionResult, submission: Staged) -> SessionResult:
    """The result with the submission's own paths in its texts, in place of those of the copy that ran."""
    named = submission.named
    phases = tuple(replace(phase, reason=submission.explained(named(phase.reason))) for phase in result.phases)
    reason = submission.explained(named(result.reason))
    return replace(
        result,
        phases=phases,
        reason=reason,
        trace=named(result.trace),
        full_trace=named(result.full_trace),
        log=named(result.log),
    )


def _not_started(reason: str, verdict: Verdict = Verdict.INFRASTRUCTURE) -> SessionResult:
    """The result of a session whose worker was not started; by default that is a fault of the evaluator."""
    return SessionResult(
        verdict=verdict,
        reason=reason,
        phases=(),
        seconds=0.0,
        clock_was_read=None,
        class_name=None,
        guarded=True,
        limited_by="",
        trace="",
        log="",
        ledger=Ledger(),
        predictions=None,
        disagreement=None,
    )
