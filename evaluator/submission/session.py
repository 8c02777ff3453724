"""A session of a submission that answers once: its only hook runs in a worker, under a clock.

What the hook is given and what its answer must be is the track's; how it is run, stored and shown to its author is the same for
all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from evaluator.errors import SubmissionError, Verdict
from evaluator.records import PhaseRow, PlainAnswer
from evaluator.sandbox.channel import Message, Schema
from evaluator.sandbox.clock import Clock
from evaluator.sandbox.conversation import Order, Progress, Terms
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.phases import Phase, SessionOutcome, run_phases
from evaluator.sandbox.tier import Sandbox, WorkerSpec
from evaluator.specs import CellSpec
from evaluator.submission.staging import Own, staged

A = TypeVar("A", bound=PlainAnswer)


@dataclass(frozen=True)
class Session:
    """What every session of one hook needs; a track adds what its hook is given.

    Attributes:
        submission: folder or file; ``submission_digest``: that it had when it was read, empty if it was not read.
        seconds: limit of the hook; ``load_seconds``: for starting the worker and importing the submission.
        seed: given to the participant; ``threads``: CPU threads that the worker is told to use.
        weights: a folder of pretrained weights that it may read.
        limits: of memory, processes and disk; ``printed``: called with what the submission prints, as it comes.
    """

    submission: Path
    _: KW_ONLY
    seconds: float
    load_seconds: float
    seed: int
    threads: int = 1
    weights: Path | None = None
    submission_digest: str = ""
    limits: Limits = field(default_factory=Limits)
    printed: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Hook:
    """The hook of a track: how it is asked, and who takes its answer.

    Attributes:
        track: as the worker knows it; ``name``: of the hook.
        schema: what its answer may say. ``order``: what it is given.
        take: given the answer when the clock has stopped; raises ``Stopped`` where the answer is wrong.
    """

    track: str
    name: str
    schema: Schema
    order: Order
    take: Callable[[Message], None]


def run_hook(
    session: Session,
    hook: Hook,
    sandbox: Sandbox,
    progress: Progress = lambda phase, fraction: None,
    clock: type[Clock] = Clock,
    *,
    copied: bool = True,
) -> SessionOutcome:
    """Run the hook of a submission. Never raises for what the submission does; the outcome says so.

    Args:
        clock: kind of its clock; a ``ShownClock`` does not end anything.
        copied: whether the worker gets a copy of the submission; if not, tracebacks and debuggers name its own files.

    Raises:
        OSError: no folder for the session can be made.
    """
    with ExitStack() as stack:
        path, digest = session.submission, session.submission_digest
        try:
            submission = stack.enter_context(staged(path, digest)) if copied else Own(path)
        except SubmissionError as error:
            return SessionOutcome(error.verdict, str(error), (), 0.0, None, None, True, "", "", "")
        named = submission.named
        terms = Terms(
            track=hook.track,
            worker=WorkerSpec(
                submission.path, weights=session.weights, seed=session.seed, threads=session.threads, limits=session.limits
            ),
            load_seconds=session.load_seconds,
            schema=hook.schema,
            printed=lambda text: session.printed(named(text)),
            advice=lambda what: f"{hook.name} has {session.seconds:g} s: look at time_available",
        )
        outcome = run_phases(terms, (Phase(hook.name, hook.order, clock(session.seconds), hook.take),), sandbox, progress)
        phases = tuple(replace(report, reason=named(report.reason)) for report in outcome.phases)
        return replace(outcome, phases=phases, reason=named(outcome.reason), trace=named(outcome.trace), log=named(outcome.log))


def answer_of(kind: type[A], spec: CellSpec, outcome: SessionOutcome, found: Mapping[str, Any], busy: str) -> A:
    """The answer of a session as it is stored.

    Args:
        found: what the submission answered, JSON-able members of the answer's content. ``busy``: other load on the machine.
    """
    return kind(
        digest=spec.answer_digest(),
        spec=spec.answer_dict(),
        content={
            **found,
            "class_name": outcome.class_name,
            "clock_was_read": outcome.clock_was_read,
            "guarded": outcome.guarded,
            "limited_by": outcome.limited_by,
            "trace": outcome.trace,
        },
        verdict=str(outcome.verdict),
        reason=outcome.reason,
        phases=tuple(
            PhaseRow(name=p.name, verdict=str(p.verdict), reason=p.reason, seconds=round(p.seconds, 6), allowed=p.allowed)
            for p in outcome.phases
        ),
        text=outcome.log if not outcome.trace else (outcome.log.rstrip("\n") + "\n" if outcome.log else "") + outcome.trace,
        busy=busy,
    )


def told(outcome: SessionOutcome, hook: str, limit: float) -> tuple[list[tuple[str, str]], list[str]]:
    """What the author of a submission is told of a run that no clock ended: rows of label and text, and faults."""
    rows = [(phase.name, f"{phase.seconds:.2f} s of {phase.allowed:g} s") for phase in outcome.phases]
    faults = [phase.reason for phase in outcome.phases if phase.verdict is not Verdict.OK]
    if not outcome.phases and outcome.verdict is not Verdict.OK:
        faults.append(outcome.reason)
    if any(phase.seconds > limit for phase in outcome.phases):
        faults.append(
            f"{hook} took more than its {limit:g} s: a run ends it with TIME_LIMIT (time at a breakpoint counts here, too)"
        )
    return rows, faults
