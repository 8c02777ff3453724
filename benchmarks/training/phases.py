"""Where the time of a training goes: timers put around its phases from outside, without a change to its code."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

import evaluator.training.augment
import evaluator.training.step
from benchmarks.stopwatch.timing import wait_for
from evaluator.training.average import Average
from evaluator.training.step import Launched


class Phases:
    """Seconds spent per phase. ``Phases(None)`` measures nothing and costs nothing. A CUDA device is waited for at both ends."""

    def __init__(self, device: torch.device | None) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        if self.device is None:
            yield
            return
        wait_for(self.device)
        started = time.perf_counter()
        yield
        wait_for(self.device)
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


SILENT = Phases(None)


@contextmanager
def observed(phases: Phases) -> Iterator[None]:
    """Time augmentation, forward, backward and optimiser of a training that runs inside the ``with``.

    Its steps are launched: a graph has no phases.
    """

    def timed(name: str, function: Callable) -> Callable:
        def call(*args: Any, **options: Any) -> Any:
            with phases(name):
                return function(*args, **options)

        return call

    depth, entered = 0, []

    def enter(module: nn.Module, arguments: Any) -> None:
        nonlocal depth
        depth += 1
        if depth == 1:
            entered.append(phases("forward"))
            entered[-1].__enter__()

    def leave(module: nn.Module, arguments: Any, result: Any) -> None:
        nonlocal depth
        depth -= 1
        if depth == 0:
            entered.pop().__exit__(None, None, None)

    def begin(*_: Any) -> None:
        entered.append(phases("optimiser"))
        entered[-1].__enter__()

    def end(*_: Any) -> None:
        entered.pop().__exit__(None, None, None)

    hooks = [
        nn.modules.module.register_module_forward_pre_hook(enter),
        nn.modules.module.register_module_forward_hook(leave),
        register_optimizer_step_pre_hook(begin),
        register_optimizer_step_post_hook(end),
    ]
    originals = [
        (torch.Tensor, "backward", "backward"),
        (nn.utils, "clip_grad_norm_", "optimiser"),
        (Average, "take_in", "optimiser"),
    ]
    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in originals]
    transform, steps_of = evaluator.training.augment.transform, evaluator.training.step.steps_of
    try:
        for owner, name, phase in originals:
            setattr(owner, name, timed(phase, getattr(owner, name)))
        with (
            replaced(transform, timed("augment", transform)),
            replaced(steps_of, lambda step, where, graphs, acting: Launched(step, acting)),
        ):
            yield
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)
        for hook in hooks:
            hook.remove()


@contextmanager
def replaced(function: Callable, by: Callable) -> Iterator[None]:
    """Put ``by`` in the place of ``function`` in every module of ``evaluator.training`` that has it as an attribute."""
    places = [
        (module, name)
        for key, module in list(sys.modules.items())
        if key.startswith("evaluator.training")
        for name, value in list(vars(module).items())
        if value is function
    ]
    try:
        for module, name in places:
            setattr(module, name, by)
        yield
    finally:
        for module, name in places:
            setattr(module, name, function)
