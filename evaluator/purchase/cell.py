"""One cell: a submission buys labels at one pair and seed, a pipeline is trained on them, and the model is scored.

The result of a cell depends only on its spec and on the clock: what a strategy buys may depend on the time it has, and the result
says if it asked for the time. From the ledger onward everything repeats to the bit on one machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.errors import DeviceError, TrainingError, Verdict
from evaluator.purchase.ledger import Ledger
from evaluator.purchase.purchased import Purchased, buy, phase_rows, sold_rows
from evaluator.purchase.result import MetricsRow, PurchaseResult, PurchaseTraining, purchase_row
from evaluator.purchase.sets import DrawnSets, RoundSets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.purchase.training import train_on_embeddings, train_on_images
from evaluator.records import DataRow, Epoch, IsolationRow
from evaluator.scoring.metrics import Metrics, best_constant, score
from evaluator.seeds import derive
from evaluator.submission.source import GIVEN
from evaluator.track import CellInputs, Judged, Progress
from evaluator.words import counted


@dataclass(frozen=True)
class Scored:
    """The score of a cell, and its training.

    Attributes:
        metrics: of the model, or of the participant's predictions.
        constant: macro F1 of the best constant prediction on the same images.
        probabilities: float (images, classes), in canonical order.
        thresholds: float (classes,); a class is predicted if its probability is at or above the threshold.
        training: None if the participant's own predictions are scored.
    """

    metrics: Metrics
    constant: float
    probabilities: np.ndarray
    thresholds: np.ndarray
    training: PurchaseTraining | None = None

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the probabilities: equal only if two runs are equal to the bit."""
        return hashlib.sha256(self.probabilities.tobytes()).hexdigest()

    def row(self) -> MetricsRow:
        """The figures in the form in which they are stored."""
        found = self.metrics
        return MetricsRow(
            macro_f1=found.macro_f1,
            f1=found.f1,
            accuracy=found.accuracy,
            hamming_loss=found.hamming_loss,
            n=found.n,
            best_constant_macro_f1=self.constant,
        )

    def kept(self) -> np.ndarray:
        """The probabilities as float16, with the same decisions: if rounding would carry a value across its threshold, the nearest
        float16 on the right side of the threshold is used instead."""
        small = self.probabilities.astype(np.float16)
        decided = self.probabilities >= self.thresholds
        for towards, wrong in ((np.inf, decided & ~(small >= self.thresholds)), (-np.inf, ~decided & (small >= self.thresholds))):
            small[wrong] = np.nextafter(small[wrong], np.float16(towards))
        return small


def run_cell(spec: PurchaseSpec, inputs: CellInputs, progress: Progress = lambda what, share: None) -> tuple[PurchaseResult, str]:
    """Run one cell, both halves of it.

    Returns:
        (result, log).

    Raises:
        DeviceError: the training's device failed or vanished; this process cannot use it any more.
    """
    purchased = buy(spec, inputs, progress)
    return judge(spec, inputs.data, purchased, progress).result, purchased.log  # type: ignore[return-value]


def judge(
    spec: PurchaseSpec,
    sets: RoundSets,
    purchased: Purchased,
    progress: Progress = lambda what, share: None,
    checkpoint: Path | None = None,
    cache: dict[str, Any] | None = None,
) -> Judged:
    """The part of a cell after the purchase: training and score. It needs neither the submission nor a sandbox.

    Args:
        checkpoint: file in which the training keeps its state, and from which it resumes.
        cache: see ``train_on_images``.

    Raises:
        DeviceError: as ``run_cell``.
    """
    drawn = sets.of(spec)
    session = purchased.session
    verdict, reason = session.verdict, session.reason
    scored: Scored | None = None
    if purchased.scorable(spec):
        try:
            if spec.trains:
                scored = train_and_score(spec, drawn, session.ledger, progress, checkpoint, cache)
            elif session.predictions is not None:
                scored = _score_own(spec, drawn, session.predictions)
            elif verdict is Verdict.OK:
                verdict, reason = session.phases[-1].verdict, session.phases[-1].reason
        except DeviceError:  # this process cannot train any other cell either: the runner starts a new process
            raise
        # torch raises a RuntimeError if a device is out of memory; ledger and log must be stored in that case, too.
        except (TrainingError, MemoryError, RuntimeError) as error:
            verdict, reason = Verdict.INFRASTRUCTURE, f"the training failed: {error}"
    if verdict is Verdict.TIME_LIMIT and scored is not None:
        reason += f"; kept: scored with the {counted(len(session.ledger), 'label')} bought before the limit"
    return Judged(_result(spec, drawn, purchased, verdict, reason, scored), None if scored is None else scored.kept())


