"""One session of the closed division: a submission's ``rank`` in a worker, under a clock. It is given no true label of a row."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.cleaning.tasks import CleaningTask, Part
from evaluator.errors import SubmissionError, Verdict
from evaluator.sandbox.channel import Message, Schema
from evaluator.sandbox.clock import Clock
from evaluator.sandbox.conversation import Order, Progress, Stopped, Terms
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.phases import Phase, SessionOutcome, run_phases
from evaluator.sandbox.readonly import Content
from evaluator.sandbox.tier import Sandbox, WorkerSpec
from evaluator.submission.staging import Own, staged

SCHEMA = Schema(optional={"done": {"n": int}})
"""``done`` after ``rank``: how many indices it returned; its binary part holds them, uint32."""
PHASE = "rank"


@dataclass(frozen=True)
class SessionSpec:
    """Everything that a session needs.

    Attributes:
        submission: folder or file; ``submission_digest``: that it had when it was read, empty if it was not read.
        task: its training rows, given labels and validation set go to the worker.
        seconds: limit of ``rank``; ``load_seconds``: for starting the worker and importing the submission.
        seed: given to the participant; ``threads``: CPU threads that the worker is told to use.
        limits: of memory, processes and disk; ``printed``: called with what the submission prints, as it comes.
    """

    submission: Path
    task: CleaningTask
    seconds: float
    load_seconds: float
    seed: int
    threads: int = 1
    weights: Path | None = None
    submission_digest: str = ""
    limits: Limits = field(default_factory=Limits)
    printed: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class SessionResult(SessionOutcome):
    """The outcome of a session. ``ranking``: a permutation of the training rows, int64 (n,); None without one."""

    ranking: np.ndarray | None


def run_session(
    spec: SessionSpec,
    sandbox: Sandbox,
    progress: Progress = lambda phase, fraction: None,
    clock: type[Clock] = Clock,
    *,
    copied: bool = True,
) -> SessionResult:
    """Run a submission's ``rank``. Never raises for what the submission does; a result says so.

    Args:
        clock: kind of its clock; a ``ShownClock`` does not end anything.
        copied: whether the worker gets a copy of the submission; if not, tracebacks and debuggers name its own files.

    Raises:
        OSError: no folder for the session can be made.
    """
    with ExitStack() as stack:
        try:
            submission = stack.enter_context(staged(spec.submission, spec.submission_digest)) if copied else Own(spec.submission)
        except SubmissionError as error:
            return SessionResult(error.verdict, str(error), (), 0.0, None, None, True, "", "", "", None)
        taken: list[np.ndarray] = []
        terms = Terms(
            track="cleaning",
            worker=WorkerSpec(submission.path, weights=spec.weights, seed=spec.seed, threads=spec.threads, limits=spec.limits),
            load_seconds=spec.load_seconds,
            schema=SCHEMA,
            printed=lambda text: spec.printed(submission.named(text)),
            advice=lambda what: f"rank has {spec.seconds:g} s: look at time_available",
        )
        rows = len(spec.task.train)
        phase = Phase(PHASE, order_of(spec), clock(spec.seconds), lambda answer: taken.append(ranking_in(answer, rows)))
        outcome = run_phases(terms, (phase,), sandbox, progress)
        named = submission.named
        phases = tuple(replace(report, reason=named(report.reason)) for report in outcome.phases)
        texts = {name: named(getattr(outcome, name)) for name in ("reason", "trace", "log")}
        whole = vars(outcome) | texts | {"phases": phases}
        return SessionResult(**whole, ranking=taken[0] if taken else None)


def order_of(spec: SessionSpec) -> Order:
    """The order to rank: both sets as files in memory, which the worker maps."""
    task = spec.task
    order: dict[str, Any] = {"seed": spec.seed, "classes": task.classes, "several": task.kind == "multilabel"}
    for name, part in (("training_set", task.train), ("validation_set", task.validation)):
        order |= {f"{name}_rows": _file(part.rows), f"{name}_labels": _file(_columns(part))}
    return order, b""


def ranking_in(answer: Message, rows: int) -> np.ndarray:
    """The checked ranking of an answer, int64 (rows,).

    Raises:
        Stopped: INVALID_OUTPUT if it is no permutation; PROTOCOL_ERROR if its size is not what the message says.
    """
    n = answer.fields.get("n", -1)
    if n != rows:
        raise Stopped(Verdict.INVALID_OUTPUT, f"rank returned {n} rows; expected a permutation of all {rows}, worst first")
    if len(answer.blob) != 4 * rows:
        raise Stopped(Verdict.PROTOCOL_ERROR, f"rank returned {len(answer.blob)} bytes; expected 4 for each of {rows} rows")
    ranking = np.frombuffer(answer.blob, np.uint32).astype(np.int64)
    if why := not_a_permutation(ranking, rows):
        raise Stopped(Verdict.INVALID_OUTPUT, f"rank returned {why}; expected a permutation of all {rows} rows, worst first")
    return ranking


def not_a_permutation(ranking: np.ndarray, rows: int) -> str:
    """Why so many indices are no permutation of the rows, in words; empty if they are."""
    if len(ranking) != rows:
        return f"{len(ranking)} rows"
    if (outside := ranking[(ranking < 0) | (ranking >= rows)]).size:
        return f"the row {outside[0]}, which there is not"
    counts = np.bincount(ranking, minlength=rows)
    twice = np.flatnonzero(counts > 1)
    return (
        f"the row {twice[0]} {counts[twice[0]]} times, and the row {np.flatnonzero(counts == 0)[0]} not at all"
        if twice.size
        else ""
    )


def _columns(part: Part) -> np.ndarray:
    """Labels as the table that a worker maps: float32 (n, 1) or (n, classes), whose whole numbers are exact."""
    return part.labels.reshape(len(part), -1).astype(np.float32)


def _file(array: np.ndarray) -> Content:
    with io.BytesIO() as file:
        np.save(file, np.ascontiguousarray(array))
        return Content(file.getvalue())
