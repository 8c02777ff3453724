"""The training of a proxy within a cell: a head on stored embeddings, so that no cell sends an image through the network again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from evaluator.purchase.sets import RoundSets
from evaluator.purchase.spec import CellSpec

if TYPE_CHECKING:  # it imports torch, which a purchase does not need
    from evaluator.training.trained import Trained


def train_on_embeddings(
    spec: CellSpec,
    sets: RoundSets,
    bought: np.ndarray,
    labels: np.ndarray,
    seed: int,
    progress: Callable[[str, float], None],
) -> tuple[Trained, np.ndarray]:
    """Train a proxy on the training set and what was bought, and predict the split that is scored.

    Embeddings lie beside the decoded images; they are made for a whole split by the first cell that needs it.

    Args:
        bought: canonical numbers of the pool's images; ``labels``: uint8 (training set + bought, k).

    Returns:
        The model, and its probabilities float32 (m, k) of the images of ``spec.score_split``.

    Raises:
        WeightsError, TrainingError, DataError: as ``embedding_store.embeddings_of`` and ``heads.train_head``.
    """
    from evaluator.training.embeddings.heads import predict_head, train_head
    from evaluator.training.embeddings.store import ImageSource, embeddings_of, weights_of

    def embedded(split: str) -> np.ndarray:
        # Of the whole split, also where the seed drew from it: they are made once for all seeds.
        images = (sets.whole or sets).images[split]
        found = embeddings_of(
            spec.pipeline,
            ImageSource(sets.splits[split].digest, len(images), images.size, images.gather, images.path.parent),
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
