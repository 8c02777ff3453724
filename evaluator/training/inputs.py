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
from evaluator.training.cuda.compiled import compiled
from evaluator.training.network import classifier
from evaluator.training.pipeline import Pipeline
from evaluator.training.predict import probabilities


@dataclass(frozen=True, eq=False)
class Job:
    """What is trained, on what, where and how.

    Attributes:
        recipe: the pipeline.
        images: uint8 (n, S, S, 3), on ``where`` or on the CPU; or float32 (n, d) embeddings of them on ``where``, where only a head
            is trained.
        labels: 0/1 (n, k), on the CPU.
        kept, held_out: numbers of the items that are trained on, and of the validation share.
        seed: the root of order and augmentation.
        where: the device.
        number_format: of the forward passes: ``float32``, ``bfloat16`` or ``float16``.
    """

    recipe: Pipeline
    images: Tensor
    labels: np.ndarray
    kept: np.ndarray
    held_out: np.ndarray
    seed: int
    where: torch.device
    number_format: str


class Pictures:
    """Items as images: every step transforms its batch and sends it through the whole network."""

    def __init__(self, job: Job, model: nn.Module) -> None:
        self.job, self.model = job, model
        on_device = job.recipe.compiled and job.where.type == "cuda"
        self._forward: Callable[[Tensor], Tensor] = compiled(model) if on_device else model

    def training_mode(self) -> None:
        """Bring the model into the mode of its training steps."""
        if self.job.recipe.trains == "head":
            # Nothing of the frozen layers acts at random or gathers statistics; the head's dropout does act.
            self.model.eval()
            classifier(self.model).train()
            return
        self.model.train()
        if self.job.recipe.freeze_batch_norm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def epoch(self, number: int, order: np.ndarray) -> tuple[Tensor, ...]:
        """What the steps of epoch ``number`` (from 0) read, a row per item ``kept[order]``: their numbers, and their draws."""
        # Sent once an epoch: sending a few numbers in every step would make an accelerator wait in every step.
        rows = torch.from_numpy(self.job.kept[order]).to(self.job.images.device)
        draws = torch.from_numpy(augmentation_draws(self.job.seed, number, len(self.job.kept))[order]).to(self.job.where)
        return rows, draws

    def logits(self, rows: Tensor, draws: Tensor) -> Tensor:
        """float32 (b, k) of a batch: b of the rows of ``epoch``."""
        batch = self.job.images[rows].to(self.job.where, non_blocking=True)
        x = transform(batch, self.job.recipe, draws)
        with devices.autocast(self.job.where, self.job.number_format):
            return self._forward(x.contiguous(memory_format=torch.channels_last)).float()

    def probabilities(self, items: np.ndarray) -> np.ndarray:
        """float32 (len(items), k) of items without augmentation, by the weights that the model has now."""
        rows = torch.from_numpy(items).to(self.job.images.device)
        return probabilities(self.model, self.job.images[rows], self.job.recipe, self.job.number_format)


def augmentation_draws(seed: int, number: int, n: int) -> np.ndarray:
    """The draws of epoch or view ``number``, one row per item that is trained on."""
    return draw(generator(seed, "augmentation", number), n)
