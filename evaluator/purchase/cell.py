"""One cell: a submission's purchases at one pair and seed, trained on by one pipeline, scored.

A cell is a pure function of its spec but for the clock: what a strategy buys may depend on the time it had, and the result says
when it did. From the ledger onward everything repeats to the bit on one machine.
"""

from __future__ import annotations

import hashlib
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluator import __version__
from evaluator.errors import DeviceError, TrainingError, Verdict
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.purchased import CellInputs, Progress, Purchased, buy
from evaluator.purchase.sets import RoundSets
from evaluator.purchase.spec import SCHEMA, CellSpec
from evaluator.purchase.training import train_on_embeddings
from evaluator.scoring.metrics import Metrics, best_constant, score
from evaluator.seeds import derive

if TYPE_CHECKING:  # it imports torch, which a purchase does not need
    from evaluator.training.trained import Trained


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


@dataclass(eq=False)
class LastModel:
    """A place for the model that was trained last, and for what it was trained by and on."""

    key: tuple[str, str] | None = None
    trained: Trained | None = None


def run_cell(
    spec: CellSpec,
    inputs: CellInputs,
    progress: Progress = lambda what, share: None,
    *,
    purchased: Purchased | None = None,
    checkpoint: Path | None = None,
) -> tuple[dict[str, Any], str]:
    """Run one cell.

    Args:
        purchased: what was bought already; where none is given, the submission is run.
        checkpoint: where the training keeps its state and goes on from.

    Returns:
        (result, log): the result is the JSON-able content of the cell's file, documented in ``docs/results-format.md``.

    Raises:
        DeviceError: the training's device failed or vanished; this process cannot use it any more.
    """
    purchased = purchased or buy(spec, inputs, progress)
    return judge(spec, inputs.sets, purchased, progress, checkpoint), purchased.session.log


def judge(
    spec: CellSpec,
    sets: RoundSets,
    purchased: Purchased,
    progress: Progress = lambda what, share: None,
    checkpoint: Path | None = None,
    last: LastModel | None = None,
) -> dict[str, Any]:
    """The part of a cell that follows its purchase: training and score. It needs neither the submission nor a sandbox.

    Args:
        checkpoint: where the training keeps its state and goes on from.
        last: the model of the cell before, which is this one's too where the two differ in the split that is scored alone.

    Returns:
        As ``run_cell``, without the log.

    Raises:
        DeviceError: as ``run_cell``.
    """
    sets = sets.drawn(spec.profile, spec.root_seed, spec.seed)
    session = purchased.session
    verdict, reason = session.verdict, session.reason
    scored: Scored | None = None
    if purchased.scorable(spec.on_timeout):
        try:
            if spec.trains:
                scored = train_and_score(spec, sets, session.ledger, progress, checkpoint, last)
            elif session.predictions is not None:
                scored = _score_own(spec, sets, session.predictions)
            elif verdict is Verdict.OK:
                verdict, reason = session.phases[-1].verdict, session.phases[-1].reason
        except DeviceError:  # nor can this process train another cell: whoever runs cells takes a new one
            raise
        # torch says "out of memory" on a device by a RuntimeError; ledger and log must outlive that, too.
        except (TrainingError, MemoryError, RuntimeError) as error:
            verdict, reason = Verdict.INFRASTRUCTURE, f"the training failed: {error}"
    if verdict is Verdict.TIME_LIMIT and scored is not None:
        reason += f"; kept: scored with the {len(session.ledger)} labels bought before the limit"
    return _result(spec, sets, purchased, verdict, reason, scored)


