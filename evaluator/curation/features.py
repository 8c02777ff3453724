"""Frozen features of images, for everything that needs to know which images are alike: computed once, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from evaluator.errors import ConfigurationError
from evaluator.words import meant

if TYPE_CHECKING:
    from evaluator.training.pipeline import Pipeline

NETWORKS = {
    "lite0": ("proxy-lite0", "timm/tf_efficientnet_lite0"),
    "lite1": ("proxy-lite0", "timm/tf_efficientnet_lite1"),
    "lite2": ("proxy-lite0", "timm/tf_efficientnet_lite2"),
    "procedural": ("proxy", "efficientnet_b4"),
}
"""Networks by name: the pipeline that says how images go in, and the architecture. The first three have ImageNet's weights (an
extra), the last has the kit's own, which has never seen handwriting or photographs."""
SMALLEST = 32
"""Side in pixels below which these networks leave nothing to pool."""


def network_pipeline(network: str, size: int) -> Pipeline:
    """The pipeline whose frozen features are taken.

    Args:
        network: a name of ``NETWORKS``, a proxy pipeline of the kit, or the path of its file.
        size: side in pixels that images are brought to.

    Raises:
        ConfigurationError: no such network, one that trains more than a head, or a size below ``SMALLEST``.
    """
    from evaluator.training.recipes import load_pipeline

    if size < SMALLEST:
        raise ConfigurationError(f"--size is {size}; frozen features need at least {SMALLEST} pixels a side. Raise it")
    if network in NETWORKS:
        name, architecture = NETWORKS[network]
        return replace(load_pipeline(name), architecture=architecture, image_size=size)
    if "." not in network and meant(network, NETWORKS):
        raise ConfigurationError(f"--network {network!r} is not known{meant(network, NETWORKS)}")
    pipeline = replace(load_pipeline(network), image_size=size)
    if not pipeline.proxy:
        raise ConfigurationError(
            f"--network {network!r} is no proxy, so that its features would change; expected {', '.join(NETWORKS)} or a pipeline "
            "that trains a head on one view"
        )
    return pipeline


def best_network() -> str:
    """``lite0`` where its package is installed, else ``procedural``."""
    from evaluator.errors import WeightsError
    from evaluator.training.lite import package_file

    try:
        package_file(NETWORKS["lite0"][1])
    except WeightsError:
        return "procedural"
    return "lite0"


def frozen_features(
    pixels: np.ndarray,
    network: str,
    size: int,
    cache: Path,
    progress: Callable[[float], None] = lambda share: None,
) -> np.ndarray:
    """Features of images under frozen weights, float32 (n, d); on one thread, from the cache where they are there.

    Args:
        pixels: uint8 (n, S, S, 3) or (n, S, S).
        network, size: as of ``network_pipeline``.
        cache: folder of stored features.
        progress: called with the share that is computed.

    Raises:
        ConfigurationError, WeightsError: as ``network_pipeline``, or the weights cannot be had (the message says how to install).
        TrainingError: a feature is not finite. DataError: the folder cannot be written.
    """
    from evaluator.training.embeddings.store import ImageSource, embeddings_of

    coloured = colours(pixels)
    source = ImageSource(pixel_set_digest(coloured), len(coloured), coloured.shape[1], lambda rows: coloured[list(rows)], cache)
    return np.asarray(embeddings_of(network_pipeline(network, size), source, device="cpu", threads=1, progress=progress))


def embedder(network: str, size: int) -> Callable[[np.ndarray], np.ndarray]:
    """The same network as a function from uint8 (n, S, S, 3) to float32 (n, d), for images that are made on the way.

    Raises:
        ConfigurationError, WeightsError: as ``frozen_features``.
    """
    import torch

    from evaluator.training import device as devices
    from evaluator.training.cpu.convolutions import quicken
    from evaluator.training.cpu.folding import forward_only
    from evaluator.training.network import build_network, features
    from evaluator.training.predict import through
    from evaluator.training.weights import load_starting_weights

    pipeline = network_pipeline(network, size)
    model = build_network(pipeline.architecture, 1, seed=0, image_size=size)
    load_starting_weights(model, pipeline.weights, pipeline.architecture)
    model = forward_only(quicken(model.eval()))
    where = devices.resolve("cpu")

    def embed(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), devices.threads(1):
            found = through(torch.from_numpy(colours(images)), where, pipeline, lambda x: features(model, x).float(), 64)
        return found.numpy()

    return embed


def colours(pixels: np.ndarray) -> np.ndarray:
    """Images with three channels, uint8 (n, S, S, 3); grey ones are repeated."""
    if pixels.ndim == 3:
        return np.repeat(pixels[..., None], 3, axis=3)
    return np.repeat(pixels, 3, axis=3) if pixels.shape[3] == 1 else pixels


def pixel_set_digest(pixels: np.ndarray) -> str:
    """SHA-256 (hex) of an array of images: shape and bytes."""
    return hashlib.sha256(str(pixels.shape).encode() + np.ascontiguousarray(pixels).data.cast("B")).hexdigest()
