"""How a pipeline steps: its batches, learning rates and optimiser, the loss's weights and the head's start."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from evaluator.training.network import head_parameters
from evaluator.training.pipeline import Pipeline

HIGHEST_POSITIVE_WEIGHT = 10.0
MOMENTUM = 0.9


def positive_weights(rates: Tensor, n: int, power: float) -> Tensor:
    """(k,) weights of positives in the loss; a class without positives counts as if half an item were positive.

    Args:
        rates: float (k,) shares of positives among ``n`` items.
        power: 0 leaves the loss as it is, 1 balances it.
    """
    rates = rates.clamp(0.5 / n, 1 - 0.5 / n)
    return ((1 - rates) / rates).pow(power).clamp(1 / HIGHEST_POSITIVE_WEIGHT, HIGHEST_POSITIVE_WEIGHT)


def start_bias(model: nn.Module, rates: Tensor, n: int, weight: Tensor) -> None:
    """Let the first predictions be the best constant predictions under the loss, so that no step is spent on learning the rates."""
    rates = rates.clamp(0.5 / n, 1 - 0.5 / n)
    with torch.no_grad():
        head_parameters(model)[-1].copy_(torch.log(weight * rates / (1 - rates)))


def freeze(model: nn.Module, trains: str) -> dict[str, Tensor]:
    """Let gradients flow to what is trained, and return by name every tensor of the model that training changes."""
    if trains == "all":
        return dict(model.named_parameters()) | dict(model.named_buffers())
    head = {id(parameter) for parameter in head_parameters(model)}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in head)
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def make_optimiser(pipeline: Pipeline, model: nn.Module) -> torch.optim.Optimizer:
    """Groups by (head or features) and (decayed or not); every group remembers its peak rate as ``peak``."""
    head = {id(parameter) for parameter in head_parameters(model)}
    where = next(model.parameters()).device
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            groups.setdefault((id(parameter) in head, parameter.ndim > 1), []).append(parameter)
    settings: list[dict[str, Any]] = [
        {
            "params": parameters,
            "peak": pipeline.learning_rate * (pipeline.head_rate if in_head else 1.0),
            "weight_decay": pipeline.weight_decay if decayed else 0.0,
        }
        for (in_head, decayed), parameters in groups.items()
    ]
    settings = rates_in_tensors(settings, where)
    if pipeline.optimiser == "sgd":
        optimiser = torch.optim.SGD(settings, momentum=MOMENTUM, nesterov=True, fused=True)
        # The fused form leaves its buffers unwritten where the first step is left out under a scaled loss. From zero the first step
        # is the same.
        for parameter in (p for group in optimiser.param_groups for p in group["params"]):
            optimiser.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return optimiser
    # Its number of steps is on the device in any case; this lets a step be captured.
    return torch.optim.AdamW(settings, fused=True, capturable=where.type == "cuda")


def rates_in_tensors(groups: list[dict[str, Any]], where: torch.device) -> list[dict[str, Any]]:
    """The groups of an optimiser with their rates in tensors, 0 until ``set_rates``.

    So a step that was captured into a CUDA graph reads the rates of its replay. On the CPU they are float64, by which a step gives
    the bits that it gives with a number; the kernels for a device read float32.
    """
    kind = torch.float64 if where.type == "cpu" else torch.float32
    return [group | {"lr": torch.zeros((), dtype=kind, device=where)} for group in groups]


def set_rates(optimiser: torch.optim.Optimizer, factor: float) -> None:
    """Let the next step have ``factor`` times the peak rate in every group."""
    for group in optimiser.param_groups:
        group["lr"].fill_(group["peak"] * factor)


def portions(n: int, batch_size: int) -> list[tuple[int, int]]:
    """Cut ``n`` items in a row into batches of at most ``batch_size`` whose sizes differ by one at most: (start, stop) of each.

    A short last batch would weigh its few items more than all others, and a batch of a single item cannot be batch-normalised.
    Batches of one item do not occur: an odd rest at ``batch_size`` 2 makes one batch of three.
    """
    count = max(1, min(math.ceil(n / batch_size), n // 2))
    size, larger = divmod(n, count)
    ends = [(i + 1) * size + min(i + 1, larger) for i in range(count)]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def rate_factor(step: int, steps: int, schedule: str, warmup: float) -> float:
    """The learning rate of a step (from 0) as a share of the peak."""
    rising = warmup * steps
    if schedule == "constant" and step >= rising:
        return 1.0
    if step < rising:
        done = (step + 1) / (rising + 1)
        return 0.04 + 0.96 * (1 - math.cos(math.pi * done)) / 2 if schedule == "one_cycle" else done
    return _falling(math.pi * (step - rising) / max(steps - rising, 1))


def rate_at(done: float, warmup: float) -> float:
    """The learning rate as a share of the peak where ``done`` (0 to 1) of a run that follows the clock is over.

    A line up to 1 in the share ``warmup``, then half a cosine down to 0.
    """
    if done < warmup:
        return max(done, 1e-3 * warmup) / warmup
    return _falling(math.pi * (done - warmup) / (1.0 - warmup))


def _falling(angle: float) -> float:
    """Half a cosine from 1 at angle 0 to 0 at angle pi."""
    return (1 + math.cos(angle)) / 2
