"""The plain loop: a training as participants of 2022 wrote it, to measure ours against.

A ``Dataset`` opens and decodes an image's file with Pillow whenever the image is asked for, once per epoch; torchvision's
transforms change it, one image at a time; a ``DataLoader`` puts batches of five together; the network is torchvision's or timm's
own, in float32 and the default layout, with torch's default optimiser; the loss is read with ``.item()`` after every step.
Evaluation works the same way. Nothing is slowed down on purpose: no needless copies, no gradients through frozen layers, torch's
own defaults throughout.

It follows the same :class:`Pipeline` as ours, so that initial weights, split, order, number of image passes, rates, schedule,
epochs, loss, clipping, averaging, frozen layers and thresholds are the same. What differs besides speed:

- the random numbers of the augmentation (both use the same seed, each draws in its own way);
- shift and zoom are torchvision's ``RandomAffine``, which fills with black where ours mirrors the border; contrast turns around the
  mean of the grey image where ours takes the mean of all channels; ``blur`` is a Gaussian of random width where ours mixes in a
  random share of a 3 x 3 binomial. Flips, quarter turns and ``gaussian`` are the same as ours;
- an image that is stored at another size than the pipeline's is resized by torchvision.

It shares no code with ``evaluator/training/loop.py`` on purpose: two programs that agree check each other.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_avg_fn
from torch.utils.data import DataLoader

from benchmarks.training.phases import SILENT, Phases
from benchmarks.training.plain_inputs import Files, transforms_of
from evaluator.data.folders import Split
from evaluator.errors import TrainingError
from evaluator.seeds import derive, generator, short
from evaluator.training import device as devices
from evaluator.training import thresholds as rules
from evaluator.training.network import PooledLinear, build_network, head_parameters
from evaluator.training.optimiser import portions, rate_factor
from evaluator.training.pipeline import Pipeline
from evaluator.training.split import stratified_share
from evaluator.training.weights import load_starting_weights

BATCH_SIZE = 5
"""Batch size that participants of 2022 reported."""
HIGHEST_POSITIVE_WEIGHT = 10.0


@dataclass(frozen=True, eq=False)
class PlainTrained:
    """A finished training: the model in evaluation mode, float64 (k,) thresholds, the loss of every step, seconds."""

    pipeline: Pipeline
    model: nn.Module
    thresholds: np.ndarray
    losses: list[float]
    seconds: float


def train_plainly(
    pipeline: Pipeline,
    split: Split,
    items: np.ndarray,
    *,
    seed: int,
    device: str = "cpu",
    threads: int | None = None,
    batch_size: int | None = None,
    loader_workers: int = 0,
    phases: Phases = SILENT,
    most_steps: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> PlainTrained:
    """Train on the images ``items`` of ``split`` by the pipeline's recipe.

    Args:
        pipeline: the recipe.
        split: files and labels.
        items: int (n,), numbers of images in the split's order; at least two.
        seed: as in ``evaluator.training.loop.train``: the same initial weights, validation share and order.
        device, threads: as in ``train``.
        batch_size: most images per step; ``None`` takes the pipeline's.
        loader_workers: processes that decode; 0 decodes in this process.
        phases: records seconds per phase (with ``loader_workers``, decoding and augmenting are one phase: waiting for data).
        most_steps: stop after so many steps; the schedule is still that of the whole training.
        progress: called after every step with the share of the steps that are done.

    Raises:
        TrainingError: a loss that is not finite.
    """
    started = time.perf_counter()
    where, labels = devices.resolve(device), split.labels[items]
    kept, held_out = stratified_share(labels, pipeline.validation_share, generator(seed, "validation split"))
    with devices.threads(threads), torch.random.fork_rng(devices=[where.index] if where.type == "cuda" else []):
        torch.manual_seed(short(seed, "regularisation"))
        model = starting_model(pipeline, labels.shape[1], derive(seed, "initial weights"))
        # The weight of a class's positive labels and the bias that predicts its rate come from the images trained on.
        rates = torch.from_numpy(labels[kept].astype(np.float32)).mean(dim=0).clamp(0.5 / len(kept), 1 - 0.5 / len(kept))
        weight = ((1 - rates) / rates).pow(pipeline.positive_weight)
        weight = weight.clamp(1 / HIGHEST_POSITIVE_WEIGHT, HIGHEST_POSITIVE_WEIGHT)
        with torch.no_grad():
            head_parameters(model)[-1].copy_(torch.log(weight * rates / (1 - rates)))
        model.to(where)
        loop = _Loop(pipeline, model, split, items[kept], weight.to(where), phases, loader_workers, batch_size)
        losses = loop.epochs(seed, most_steps, progress or (lambda share: None))
        thresholds = loop.thresholds(items[kept], items[held_out])
    return PlainTrained(pipeline, model.eval(), thresholds, losses, time.perf_counter() - started)


def starting_model(pipeline: Pipeline, n_outputs: int, seed: int) -> nn.Module:
    """The network before its first step, on the CPU, with the same weights as ours."""
    if pipeline.architecture == "linear":
        return PooledLinear(pipeline.image_size, n_outputs)
    model = build_network(
        pipeline.architecture,
        n_outputs,
        seed=seed,
        dropout=pipeline.dropout,
        stochastic_depth=pipeline.stochastic_depth,
        image_size=pipeline.image_size,
    )
    load_starting_weights(model, pipeline.weights, pipeline.architecture)
    return model


def predict_plainly(
    trained: PlainTrained, split: Split, items: np.ndarray, *, batch_size: int = BATCH_SIZE, phases: Phases = SILENT
) -> np.ndarray:
    """Probabilities float32 (m, k) of the images ``items``, file by file and batch by batch."""
    return _probabilities(trained.model, trained.pipeline, split, items, batch_size, 0, phases)


class _Loop:
    """A training under way."""

    def __init__(
        self,
        pipeline: Pipeline,
        model: nn.Module,
        split: Split,
        items: np.ndarray,
        positive_weight: torch.Tensor,
        phases: Phases,
        workers: int,
        batch_size: int | None,
    ) -> None:
        self.pipeline, self.model, self.split, self.items = pipeline, model, split, items
        self.positive_weight, self.phases, self.workers = positive_weight, phases, workers
        self.batch_size = batch_size or pipeline.batch_size
        self.device = positive_weight.device
        if pipeline.trains == "head":
            head = {id(parameter) for parameter in head_parameters(model)}
            for parameter in model.parameters():
                parameter.requires_grad_(id(parameter) in head)
        self.optimiser = _optimiser(pipeline, model)
        self.average = None
        if pipeline.averaging:
            self.average = AveragedModel(model, avg_fn=get_ema_avg_fn(pipeline.averaging), use_buffers=True)

    def epochs(self, seed: int, most_steps: int | None, progress: Callable[[float], None]) -> list[float]:
        """Train, and return the loss of every step."""
        recipe = self.pipeline
        losses: list[float] = []
        cuts = portions(len(self.items), self.batch_size)
        steps = len(cuts) * recipe.epochs
        stored = Image.open(self.split.path(int(self.items[0]))).size[0]
        data = Files(self.split, self.items, transforms_of(recipe, training=True, stored=stored), self._of_this_process())
        for epoch in range(recipe.epochs):
            self._training_mode()
            order = generator(seed, "order", epoch).permutation(len(self.items)).tolist()
            loader = DataLoader(data, batch_sampler=[order[start:stop] for start, stop in cuts], num_workers=self.workers)
            for images, targets in self._waited_for(loader):
                for group in self.optimiser.param_groups:
                    group["lr"] = group["peak"] * rate_factor(len(losses), steps, recipe.schedule, recipe.warmup)
                losses.append(self._step(images.to(self.device), targets.to(self.device)))
                if not math.isfinite(losses[-1]):
                    raise TrainingError(
                        f"the plain loop's loss is {losses[-1]} in step {len(losses)}; expected a finite number. "
                        "Lower the learning rate"
                    )
                progress(len(losses) / min(steps, most_steps or steps))
                if len(losses) == most_steps:
                    return losses
        if self.average is not None:
            self.model.load_state_dict(self.average.module.state_dict())
        return losses

    def thresholds(self, kept: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        """Thresholds by the pipeline's rule, float64 (k,)."""
        recipe, labels = self.pipeline, self.split.labels
        if recipe.threshold == "fixed":
            return np.full(labels.shape[1], recipe.threshold_value, dtype=np.float64)
        if recipe.threshold == "prior":
            return rules.prior(labels[kept], recipe.threshold_value)
        fitted = rules.base_rate(self._probabilities(kept), labels[kept], fallback=recipe.threshold_value)
        if recipe.threshold == "base_rate":
            return fitted
        return rules.validation(self._probabilities(held_out), labels[held_out], otherwise=fitted)

    def _step(self, images: Tensor, targets: Tensor) -> float:
        recipe = self.pipeline
        with self.phases("forward"):
            logits = self.model(images)
            targets = targets * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
            loss = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=self.positive_weight)
        with self.phases("backward"):
            self.optimiser.zero_grad()
            loss.backward()
        with self.phases("optimiser"):
            if recipe.gradient_clip:
                nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], recipe.gradient_clip)
            self.optimiser.step()
            if self.average is not None:
                self.average.update_parameters(self.model)
        return loss.item()

    def _training_mode(self) -> None:
        self.model.train()
        if self.pipeline.trains == "head":
            self.model.get_submodule("features").eval()
        elif self.pipeline.freeze_batch_norm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _waited_for(self, loader: DataLoader) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches. Where other processes make them, waiting for them is a phase."""
        if not self.workers:
            yield from loader
            return
        stream = iter(loader)
        while True:
            with self.phases("waiting for data"):
                batch = next(stream, None)
            if batch is None:
                return
            yield batch

    def _of_this_process(self) -> Phases:
        return SILENT if self.workers else self.phases

    def _probabilities(self, items: np.ndarray) -> np.ndarray:
        with self.phases("evaluation"):
            return _probabilities(self.model, self.pipeline, self.split, items, self.batch_size, self.workers, SILENT)


def _probabilities(
    model: nn.Module, pipeline: Pipeline, split: Split, items: np.ndarray, batch_size: int, workers: int, phases: Phases
) -> np.ndarray:
    device = next(model.parameters()).device
    stored = Image.open(split.path(int(items[0]))).size[0]
    data = Files(split, items, transforms_of(pipeline, training=False, stored=stored), phases)
    model.eval()
    found = []
    with torch.no_grad():
        for images, _ in DataLoader(data, batch_size=batch_size, num_workers=workers):
            with phases("forward"):
                found.append(torch.sigmoid(model(images.to(device))).cpu())
    return torch.cat(found).numpy()


def _optimiser(pipeline: Pipeline, model: nn.Module) -> torch.optim.Optimizer:
    """Torch's default implementation, in groups by learning rate (head, features) and weight decay (matrices, others)."""
    head = {id(parameter) for parameter in head_parameters(model)}
    groups = []
    for in_head in (False, True):
        for decayed in (False, True):
            members = [p for p in model.parameters() if p.requires_grad and (id(p) in head) == in_head and (p.ndim > 1) == decayed]
            if members:
                peak = pipeline.learning_rate * (pipeline.head_rate if in_head else 1.0)
                decay = pipeline.weight_decay if decayed else 0.0
                groups.append({"params": members, "peak": peak, "lr": peak, "weight_decay": decay})
    if pipeline.optimiser == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups)
