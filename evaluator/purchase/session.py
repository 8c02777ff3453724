"""One session: a submission's three phases in a worker, with the market open in the second.

The session owns the worker, the clocks, the market and the ledger. It returns what happened and never raises for what a
participant's code does.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.errors import Verdict
from evaluator.purchase.claims import ClaimRefused, predictions, purchase_disagreement
from evaluator.purchase.clock import Clock
from evaluator.purchase.orders import prediction_order, purchase_order, training_order, write_pool_rows
from evaluator.purchase.terms import PhaseReport, SessionResult, SessionSpec
from evaluator.sandbox.channel import ChannelEnded, ChannelTimeout, Message, ProtocolError
from evaluator.sandbox.scratch import scratch_folder
from evaluator.sandbox.tier import Ended, Sandbox, Worker, WorkerSpec
from evaluator.worker.errors import MarketClosedError, OutOfBudgetError

PROGRESS_AT_ONCE, PROGRESS_PER_SECOND = 50, 20
"""How much of a worker's progress is passed on; what is more is dropped."""

Progress = Callable[[str, float], None]
"""Called with a phase's name and the share of it that is done, 0 to 1."""


class _Stop(Exception):
    """The session cannot go on; carries the verdict."""

    def __init__(self, verdict: Verdict, reason: str, trace: str = "") -> None:
        super().__init__(reason)
        self.verdict, self.reason, self.trace = verdict, reason, trace


def run_session(spec: SessionSpec, sandbox: Sandbox, progress: Progress = lambda phase, fraction: None) -> SessionResult:
    """Run the phases of one submission; see ``SessionResult``."""
    with scratch_folder() as scratch, scratch_folder() as shown:
        session = _Session(spec, sandbox, scratch, shown, progress)
        try:
            return session.run()
        finally:
            # Also where a key or a fault of ours ended the run.
            session.end()


