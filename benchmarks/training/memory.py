"""How much memory each pipeline needs on a device: measured where there is a CUDA device, computed where there is none.

Computed means: parameters, gradients, the optimiser's states and the moving average are counted. Activations are the tensors that
autograd saves for the backward pass, each storage once, their sizes taken from shapes (torch's fake tensors) in the number format
that the device would use. Both GPUs of the table compute in 16 bits, a T4 in float16 and an H200 in bfloat16. What a layer needs
while it works and what the driver takes is not counted; ``RESERVE`` stands for both. A network with frozen features saves no
activations: there the largest input and output of one layer is counted, at the batch size that embeddings are made with.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

import evaluator.training.weights
from benchmarks.pages import write_json
from benchmarks.training.operations import machine, network_of
from benchmarks.training.phases import replaced
from evaluator.seeds import generator
from evaluator.training import device as devices
from evaluator.training.embeddings.frozen import BATCH_SIZES
from evaluator.training.loop import train
from evaluator.training.pipeline import Pipeline
from evaluator.training.recipes import PIPELINES

GIB = 2**30
DEVICES = {"T4": 14.7 * GIB, "H200": 139.8 * GIB}
"""Bytes that a program finds free on the device."""
RESERVE = 1.5 * GIB
"""Bytes for the driver's context, the libraries' workspaces and what a layer needs while it works."""


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
        """Most images at a time that fit beside the reserve; 0 where none fits."""
        return max(int((capacity - RESERVE - self.fixed) // self.per_image), 0)


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
            return Need(
                fixed, _widest_layer(model, pipeline), BATCH_SIZES["cuda"] if pipeline.embedding_views else pipeline.batch_size
            )
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

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), _format(pipeline):
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


def measured(pipeline: Pipeline, device: str) -> tuple[int, list[str]]:
    """Peak bytes of an epoch of four steps on a CUDA device, with random images and without weights to start from.

    Within what a T4 has: ``notes`` say where that is too little. The values of weights do not change memory, and a recipe's own may
    be missing here.
    """
    n, size = 4 * pipeline.batch_size, pipeline.image_size
    rng = generator(0, "memory")
    images = rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    labels = (rng.random((n, 6)) < 0.3).astype(np.uint8)
    where = devices.resolve(device)
    recipe = replace(pipeline, epochs=1, validation_share=0.0, threshold="fixed", threshold_value=0.5)
    torch.cuda.init()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(where).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, DEVICES["T4"] / total), where)
    try:
        with replaced(evaluator.training.weights.load_starting_weights, lambda *given: "none"):
            trained = train(recipe, images, labels, seed=0, device=device)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, where)
    assert trained.peak_memory is not None
    return trained.peak_memory, list(trained.notes)


def row_of(pipeline: Pipeline, device: str) -> dict[str, Any]:
    """What one pipeline needs."""
    need = need_of(pipeline)
    found: dict[str, Any] = {
        "pipeline": pipeline.name,
        "batch_size": need.batch_size,
        "fixed_bytes": need.fixed,
        "bytes_per_image": need.per_image,
        "computed_bytes": need.total,
        "measured_bytes": None,
        "fits": {name: need.total + RESERVE <= capacity for name, capacity in DEVICES.items()},
        "largest_batch": {name: need.largest_batch(capacity) for name, capacity in DEVICES.items()},
    }
    if device.startswith("cuda"):
        found["measured_bytes"], found["notes"] = measured(pipeline, device)
    return found


def memory_table(rows: list[dict[str, Any]], device: str) -> Table:
    """A row per pipeline."""
    how = f"measured on {device}" if device.startswith("cuda") else "computed, not measured"
    table = Table(title=f"Memory of the device that each pipeline needs ({how})", title_justify="left")
    for name in ("pipeline", "at once", "fixed, MiB", "per image, MiB", "computed, GiB", "measured, GiB"):
        table.add_column(name, justify="left" if name == "pipeline" else "right")
    for name, capacity in DEVICES.items():
        table.add_column(f"{name} ({capacity / GIB:.1f} GiB)")
    for row in rows:
        peak = row["measured_bytes"]
        table.add_row(
            row["pipeline"],
            str(row["batch_size"]),
            f"{row['fixed_bytes'] / 2**20:.0f}",
            f"{row['bytes_per_image'] / 2**20:.1f}",
            f"{row['computed_bytes'] / GIB:.2f}",
            "-" if peak is None else f"{peak / GIB:.2f}",
            *(f"{'fits' if row['fits'][name] else 'too large'}, at most {row['largest_batch'][name]} at once" for name in DEVICES),
        )
    return table


def run(options: argparse.Namespace, console: Console) -> None:
    """Every pipeline of the kit but the linear one, which needs no GPU: write the JSON, print the table."""
    rows = [row_of(p, options.device) for p in PIPELINES.values() if p.architecture != "linear" and options.only in p.name]
    how = "measured" if options.device.startswith("cuda") else "computed, not measured"
    report = {"machine": machine(options.device, options.threads), "how": how, "reserve_bytes": RESERVE, "devices": DEVICES}
    write_json(options.json, report | {"rows": rows})
    console.print(memory_table(rows, options.device))
    console.print(
        f"fits: {RESERVE / GIB:.1f} GiB are kept free for driver, libraries and what a layer needs while it works", highlight=False
    )
