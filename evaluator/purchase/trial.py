"""A small run of a submission: a purchase and a prediction on ten images, in the isolation tier at hand. For ``validate``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from evaluator.data.cache import CachedImages
from evaluator.data.painted import Generator
from evaluator.errors import Verdict
from evaluator.purchase.remarks import spending
from evaluator.purchase.rounds import ROUND2
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import SessionResult, SessionSpec
from evaluator.sandbox.scratch import scratch_folder
from evaluator.sandbox.tier import Sandbox
from evaluator.submission.findings import Finding
from evaluator.track import Trial
from evaluator.words import counted

IMAGES = 10
"""Images of the training set, of the pool, and to predict, each."""
SIZE = 64
"""Side of an image, in pixels."""
BUDGET = 4
"""Labels that can be bought."""
SECONDS = 60.0
"""Limit of pre-training and purchase, and of the prediction; the round gives more."""
LOAD_SECONDS = 45.0
"""Largest duration of starting a worker and importing the submission; PyTorch takes 2 to 5 s, and more on a busy machine."""


def try_out(submission: Path, sandbox: Sandbox, weights: Path | None = None) -> Trial:
    """Run the three phases on images made here; every class occurs and is missing in both labelled sets.

    Raises:
        OSError: no folder for the images can be made.
    """
    with scratch_folder() as folder:
        result = run_session(_session(submission, folder, weights), sandbox)
    ended = ", ".join(f"{phase.name} {phase.verdict} in {phase.seconds:.1f} s" for phase in result.phases) or result.verdict
    said = f"{counted(len(result.ledger), 'label')} of {BUDGET} bought on {IMAGES} images; {ended}"
    return Trial(tuple(_found(result)), said, result.trace, result.full_trace)


def _session(submission: Path, folder: Path, weights: Path | None) -> SessionSpec:
    classes = ROUND2.classes
    painted = Generator(0, SIZE, classes)
    # Class k is on every image whose number has the remainder k or k + 1 of 5: each occurs, and each is missing.
    labels = np.array([[(i + k) % 5 < 2 for k in range(len(classes))] for i in range(2 * IMAGES)], np.uint8)
    path = folder / "images.npy"
    np.save(path, np.stack([painted.render("trial", i, label) for i, label in enumerate(labels)]))
    known, pool = CachedImages(path, np.arange(IMAGES), SIZE), CachedImages(path, np.arange(IMAGES, 2 * IMAGES), SIZE)
    return SessionSpec(
        submission=submission,
        classes=classes,
        training=known,
        training_labels=labels[:IMAGES],
        pool=pool,
        order=np.arange(IMAGES)[::-1].copy(),
        prediction=pool,
        sold=labels[IMAGES:],
        budget=BUDGET,
        seconds=SECONDS,
        prediction_seconds=SECONDS,
        load_seconds=LOAD_SECONDS,
        seed=1,
        weights=weights,
    )


def _found(result: SessionResult) -> list[Finding]:
    failed = [phase for phase in result.phases if phase.verdict is not Verdict.OK]
    if not failed and result.verdict is not Verdict.OK:  # it was not even loaded
        return [_failure("the start", result.verdict, result.reason)]
    found = [_failure(phase.name, phase.verdict, phase.reason) for phase in failed]
    if result.verdict is Verdict.OK:
        found += [
            Finding("warning", "purchase_phase", f"{remark.what} ({remark.detail}, in the small run). {remark.advice}")
            for remark in spending(len(result.ledger), BUDGET, result.disagreement)
        ]
    return found


def _failure(phase: str, verdict: Verdict, reason: str) -> Finding:
    certain = verdict not in (Verdict.TIME_LIMIT, Verdict.INFRASTRUCTURE)  # a round may give more time
    return Finding("error" if certain else "warning", phase, f"{verdict} in the small run: {reason}")
