"""Predictions of a trained model: probabilities, and the decisions that thresholds make of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from evaluator.errors import DataError, TrainingError
from evaluator.training import device as devices
from evaluator.training.augment import transform
from evaluator.training.pipeline import Pipeline
from evaluator.training.trained import Trained

BATCH_SIZE = 64


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


def predict(trained: Trained, images: np.ndarray, *, batch_size: int = BATCH_SIZE) -> np.ndarray:
    """Probabilities of every class, by the trained model, on the device and with the threads that it was trained with.

    Args:
        trained: from ``loop.train``.
        images: uint8 (m, S, S, 3), S as in training.
        batch_size: images per step; of no consequence but for speed, memory and the last bit.

    Returns:
        float32 (m, k).

    Raises:
        DataError: images of another dtype or shape.
        TrainingError: the model gives values that are not finite.
    """
    check_images(images)
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be 1 or more")
    where = devices.resolve(trained.device)
    with devices.threads(trained.threads):
        return probabilities(trained.model, upload(images, where), trained.pipeline, batch_size=batch_size)


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


def upload(images: np.ndarray, where: torch.device) -> Tensor:
    """The images as a tensor on the device. Read-only arrays are copied, since torch cannot promise not to write."""
    plain = np.ascontiguousarray(images)
    return torch.from_numpy(plain if plain.flags.writeable else plain.copy()).to(where)


def probabilities(model: nn.Module, images: Tensor, pipeline: Pipeline, *, batch_size: int = BATCH_SIZE) -> np.ndarray:
    """float32 (m, k) of uint8 images (m, S, S, 3) that lie on the model's device. The model's mode is left as it was found.

    Raises:
        TrainingError: values that are not finite.
    """
    mode = {module: module.training for module in model.modules()}
    model.eval()
    parts = []
    with torch.inference_mode(), devices.repeatable(images.device), devices.autocast(images.device):
        for start in range(0, len(images), batch_size):
            x = transform(images[start : start + batch_size], pipeline)
            parts.append(torch.sigmoid(model(x.contiguous(memory_format=torch.channels_last)).float()))
    for module, training in mode.items():
        module.training = training
    result = torch.cat(parts).cpu().numpy()
    if not np.isfinite(result).all():
        row = int(np.argwhere(~np.isfinite(result))[0, 0])
        raise TrainingError(f"the model predicts a value that is not finite for image {row}: the training diverged; lower its rate")
    return result
