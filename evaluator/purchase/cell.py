"""One cell: a submission's purchases at one pair and seed, trained on by one pipeline, scored.

A cell is a pure function of its spec but for the clock: what a strategy buys may depend on the time it had, and the result says
when it did. From the ledger onward everything repeats to the bit on one machine.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evaluator import __version__
from evaluator.errors import ConfigurationError, TrainingError, Verdict
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.market import Market
from evaluator.purchase.profiles import Profile
from evaluator.purchase.rounds import Pair
from evaluator.purchase.session import run_session
from evaluator.purchase.sets import RoundSets
from evaluator.purchase.terms import SessionResult, SessionSpec
from evaluator.sandbox.tier import Sandbox
from evaluator.scoring.metrics import Metrics, best_constant, score
from evaluator.seeds import derive, generator
from evaluator.training.pipeline import Pipeline

SCHEMA = 1
"""Version of the result files; raised when a field changes its meaning."""


@dataclass(frozen=True)
class CellSpec:
    """What is run, complete: two equal specs describe the same cell, and the hash of a spec names its result.

    Attributes:
        submission: name of the submission; ``submission_digest``: hash over its files.
        seed: index of the repetition, 0, 1, ...; ``root_seed``: the seed that everything is split from.
        data: content hash per split; ``weights``: identity of the pipeline's starting weights.
        label_quality: share of label entries that the market sells right.
        on_timeout: ``fail``, or ``keep`` to score what was bought before the limit.
    """

    submission: str
    submission_digest: str
    profile: Profile
    pair: Pair
    seed: int
    root_seed: int
    pipeline: Pipeline
    weights: str
    data: dict[str, str]
    score_split: str
    tier: str
    device: str
    threads: int
    label_quality: float = 1.0
    on_timeout: Literal["fail", "keep"] = "fail"
    restart: bool = False
    participant_weights: str = ""

    def __post_init__(self) -> None:
        if self.on_timeout not in ("fail", "keep"):
            raise ConfigurationError(f"on_timeout is {self.on_timeout!r}; it is 'fail' or 'keep'")
        if not 0.5 <= self.label_quality <= 1:
            raise ConfigurationError(f"the label quality is {self.label_quality}; it must be from 0.5 to 1")
        if self.seed < 0 or self.root_seed < 0:
            raise ConfigurationError(f"the seed {self.seed} and the root seed {self.root_seed} must be 0 or more")

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, complete."""
        fields = {name: getattr(self, name) for name in self.__dataclass_fields__}
        fields |= {"pair": self.pair.name, "pipeline": self.pipeline.as_dict(), "profile": asdict(self.profile)}
        return {"kit": __version__, "schema": SCHEMA, "track": "purchase", **fields}

    def digest(self) -> str:
        """SHA-256 over the spec; names the result file."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True, eq=False)
class CellInputs:
    """What a spec's hashes stand for, on this machine.

    ``sold`` replaces the labels that the market sells (canonical order); None sells those of the pool's split.
    """

    path: Path
    sets: RoundSets
    sandbox: Sandbox
    weights_dir: Path | None = None
    worker_threads: int = 1
    sold: np.ndarray | None = None


@dataclass(frozen=True)
class Scored:
    """Training and its score.

    Attributes:
        metrics: of the model, or of the participant's predictions.
        constant: macro F1 of the best constant prediction on the same images.
        fingerprint: SHA-256 over the probabilities, to compare two runs to the bit.
    """

    metrics: Metrics
    constant: float
    fingerprint: str
    details: dict[str, Any] = field(default_factory=dict)


Progress = Callable[[str, float], None]


def run_cell(spec: CellSpec, inputs: CellInputs, progress: Progress = lambda what, share: None) -> tuple[dict[str, Any], str]:
    """Run one cell.

    Returns:
        (result, log): the result is the JSON-able content of the cell's file, documented in ``docs/results-format.md``.
    """
    session = _buy(spec, inputs, progress)
    verdict, reason = session.verdict, session.reason
    # A submission that could not even be imported in time has not begun: there is nothing to keep.
    kept = verdict is Verdict.TIME_LIMIT and spec.on_timeout == "keep" and bool(session.phases)
    scored: Scored | None = None
    if verdict is Verdict.OK or kept:
        try:
            if spec.profile.round.scores == "organiser":
                scored = train_and_score(spec, inputs.sets, session.ledger, progress)
            elif session.predictions is not None:
                scored = _score_own(spec, inputs.sets, session.predictions)
            else:
                report = session.phases[-1]
                verdict, reason = (report.verdict, report.reason) if verdict is Verdict.OK else (verdict, reason)
        # torch says "out of memory" on a device by a RuntimeError; ledger and log must outlive that, too.
        except (TrainingError, MemoryError, RuntimeError) as error:
            verdict, reason = Verdict.INFRASTRUCTURE, f"the training failed: {error}"
    if kept and scored is not None:
        reason += f"; kept: scored with the {len(session.ledger)} labels bought before the limit"
    return _result(spec, inputs, session, verdict, reason, scored), session.log


def _buy(spec: CellSpec, inputs: CellInputs, progress: Progress) -> SessionResult:
    """The untrusted half of the cell."""
    sets, profile = inputs.sets, spec.profile
    names = (spec.pair.name, spec.seed)
    order = generator(spec.root_seed, *names, "pool order").permutation(len(sets.splits["unlabelled"]))
    sold = inputs.sold if inputs.sold is not None else sold_labels(spec, sets)
    session = SessionSpec(
        submission=inputs.path,
        classes=profile.round.classes,
        training=sets.images["training"],
        training_labels=sets.splits["training"].labels,
        pool=sets.images["unlabelled"],
        order=order,
        prediction=sets.images[spec.score_split if profile.round.scores == "participant" else profile.round.prediction_split],
        market=Market(sold, order, profile.budget(spec.pair)),
        seconds=profile.seconds(spec.pair),
        prediction_seconds=profile.prediction_seconds,
        load_seconds=profile.load_seconds,
        seed=derive(spec.root_seed, *names, "participant") >> 96,
        threads=inputs.worker_threads,
        weights=inputs.weights_dir,
        restart=spec.restart,
    )
    return run_session(session, inputs.sandbox, progress)


def sold_labels(spec: CellSpec, sets: RoundSets) -> np.ndarray:
    """The pool's labels as the market sells them, uint8 (n, classes), canonical order; with mistakes where the quality says so."""
    truth = sets.splits["unlabelled"].labels
    if spec.label_quality == 1:
        return truth
    from evaluator.data.painted import annotator_noise

    # The same mistakes in every cell of a seed: annotators do not change with the pair.
    return annotator_noise(truth, 1 - spec.label_quality, derive(spec.root_seed, spec.seed, "annotators"))


