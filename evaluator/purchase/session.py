"""One session: a submission's three phases in a worker, with the market open in the second.

The session owns the clocks, the market and the ledger; its conversation owns the worker. It returns what happened and never raises
for what a participant's code does.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.errors import Verdict
from evaluator.purchase.claims import ClaimRefused, predictions, purchase_disagreement
from evaluator.purchase.conversation import Conversation, Progress, Stopped
from evaluator.purchase.orders import prediction_order, purchase_order, training_order
from evaluator.purchase.session_spec import PhaseReport, SessionResult, SessionSpec
from evaluator.sandbox.channel import Message
from evaluator.sandbox.clock import Clock
from evaluator.sandbox.scratch import scratch_folder
from evaluator.sandbox.tier import Sandbox


def run_session(spec: SessionSpec, sandbox: Sandbox, progress: Progress = lambda phase, fraction: None) -> SessionResult:
    """Run the phases of one submission; see ``SessionResult``."""
    with scratch_folder() as scratch, scratch_folder() as shown:
        session = _Session(spec, sandbox, scratch, shown, progress)
        try:
            return session.run()
        finally:
            # Also where a key or a fault of ours ended the run.
            session.conversation.end()


class _Session:
    def __init__(self, spec: SessionSpec, sandbox: Sandbox, scratch: Path, shown: Path, progress: Progress) -> None:
        self.spec, self.progress = spec, progress
        self.checkpoint = scratch / "checkpoint"
        self.pool_rows = shown / "pool.rows"  # not in the worker's own folder: it is read-only
        self.conversation = Conversation(spec, sandbox, scratch, self.pool_rows, progress)
        self.clock = Clock(spec.seconds)
        self.prediction_clock = Clock(spec.prediction_seconds)
        spec.market.seconds = lambda: self.clock.used  # the ledger is written in the session's time
        self.reports: list[PhaseReport] = []
        self.disagreement: str | None = None
        self.clock_was_read: bool | None = None
        self.predicted: np.ndarray | None = None
        self.has_checkpoint = False

    def run(self) -> SessionResult:
        verdict, reason, trace = Verdict.OK, "", ""
        try:
            self.conversation.load()
            self._phase("pre_training_phase", self.clock, training_order(self.spec))
            self._phase("purchase_phase", self.clock, purchase_order(self.spec, self.pool_rows), self._take_purchases)
        except Stopped as stop:
            verdict, reason, trace = stop.verdict, stop.reason, stop.trace
        self.spec.market.close()
        if verdict is Verdict.OK:
            try:
                self._phase(
                    "prediction_phase", self.prediction_clock, prediction_order(self.spec), self._take_predictions, last=True
                )
            except Stopped as stop:
                trace = stop.trace
                if not self.reports or self.reports[-1].name != "prediction_phase":
                    self._report("prediction_phase", stop.verdict, stop.reason, self.prediction_clock, 0.0)
        self.conversation.end()
        return SessionResult(
            verdict=verdict,
            reason=reason,
            ledger=self.spec.market.ledger,
            phases=tuple(self.reports),
            seconds=self.clock.used,
            predictions=self.predicted,
            disagreement=self.disagreement,
            clock_was_read=self.clock_was_read,
            class_name=self.conversation.hooks.get("class"),
            guarded=self.conversation.guarded,
            limited_by=self.conversation.limited_by,
            trace=trace,
            log="".join(self.conversation.logs),
        )

    def _phase(
        self,
        name: str,
        clock: Clock,
        order: tuple[dict[str, Any], bytes],
        take: Callable[[Message], None] | None = None,
        last: bool = False,
    ) -> None:
        """Run one phase and its checkpoint hooks on ``clock``, and report it."""
        before = clock.used
        self.progress(name, 0.0)
        try:
            if self.has_checkpoint and self.spec.restart:
                self.conversation.load()
            with clock.running():
                if self.has_checkpoint and self.spec.restart:
                    self.conversation.ask({"t": "load_state", "path": self.checkpoint}, b"", clock.deadline, "load_checkpoint")
                message, blob = order
                message |= {"seconds": clock.remaining, "seed": self.spec.seed, "classes": list(self.spec.classes)}
                self.conversation.selling = name == "purchase_phase"
                answer = self.conversation.ask(message, blob, clock.deadline, name)
                if self.conversation.selling:
                    self.conversation.selling = False
                    self.spec.market.close()
                if self.conversation.hooks.get("saves") and not last:
                    # Participant's code, so on the participant's clock: a hook must not be a place for free computing.
                    self._make_checkpoint_folder()
                    self.conversation.ask(
                        {"t": "save", "path": self.checkpoint}, b"", clock.deadline, f"save_checkpoint after {name}"
                    )
                    self.has_checkpoint = True
            if take is not None:
                take(answer)
        except Stopped as stop:
            self._report(name, stop.verdict, stop.reason, clock, before)
            raise
        if self.spec.restart and not last:
            self.conversation.end()
        self._report(name, Verdict.OK, "", clock, before)
        self.progress(name, 1.0)

    def _make_checkpoint_folder(self) -> None:
        try:
            self.checkpoint.mkdir(exist_ok=True)
        except OSError as error:
            raise Stopped(
                Verdict.RUNTIME_ERROR,
                f"the folder for save_checkpoint cannot be made ({error.strerror}); leave 'checkpoint' in your home folder free",
            ) from None

    def _report(self, name: str, verdict: Verdict, reason: str, clock: Clock, before: float) -> None:
        self.reports.append(PhaseReport(name, verdict, reason, clock.used - before, clock.limit))

    def _take_purchases(self, message: Message) -> None:
        self.clock_was_read = message.fields.get("clock")
        most = len(self.spec.market) * (8 + len(self.spec.classes))
        if len(message.blob) > most:
            # A worker says nothing rather than that; comparing it would be time on nobody's clock.
            raise Stopped(Verdict.PROTOCOL_ERROR, f"a purchase phase's return of {len(message.blob)} bytes; {most} are the most")
        try:
            self.disagreement = purchase_disagreement(message, self.spec.market.ledger, len(self.spec.classes))
        except ClaimRefused as error:
            raise Stopped(error.verdict, str(error)) from None

    def _take_predictions(self, message: Message) -> None:
        try:
            self.predicted = predictions(message, len(self.spec.prediction), len(self.spec.classes))
        except ClaimRefused as error:
            raise Stopped(error.verdict, str(error)) from None
