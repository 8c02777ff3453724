"""What the arithmetic of a training amounts to, and what the machine could do at best."""

from __future__ import annotations

import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import torch
import torchvision
from torch.utils.flop_counter import FlopCounterMode

from evaluator.training import device as devices
from evaluator.training.network import PooledLinear, build_network
from evaluator.training.pipeline import Pipeline


def network_of(pipeline: Pipeline, n_outputs: int = 6) -> torch.nn.Module:
    """The pipeline's network with random weights, in training mode, layers that are frozen switched to evaluation."""
    if pipeline.architecture == "linear":
        return PooledLinear(pipeline.image_size, n_outputs)
    model = build_network(pipeline.architecture, n_outputs, seed=0, image_size=pipeline.image_size)
    if pipeline.trains == "head":
        model.features.eval().requires_grad_(False)
    return model


def operations_per_image(pipeline: Pipeline, n_outputs: int = 6) -> int:
    """Floating-point operations (a multiplication and an addition are two) of convolutions and matrix products in one image pass.

    The forward pass is counted by torch on shapes alone, nothing is computed. The backward pass of a network that trains whole is
    taken as twice the forward one, for the gradients of inputs and of weights: torch's counter would take the backward pass of a
    depthwise convolution for that of a dense one, and come to ten times as much.
    """
    model = network_of(pipeline, n_outputs).to("meta")
    images = torch.empty(2, 3, pipeline.image_size, pipeline.image_size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(images)
    forward = counter.get_total_flops() // len(images)
    return forward if pipeline.trains == "head" else 3 * forward


def matrix_product_rate(device: torch.device, dtype: torch.dtype = torch.float32, *, seconds: float = 1.0) -> float:
    """Floating-point operations per second of a large square matrix product, at best over ``seconds``, on the threads that are set.

    On CUDA a float32 product is what torch does by default, without TF32.
    """
    side = 8192 if device.type == "cuda" else 2048
    a, b = (torch.ones(side, side, dtype=dtype, device=device) for _ in range(2))
    best, until = 0.0, None
    while until is None or time.perf_counter() < until:
        _wait(device)
        started = time.perf_counter()
        a @ b
        _wait(device)
        if until is None:  # the first product pays for setting up, and is not counted
            until = time.perf_counter() + seconds
        else:
            best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best or 2 * side**3 / seconds


def machine(device: str, threads: int) -> dict[str, Any]:
    """Hardware, versions, load and command, for the record."""
    where = devices.resolve(device)
    found: dict[str, Any] = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "device": str(where),
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "load": [round(value, 2) for value in os.getloadavg()],
        "command": " ".join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
    }
    if where.type == "cuda":
        properties = torch.cuda.get_device_properties(where)
        found |= {"accelerator": properties.name, "accelerator_bytes": properties.total_memory, "cuda": torch.version.cuda}
    return found


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
