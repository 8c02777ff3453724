"""Small data and recipes for the tests of the training."""

from __future__ import annotations

import numpy as np
import torch

from evaluator.seeds import generator
from evaluator.training.pipeline import Augmentation, Pipeline
from evaluator.training.recipes import PIPELINES

TURNS = Augmentation(horizontal_flip=True, vertical_flip=True, quarter_turns=True)
SMALL = Pipeline(
    name="small",
    architecture="efficientnet_b0",
    weights="none",
    image_size=32,
    epochs=2,
    batch_size=8,
    averaging=0.5,
    augmentation=TURNS,
)
LINEAR = PIPELINES["milliseconds"]


def toy(n: int, seed: int = 0, side: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Two classes that a blind model cannot tell and any seeing one can: the upper half is bright; the right half is red."""
    rng = generator(seed, "toy")
    labels = (rng.random((n, 2)) < 0.4).astype(np.uint8)
    images = rng.integers(60, 120, (n, side, side, 3), dtype=np.uint8)
    images[labels[:, 0] == 1, : side // 2] += 60
    images[labels[:, 1] == 1, :, side // 2 :, 0] += 90
    return images, labels


def weights(trained) -> dict[str, torch.Tensor]:
    return trained.model.state_dict()


def same(a, b) -> bool:
    """Whether two trainings ended at the same weights, to the bit."""
    return all(torch.equal(x, weights(b)[name]) for name, x in weights(a).items())


def distance(a, b) -> float:
    """Largest difference between two weights of the same name."""
    return max(float((x.double() - weights(b)[name].double()).abs().max()) for name, x in weights(a).items())
