"""The post-purchase training: a pipeline, a set of labelled images and a seed make a model.

The images stay one uint8 array on the device; every step takes its rows and transforms the whole batch at once.
Initial weights, split, order and augmentation each have a stream of their own under the seed, so that two strategies that are
compared at one seed start from the same weights. On the CPU the same arrays, seed and number of threads give the same weights to
the bit; nothing here reads or moves the global random state.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from evaluator.errors import DataError, TrainingError
from evaluator.seeds import derive, generator, short
from evaluator.training import device as devices
from evaluator.training import thresholds as rules
from evaluator.training.augment import draw, transform
from evaluator.training.convolutions import quicken
from evaluator.training.network import PooledLinear, build_network, head_parameters
from evaluator.training.pipeline import Pipeline
from evaluator.training.predict import check_images, probabilities, upload
from evaluator.training.schedule import batches, rate_factor
from evaluator.training.split import stratified_share
from evaluator.training.trained import Trained
from evaluator.training.weights import load_starting_weights

HIGHEST_POSITIVE_WEIGHT = 10.0
MOMENTUM = 0.9


def train(
    pipeline: Pipeline,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    seed: int,
    device: str = "cpu",
    threads: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> Trained:
    """Train a model as the pipeline says.

    Args:
        pipeline: the recipe.
        images: uint8 (n, S, S, 3), n of 2 or more. Left as they are.
        labels: 0/1 (n, k), integers or booleans.
        seed: the root of every random draw, 0 or more.
        device: ``cpu``, ``cuda`` or ``auto`` (CUDA where there is one).
        threads: per operator on the CPU; ``None`` leaves torch's setting, which is what it was again afterwards in any case.
        progress: called with the share of the steps done, rising to 1.0.

    Raises:
        DataError: images or labels of another shape, dtype or range; fewer than 2 items to train on.
        ConfigurationError: no such device.
        WeightsError: the starting weights cannot be had.
        TrainingError: a loss that is not finite.
    """
    started = time.perf_counter()
    _check(images, labels)
    where = devices.resolve(device)
    kept, held_out = stratified_share(labels, pipeline.validation_share, generator(seed, "validation split"))
    if len(kept) < 2:
        raise DataError(f"{len(labels)} items leave {len(kept)} to train on; give at least 2, or a smaller validation_share")
    with devices.threads(threads) as used, devices.random_state(where, short(seed, "regularisation")), devices.repeatable(where):
        model, identity = _starting_model(pipeline, labels.shape[1], derive(seed, "initial weights"))
        model = model.to(where, memory_format=torch.channels_last)
        if where.type == "cpu":
            quicken(model)
        run = _Run(pipeline, model, upload(images, where), torch.from_numpy(labels.astype(np.float32)).to(where), kept, held_out)
        history = run.epochs(seed, progress or (lambda share: None))
        thresholds = run.thresholds(labels)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None
    return Trained(
        pipeline=pipeline,
        model=model.eval(),
        thresholds=thresholds,
        history=tuple(history),
        seconds=time.perf_counter() - started,
        n_items=len(labels),
        n_train=len(kept),
        n_validation=len(held_out),
        weights_identity=identity,
        device=str(where),
        threads=used,
        seed=seed,
    )


class _Run:
    """One training under way: model, data on the device, optimiser, moving average."""

    def __init__(self, pipeline: Pipeline, model: nn.Module, images: Tensor, targets: Tensor, kept, held_out) -> None:
        self.pipeline, self.model, self.images, self.targets = pipeline, model, images, targets
        self.kept, self.held_out = kept, held_out
        rates = targets[self._index(kept)].mean(dim=0)
        self.positive_weight = _positive_weights(rates, len(kept), pipeline.positive_weight)
        _start_bias(model, rates, len(kept), self.positive_weight)
        if pipeline.trains == "head":
            head = {id(parameter) for parameter in head_parameters(model)}
            for parameter in model.parameters():
                parameter.requires_grad_(id(parameter) in head)
        self.optimiser = _optimiser(pipeline, model)
        self.average = None
        if pipeline.averaging:
            self.average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(pipeline.averaging), use_buffers=True)

    def epochs(self, seed: int, progress: Callable[[float], None]) -> list[dict[str, float]]:
        """Train, leave the final weights in the model, and return the history."""
        recipe, history = self.pipeline, []
        per_epoch = len(batches(self.kept, recipe.batch_size))
        steps = per_epoch * recipe.epochs
        for epoch in range(recipe.epochs):
            order = generator(seed, "order", epoch).permutation(len(self.kept))
            draws = draw(generator(seed, "augmentation", epoch), len(self.kept))
            losses, norms = [], []
            self._training_mode()
            for batch in batches(order, recipe.batch_size):
                factor = rate_factor(epoch * per_epoch + len(losses), steps, recipe.schedule, recipe.warmup)
                loss, norm = self._step(self.kept[batch], draws[batch], factor)
                losses.append(loss)
                norms.append(norm)
                progress((epoch * per_epoch + len(losses)) / steps)
            # Looked at once an epoch: asking after every step would make an accelerator wait for the answer.
            values = torch.stack(losses).double().cpu().numpy()
            if not np.isfinite(values).all():
                step = int(np.argmin(np.isfinite(values)))
                raise TrainingError(
                    f"the loss is {values[step]} in epoch {epoch + 1}, step {step + 1} of {per_epoch}, pipeline {recipe.name!r}; "
                    f"expected a number. Lower learning_rate ({recipe.learning_rate:g}) or gradient_clip ({recipe.gradient_clip:g})"
                )
            entry = {
                "epoch": epoch + 1,
                "loss": float(values.mean()),
                "learning_rate": recipe.learning_rate * factor,
                "gradient_norm": float(torch.stack(norms).double().mean()),
            }
            if len(self.held_out):
                entry["validation_loss"] = self._validation_loss()
            history.append(entry)
        if self.average is not None:
            self.model.load_state_dict(self.average.module.state_dict())
        return history

    def thresholds(self, labels: np.ndarray) -> np.ndarray:
        """float64 (k,), by the pipeline's rule."""
        recipe, k = self.pipeline, labels.shape[1]
        if recipe.threshold == "fixed":
            return np.full(k, recipe.threshold_value, dtype=np.float64)
        if recipe.threshold == "prior":
            return rules.prior(labels[self.kept], recipe.threshold_value)
        fitted = rules.base_rate(self._probabilities(self.kept), labels[self.kept], fallback=recipe.threshold_value)
        if recipe.threshold == "base_rate":
            return fitted
        return rules.validation(self._probabilities(self.held_out), labels[self.held_out], otherwise=fitted)

    def _step(self, items: np.ndarray, draws: np.ndarray, factor: float) -> tuple[Tensor, Tensor]:
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        rows = self._index(items)
        x = transform(self.images[rows], self.pipeline, draws)
        with devices.autocast(x.device):
            logits = self.model(x.contiguous(memory_format=torch.channels_last))
        smoothing = self.pipeline.label_smoothing
        targets = self.targets[rows] * (1 - smoothing) + smoothing / 2
        loss = F.binary_cross_entropy_with_logits(logits.float(), targets, pos_weight=self.positive_weight)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        trained = [p for group in self.optimiser.param_groups for p in group["params"]]
        norm = nn.utils.clip_grad_norm_(trained, self.pipeline.gradient_clip or math.inf)
        self.optimiser.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return loss.detach(), norm.detach()

    def _training_mode(self) -> None:
        self.model.train()
        if self.pipeline.trains == "head":
            self.model.features.eval()
        elif self.pipeline.freeze_batch_norm:
            for module in self.model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()

    def _validation_loss(self) -> float:
        """Mean cross-entropy on the validation share, of the weights that would be kept if training ended here."""
        model = self.model if self.average is None else self.average.module
        found = probabilities(model, self.images[self._index(self.held_out)], self.pipeline)
        given = self.targets[self._index(self.held_out)].cpu()
        return float(F.binary_cross_entropy(torch.from_numpy(found).double(), given.double()))

    def _probabilities(self, items: np.ndarray) -> np.ndarray:
        return probabilities(self.model, self.images[self._index(items)], self.pipeline)

    def _index(self, items: np.ndarray) -> Tensor:
        return torch.from_numpy(items).to(self.images.device)


