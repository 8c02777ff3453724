"""Small runs of a submission that are not judged: for ``validate``, and for its author to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.cleaning.embedded import Embedded
from evaluator.cleaning.rules import PROFILES, profile_named
from evaluator.cleaning.session import PHASE, SessionResult, SessionSpec, run_session
from evaluator.cleaning.sets import CleaningSets, parsed
from evaluator.cleaning.tasks import CleaningTask, Kind, Part
from evaluator.errors import Verdict
from evaluator.sandbox.clock import UNLIMITED, ShownClock
from evaluator.sandbox.tier import Sandbox
from evaluator.submission.findings import Finding
from evaluator.submission.session import told
from evaluator.track import NOTHING_ASKED, Debugged, Progress, Trial

ROWS = (40, 20, 10)
SECONDS, LOAD_SECONDS = 60.0, 45.0
TASKS: dict[str, Kind] = {
    "labels of 0 and 1": "binary",
    "ten classes": "multiclass",
    "several labels a row": "multilabel",
}
"""What is tried, in words, and the kind of labels. Profiles of the kit have all three, so a fault in one of them is an error."""
UNSEEN = ". So no ranking was looked at; expected one within the limit. Have rank end sooner where there are few rows"
"""What a fault leaves open that is no proof against the submission."""
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


def kinds(asked: Mapping[str, Any]) -> set[Kind]:
    """The kinds of labels of the tasks that options of a sweep name (``Track.trial``); all kinds where they name none.

    Raises:
        ConfigurationError: there is no such profile or task, or a table is not what was expected.
    """
    if not asked.keys() & {"profile", "tasks", "data"}:
        return set(TASKS.values())
    data = asked.get("data")
    profile = profile_named(asked.get("profile") or ("digits" if data is None else "dataperf"))
    if profile.layout != "dataperf":
        return {"multiclass"}
    if data is None:
        names = asked.get("tasks") or profile.tasks
        return {parsed(name).kind for name in names} or set(TASKS.values())
    sets = CleaningSets.chosen(profile, 0, data, data)
    return {sets.task(name, 0).kind for name in asked.get("tasks") or sets.names()}


def try_out(submission: Path, sandbox: Sandbox, weights: Path | None = None, asked: Mapping[str, Any] = NOTHING_ASKED) -> Trial:
    """Have a submission rank forty digits, once with labels of every kind that its tasks may have.

    A fault that another kind showed already is not said again.

    Args:
        asked: names the tasks, as for ``kinds``.

    Raises:
        ConfigurationError: as ``kinds``.
        OSError: no folder for the session can be made.
    """
    wanted, named = kinds(asked), bool(asked)
    found: list[Finding] = []
    said, trace = [], ""
    for words, kind in TASKS.items():
        if kind not in wanted:
            continue
        spec = SessionSpec(submission, small_task(kind), seconds=SECONDS, load_seconds=LOAD_SECONDS, seed=1, weights=weights)
        result = run_session(spec, sandbox)
        ended = ", ".join(f"{phase.name} {phase.verdict} in {phase.seconds:.1f} s" for phase in result.phases) or result.verdict
        said.append(f"{words}: {ended}")
        if result.verdict is Verdict.OK:
            continue
        new = not any(result.reason in before.text for before in found)
        found += [_found(result, words, "" if named else _whose(kind))] if new else []
        trace = trace or result.trace
        if not result.phases:  # it cannot even be loaded, and that is so with other labels, too
            break
    return Trial(tuple(found), f"{ROWS[0]} rows to rank; {'; '.join(said)}", trace)


def _whose(kind: Kind) -> str:
    """The profiles that have tasks of a kind, in words, and what to do where the submission is for others."""
    names = [name for name, profile in PROFILES.items() if profile.tasks and kind in kinds({"profile": name})]
    return f". Tasks of {' and '.join(names)} have such labels; if those of your round have not, name it with --file or --profile"


def debug(spec: SessionSpec, sandbox: Sandbox, progress: Progress) -> Debugged:
    """Run a submission for its author to look at: no clock ends it."""
    free = replace(spec, load_seconds=UNLIMITED, submission_digest="")
    result = run_session(free, sandbox, progress, ShownClock, copied=False)
    rows, faults = told(result, PHASE, spec.seconds)
    if result.ranking is not None:
        wrong = int(spec.task.wrong.sum())
        rows.append(("ranking", f"a permutation of {len(result.ranking)} rows, {wrong} of which have a wrong label"))
    return Debugged(tuple(rows), tuple(faults), result.class_name)


def _found(result: SessionResult, words: str, whose: str) -> Finding:
    certain = result.verdict not in (Verdict.TIME_LIMIT, Verdict.INFRASTRUCTURE)  # a round may give more time
    if not result.phases:
        return Finding("error" if certain else "warning", "the start", f"{result.verdict} in the small run: {result.reason}")
    text = f"{result.verdict} in the small run with {words}: {result.reason}"
    return Finding("error" if certain else "warning", PHASE, text + (whose if certain else UNSEEN))