def train_and_score(
    spec: CellSpec,
    sets: RoundSets,
    ledger: Ledger,
    progress: Progress = lambda what, share: None,
    checkpoint: Path | None = None,
    last: LastModel | None = None,
) -> Scored:
    """The trusted half: train the pipeline on training set + ledger, and score it. The way a stored ledger is replayed, too.

    Images come in canonical order (training set, then bought images by file name), never in order of purchase.
    """
    from evaluator.training.predict import decide

    classes = spec.profile.round.classes
    sets = sets.drawn(spec.profile, spec.root_seed, spec.seed)
    bought, sold = ledger.canonical(len(classes))
    training = sets.splits["training"]
    truth = sets.splits[spec.score_split].labels
    labels = np.concatenate([training.labels, sold])
    # Neither the submission nor the pair enters: every strategy is judged from the same initial weights and draws.
    seed = derive(spec.root_seed, spec.seed, "training")
    if spec.pipeline.proxy:
        trained, probabilities = train_on_embeddings(spec, sets, bought, labels, seed, progress)
    else:
        trained, probabilities = _train_on_images(spec, sets, bought, labels, seed, progress, checkpoint, last)
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
        "precision": trained.precision,
        "micro_batch": trained.micro_batch,
        "peak_memory_bytes": trained.peak_memory,
        "timings": {name: round(seconds, 6) for name, seconds in trained.timings.items()},
        "notes": list(trained.notes),
        "history": list(trained.history),
    }
    metrics = score(truth, decide(probabilities, trained.thresholds), classes)
    return Scored(metrics, best_constant(truth), hashlib.sha256(probabilities.tobytes()).hexdigest(), details)


def _train_on_images(
    spec: CellSpec,
    sets: RoundSets,
    bought: np.ndarray,
    labels: np.ndarray,
    seed: int,
    progress: Progress,
    checkpoint: Path | None,
    last: LastModel | None = None,
) -> tuple[Trained, np.ndarray]:
    """The model, and its probabilities of the images of the split that is scored."""
    from evaluator.training.loop import train
    from evaluator.training.predict import predict

    last = last or LastModel()
    # What a model depends on beside what it learns from, and what it learns from.
    key = (spec.training_digest(), hashlib.sha256(bought.tobytes() + labels.tobytes()).hexdigest())
    if last.trained is None or last.key != key:
        last.key = last.trained = None  # two models at once may be too many for a device
        images = [sets.images["training"].gather(range(len(sets.splits["training"]))), sets.images["unlabelled"].gather(bought)]
        last.trained = train(
            spec.pipeline,
            np.concatenate(images),
            labels,
            seed=seed,
            device=spec.device,
            threads=spec.threads,
            progress=lambda share: progress("training", share),
            checkpoint=checkpoint,
        )
        last.key = key
    scored = sets.images[spec.score_split]
    return last.trained, predict(last.trained, scored.gather(range(len(scored))))


def _score_own(spec: CellSpec, sets: RoundSets, predictions: np.ndarray) -> Scored:
    """Round 1: the participant's own predictions are scored; 1 from a probability of 0.5 on."""
    truth = sets.splits[spec.score_split].labels
    metrics = score(truth, (predictions >= 0.5).astype(np.uint8), spec.profile.round.classes)
    return Scored(metrics, best_constant(truth), hashlib.sha256(predictions.tobytes()).hexdigest())


def _result(
    spec: CellSpec, sets: RoundSets, purchased: Purchased, verdict: Verdict, reason: str, scored: Scored | None
) -> dict[str, Any]:
    session, stored = purchased.session, purchased.as_dict()
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
            "file": purchased.digest,
            "checksum": purchased.checksum,
            "budget": spec.profile.budget(spec.pair),
            "bought": len(session.ledger),
            "seconds": stored["seconds"],
            "seconds_allowed": spec.profile.seconds(spec.pair),
            "disagreement": session.disagreement,
            "clock_was_read": session.clock_was_read,
            "class": session.class_name,
            "trace": session.trace,
        },
        "phases": stored["phases"],
        "ledger": stored["ledger"],
        "data": {
            "folder": sets.folder.name,
            "counts": sets.counts(),
            "digests": sets.digests(),
            "notes": {name: split.note for name, split in sets.splits.items()},
        },
        "isolation": {"tier": spec.tier, "guarded": session.guarded, "limited_by": session.limited_by},
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """What computed the figures."""
    from importlib.metadata import version

    names = ("numpy", "scikit-learn", "pillow", "torch", "torchvision", "timm")
    return {"kit": __version__, "python": platform.python_version(), "machine": platform.machine()} | {n: version(n) for n in names}
