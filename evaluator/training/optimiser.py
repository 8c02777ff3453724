"""The loss's weights, the head's start and the optimiser of a pipeline."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from evaluator.training.network import head_parameters
from evaluator.training.pipeline import Pipeline

HIGHEST_POSITIVE_WEIGHT = 10.0
MOMENTUM = 0.9


def positive_weights(rates: Tensor, n: int, power: float) -> Tensor:
    """(k,) weights of positives in the loss; a class without positives counts as one with half an item.

    Args:
        rates: float (k,) shares of positives among ``n`` items.
        power: 0 leaves the loss as it is, 1 balances it.
    """
    rates = rates.clamp(0.5 / n, 1 - 0.5 / n)
    return ((1 - rates) / rates).pow(power).clamp(1 / HIGHEST_POSITIVE_WEIGHT, HIGHEST_POSITIVE_WEIGHT)


def start_bias(model: nn.Module, rates: Tensor, n: int, weight: Tensor) -> None:
    """Let the first predictions be the best constant ones under the loss, so that no step is spent on learning the rates."""
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