def train_and_score(spec: CellSpec, sets: RoundSets, ledger: Ledger, progress: Progress = lambda what, share: None) -> Scored:
    """The trusted half: train the pipeline on training set + ledger, and score it. The way a stored ledger is replayed, too.

    Images come in canonical order (training set, then bought images by file name), never in order of purchase.
    """
    from evaluator.training.loop import train
    from evaluator.training.predict import decide, predict

    classes = spec.profile.round.classes
    bought, labels = ledger.canonical(len(classes))
    training = sets.splits["training"]
    images = np.concatenate([sets.images["training"].gather(range(len(training))), sets.images["unlabelled"].gather(bought)])
    trained = train(
        spec.pipeline,
        images,
        np.concatenate([training.labels, labels]),
        # Neither the submission nor the pair enters: every strategy is judged from the same initial weights and draws.
        seed=derive(spec.root_seed, spec.seed, "training"),
        device=spec.device,
        threads=spec.threads,
        progress=lambda share: progress("training", share),
    )
    truth = sets.splits[spec.score_split].labels
    probabilities = predict(trained, sets.images[spec.score_split].gather(range(len(truth))))
    details = {
        "n_items": trained.n_items,
        "n_training_set": len(training),
        "n_bought": len(bought),
        "n_train": trained.n_train,
        "n_validation": trained.n_validation,
        "thresholds": [float(t) for t in trained.thresholds],
        "seconds": round(trained.seconds, 3),
        "weights": trained.weights_identity,
        "device": trained.device,
        "threads": trained.threads,
        "history": list(trained.history),
    }
    metrics = score(truth, decide(probabilities, trained.thresholds), classes)
    return Scored(metrics, best_constant(truth), hashlib.sha256(probabilities.tobytes()).hexdigest(), details)


def _score_own(spec: CellSpec, sets: RoundSets, predictions: np.ndarray) -> Scored:
    """Round 1: the participant's own predictions are scored; 1 from a probability of 0.5 on."""
    truth = sets.splits[spec.score_split].labels
    metrics = score(truth, (predictions >= 0.5).astype(np.uint8), spec.profile.round.classes)
    return Scored(metrics, best_constant(truth), hashlib.sha256(predictions.tobytes()).hexdigest())


def _result(
    spec: CellSpec, inputs: CellInputs, session: SessionResult, verdict: Verdict, reason: str, scored: Scored | None
) -> dict[str, Any]:
    prediction = next((p for p in session.phases if p.name == "prediction_phase"), None)
    return {
        "schema": SCHEMA,
        "cell": spec.digest(),
        "spec": spec.as_dict(),
        "verdict": str(verdict),
        "reason": reason,
        "scored": scored is not None,
        "fit_to_submit": verdict is Verdict.OK and prediction is not None and prediction.verdict is Verdict.OK,
        "metrics": None if scored is None else asdict(scored.metrics) | {"best_constant_macro_f1": scored.constant},
        "fingerprint": None if scored is None else scored.fingerprint,
        "training": None if scored is None else scored.details or None,
        "purchase": {
            "budget": spec.profile.budget(spec.pair),
            "bought": len(session.ledger),
            "seconds": round(session.seconds, 6),
            "seconds_allowed": spec.profile.seconds(spec.pair),
            "disagreement": session.disagreement,
            "clock_was_read": session.clock_was_read,
            "class": session.class_name,
            "trace": session.trace,
        },
        "phases": [asdict(phase) | {"seconds": round(phase.seconds, 6)} for phase in session.phases],
        "ledger": session.ledger.as_rows(),
        "data": {
            "folder": inputs.sets.folder.name,
            "counts": inputs.sets.counts(),
            "digests": inputs.sets.digests(),
            "notes": {name: split.note for name, split in inputs.sets.splits.items()},
        },
        "isolation": {"tier": spec.tier, "guarded": session.guarded, "limited_by": session.limited_by},
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """What computed the figures."""
    from importlib.metadata import version

    names = ("numpy", "scikit-learn", "pillow", "torch", "torchvision")
    return {"kit": __version__, "python": platform.python_version(), "machine": platform.machine()} | {n: version(n) for n in names}