def train_and_score(
    spec: PurchaseSpec,
    sets: DrawnSets,
    ledger: Ledger,
    progress: Progress = lambda what, share: None,
    checkpoint: Path | None = None,
    cache: dict[str, Any] | None = None,
) -> Scored:
    """Train the pipeline on training set and ledger, and score it. A replay of a stored ledger calls this, too.

    Images are used in canonical order (training set, then bought images by file name), never in order of purchase.
    """
    from evaluator.training.predict import decide

    classes = spec.profile.round.classes
    bought, sold = ledger.canonical(len(classes))
    training_set = sets.splits["training"]
    truth = sets.splits[spec.score_split].labels
    labels = np.concatenate([training_set.labels, sold])
    # The seed depends on neither submission nor pair, so that all strategies are judged with the same initial weights and draws.
    seed = derive(sets.root, spec.seed, "training")
    if spec.pipeline.proxy:
        trained, probabilities = train_on_embeddings(spec, sets, bought, labels, seed, progress)
    else:
        trained, probabilities = train_on_images(spec, sets, bought, labels, seed, progress, checkpoint, cache)
    training = PurchaseTraining(
        n_items=trained.n_items,
        n_training_set=len(training_set),
        n_bought=len(bought),
        n_train=trained.n_train,
        n_validation=trained.n_validation,
        thresholds=[float(t) for t in trained.thresholds],
        seconds=round(trained.seconds, 3),
        weights=trained.weights_identity,
        device=trained.device,
        threads=trained.threads,
        precision=trained.precision,
        micro_batch=trained.micro_batch,
        peak_memory_bytes=trained.peak_memory,
        timings={name: round(seconds, 6) for name, seconds in trained.timings.items()},
        notes=list(trained.notes),
        history=[Epoch(**epoch) for epoch in trained.history],  # type: ignore[arg-type]
    )
    metrics = score(truth, decide(probabilities, trained.thresholds), classes)
    return Scored(metrics, best_constant(truth), probabilities, np.asarray(trained.thresholds), training)


def rescored(spec: PurchaseSpec, sets: RoundSets, stored: Mapping[str, Any], predictions: np.ndarray) -> PurchaseResult:
    """The metrics of a cell from kept predictions: probabilities as float16 (images, classes), with the decisions of the training.

    Args:
        stored: a cell that differs from the wanted only in the version of the judging code; its ``spec`` is the wanted.

    Raises:
        ConfigurationError: the cell cannot be read. ValueError: the predictions are not of the images that are scored.
    """
    result = PurchaseResult.from_dict(dict(stored), spec)
    truth = sets.of(spec).splits[spec.score_split].labels
    if predictions.shape != truth.shape:
        raise ValueError(f"predictions {predictions.shape} of other images than those that are scored {truth.shape}")
    thresholds = [0.5] * truth.shape[1] if result.training is None else result.training.thresholds
    decided = (predictions.astype(np.float64) >= np.asarray(thresholds)).astype(np.uint8)
    metrics = score(truth, decided, spec.profile.round.classes)
    row = Scored(metrics, best_constant(truth), predictions, np.asarray(thresholds)).row()
    return replace(result, metrics=row, predictions=None, attempts=[])


def _score_own(spec: PurchaseSpec, sets: DrawnSets, predictions: np.ndarray) -> Scored:
    """Round 1: score the participant's own predictions; a probability of 0.5 or more predicts the class."""
    truth = sets.splits[spec.score_split].labels
    metrics = score(truth, (predictions >= 0.5).astype(np.uint8), spec.profile.round.classes)
    return Scored(metrics, best_constant(truth), predictions, np.full(truth.shape[1], 0.5))


def _result(
    spec: PurchaseSpec, sets: DrawnSets, purchased: Purchased, verdict: Verdict, reason: str, scored: Scored | None
) -> PurchaseResult:
    session = purchased.session
    prediction = next((p for p in session.phases if p.name == "prediction_phase"), None)
    return PurchaseResult.of(
        spec,
        purchased,
        verdict,
        reason=reason,
        # A ledger that came as a file has no phases.
        fit_to_submit=verdict is Verdict.OK
        and (spec.tier == GIVEN or (prediction is not None and prediction.verdict is Verdict.OK)),
        metrics=None if scored is None else scored.row(),
        fingerprint=None if scored is None else scored.fingerprint,
        training=None if scored is None else scored.training,
        purchase=purchase_row(spec, purchased),
        phases=phase_rows(session),
        ledger=sold_rows(session.ledger),
        data=DataRow(
            folder=sets.folder.name,
            counts=sets.counts(),
            digests=sets.digests(),
            notes={name: split.note for name, split in sets.splits.items()},
        ),
        isolation=IsolationRow(tier=spec.tier, guarded=session.guarded, limited_by=session.limited_by),
        busy=purchased.busy,
    )
