"""Runs a submission's phases one after another, each on a clock, with checkpoints between them.

A phase is one hook of the submission. Importing the submission is free for some seconds; the rest of it, a phase and the checkpoint
hooks around it are on a clock, so that nothing is a place for free computing.

A checkpoint is what a submission left in its folder for checkpoints, packed by its worker into bytes that nobody here looks into.
They are kept for the run and handed to the next worker, which unpacks them in a home of its own when the clock runs again.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from evaluator.errors import Verdict
from evaluator.sandbox.channel import Message
from evaluator.sandbox.clock import Clock
from evaluator.sandbox.conversation import Conversation, Order, Progress, Stopped, Terms
from evaluator.sandbox.tier import Sandbox
from evaluator.text import visible_lines
from evaluator.worker.frames import PART

LAST_LINES, LAST_CAP = 10, 2_000
"""Lines and characters of a failed submission's log that stand in its result."""


@dataclass(frozen=True)
class Phase:
    """One phase to run.

    Attributes:
        name: of the submission's hook.
        order: the message that starts the phase, without what is added here (``t``, ``name``, ``seconds``), and its binary part.
        clock: what the phase and its checkpoint hooks are charged to. Phases may share a clock.
        take: given the worker's answer when the clock has stopped; raises ``Stopped`` where the answer is wrong.
        decides: whether a failure of this phase is the verdict of the run. Phases that do not decide come last; their failure is
            in their own report.
    """

    name: str
    order: Order
    clock: Clock
    take: Callable[[Message], None] = lambda answer: None
    decides: bool = True


@dataclass(frozen=True)
class PhaseReport:
    """How one phase went. ``seconds`` used on its clock, checkpoint hooks included; ``allowed``: the limit of that clock."""

    name: str
    verdict: Verdict
    reason: str
    seconds: float
    allowed: float


@dataclass(frozen=True)
class SessionOutcome:
    """What the run of a submission's phases leaves, whatever the track.

    Attributes:
        verdict, reason: of loading and of the phases that decide; every phase has a report of its own besides.
        phases: reports of the phases that were started.
        seconds: used on the clock of the first phase, and so on the clock that phases share.
        clock_was_read: the submission asked for the time it has (as far as its worker says), so that its answer may differ in
            another run; None where no phase that tells it has ended.
        class_name: of the submission's class; None where none was loaded.
        guarded: whether a guard stood by to the end of every worker.
        limited_by: what held the worker's limits, as ``Worker.limited_by``; empty where none was started.
        trace: the participant's traceback, where there was one; after a time limit, where its threads were.
        log: what the workers printed, capped.
        full_trace: the traceback with the frames of the worker, where ``trace`` leaves some out; else empty.
    """

    verdict: Verdict
    reason: str
    phases: tuple[PhaseReport, ...]
    seconds: float
    clock_was_read: bool | None
    class_name: str | None
    guarded: bool
    limited_by: str
    trace: str
    log: str
    full_trace: str = field(default="", kw_only=True)

    @property
    def last_lines(self) -> str:
        """The last lines that were printed, at most ``LAST_LINES``, if a phase failed; else empty."""
        if self.verdict is Verdict.OK and all(phase.verdict is Verdict.OK for phase in self.phases):
            return ""
        lines = self.log.rstrip("\n").split("\n")[-LAST_LINES:]
        return visible_lines("\n".join(lines)[-LAST_CAP:])


def run_phases(
    terms: Terms, phases: Sequence[Phase], sandbox: Sandbox, progress: Progress = lambda phase, fraction: None
) -> SessionOutcome:
    """Load the submission and run ``phases`` in order, until one fails. Never raises for what a participant's code does.

    Args:
        terms: of the track and the run.
        phases: at least one.
    """
    runner = _Runner(terms, sandbox, progress)
    verdict, reason, trace, full_trace = Verdict.OK, "", "", ""
    deciding = True  # loading is part of the first phase's verdict
    try:
        runner.conversation.load(phases[0].clock)
        for phase in phases:
            deciding = phase.decides
            runner.run(phase, last=phase is phases[-1])
    except Stopped as stop:
        trace, full_trace = stop.trace, stop.full_trace
        if stop.verdict is Verdict.TIME_LIMIT:
            runner.conversation.end()
            trace, full_trace = runner.conversation.stacks()
        if deciding:
            verdict, reason = stop.verdict, stop.reason
    finally:
        # Also where an interrupt or a fault of ours ended the run.
        runner.conversation.end()
        runner.close()
    conversation = runner.conversation
    return SessionOutcome(
        verdict=verdict,
        reason=reason,
        phases=tuple(runner.reports),
        seconds=phases[0].clock.used,
        clock_was_read=runner.clock_was_read,
        class_name=conversation.facts.get("class"),
        guarded=conversation.guarded,
        limited_by=conversation.limited_by,
        trace=trace,
        log="".join(conversation.logs),
        full_trace=full_trace,
    )


