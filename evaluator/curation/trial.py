"""Small runs of a submission that are not judged: for ``validate``, and for its author to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.curation.images import NUMERALS, LabelledImages, class_names
from evaluator.curation.judge import EmptyClassError, changes_of, checked
from evaluator.curation.rules import CurationProfile, profile_named, ruled
from evaluator.curation.session import PHASE, SessionResult, SessionSpec, run_session
from evaluator.curation.sets import TRAIN, CurationData
from evaluator.errors import DataError, Verdict
from evaluator.sandbox.clock import UNLIMITED, ShownClock
from evaluator.sandbox.tier import Sandbox
from evaluator.seeds import generator
from evaluator.submission.findings import Finding
from evaluator.submission.session import told
from evaluator.track import NOTHING_ASKED, Debugged, Progress, Trial
from evaluator.words import counted

SECONDS, LOAD_SECONDS = 60.0, 45.0
UNSEEN = ". So no edits were looked at; expected some within the limit. Have curate end sooner where there are few images"
"""What a fault leaves open that is no proof against the submission."""
PER_CLASS = {"train": 4, "val": 2, "label_book": 1, "test": 1}


def made_up(seed: int = 0, classes: Sequence[str] = NUMERALS) -> CurationData:
    """Seven images of each class, which a straight line tells apart: a bright bar at a height of its class, with noise."""
    draws = generator(seed, "curation", "trial")
    parts = {}
    for split, many in PER_CLASS.items():
        ids, pixels, labels = [], [], []
        for label, name in enumerate(classes):
            for number in range(many):
                image = draws.integers(0, 60, (max(20, 2 * len(classes)), 16 + number), dtype=np.uint8)
                image[2 * label : 2 * label + 2] += 150
                ids.append(f"{split}/{name}/{number}.png")
                pixels.append(image)
                labels.append(label)
        parts[split] = LabelledImages(tuple(ids), tuple(pixels), np.array(labels, np.int64))
    return CurationData("made up", tuple(classes), parts["train"], parts["val"], parts["label_book"], parts["test"])


def try_out(submission: Path, sandbox: Sandbox, weights: Path | None = None, asked: Mapping[str, Any] = NOTHING_ASKED) -> Trial:
    """Have a submission curate made-up images, and hold what it returns against the rules, as the judge does.

    Args:
        asked: the images have the classes of its folder ``data``, and the rules are those of its ``profile``, ``count`` and
            ``duplicates``; without them, classes and rules of the default profile.

    Raises:
        KitError: there is no such profile, or no classes in the folder.
        OSError: no folder for the session can be made.
    """
    folder = asked.get("data")
    profile = profile_named(asked.get("profile") or ("numerals" if folder is None else "roman"))
    rules = ruled(profile, asked.get("count"), asked.get("duplicates"), None)
    data = made_up(classes=NUMERALS if folder is None else class_names(folder / TRAIN))
    spec = SessionSpec(submission, data, seconds=SECONDS, load_seconds=LOAD_SECONDS, seed=1, weights=weights)
    result = run_session(spec, sandbox)
    ended = ", ".join(f"{phase.name} {phase.verdict} in {phase.seconds:.1f} s" for phase in result.phases) or result.verdict
    if result.curated is None:
        return Trial(tuple(_found(result)), str(ended), result.trace)
    said = f"{len(data.items)} images of {counted(len(data.classes), 'class', 'classes')} curated, {_done(result, data)}; {ended}"
    return Trial((*_found(result), *_refused(result, data, rules)), said, result.trace)


def debug(spec: SessionSpec, profile: CurationProfile, sandbox: Sandbox, progress: Progress) -> Debugged:
    """Run a submission for its author to look at: no clock ends it. ``profile``: its rules are those that the judge applies."""
    result = run_session(replace(spec, load_seconds=UNLIMITED, submission_digest=""), sandbox, progress, ShownClock, copied=False)
    rows, faults = told(result, PHASE, spec.seconds)
    if result.curated is not None:
        rows.append(("data set", _done(result, spec.data)))
        try:
            checked(result.curated, spec.data, profile)
        except DataError as error:
            faults.append(str(error))
    return Debugged(tuple(rows), tuple(faults), result.class_name)


def _refused(result: SessionResult, data: CurationData, profile: CurationProfile) -> list[Finding]:
    """What the judge would refuse in the data set that came of a run."""
    if result.curated is None or result.verdict is not Verdict.OK:
        return []
    try:
        checked(result.curated, data, profile)
    except EmptyClassError as error:
        few = f"{PER_CLASS[error.split]} images a class" if error.split in PER_CLASS else "few images"
        # Of so few, a sound rule may drop all of a class; it drops no whole split.
        more = "" if not error.held else f" (the small run has {few} in {error.split}, so a run with more may keep some)"
        return [Finding("warning" if error.held else "error", PHASE, f"{Verdict.INVALID_OUTPUT} in the small run: {error}{more}")]
    except DataError as error:
        return [Finding("error", PHASE, f"{Verdict.INVALID_OUTPUT} in the small run: {error}")]
    return []


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
    text = f"{result.verdict} in the small run: {result.reason}{'' if certain else UNSEEN}"
    return [Finding("error" if certain else "warning", place, text)]
