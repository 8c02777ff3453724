"""How much memory a training needs on a device that computes in 16 bits, computed from shapes; nothing is allocated.

Parameters, gradients, the optimiser's states and the moving average are counted. Activations are the tensors that autograd saves
for the backward pass, each storage once, their sizes taken from shapes (torch's fake tensors) in the number format that the device
would use. What a layer needs while it works and what the driver takes is not counted. A network with frozen features saves no
activations: there the largest input and output of one layer is counted, at the batch size that embeddings are made with.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from evaluator.training.device import images_at_once, repeatable
from evaluator.training.network import PooledLinear, build_network
from evaluator.training.pipeline import LINEAR, Pipeline

GRAPHS = 1.25
"""A training with graphs takes this many times what is computed: graphs keep what a layer needs while it works."""
WORKSPACES = 512 * 2**20
"""Bytes of a training's stream in the libraries' workspaces."""
_CUDA = torch.device("cuda")
_ONE = threading.Lock()
"""Trainings that begin together ask for the same: the first computes it, in some two seconds of Python, the others take that."""


@dataclass(frozen=True)
class Need:
    """Bytes that a pipeline needs.

    Attributes:
        fixed: parameters, gradients, optimiser states, moving average and 16-bit copies of the weights.
        per_image: activations per image of a batch.
        batch_size: images that go through the network at once.
    """

    fixed: int
    per_image: int
    batch_size: int

    @property
    def total(self) -> int:
        """Bytes at the pipeline's batch size, without the reserve."""
        return self.fixed + self.per_image * self.batch_size

    def largest_batch(self, capacity: float) -> int:
        """Most images at a time that fit into so many bytes; 0 where none fits."""
        return max(int((capacity - self.fixed) // self.per_image), 0)


def beside_others(pipeline: Pipeline, image_bytes: int) -> int:
    """Bytes that a training takes from a device which it shares, with its images."""
    predicts = pipeline.validation_share > 0 or pipeline.threshold in ("base_rate", "validation")
    with _ONE:
        return int(GRAPHS * need_of(pipeline).total) + WORKSPACES + image_bytes + (_widest_pass(pipeline) if predicts else 0)


def of_predictions(pipeline: Pipeline, image_bytes: int) -> int:
    """Bytes that a pass without gradients takes from a device which it shares, with its images and without the network."""
    with _ONE:
        return _widest_pass(pipeline) + WORKSPACES + image_bytes


@lru_cache
def _widest_pass(pipeline: Pipeline) -> int:
    model = network_of(pipeline).eval()
    with FakeTensorMode(allow_non_fake_inputs=True):
        return _widest_layer(model, pipeline) * images_at_once("cuda", pipeline.image_size)


def network_of(pipeline: Pipeline, n_outputs: int = 6) -> nn.Module:
    """The pipeline's network with random weights, in training mode; frozen layers are in evaluation mode."""
    if pipeline.architecture == LINEAR:
        return PooledLinear(pipeline.image_size, n_outputs)
    model = build_network(pipeline.architecture, n_outputs, seed=0, image_size=pipeline.image_size)
    if pipeline.trains == "head":
        model.get_submodule("features").eval().requires_grad_(False)
    return model


@lru_cache
def need_of(pipeline: Pipeline, n_outputs: int = 6) -> Need:
    """What a pipeline needs on a GPU that computes in 16 bits, computed from shapes."""
    model = network_of(pipeline, n_outputs)
    weights = sum(_size(t) for t in (*model.parameters(), *model.buffers()))
    states = {"adamw": 2, "sgd": 1}[pipeline.optimiser]
    learnt = sum(_size(p) for p in model.parameters() if p.requires_grad)
    fixed = weights + learnt * (1 + states + (1 if pipeline.averaging else 0))
    if pipeline.precision != "float32":
        fixed += weights // 2  # 16-bit copies that autocast keeps until the step ends
    with FakeTensorMode(allow_non_fake_inputs=True):
        if pipeline.trains == "head":
            at_once = images_at_once("cuda", pipeline.image_size) if pipeline.embedding_views else pipeline.batch_size
            return Need(fixed, _widest_layer(model, pipeline), at_once)
        small, large = (_saved(model, pipeline, n) for n in (2, 4))
    return Need(fixed, (large - small) // 2, pipeline.batch_size)


def _saved(model: nn.Module, pipeline: Pipeline, images: int) -> int:
    """Bytes that autograd saves for the backward pass of a batch, each storage once, and with them the weights."""
    kept: dict[int, tuple[int, Tensor]] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        # Keep the tensor, too, so that the address of its storage is not used again.
        kept[storage._cdata] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), _format(pipeline), repeatable(_CUDA):
        loss = model(_batch(pipeline, images)).float().sum()
    del loss
    return sum(size for size, _ in kept.values())


def _widest_layer(model: nn.Module, pipeline: Pipeline) -> int:
    """Bytes per image of the largest input and output of a layer, plus half of it for the residual that a block keeps meanwhile."""
    widest = 0

    def look(module: nn.Module, inputs: tuple, output: Any) -> None:
        nonlocal widest
        tensors = [t for t in (*inputs, output) if isinstance(t, Tensor)]
        widest = max(widest, sum(_size(t) for t in tensors))

    hooks = [module.register_forward_hook(look) for module in model.modules() if not list(module.children())]
    with torch.no_grad(), _format(pipeline):
        model(_batch(pipeline, 2))
    for hook in hooks:
        hook.remove()
    return int(widest // 2 * 1.5)


def _batch(pipeline: Pipeline, images: int) -> Tensor:
    return torch.empty(images, 3, pipeline.image_size, pipeline.image_size).contiguous(memory_format=torch.channels_last)


def _format(pipeline: Pipeline) -> torch.autocast:
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=pipeline.precision != "float32")


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
