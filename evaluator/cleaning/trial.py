"""Small runs of a submission that are not judged: for ``validate``, and for its author to look at."""

from __future__ import annotations

from pathlib import Path

from evaluator.cleaning.embedded import Embedded
from evaluator.cleaning.session import PHASE, SessionResult, SessionSpec, run_session
from evaluator.errors import Verdict
from evaluator.sandbox.clock import UNLIMITED, ShownClock
from evaluator.sandbox.tier import Sandbox
from evaluator.submission.findings import Finding
from evaluator.track import Debugged, Progress, Trial

TASK = Embedded.parse("digits-4v9-uniform-0.2")
ROWS = (40, 20, 10)
SECONDS, LOAD_SECONDS = 60.0, 45.0


def try_out(submission: Path, sandbox: Sandbox, weights: Path | None = None) -> Trial:
    """Have a submission rank forty digits.

    Raises:
        OSError: no folder for the session can be made.
    """
    task = TASK.drawn(0, 0, *ROWS)
    spec = SessionSpec(submission, task, seconds=SECONDS, load_seconds=LOAD_SECONDS, seed=1, weights=weights)
    result = run_session(spec, sandbox)
    ended = ", ".join(f"{phase.name} {phase.verdict} in {phase.seconds:.1f} s" for phase in result.phases) or result.verdict
    return Trial(
        tuple(_found(result)), f"{ROWS[0]} rows ranked; {ended}" if result.ranking is not None else str(ended), result.trace
    )


def debug(spec: SessionSpec, sandbox: Sandbox, progress: Progress) -> Debugged:
    """Run a submission for its author to look at: no clock ends it."""
    limit = spec.seconds
    free = SessionSpec(
        spec.submission,
        spec.task,
        seconds=limit,
        load_seconds=UNLIMITED,
        seed=spec.seed,
        threads=spec.threads,
        weights=spec.weights,
        printed=spec.printed,
    )
    result = run_session(free, sandbox, progress, ShownClock, copied=False)
    rows = [(phase.name, f"{phase.seconds:.2f} s of {phase.allowed:g} s") for phase in result.phases]
    faults = [phase.reason for phase in result.phases if phase.verdict is not Verdict.OK]
    if not result.phases and result.verdict is not Verdict.OK:
        faults.append(result.reason)
    if any(phase.seconds > limit for phase in result.phases):
        faults.append(f"rank took more than its {limit:g} s: a run ends it with TIME_LIMIT (time at a breakpoint counts here, too)")
    if result.ranking is not None:
        wrong = int(spec.task.wrong.sum())
        rows.append(("ranking", f"a permutation of {len(result.ranking)} rows, {wrong} of which have a wrong label"))
    return Debugged(tuple(rows), tuple(faults), result.class_name)


def _found(result: SessionResult) -> list[Finding]:
    if result.verdict is Verdict.OK:
        return []
    certain = result.verdict not in (Verdict.TIME_LIMIT, Verdict.INFRASTRUCTURE)  # a round may give more time
    place = PHASE if result.phases else "the start"
    return [Finding("error" if certain else "warning", place, f"{result.verdict} in the small run: {result.reason}")]
