"""Small runs of a submission that are not judged: for ``validate``, and for its author to look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from evaluator.cleaning.embedded import Embedded
from evaluator.cleaning.session import PHASE, SessionResult, SessionSpec, run_session
from evaluator.cleaning.tasks import CleaningTask, Kind, Part
from evaluator.errors import Verdict
from evaluator.sandbox.clock import UNLIMITED, ShownClock
from evaluator.sandbox.tier import Sandbox
from evaluator.submission.findings import Finding
from evaluator.submission.session import told
from evaluator.track import Debugged, Progress, Trial

ROWS = (40, 20, 10)
SECONDS, LOAD_SECONDS = 60.0, 45.0
TASKS: dict[str, Kind] = {
    "labels of 0 and 1": "binary",
    "ten classes": "multiclass",
    "several labels a row": "multilabel",
}
"""What is tried, in words, and the kind of labels. Rounds of the kit's own have the first two."""
PROPERTIES = ((1, 3, 5, 7, 9), (5, 6, 7, 8, 9), (0, 6, 8, 9))
"""Digits that are odd, that are 5 or more, that have a loop: three labels of a row."""


def small_task(kind: Kind) -> CleaningTask:
    """Forty digits with some wrong labels of a kind."""
    if kind == "binary":
        return Embedded.parse("digits-4v9-uniform-0.2").drawn(0, 0, *ROWS)
    drawn = Embedded.parse("digits-uniform-0.3").drawn(0, 0, *ROWS)
    if kind == "multiclass":
        return drawn

    def several(labels: np.ndarray) -> np.ndarray:
        return np.stack([np.isin(labels, digits) for digits in PROPERTIES], axis=1).astype(np.int64)

    first, second, third = (Part(part.rows, several(part.labels)) for part in (drawn.train, drawn.validation, drawn.test))
    return CleaningTask("digits-properties", "multilabel", len(PROPERTIES), first, several(drawn.true), second, third, drawn.ids)


def try_out(submission: Path, sandbox: Sandbox, weights: Path | None = None) -> Trial:
    """Have a submission rank forty digits, three times: with labels of every kind that a task may have.

    A kind that no round of the kit has is worth a warning; a fault that another kind showed already is not said again.

    Raises:
        OSError: no folder for the session can be made.
    """
    found: list[Finding] = []
    said, trace = [], ""
    for words, kind in TASKS.items():
        spec = SessionSpec(submission, small_task(kind), seconds=SECONDS, load_seconds=LOAD_SECONDS, seed=1, weights=weights)
        result = run_session(spec, sandbox)
        ended = ", ".join(f"{phase.name} {phase.verdict} in {phase.seconds:.1f} s" for phase in result.phases) or result.verdict
        said.append(f"{words}: {ended}")
        if result.verdict is Verdict.OK:
            continue
        found += [] if any(result.reason in before.text for before in found) else [_found(result, words, kind)]
        trace = trace or result.trace
        if not result.phases:  # it cannot even be loaded, and that is so with other labels, too
            break
    return Trial(tuple(found), f"{ROWS[0]} rows to rank; {'; '.join(said)}", trace)


def debug(spec: SessionSpec, sandbox: Sandbox, progress: Progress) -> Debugged:
    """Run a submission for its author to look at: no clock ends it."""
    free = replace(spec, load_seconds=UNLIMITED, submission_digest="")
    result = run_session(free, sandbox, progress, ShownClock, copied=False)
    rows, faults = told(result, PHASE, spec.seconds)
    if result.ranking is not None:
        wrong = int(spec.task.wrong.sum())
        rows.append(("ranking", f"a permutation of {len(result.ranking)} rows, {wrong} of which have a wrong label"))
    return Debugged(tuple(rows), tuple(faults), result.class_name)


def _found(result: SessionResult, words: str, kind: Kind) -> Finding:
    certain = result.verdict not in (Verdict.TIME_LIMIT, Verdict.INFRASTRUCTURE)  # a round may give more time
    place = PHASE if result.phases else "the start"
    text = f"{result.verdict} in the small run with {words}: {result.reason}"
    if kind == "multilabel" and certain:
        return Finding("warning", place, f"{text}. No profile of the kit has such tasks; a round of an organiser's may")
    return Finding("error" if certain else "warning", place, text)
