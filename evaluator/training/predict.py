"""Predictions of a trained model: probabilities, and the decisions that thresholds make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import numpy as np
import torch
from torch import Tensor, nn

from evaluator.errors import DataError, TrainingError
from evaluator.training import device as devices
from evaluator.training.augment import transform
from evaluator.training.cpu.allocator import kept_memory
from evaluator.training.cpu.folding import forward_only
from evaluator.training.memory import halving, in_room, place
from evaluator.training.need import of_predictions
from evaluator.training.network import features, head
from evaluator.training.pipeline import Pipeline
from evaluator.training.trained import Trained

BATCH_SIZE = 64
"""Embeddings per step of a head."""


def check_images(images: np.ndarray) -> None:
    """Raises:
    DataError: anything but a uint8 array (n, S, S, 3) with n and S of 1 or more.
    """
    kind = f"{type(images).__name__} of {getattr(images, 'dtype', '?')} {getattr(images, 'shape', '')}"
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8:
        raise DataError(f"the images are a {kind}; give a uint8 array (n, S, S, 3)")
    if images.ndim != 4 or images.shape[3] != 3 or images.shape[1] != images.shape[2]:
        raise DataError(f"the images are of shape {images.shape}; give (n, S, S, 3): square, three channels, channels last")
    if 0 in images.shape:
        raise DataError(f"the images are of shape {images.shape}; there must be at least one image, and no empty ones")


def predict(trained: Trained, images: np.ndarray, *, batch_size: int | None = None) -> np.ndarray:
    """Probabilities of every class, by the trained model, on the device, in the number format and with the threads of its training.

    Args:
        trained: from ``loop.train``.
        images: uint8 (m, S, S, 3), S as in training.
        batch_size: images per step, fewer where memory runs out; None: what suits the device. Of no consequence but for speed,
            memory and the last bit.

    Returns:
        float32 (m, k).

    Raises:
        DataError: images of another dtype or shape.
        TrainingError: the model gives values that are not finite, or not one image fits into memory.
        DeviceError: the device failed or vanished.
    """
    check_images(images)
    if batch_size is not None and batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be 1 or more")
    where = devices.resolve(trained.device)
    keeping = kept_memory() if where.type == "cpu" else nullcontext()
    doing = f"while predicting {len(images)} images"
    with keeping, devices.threads(trained.threads), devices.answering(where, lambda: doing), devices.own_stream(where):
        return in_room(
            where,
            lambda: of_predictions(trained.pipeline, images.nbytes),
            lambda: probabilities(trained.model, place(images, where), trained.pipeline, trained.precision, batch_size=batch_size),
        )


def decide(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """uint8 (m, k): 1 where a probability (m, k) is at or above its class's threshold (k,).

    Raises:
        ValueError: the shapes do not fit.
    """
    probabilities, thresholds = np.asarray(probabilities), np.asarray(thresholds)
    if probabilities.ndim != 2 or thresholds.shape != probabilities.shape[1:]:
        raise ValueError(f"probabilities {probabilities.shape} and thresholds {thresholds.shape} do not fit; give (m, k) and (k,)")
    # In float64 on both sides: a threshold that was placed on a probability would otherwise be rounded to either side of it.
    return (probabilities.astype(np.float64) >= thresholds.astype(np.float64)).astype(np.uint8)


def probabilities(
    model: nn.Module, images: Tensor, pipeline: Pipeline, number_format: str, *, batch_size: int | None = None
) -> np.ndarray:
    """float32 (m, k) of uint8 images (m, S, S, 3) on the model's device or on the CPU. The model's mode is left as it was found.

    Raises:
        TrainingError: values that are not finite, or not one image fits into memory.
    """
    where = next(model.parameters()).device
    most = batch_size or devices.images_at_once(where.type, pipeline.image_size)

    def logits(x: Tensor) -> Tensor:
        with devices.autocast(where, number_format):
            if not pipeline.embedding_views:
                return acting(x).float()
            embedded = features(acting, x)
        # A head that was trained on embeddings was trained in float32.
        return head(acting, embedded.float())

    with evaluating(model), torch.inference_mode():
        acting = forward_only(model) if where.type == "cpu" else model
        found = halving(lambda size: through(images, where, pipeline, lambda x: torch.sigmoid(logits(x)), size), most)
    return checked(found)


def through(
    images: Tensor, where: torch.device, pipeline: Pipeline, forward: Callable[[Tensor], Tensor], batch_size: int
) -> Tensor:
    """``forward`` of all images without augmentation, ``batch_size`` at a time; on ``where``."""
    parts = []
    with devices.repeatable(where):
        for start in range(0, len(images), batch_size):
            x = transform(images[start : start + batch_size].to(where), pipeline)
            parts.append(forward(x.contiguous(memory_format=torch.channels_last)))
    return torch.cat(parts)


def checked(found: Tensor) -> np.ndarray:
    """Probabilities as an array.

    Raises:
        TrainingError: values that are not finite.
    """
    result = found.cpu().numpy()
    if not np.isfinite(result).all():
        row = int(np.argwhere(~np.isfinite(result))[0, 0])
        raise TrainingError(f"the model predicts a value that is not finite for image {row}: the training diverged; lower its rate")
    return result


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, and every part of it in the mode that it had, afterwards."""
    mode = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in mode.items():
            module.training = training
