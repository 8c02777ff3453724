"""One step of a training, in a form that a CUDA graph can replay: all that changes from step to step lies in tensors.

A step of a small network is a few thousand launches of kernels, and on a large device launching them takes longer than computing
them. A graph holds all launches of a step, and replaying it costs one. It replays the very same kernels on the same addresses: so
the numbers of the batch's rows, its random parameters, its targets and the learning rates are copied into fixed tensors before, and
nothing inside of the step may read a value back.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluator.training import memory, together
from evaluator.training.average import Average
from evaluator.training.device import Acting
from evaluator.training.optimiser import portions, set_rates

WARM_UP = 2
"""Steps of a training that are launched by themselves before the first is captured: libraries choose algorithms and take their
memory in the first. They are the training's own first steps."""


VARIABLE = "DATA_CENTRIC_KIT_GRAPHS"


class GraphError(Exception):
    """A step could not be captured; the training starts again without graphs."""


@dataclass(frozen=True, eq=False)
class Step:
    """Forward, backward, unscaling, clipping, optimiser and moving average on one batch.

    Attributes:
        logits: float32 (b, k) of the batch's rows of every tensor of the epoch.
        positive_weight: (k,), of the loss.
        optimiser, scaler, average: what they are; ``trained``: the optimiser's parameters.
        clip: largest norm of the gradient; 0 sets no bound.
        micro_batch: most items that go through the network at once; the gradients of the parts are added up.
    """

    logits: Callable[..., Tensor]
    positive_weight: Tensor
    optimiser: torch.optim.Optimizer
    trained: Sequence[nn.Parameter]
    scaler: torch.amp.GradScaler
    average: Average | None
    clip: float
    micro_batch: int

    def __call__(self, rows: Sequence[Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of the batch and the norm of its gradient, 0-d.

        Args:
            rows: the batch's part of every tensor of the epoch (``inputs``), each of first dimension b.
            targets: float32 (b, k).
        """
        self.optimiser.zero_grad(set_to_none=True)
        n = len(targets)
        parts = portions(n, self.micro_batch)
        losses = []
        for a, b in parts:
            found = self.logits(*(tensor[a:b] for tensor in rows))
            loss = F.binary_cross_entropy_with_logits(found, targets[a:b], pos_weight=self.positive_weight)
            if len(parts) > 1:
                loss = loss * ((b - a) / n)
            self.scaler.scale(loss).backward()
            losses.append(loss.detach())
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.trained, self.clip or math.inf)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if self.average is not None:
            self.average.take_in()
        return reduce(add, losses), norm.detach()


class Work(Protocol):
    """A step, as whatever makes steps needs it: ``Step``, or one of another training."""

    @property
    def optimiser(self) -> torch.optim.Optimizer: ...

    @property
    def average(self) -> Average | None: ...

    def __call__(self, rows: Sequence[Tensor], targets: Tensor) -> tuple[Tensor, Tensor]: ...


class Steps(Protocol):
    """What makes the steps of a training."""

    def __call__(self, rows: Sequence[Tensor], targets: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        """One step at ``factor`` of the peak rates; its loss and norm, which stay as they are."""
        ...


class Launched:
    """Every step is launched kernel by kernel."""

    def __init__(self, step: Work, acting: Acting = nullcontext) -> None:
        self.step, self._acting = step, acting

    def __call__(self, rows: Sequence[Tensor], targets: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        set_rates(self.step.optimiser, factor)
        with self._acting():
            found = self.step(rows, targets)
        if self.step.average is not None:
            self.step.average.updates += 1
        return found


class Replayable(Protocol):
    """Work that was captured and can be done again, on the same tensors."""

    def replay(self) -> None: ...


@dataclass(frozen=True, eq=False)
class _Captured:
    graph: Replayable
    rows: tuple[Tensor, ...]
    targets: Tensor
    loss: Tensor
    norm: Tensor


class Replayed:
    """Steps as graphs: one for every size of a batch, of which a training has two at most. The first steps are launched.

    Args:
        step: nothing in it reads a value back.
        capture: runs a function and keeps its work for a replay; what ran is not done yet (``captured`` on a CUDA device).
        acting: the context in which steps are launched and captured (``device.random_state``); a replay needs none.
    """

    def __init__(self, step: Work, capture: Callable[[Callable[[], Any]], Replayable], acting: Acting = nullcontext) -> None:
        self.step, self._capture, self._acting = step, capture, acting
        self._launched = Launched(step, acting)
        self._graphs: dict[int, _Captured] = {}
        self._warm: dict[int, int] = {}

    def __call__(self, rows: Sequence[Tensor], targets: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        n = len(targets)
        graph = self._graphs.get(n)
        if graph is None:
            if not self._warm.get(n) or sum(self._warm.values()) < WARM_UP:
                self._warm[n] = self._warm.get(n, 0) + 1
                return self._launched(rows, targets, factor)
            graph = self._graphs[n] = self._made(rows, targets)
        for mine, given in zip((*graph.rows, graph.targets), (*rows, targets), strict=True):
            mine.copy_(given)
        set_rates(self.step.optimiser, factor)
        graph.graph.replay()
        if self.step.average is not None:
            self.step.average.updates += 1
        # Copies: the next replay writes over these.
        return graph.loss.clone(), graph.norm.clone()

    def _made(self, rows: Sequence[Tensor], targets: Tensor) -> _Captured:
        mine = tuple(tensor.clone() for tensor in rows)
        wanted = targets.clone()
        found: list[Tensor] = []
        # The gradients of the steps before would lie beside those of the graph.
        self.step.optimiser.zero_grad(set_to_none=True)
        try:
            with self._acting():
                graph = self._capture(lambda: found.extend(self.step(mine, wanted)))
        except RuntimeError as error:
            # A shortage of memory may invalidate the capture, and that is what is raised at its end.
            shortage = memory.shortage_in(error)
            if shortage is error:
                raise
            if shortage is not None:
                raise shortage from error
            if isinstance(error, torch.AcceleratorError) and "captur" not in str(error):
                raise  # the device has failed, not the capture
            raise GraphError(str(error).strip().split("\n")[0]) from error
        loss, norm = found
        return _Captured(graph, mine, wanted, loss, norm)


def steps_of(step: Work, where: torch.device, graphs: bool, acting: Acting = nullcontext) -> Steps:
    """Steps that are replayed where graphs may be made and ``where`` is a CUDA device, and launched elsewhere.

    The variable ``DATA_CENTRIC_KIT_GRAPHS=no`` launches all, for whoever doubts a driver.
    """
    wanted = graphs and where.type == "cuda" and os.environ.get(VARIABLE, "").lower() not in ("no", "0", "off")
    return Replayed(step, captured(where), acting) if wanted else Launched(step, acting)


def captured(where: torch.device) -> Callable[[Callable[[], Any]], Replayable]:
    """Captures work into CUDA graphs that share their memory: those of one training, which never run side by side.

    The work must run on the stream that is current when it is captured, and not on the default one (``device.own_stream``).
    """
    pool = torch.cuda.graph_pool_handle()

    def capture(work: Callable[[], Any]) -> Replayable:
        graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.current_stream(where)
        # Other threads of this process may use the device meanwhile, but none may capture, or wait for the whole device.
        with together.process:
            try:
                with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                    work()
            except BaseException:
                _end_allocation(stream.device_index, pool)
                raise
        return graph

    return capture


def _end_allocation(device: int, pool: Any) -> None:
    """Tell torch's allocator that a capture that failed is over.

    Some versions of torch do not where the driver refuses to end it, and then the allocator frees nothing any more. Others have
    told it, and refuse to hear it again.
    """
    with suppress(RuntimeError, AttributeError):
        torch._C._cuda_endAllocateToPool(device, pool)
        torch._C._cuda_releasePool(device, pool)


def without_graphs(where: torch.device, why: str) -> str:
    """The note for a training whose steps could not be captured."""
    return f"the steps were launched one by one on {where}, which is slower: they could not be captured as CUDA graphs ({why})"
