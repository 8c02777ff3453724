"""What a training leaves."""

from __future__ import annotations

from dataclasses import dataclass, field

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
        history: one dict per epoch: ``epoch`` (from 1), ``loss``, ``learning_rate``, ``gradient_norm``,
            ``validation_loss`` where there is a validation share, and ``skipped_steps`` where a scaled loss left any out.
        seconds: wall-clock time of the training; with that before an interruption, up to the last checkpoint.
        n_items: items handed in; n_train of them were trained on, n_validation were kept for the thresholds.
        weights_identity: the starting weights, ``none`` or ``sha256:...``.
        device, threads: where it was trained, with how many threads.
        seed: the seed handed in.
        precision: number format of the forward passes: ``float32``, ``bfloat16`` or ``float16``.
        micro_batch: most items that went through the network at once; batches above it were worked through in parts.
        peak_memory: most bytes in tensors on a CUDA device during the training; None on the CPU, and where others
            shared the device.
        timings: seconds by what they went into: ``embed`` (frozen features, once), ``train`` (steps), ``validate`` (loss on the
            validation share, thresholds).
        notes: sentences on what did not go the usual way: memory that ran out, a training that was interrupted.
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
    precision: str = "float32"
    micro_batch: int = 0
    peak_memory: int | None = None
    timings: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
