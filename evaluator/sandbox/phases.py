"""Runs a submission's phases one after another, each on a clock, with checkpoints between them.

A phase is one hook of the submission. Importing the submission is on no clock; a phase and the checkpoint hooks around it are, so
that no hook is a place for free computing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import Verdict
from evaluator.sandbox.channel import Message
from evaluator.sandbox.clock import Clock
from evaluator.sandbox.conversation import Conversation, Order, Progress, Stopped, Terms
from evaluator.sandbox.tier import Sandbox


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
        trace: the participant's traceback, where there was one.
        log: what the workers printed, capped.
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


def run_phases(
    terms: Terms, phases: Sequence[Phase], sandbox: Sandbox, progress: Progress = lambda phase, fraction: None
) -> SessionOutcome:
    """Load the submission and run ``phases`` in order, until one fails. Never raises for what a participant's code does.

    Args:
        terms: of the track and the run. Its ``worker.scratch`` holds the checkpoint between phases.
        phases: at least one.
    """
    runner = _Runner(terms, sandbox, progress)
    verdict, reason, trace = Verdict.OK, "", ""
    deciding = True  # loading is part of the first phase's verdict
    try:
        runner.conversation.load()
        for phase in phases:
            deciding = phase.decides
            runner.run(phase, last=phase is phases[-1])
    except Stopped as stop:
        trace = stop.trace
        if deciding:
            verdict, reason = stop.verdict, stop.reason
    finally:
        # Also where an interrupt or a fault of ours ended the run.
        runner.conversation.end()
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
    )


class _Runner:
    """Runs phases, and remembers whether there is a checkpoint to start the next worker from."""

    def __init__(self, terms: Terms, sandbox: Sandbox, progress: Progress) -> None:
        self.conversation = Conversation(terms, sandbox, progress)
        self.reports: list[PhaseReport] = []
        self.clock_was_read: bool | None = None
        self._restart, self._progress = terms.restart, progress
        self._checkpoint = terms.worker.scratch / "checkpoint"
        self._saved = False

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
                self.conversation.load()
            with phase.clock.running():
                if restored:
                    self._hook("load_state", "load_checkpoint", phase.clock)
                answer = self._ask(phase)
                self.clock_was_read = answer.fields.get("clock", self.clock_was_read)
                if self.conversation.facts.get("saves") and not last:
                    _make_folder(self._checkpoint)
                    self._hook("save", f"save_checkpoint after {phase.name}", phase.clock)
                    self._saved = True
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

    def _hook(self, order: str, what: str, clock: Clock) -> None:
        self.conversation.ask({"t": order, "path": self._checkpoint}, b"", clock.deadline, what)

    def _report(self, phase: Phase, verdict: Verdict, reason: str, before: float) -> None:
        self.reports.append(PhaseReport(phase.name, verdict, reason, phase.clock.used - before, phase.clock.limit))


def _make_folder(checkpoint: Path) -> None:
    try:
        checkpoint.mkdir(exist_ok=True)
    except OSError as error:
        raise Stopped(
            Verdict.RUNTIME_ERROR,
            f"the folder for save_checkpoint cannot be made ({error.strerror}); leave 'checkpoint' in your home folder free",
        ) from None
