"""What is said between a session and its worker: orders out, purchases and progress in, and how either side can end it.

A conversation owns the worker: it starts it, sells to it while the market is open, and knows why a worker that is gone is gone.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.errors import Verdict
from evaluator.purchase.orders import write_pool_rows
from evaluator.purchase.session_spec import SessionSpec
from evaluator.sandbox.channel import ChannelEnded, ChannelTimeout, Message, ProtocolError
from evaluator.sandbox.tier import Ended, Sandbox, Worker, WorkerSpec
from evaluator.worker.errors import MarketClosedError, OutOfBudgetError

PROGRESS_AT_ONCE, PROGRESS_PER_SECOND = 50, 20
"""How much of a worker's progress is passed on; what is more is dropped."""

Progress = Callable[[str, float], None]
"""Called with a phase's name and the share of it that is done, 0 to 1."""


class Stopped(Exception):
    """The session cannot go on; carries the verdict."""

    def __init__(self, verdict: Verdict, reason: str, trace: str = "") -> None:
        super().__init__(reason)
        self.verdict, self.reason, self.trace = verdict, reason, trace


class Conversation:
    """A session's worker, or its workers one after another.

    Args:
        spec: of the session.
        sandbox: starts workers.
        scratch: the folder that workers may write to.
        pool_rows: the file with the pool's rows in this session's order; written at the first start.
        progress: told what the worker says of its progress.

    Attributes:
        hooks: what the worker told of the submission's class when it was imported.
        logs: of the workers that have ended.
        guarded: whether a guard stood by to the end of every worker so far.
        limited_by: what holds the worker's limits; empty before the first start.
        selling: whether labels may be bought.
    """

    def __init__(self, spec: SessionSpec, sandbox: Sandbox, scratch: Path, pool_rows: Path, progress: Progress) -> None:
        self.spec, self.sandbox, self.scratch, self.pool_rows, self.progress = spec, sandbox, scratch, pool_rows, progress
        self.hooks: dict[str, Any] = {}
        self.logs: list[str] = []
        self.guarded = True
        self.limited_by = ""
        self.selling = False
        self._worker: Worker | None = None

    def load(self) -> None:
        """Start a worker and import the submission; on no clock, within a limit of its own.

        Raises:
            Stopped: the worker cannot be started or greeted with nonsense, or the submission cannot be used.
        """
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
            self._worker = self.sandbox.start(seen)
        except OSError as error:
            raise Stopped(Verdict.INFRASTRUCTURE, f"the worker could not be started: {error}") from error
        self.limited_by = self._worker.limited_by
        try:
            hello = self._worker.channel.receive(deadline)
        except (ChannelTimeout, ChannelEnded, ProtocolError) as error:
            self.end()
            raise Stopped(Verdict.INFRASTRUCTURE, f"the worker did not answer: {error or 'no greeting in time'}") from None
        if hello.kind != "hello":
            raise Stopped(Verdict.PROTOCOL_ERROR, f"the worker greeted with a {hello.kind!r} message")
        order = {"t": "load", "submission": spec.submission}
        self.hooks = self.ask(order, b"", deadline, "importing the submission").fields
        if spec.restart and not (self.hooks.get("saves") and self.hooks.get("loads")):
            raise Stopped(
                Verdict.RUNTIME_ERROR,
                "the run restarts the worker between phases, and the submission lacks save_checkpoint or load_checkpoint",
            )

    def end(self) -> Ended:
        """End the worker, if one runs, and keep its log."""
        if self._worker is None:
            return Ended()
        ended = self._worker.end()
        self.guarded &= ended.guarded
        self.logs.append(self._worker.log())
        self._worker = None
        return ended

    def ask(self, order: dict[str, Any], blob: bytes, deadline: float, what: str) -> Message:
        """Send an order and serve the worker's requests until it says ``done``. Paths are given as the worker sees them.

        Args:
            order: a message of the channel's schema; ``blob`` goes with it.
            deadline: of ``time.monotonic``.
            what: the phase or hook, as a verdict's reason and the progress name it.

        Raises:
            Stopped: the time is over, the worker is gone or breaks the protocol, or the participant's code failed.
        """
        assert self._worker is not None
        channel = self._worker.channel
        order = {name: self._worker.seen(value) if isinstance(value, Path) else value for name, value in order.items()}
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
                    raise Stopped(verdict, f"{error} in {what}: {text}", message.fields["trace"])
                elif message.kind == "done":
                    return message
                else:
                    raise ProtocolError(f"a {message.kind!r} message in the middle of {what}")
        except ChannelTimeout:
            self.end()
            raise Stopped(Verdict.TIME_LIMIT, f"the time limit passed during {what}; {self._advice(what)}") from None
        except ProtocolError as error:
            self.end()
            raise Stopped(Verdict.PROTOCOL_ERROR, f"{error} (during {what})") from None
        except ChannelEnded:
            raise self._death(what) from None

    def _advice(self, what: str) -> str:
        if what == "importing the submission":
            return f"starting and importing may take {self.spec.load_seconds:g} s"
        if what == "prediction_phase":
            return f"it has {self.spec.prediction_seconds:g} s of its own"
        shared = f"pre-training, purchase and checkpoint hooks share {self.spec.seconds:g} s"
        return f"{shared}: look at time_available and remaining_time()"

    def _death(self, what: str) -> Stopped:
        """The verdict over a worker that is gone before it answered."""
        # The channel closes a moment before the process is gone; without this wait a crash would be reported as our own kill.
        time.sleep(0.1)
        ended = self.end()
        if ended.breach is not None:
            verdict = Verdict.MEMORY_LIMIT if ended.breach.limit == "memory" else Verdict.RUNTIME_ERROR
            return Stopped(verdict, f"a limit was broken during {what}: {ended.breach}")
        if ended.signal is not None:
            how = f"the worker was killed by signal {ended.signal} ({_signal_name(ended.signal)})"
        elif ended.code is not None:
            how = f"the worker exited with status {ended.code} (a hook ends by returning)"
        else:
            how = "the worker closed its channel"
        return Stopped(Verdict.RUNTIME_ERROR, f"{how} during {what}")

    def _sell(self, message: Message, deadline: float) -> None:
        assert self._worker is not None
        market = self.spec.market
        if len(message.blob) % 8 or len(message.blob) > 8 * len(market):
            raise ProtocolError(f"a purchase of {len(message.blob)} bytes from a pool of {len(market)} images")
        try:
            if not self.selling:
                raise MarketClosedError("labels are sold during the purchase phase only")
            labels = market.purchase_labels(np.frombuffer(message.blob, np.int64))
        except (OutOfBudgetError, IndexError, TypeError, MarketClosedError) as error:
            refusal = {"t": "refused", "error": type(error).__name__, "message": str(error)}
            self._worker.channel.send(refusal, deadline=deadline)
        else:
            answer = {"t": "sold", "remaining": market.remaining_budget}
            self._worker.channel.send(answer, labels.tobytes(), deadline=deadline)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
