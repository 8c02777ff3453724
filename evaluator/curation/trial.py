"""Small runs of a submission that are not judged: for ``validate``, and for its author to look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from evaluator.curation.images import NUMERALS, LabelledImages
from evaluator.curation.judge import changes_of
from evaluator.curation.session import PHASE, SessionResult, SessionSpec, run_session
from evaluator.curation.sets import CurationData
from evaluator.errors import Verdict
from evaluator.sandbox.clock import UNLIMITED, ShownClock
from evaluator.sandbox.tier import Sandbox
from evaluator.seeds import generator
from evaluator.submission.findings import Finding
from evaluator.submission.session import told
from evaluator.track import Debugged, Progress, Trial

SECONDS, LOAD_SECONDS = 60.0, 45.0
PER_CLASS = {"train": 4, "val": 2, "label_book": 1, "test": 1}


def made_up(seed: int = 0) -> CurationData:
    """Seventy images of ten classes that a straight line tells apart: a bright bar at a height of its class, with noise."""
    draws = generator(seed, "curation", "trial")
    parts = {}
    for split, many in PER_CLASS.items():
        ids, pixels, labels = [], [], []
        for label, name in enumerate(NUMERALS):
            for number in range(many):
                image = draws.integers(0, 60, (20, 16 + number), dtype=np.uint8)
                image[2 * label : 2 * label + 2] += 150
                ids.append(f"{split}/{name}/{number}.png")
                pixels.append(image)
                labels.append(label)
        parts[split] = LabelledImages(tuple(ids), tuple(pixels), np.array(labels, np.int64))
    return CurationData("made up", NUMERALS, parts["train"], parts["val"], parts["label_book"], parts["test"])


def try_out(submission: Path, sandbox: Sandbox, weights: Path | None = None) -> Trial:
    """Have a submission curate sixty made-up images.

    Raises:
        OSError: no folder for the session can be made.
    """
    data = made_up()
    spec = SessionSpec(submission, data, seconds=SECONDS, load_seconds=LOAD_SECONDS, seed=1, weights=weights)
    result = run_session(spec, sandbox)
    ended = ", ".join(f"{phase.name} {phase.verdict} in {phase.seconds:.1f} s" for phase in result.phases) or result.verdict
    if result.curated is None:
        return Trial(tuple(_found(result)), str(ended), result.trace)
    return Trial(tuple(_found(result)), f"{len(data.items)} images curated, {_done(result, data)}; {ended}", result.trace)


def debug(spec: SessionSpec, sandbox: Sandbox, progress: Progress) -> Debugged:
    """Run a submission for its author to look at: no clock ends it."""
    result = run_session(replace(spec, load_seconds=UNLIMITED, submission_digest=""), sandbox, progress, ShownClock, copied=False)
    rows, faults = told(result, PHASE, spec.seconds)
    if result.curated is not None:
        rows.append(("data set", _done(result, spec.data)))
    return Debugged(tuple(rows), tuple(faults), result.class_name)


def _done(result: SessionResult, data: CurationData) -> str:
    assert result.curated is not None
    found = changes_of(result.curated.rows, data)
    return (
        f"{found.train} in train, {found.val} in val: {found.kept} kept, {found.dropped} dropped, {found.relabelled} relabelled, "
        f"{found.moved} moved, {found.added} added"
    )


def _found(result: SessionResult) -> list[Finding]:
    if result.verdict is Verdict.OK:
        return []
    certain = result.verdict not in (Verdict.TIME_LIMIT, Verdict.INFRASTRUCTURE)  # a round may give more time
    place = PHASE if result.phases else "the start"
    return [Finding("error" if certain else "warning", place, f"{result.verdict} in the small run: {result.reason}")]