class _Session:
    def __init__(self, spec: SessionSpec, sandbox: Sandbox, scratch: Path, shown: Path, progress: Progress) -> None:
        self.spec, self.sandbox, self.scratch, self.progress = spec, sandbox, scratch, progress
        self.checkpoint = scratch / "checkpoint"
        self.pool_rows = shown / "pool.rows"  # not in the worker's own folder: it is read-only
        self.clock = Clock(spec.seconds)
        self.prediction_clock = Clock(spec.prediction_seconds)
        spec.market.seconds = lambda: self.clock.used  # the ledger is written in the session's time
        self.worker: Worker | None = None
        self.hooks: dict[str, Any] = {}
        self.reports: list[PhaseReport] = []
        self.logs: list[str] = []
        self.guarded = True
        self.limited_by = ""
        self.disagreement: str | None = None
        self.clock_was_read: bool | None = None
        self.predicted: np.ndarray | None = None
        self.has_checkpoint = False
        self.selling = False

    def run(self) -> SessionResult:
        verdict, reason, trace = Verdict.OK, "", ""
        try:
            self._load()
            self._phase("pre_training_phase", self.clock, training_order(self.spec))
            self._phase("purchase_phase", self.clock, purchase_order(self.spec, self.pool_rows), self._take_purchases)
        except _Stop as stop:
            verdict, reason, trace = stop.verdict, stop.reason, stop.trace
        self.spec.market.close()
        if verdict is Verdict.OK:
            try:
                self._phase(
                    "prediction_phase", self.prediction_clock, prediction_order(self.spec), self._take_predictions, last=True
                )
            except _Stop as stop:
                trace = stop.trace
                if not self.reports or self.reports[-1].name != "prediction_phase":
                    self._report("prediction_phase", stop.verdict, stop.reason, self.prediction_clock, 0.0)
        self.end()
        return SessionResult(
            verdict=verdict,
            reason=reason,
            ledger=self.spec.market.ledger,
            phases=tuple(self.reports),
            seconds=self.clock.used,
            predictions=self.predicted,
            disagreement=self.disagreement,
            clock_was_read=self.clock_was_read,
            class_name=self.hooks.get("class"),
            guarded=self.guarded,
            limited_by=self.limited_by,
            trace=trace,
            log="".join(self.logs),
        )

    # -- worker ------------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        """Start a worker and import the submission; on no clock, within a limit of its own."""
        deadline = time.monotonic() + self.spec.load_seconds
        spec = self.spec
        sets = (spec.training, spec.pool, spec.prediction)
        seen = WorkerSpec(
            submission=spec.submission,
            scratch=self.scratch,
            readable=(*(s.path for s in sets), *(s.embeddings for s in sets if s.embeddings is not None), self.pool_rows),
            weights=spec.weights,
            seed=spec.seed,
            threads=spec.threads,
            limits=spec.limits,
        )
        try:
            if not self.pool_rows.exists():
                write_pool_rows(spec, self.pool_rows)
            self.worker = self.sandbox.start(seen)
        except OSError as error:
            raise _Stop(Verdict.INFRASTRUCTURE, f"the worker could not be started: {error}") from error
        self.limited_by = self.worker.limited_by
        try:
            hello = self.worker.channel.receive(deadline)
        except (ChannelTimeout, ChannelEnded, ProtocolError) as error:
            self.end()
            raise _Stop(Verdict.INFRASTRUCTURE, f"the worker did not answer: {error or 'no greeting in time'}") from None
        if hello.kind != "hello":
            raise _Stop(Verdict.PROTOCOL_ERROR, f"the worker greeted with a {hello.kind!r} message")
        order = {"t": "load", "submission": spec.submission}
        self.hooks = self._obey(order, b"", deadline, "importing the submission").fields
        if spec.restart and not (self.hooks.get("saves") and self.hooks.get("loads")):
            raise _Stop(
                Verdict.RUNTIME_ERROR,
                "the run restarts the worker between phases, and the submission lacks save_checkpoint or load_checkpoint",
            )

    def end(self) -> Ended:
        """End the worker, if one runs, and keep its log."""
        if self.worker is None:
            return Ended()
        ended = self.worker.end()
        self.guarded &= ended.guarded
        self.logs.append(self.worker.log())
        self.worker = None
        return ended

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
                self._load()
            with clock.running():
                if self.has_checkpoint and self.spec.restart:
                    self._obey({"t": "load_state", "path": self.checkpoint}, b"", clock.deadline, "load_checkpoint")
                message, blob = order
                message |= {"seconds": clock.remaining, "seed": self.spec.seed, "classes": list(self.spec.classes)}
                self.selling = name == "purchase_phase"
                answer = self._obey(message, blob, clock.deadline, name)
                if self.selling:
                    self.selling = False
                    self.spec.market.close()
                if self.hooks.get("saves") and not last:
                    # Participant's code, so on the participant's clock: a hook must not be a place for free computing.
                    self._make_checkpoint_folder()
                    self._obey({"t": "save", "path": self.checkpoint}, b"", clock.deadline, f"save_checkpoint after {name}")
                    self.has_checkpoint = True
            if take is not None:
                take(answer)
        except _Stop as stop:
            self._report(name, stop.verdict, stop.reason, clock, before)
            raise
        if self.spec.restart and not last:
            self.end()
        self._report(name, Verdict.OK, "", clock, before)
        self.progress(name, 1.0)

    def _make_checkpoint_folder(self) -> None:
        try:
            self.checkpoint.mkdir(exist_ok=True)
        except OSError as error:
            raise _Stop(
                Verdict.RUNTIME_ERROR,
                f"the folder for save_checkpoint cannot be made ({error.strerror}); leave 'checkpoint' in your home folder free",
            ) from None

    def _report(self, name: str, verdict: Verdict, reason: str, clock: Clock, before: float) -> None:
        self.reports.append(PhaseReport(name, verdict, reason, clock.used - before, clock.limit))

    def _obey(self, order: dict[str, Any], blob: bytes, deadline: float, what: str) -> Message:
        """Send an order and serve the worker's requests until it says ``done``. Paths are given as the worker sees them."""
        assert self.worker is not None
        channel = self.worker.channel
        order = {name: self.worker.seen(value) if isinstance(value, Path) else value for name, value in order.items()}
        try:
            channel.send(order, blob, deadline=deadline)
            started, shown = time.monotonic(), 0
            while True:
                message = channel.receive(deadline)
                # Also where frames pile up faster than we answer: nothing is sold and nothing ends well after the deadline.
                if time.monotonic() >= deadline:
                    raise ChannelTimeout
                if message.kind == "buy":
                    self._sell(message, deadline)
                elif message.kind == "progress":
                    # Somebody draws it on a terminal; a flood of it would be work of ours beside the participant's clock.
                    if shown < PROGRESS_AT_ONCE + PROGRESS_PER_SECOND * (time.monotonic() - started):
                        shown += 1
                        self.progress(what, float(message.fields["fraction"]))
                elif message.kind == "failed":
                    error, text = message.fields["error"], message.fields["message"]
                    verdict = Verdict.INVALID_OUTPUT if error == "InvalidOutput" else Verdict.RUNTIME_ERROR
                    raise _Stop(verdict, f"{error} in {what}: {text}", message.fields["trace"])
                elif message.kind == "done":
                    return message
                else:
                    raise ProtocolError(f"a {message.kind!r} message in the middle of {what}")
        except ChannelTimeout:
            self.end()
            raise _Stop(Verdict.TIME_LIMIT, f"the time limit passed during {what}; {self._advice(what)}") from None
        except ProtocolError as error:
            self.end()
            raise _Stop(Verdict.PROTOCOL_ERROR, f"{error} (during {what})") from None
        except ChannelEnded:
            raise self._death(what) from None

    def _advice(self, what: str) -> str:
        if what == "importing the submission":
            return f"starting and importing may take {self.spec.load_seconds:g} s"
        if what == "prediction_phase":
            return f"it has {self.spec.prediction_seconds:g} s of its own"
        shared = f"pre-training, purchase and checkpoint hooks share {self.spec.seconds:g} s"
        return f"{shared}: look at time_available and remaining_time()"

    def _death(self, what: str) -> _Stop:
        """The verdict over a worker that is gone before it answered."""
        # The channel closes a moment before the process is gone; without this wait a crash would be reported as our own kill.
        time.sleep(0.1)
        ended = self.end()
        if ended.breach is not None:
            verdict = Verdict.MEMORY_LIMIT if ended.breach.limit == "memory" else Verdict.RUNTIME_ERROR
            return _Stop(verdict, f"a limit was broken during {what}: {ended.breach}")
        if ended.signal is not None:
            how = f"the worker was killed by signal {ended.signal} ({_signal_name(ended.signal)})"
        elif ended.code is not None:
            how = f"the worker exited with status {ended.code} (a hook ends by returning)"
        else:
            how = "the worker closed its channel"
        return _Stop(Verdict.RUNTIME_ERROR, f"{how} during {what}")

    def _sell(self, message: Message, deadline: float) -> None:
        assert self.worker is not None
        market = self.spec.market
        if len(message.blob) % 8 or len(message.blob) > 8 * len(market):
            raise ProtocolError(f"a purchase of {len(message.blob)} bytes from a pool of {len(market)} images")
        try:
            if not self.selling:
                raise MarketClosedError("labels are sold during the purchase phase only")
            labels = market.purchase_labels(np.frombuffer(message.blob, np.int64))
        except (OutOfBudgetError, IndexError, TypeError, MarketClosedError) as error:
            refusal = {"t": "refused", "error": type(error).__name__, "message": str(error)}
            self.worker.channel.send(refusal, deadline=deadline)
        else:
            answer = {"t": "sold", "remaining": market.remaining_budget}
            self.worker.channel.send(answer, labels.tobytes(), deadline=deadline)

    # -- answers -----------------------------------------------------------------------------------------------------------

    def _take_purchases(self, message: Message) -> None:
        self.clock_was_read = message.fields.get("clock")
        most = len(self.spec.market) * (8 + len(self.spec.classes))
        if len(message.blob) > most:
            # A worker says nothing rather than that; comparing it would be time on nobody's clock.
            raise _Stop(Verdict.PROTOCOL_ERROR, f"a purchase phase's return of {len(message.blob)} bytes; {most} are the most")
        try:
            self.disagreement = purchase_disagreement(message, self.spec.market.ledger, len(self.spec.classes))
        except ClaimRefused as error:
            raise _Stop(error.verdict, str(error)) from None

    def _take_predictions(self, message: Message) -> None:
        try:
            self.predicted = predictions(message, len(self.spec.prediction), len(self.spec.classes))
        except ClaimRefused as error:
            raise _Stop(error.verdict, str(error)) from None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
