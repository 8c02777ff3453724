"""What the steps of a training learn from: images, transformed anew in every epoch and sent through the whole network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from evaluator.seeds import generator
from evaluator.training import device as devices
from evaluator.training.augment import draw, transform
from evaluator.training.pipeline import Pipeline
from evaluator.training.predict import probabilities

Logits = Callable[[int, int], Tensor]
"""Logits, float32 (stop - start, k), of the items from ``start`` to ``stop`` in the order of the epoch."""


@dataclass(eq=False)
class Pictures:
    """Items as uint8 images (n, S, S, 3) in ``images``, on ``where`` or on the CPU. ``kept`` are trained on, ``held_out`` not."""

    recipe: Pipeline
    model: nn.Module
    images: Tensor
    where: torch.device
    number_format: str
    kept: np.ndarray
    held_out: np.ndarray
    seed: int

    def training_mode(self) -> None:
        """Bring the model into the mode of its training steps."""
        if self.recipe.trains == "head":
            # Nothing of the frozen layers acts at random or gathers statistics; the head's dropout does act.
            self.model.eval()
            self.model.classifier.train()
            return
        self.model.train()
        if self.recipe.freeze_batch_norm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def epoch(self, number: int, order: np.ndarray) -> Logits:
        """The logits of epoch ``number`` (from 0), whose items are ``kept[order]``."""
        # Sent once an epoch: sending a few numbers in every step would make an accelerator wait in every step.
        rows = torch.from_numpy(self.kept[order]).to(self.images.device)
        draws = torch.from_numpy(augmentation_draws(self.seed, number, len(self.kept))[order]).to(self.where)

        def logits(start: int, stop: int) -> Tensor:
            batch = self.images[rows[start:stop]].to(self.where, non_blocking=True)
            x = transform(batch, self.recipe, draws[start:stop])
            with devices.autocast(self.where, self.number_format):
                return self.model(x.contiguous(memory_format=torch.channels_last)).float()

        return logits

    def probabilities(self, items: np.ndarray) -> np.ndarray:
        """float32 (len(items), k) of items without augmentation, by the weights that the model has now."""
        rows = torch.from_numpy(items).to(self.images.device)
        return probabilities(self.model, self.images[rows], self.recipe, self.number_format)


def augmentation_draws(seed: int, number: int, n: int) -> np.ndarray:
    """The draws of epoch or view ``number``, one row per item that is trained on."""
    return draw(generator(seed, "augmentation", number), n)