class _Runner:
    """Runs phases, and remembers whether there is a checkpoint to start the next worker from."""

    def __init__(self, terms: Terms, sandbox: Sandbox, progress: Progress) -> None:
        self.conversation = Conversation(terms, sandbox, progress)
        self.reports: list[PhaseReport] = []
        self.clock_was_read: bool | None = None
        self._restart, self._progress = terms.restart, progress
        self._limit = terms.worker.limits.disk
        self._saved = False
        self._checkpoint: IO[bytes] | None = None

    def close(self) -> None:
        """Forget the checkpoint."""
        if self._checkpoint is not None:
            self._checkpoint.close()

    def run(self, phase: Phase, last: bool) -> None:
        """Run one phase and its checkpoint hooks on its clock, and report it.

        Args:
            last: no checkpoint is needed after it.

        Raises:
            Stopped: it failed; the report says the same.
        """
        before = phase.clock.used
        self._progress(phase.name, 0.0)
        try:
            restored = self._saved and self._restart
            if restored:
                self.conversation.load(phase.clock)
            with phase.clock.running():
                if restored:
                    self._load_state(phase.clock)
                answer = self._ask(phase)
                self.clock_was_read = answer.fields.get("clock", self.clock_was_read)
                if self.conversation.facts.get("saves") and not last:
                    self._save(phase)
            phase.take(answer)
        except Stopped as stop:
            self._report(phase, stop.verdict, stop.reason, before)
            raise
        if self._restart and not last:
            self.conversation.end()
        self._report(phase, Verdict.OK, "", before)
        self._progress(phase.name, 1.0)

    def _ask(self, phase: Phase) -> Message:
        message, blob = phase.order
        message = message | {"t": "phase", "name": phase.name, "seconds": phase.clock.remaining}
        return self.conversation.ask(message, blob, phase.clock.deadline, phase.name)

    def _save(self, phase: Phase) -> None:
        """Have the submission save its state; where the next phase has a new worker, take the state over."""
        what = f"save_checkpoint after {phase.name}"
        self.close()
        # Kept until the next worker has it, in memory while it is small.
        kept = self._checkpoint = tempfile.SpooledTemporaryFile(max_size=PART)  # noqa: SIM115
        try:
            self.conversation.ask(
                {"t": "save", "hand_over": self._restart}, b"", phase.clock.deadline, what, take=self._taker(kept, what)
            )
        except OSError as error:
            raise Stopped(Verdict.INFRASTRUCTURE, f"the checkpoint cannot be kept: {error}") from error
        self._saved = True

    def _taker(self, kept: IO[bytes], what: str) -> Callable[[bytes], None]:
        def take(part: bytes) -> None:
            if kept.tell() + len(part) > self._limit:
                raise Stopped(
                    Verdict.RUNTIME_ERROR,
                    f"{what} left more than {self._limit} bytes in the checkpoint folder, the limit of the disk; save less",
                )
            kept.write(part)

        return take

    def _load_state(self, clock: Clock) -> None:
        kept = self._checkpoint
        assert kept is not None
        size = kept.tell()
        kept.seek(0)
        parts = iter(lambda: kept.read(PART), b"")
        order = {"t": "load_state", "parts": -(-size // PART)}
        try:
            self.conversation.ask(order, b"", clock.deadline, "load_checkpoint", parts=parts)
        except OSError as error:
            raise Stopped(Verdict.INFRASTRUCTURE, f"the checkpoint cannot be read back: {error}") from error
        kept.seek(0, os.SEEK_END)

    def _report(self, phase: Phase, verdict: Verdict, reason: str, before: float) -> None:
        self.reports.append(PhaseReport(phase.name, verdict, reason, phase.clock.used - before, phase.clock.limit))
