"""The training of a cell: a pipeline on images, or the head of a proxy on stored embeddings. Images are in canonical order."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evaluator.purchase.sets import DrawnSets
from evaluator.purchase.spec import PurchaseSpec
from evaluator.track import Progress

if TYPE_CHECKING:  # it imports torch, which no purchase needs
    from evaluator.training.trained import Trained


def train_on_embeddings(
    spec: PurchaseSpec,
    sets: DrawnSets,
    bought: np.ndarray,
    labels: np.ndarray,
    seed: int,
    progress: Progress,
) -> tuple[Trained, np.ndarray]:
    """Train a proxy on the training set and the bought labels, and predict the scored split.

    Embeddings are stored beside the decoded images. The first cell that needs a split makes them for the whole split.

    Args:
        bought: canonical numbers of the bought images in the pool, int64 (b,).
        labels: uint8 (training set + b, k).

    Returns:
        The model, and its probabilities for the m images of ``spec.score_split``, float32 (m, k).

    Raises:
        WeightsError, TrainingError, DataError: as ``embedding_store.embeddings_of`` and ``heads.train_head``.
    """
    from evaluator.training.embeddings.heads import predict_head, train_head
    from evaluator.training.embeddings.store import ImageSource, embeddings_of, weights_of

    def embedded(split: str) -> np.ndarray:
        # Made once for the whole split, even if seeds draw from it, so that all seeds share them.
        images = sets.whole.images[split]
        found = embeddings_of(
            spec.pipeline,
            ImageSource(images.named(sets.splits[split].digest), len(images), images.size, images.gather, images.path.parent),
            device=spec.device,
            threads=spec.threads,
            progress=lambda share: progress(f"embedding {split}, once for all cells", share),
        )
        return found[sets.chosen[split]] if split in sets.chosen else found

    trained = train_head(
        spec.pipeline,
        np.concatenate([embedded("training"), embedded("unlabelled")[bought]]),
        labels,
        seed=seed,
        weights_identity=weights_of(spec.pipeline.weights, spec.pipeline.architecture),
        device=spec.device,
        threads=spec.threads,
        progress=lambda share: progress("training", share),
    )
    return trained, predict_head(trained, embedded(spec.score_split))


def train_on_images(
    spec: PurchaseSpec,
    sets: DrawnSets,
    bought: np.ndarray,
    labels: np.ndarray,
    seed: int,
    progress: Progress,
    checkpoint: Path | None,
    cache: dict[str, Any] | None = None,
) -> tuple[Trained, np.ndarray]:
    """Train on the training set and the bought labels, and predict the scored split.

    Args:
        bought: canonical numbers of the bought images in the pool, int64 (b,).
        labels: uint8 (training set + b, k).
        checkpoint: file in which the training keeps its state, and from which it resumes.
        cache: one-entry cache of the last model that was trained in this process; reused when two cells differ only in the scored
            split.

    Returns:
        The model, and its probabilities for the m images of ``spec.score_split``, float32 (m, k).

    Raises:
        TrainingError, DeviceError: as ``loop.train``.
    """
    from evaluator.training.loop import train
    from evaluator.training.predict import predict

    cache = {} if cache is None else cache
    # What a model depends on: its spec, and the labels that it is trained on.
    key = (spec.model_digest(), hashlib.sha256(bought.tobytes() + labels.tobytes()).hexdigest())
    if cache.get("key") != key:
        cache.clear()  # two models at a time may not fit on the device
        images = [sets.images["training"].gather(range(len(sets.splits["training"]))), sets.images["unlabelled"].gather(bought)]
        cache["trained"] = train(
            spec.pipeline,
            np.concatenate(images),
            labels,
            seed=seed,
            device=spec.device,
            threads=spec.threads,
            progress=lambda share: progress("training", share),
            checkpoint=checkpoint,
        )
        cache["key"] = key
    scored = sets.images[spec.score_split]
    return cache["trained"], predict(cache["trained"], scored.gather(range(len(scored))))
