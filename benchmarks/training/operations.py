"""How much arithmetic a training is, and how fast the machine computes at best."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.stopwatch.machine import described
from benchmarks.stopwatch.timing import wait_for
from evaluator.training import device as devices
from evaluator.training.need import network_of
from evaluator.training.pipeline import Pipeline


def operations_per_image(pipeline: Pipeline, n_outputs: int = 6) -> int:
    """Floating-point operations (a multiplication and an addition are two) of convolutions and matrix products in one image pass.

    Torch counts the forward pass from shapes, without computing it. Where all layers train, the backward pass is taken as twice the
    forward pass, for the gradients of inputs and of weights: torch's counter takes the backward pass of a depthwise convolution for
    that of a dense convolution, which is ten times as much.
    """
    model = network_of(pipeline, n_outputs).to("meta")
    images = torch.empty(2, 3, pipeline.image_size, pipeline.image_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(images)
    forward = counter.get_total_flops() // len(images)
    return forward if pipeline.trains == "head" else 3 * forward


def matrix_product_rate(device: torch.device, dtype: torch.dtype = torch.float32, *, seconds: float = 1.0) -> float:
    """Floating-point operations per second of a large square matrix product: the best within ``seconds``, on torch's threads.

    On CUDA a float32 product is computed without TF32, as is torch's default.
    """
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
    best, until = 0.0, None
    while until is None or time.perf_counter() < until:
        wait_for(device)
        started = time.perf_counter()
        a @ b
        wait_for(device)
        if until is None:  # the first product pays for setting up, and is not counted
            until = time.perf_counter() + seconds
        else:
            best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best or 2 * side**3 / seconds


def machine(device: str, threads: int) -> dict[str, Any]:
    """Hardware, versions, load and command, for the record."""
    where = devices.resolve(device)
    found = described("torch", "torchvision", "numpy", "pillow") | {"threads": threads, "device": str(where)}
    if where.type == "cuda":
        properties = torch.cuda.get_device_properties(where)
        found |= {"accelerator": properties.name, "accelerator_bytes": properties.total_memory, "cuda": torch.version.cuda}
    return found
