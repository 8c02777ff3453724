"""What a training leaves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import nn

from evaluator.training.pipeline import Pipeline


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and what is worth knowing of its making.

    Attributes:
        pipeline: the recipe.
        model: in evaluation mode, on ``device``.
        thresholds: float64 (k,); a class is predicted at or above its threshold.
        history: one dict per epoch: ``epoch`` (from 1), ``loss``, ``learning_rate``, ``gradient_norm``, and
            ``validation_loss`` where there is a validation share.
        seconds: wall-clock time of the training.
        n_items: items handed in; n_train of them were trained on, n_validation were kept for the thresholds.
        weights_identity: the starting weights, ``none`` or ``sha256:...``.
        device, threads: where it was trained, with how many threads.
        seed: the seed handed in.
    """

    pipeline: Pipeline
    model: nn.Module
    thresholds: np.ndarray
    history: tuple[dict[str, float], ...]
    seconds: float
    n_items: int
    n_train: int
    n_validation: int
    weights_identity: str
    device: str
    threads: int
    seed: int
