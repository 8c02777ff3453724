"""Frozen features, computed once: the epochs then train the head on embeddings alone.

Frozen layers in evaluation mode give the same embedding of the same picture in every epoch. So every item is sent through them once
per augmented view, with the draws that epoch ``v`` would have used for view ``v``, and once more without augmentation where it is
predicted. With as many views as epochs the head sees what it would see otherwise, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from evaluator.errors import TrainingError
from evaluator.training import device as devices
from evaluator.training.augment import transform
from evaluator.training.cpu.folding import forward_only
from evaluator.training.inputs import Job, augmentation_draws
from evaluator.training.memory import halving
from evaluator.training.network import classifier, features, head
from evaluator.training.predict import checked, evaluating


class Embeddings:
    """Items as embeddings on ``where``, float32: (views, kept, d) with augmentation, (items, d) without.

    Args:
        job: its ``images`` are uint8 (n, S, S, 3).
        model: with a head that may change while the features stay as they are.
        progress: called with the share of the views that are done.

    Raises:
        TrainingError: an embedding is not finite, or not one image fits into memory.
    """

    def __init__(self, job: Job, model: nn.Module, progress: Callable[[float], None]) -> None:
        self.job, self.model = job, model
        recipe, kept, held_out = job.recipe, job.kept, job.held_out
        # The features stay as they are for the whole training, so one twin serves all views.
        self._frozen = forward_only(model) if job.where.type == "cpu" else model
        self._plain: dict[bytes, Tensor] = {}
        total = recipe.embedding_views + (len(held_out) > 0)
        if len(held_out):
            self._without_augmentation(held_out)
            progress(1 / total)
        for view in range(recipe.embedding_views):
            draws = augmentation_draws(job.seed, view, len(kept)) if recipe.augmentation.on else None
            found = self._embedded(kept, draws)
            if view == 0:
                self._views = found.new_empty(recipe.embedding_views, *found.shape)
            self._views[view] = found
            progress((total - recipe.embedding_views + view + 1) / total)
        if not recipe.augmentation.on:
            self._plain[kept.tobytes()] = self._views[0]

    def training_mode(self) -> None:
        """Bring the model into the mode of its training steps: of the model only the head is used, with its dropout."""
        self.model.eval()
        classifier(self.model).train()

    def epoch(self, number: int, order: np.ndarray) -> tuple[Tensor, ...]:
        """What the steps of epoch ``number`` (from 0) read: the embeddings of the items ``kept[order]``, (kept, d)."""
        # A copy, since a dropout may work in place.
        return (self._views[number % len(self._views)][torch.from_numpy(order).to(self.job.where)],)

    def logits(self, embedded: Tensor) -> Tensor:
        """float32 (b, k) of b of the rows of ``epoch``."""
        return head(self.model, embedded)

    def probabilities(self, items: np.ndarray) -> np.ndarray:
        """float32 (len(items), k) of items without augmentation, by the head that the model has now."""
        embedded = self._without_augmentation(items)
        with evaluating(self.model), torch.inference_mode():
            return checked(torch.sigmoid(head(self.model, embedded)))

    def _without_augmentation(self, items: np.ndarray) -> Tensor:
        known = items.tobytes()
        if known not in self._plain:
            self._plain[known] = self._embedded(items, None)
        return self._plain[known]

    def _embedded(self, items: np.ndarray, draws: np.ndarray | None) -> Tensor:
        job = self.job
        rows = torch.from_numpy(items).to(job.images.device)
        changes = None if draws is None else torch.from_numpy(draws).to(job.where)

        def embed(size: int) -> Tensor:
            parts = []
            for start in range(0, len(rows), size):
                batch = job.images[rows[start : start + size]].to(job.where, non_blocking=True)
                x = transform(batch, job.recipe, None if changes is None else changes[start : start + size])
                with devices.autocast(job.where, job.number_format):
                    parts.append(features(self._frozen, x.contiguous(memory_format=torch.channels_last)).float())
            return torch.cat(parts)

        with evaluating(self._frozen), torch.inference_mode():
            found = halving(embed, devices.images_at_once(job.where.type, job.recipe.image_size))
            finite = torch.isfinite(found).all(dim=1).cpu().numpy()
        if not finite.all():
            raise TrainingError(
                f"the embedding of item {items[np.argmin(finite)]} is not finite in {job.number_format}, pipeline "
                f"{job.recipe.name!r}; expected numbers. Check its weights ({job.recipe.weights}), or set precision to float32"
            )
        # A tensor of inference mode cannot take part in training; its copy can.
        return found.clone()
