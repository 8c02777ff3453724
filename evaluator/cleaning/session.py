"""One session of the closed division: a submission's ``rank`` in a worker, under a clock. It is given no true label of a row."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluator.cleaning.tasks import CleaningTask, Part
from evaluator.errors import Verdict
from evaluator.sandbox.channel import Message, Schema
from evaluator.sandbox.clock import Clock
from evaluator.sandbox.conversation import Order, Progress, Stopped
from evaluator.sandbox.phases import SessionOutcome
from evaluator.sandbox.readonly import Content
from evaluator.sandbox.tier import Sandbox
from evaluator.submission.session import Hook, Session, run_hook

SCHEMA = Schema(optional={"done": {"n": int}})
"""``done`` after ``rank``: how many indices it returned; its binary part holds them, uint32."""
PHASE = "rank"


@dataclass(frozen=True)
class SessionSpec(Session):
    """Everything that a session needs: see ``Session``. ``task``: its training rows, given labels and validation set go to the
    worker."""

    task: CleaningTask


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
    """Run a submission's ``rank``: see ``run_hook``."""
    taken: list[np.ndarray] = []
    rows = len(spec.task.train)
    hook = Hook("cleaning", PHASE, SCHEMA, order_of(spec), lambda answer: taken.append(ranking_in(answer, rows)))
    outcome = run_hook(spec, hook, sandbox, progress, clock, copied=copied)
    return SessionResult(**vars(outcome), ranking=taken[0] if taken else None)


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
