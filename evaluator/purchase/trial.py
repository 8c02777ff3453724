"""A small run of a submission: a purchase and a prediction on ten images, in the isolation tier at hand. For ``validate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.data.cache import CachedImages
from evaluator.data.painted import CLASSES, Generator
from evaluator.errors import Verdict
from evaluator.purchase.messages import AS_CLASSES
from evaluator.purchase.profiles import QUICK, Profile
from evaluator.purchase.remarks import spending
from evaluator.purchase.rule_files import chosen_profile
from evaluator.purchase.session import run_session
from evaluator.purchase.session_spec import SessionResult, SessionSpec
from evaluator.sandbox.scratch import scratch_folder
from evaluator.sandbox.tier import Sandbox
from evaluator.seeds import generator
from evaluator.submission.findings import Finding
from evaluator.track import NOTHING_ASKED, Trial
from evaluator.training.recipes import PIPELINES
from evaluator.words import counted
from evaluator.worker.purchase import PurchaseTrack

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
FEATURES = {"efficientnet_b4": 1_792, "timm/tf_efficientnet_lite0": 1_280}
"""Features of an embedding, by the architecture of the proxy; the network itself takes seconds to build."""


def try_out(submission: Path, sandbox: Sandbox, weights: Path | None = None, asked: Mapping[str, Any] = NOTHING_ASKED) -> Trial:
    """Run the three phases on images made here; every class occurs and is missing in both labelled sets.

    Args:
        asked: the run has the classes of its ``profile`` and ``round``, and embeddings where that profile gives some; without both,
            those of the default profile.

    Raises:
        ConfigurationError: there is no such profile or round, or its file is not good.
        OSError: no folder for the images can be made.
    """
    profile, rules = asked.get("profile") or "", asked.get("round")
    named = bool(profile or rules)
    chosen = chosen_profile(profile, rules) if named else QUICK
    with scratch_folder() as folder:
        result = run_session(_session(submission, folder, weights, chosen), sandbox)
    ended = ", ".join(f"{phase.name} {phase.verdict} in {phase.seconds:.1f} s" for phase in result.phases) or result.verdict
    said = f"{counted(len(result.ledger), 'label')} of {BUDGET} bought on {IMAGES} images with the {_classes(chosen)}; {ended}"
    return Trial(tuple(_found(result, chosen, named)), said, result.trace, result.full_trace)


def _classes(profile: Profile) -> str:
    return f"{counted(len(profile.round.classes), 'class', 'classes')} of the round {profile.round.name}"


def _session(submission: Path, folder: Path, weights: Path | None, profile: Profile) -> SessionSpec:
    classes = profile.round.classes
    # Class k is on every image whose number has the remainder k or k + 1 of 5: each occurs, and each is missing.
    labels = np.array([[(i + k) % 5 < 2 for k in range(len(classes))] for i in range(2 * IMAGES)], np.uint8)
    # What is on an image does not matter here, so classes that nobody can paint look like the kit's.
    painted = Generator(0, SIZE, classes if set(classes) <= set(CLASSES) else CLASSES[: len(classes)])
    shown = labels[:, : len(CLASSES)]
    path = folder / "images.npy"
    np.save(path, np.stack([painted.render("trial", i, label) for i, label in enumerate(shown)]))
    features = folder / "embeddings.npy" if profile.embeddings else None
    if features is not None:
        width = FEATURES[PIPELINES[profile.embeddings_by or "proxy"].architecture]
        np.save(features, generator(0, "purchase", "trial").random((2 * IMAGES, width), np.float32))
    known, pool = (CachedImages(path, np.arange(first, first + IMAGES), SIZE, embeddings=features) for first in (0, IMAGES))
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


def _found(result: SessionResult, profile: Profile, named: bool) -> list[Finding]:
    """``named``: whether somebody said that the profile is that of the round."""
    assumed = "" if named else _classes(profile)
    failed = [phase for phase in result.phases if phase.verdict is not Verdict.OK]
    started = {phase.name for phase in result.phases}
    untried = [name for name in PurchaseTrack.hooks if name not in started]
    if not failed and result.verdict is not Verdict.OK:  # it was not even loaded
        return [_failure("the start", result.verdict, result.reason), *_untried(untried, "the start", result.verdict)]
    found = []
    for phase in failed:
        reason = phase.reason + _other_round(phase.reason, assumed)
        found.append(_failure(phase.name, phase.verdict, reason, named and _limit(profile, phase.name) <= SECONDS))
        found += _untried(untried, phase.name, phase.verdict)
    if result.verdict is Verdict.OK:
        found += [
            Finding("warning", "purchase_phase", f"{remark.what} ({remark.detail}, in the small run). {remark.advice}")
            for remark in spending(len(result.ledger), BUDGET, result.disagreement)
        ]
    return found


def _other_round(reason: str, assumed: str) -> str:
    """What to do where a wrong number of columns may be the right number in the submission's own round."""
    if not assumed or AS_CLASSES not in reason:
        return ""
    return f". The small run had the {assumed}; if yours has others, name it with --file, --profile or --round"


def _limit(profile: Profile, phase: str) -> float:
    """The most seconds that a phase has in a round: a prediction its own, others those of the longest pair, also a hidden one."""
    if phase == "prediction_phase":
        return profile.prediction_seconds
    longest = max([profile.round.minute_interval[1], *(pair.minutes for pair in profile.pairs)])
    return longest * profile.seconds_per_minute


def _failure(phase: str, verdict: Verdict, reason: str, no_longer: bool = False) -> Finding:
    """``no_longer``: the round gives no more time than the small run, so that a time limit is as certain as an exception."""
    certain = verdict is not Verdict.INFRASTRUCTURE and (verdict is not Verdict.TIME_LIMIT or no_longer)
    return Finding("error" if certain else "warning", phase, f"{verdict} in the small run: {reason}")


def _untried(names: Sequence[str], failed: str, verdict: Verdict) -> list[Finding]:
    """What was not looked at since an earlier phase failed. Else somebody whose first phase is long takes the rest for sound."""
    if not names:
        return []
    what = " and ".join([*filter(None, [", ".join(names[:-1])]), names[-1]])
    late = verdict is Verdict.TIME_LIMIT
    todo = f"Have it end within {SECONDS:g} s where there are few images" if late else "Mend that first"
    return [Finding("warning", what, f"not tried, because {failed} ended with {verdict}; every phase was to be tried. {todo}")]