def _starting_model(pipeline: Pipeline, n_outputs: int, seed: int) -> tuple[nn.Module, str]:
    """The network before its first step, on the CPU, and the identity of its weights."""
    if pipeline.architecture == "linear":
        return PooledLinear(pipeline.image_size, n_outputs), "none"
    model = build_network(
        pipeline.architecture, n_outputs, seed=seed, dropout=pipeline.dropout, stochastic_depth=pipeline.stochastic_depth
    )
    return model, load_starting_weights(model, pipeline.weights, pipeline.architecture)


def _positive_weights(rates: Tensor, n: int, power: float) -> Tensor:
    """(k,) weights of positives in the loss; a class without positives counts as one with half an item."""
    rates = rates.clamp(0.5 / n, 1 - 0.5 / n)
    return ((1 - rates) / rates).pow(power).clamp(1 / HIGHEST_POSITIVE_WEIGHT, HIGHEST_POSITIVE_WEIGHT)


def _start_bias(model: nn.Module, rates: Tensor, n: int, weight: Tensor) -> None:
    """Let the first predictions be the best constant ones under the loss, so that no step is spent on learning the rates."""
    rates = rates.clamp(0.5 / n, 1 - 0.5 / n)
    with torch.no_grad():
        head_parameters(model)[-1].copy_(torch.log(weight * rates / (1 - rates)))


def _optimiser(pipeline: Pipeline, model: nn.Module) -> torch.optim.Optimizer:
    """Groups by (head or features) and (decayed or not); every group remembers its peak rate."""
    head = {id(parameter) for parameter in head_parameters(model)}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups.setdefault((id(parameter) in head, parameter.ndim > 1), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {
            "params": parameters,
            "peak": pipeline.learning_rate * (pipeline.head_rate if in_head else 1.0),
            "lr": 0.0,
            "weight_decay": pipeline.weight_decay if decayed else 0.0,
        }
        for (in_head, decayed), parameters in groups.items()
    ]
    if pipeline.optimiser == "sgd":
        return torch.optim.SGD(settings, momentum=MOMENTUM, nesterov=True, fused=True)
    return torch.optim.AdamW(settings, fused=True)


def _check(images: np.ndarray, labels: np.ndarray) -> None:
    check_images(images)
    if not isinstance(labels, np.ndarray) or labels.ndim != 2 or labels.shape[1] < 1:
        raise DataError(f"the labels are {getattr(labels, 'shape', type(labels).__name__)}; give an array (n, k), k >= 1")
    if labels.dtype.kind not in "biu":
        raise DataError(f"the labels are of dtype {labels.dtype}; give integers or booleans")
    if len(labels) != len(images):
        raise DataError(f"there are {len(images)} images and {len(labels)} labels; give one row of labels per image")
    bad = np.argwhere((labels != 0) & (labels != 1))
    if len(bad):
        row, column = bad[0]
        raise DataError(f"the label of item {row}, class {column} is {labels[row, column]}; it must be 0 or 1")
