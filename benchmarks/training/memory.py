"""How much memory each pipeline needs on a device: measured where there is a CUDA device, computed where there is none.

Computed means: by ``evaluator/training/need.py``. Both GPUs of the table compute in 16 bits, a T4 in float16 and an H200 in
bfloat16. What a layer needs while it works and what the driver takes is not computed; ``RESERVE`` stands for both.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import evaluator.training.weights
from benchmarks.pages import write_json
from benchmarks.training.operations import machine
from benchmarks.training.phases import replaced
from evaluator.seeds import generator
from evaluator.text import one_line
from evaluator.training import device as devices
from evaluator.training.loop import train
from evaluator.training.need import need_of
from evaluator.training.pipeline import Pipeline
from evaluator.training.recipes import PIPELINES

GIB = 2**30
DEVICES = {"T4": 14.7 * GIB, "H200": 139.8 * GIB}
"""Bytes that a program finds free on the device."""
RESERVE = 1.5 * GIB
"""Bytes for the driver's context, the libraries' workspaces and what a layer needs while it works."""


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
        "largest_batch": {name: need.largest_batch(capacity - RESERVE) for name, capacity in DEVICES.items()},
    }
    if device.startswith("cuda"):
        try:
            found["measured_bytes"], found["notes"] = measured(pipeline, device)
        except Exception as error:  # too little memory is an answer, too, and the other pipelines are still to be measured
            found["failed"] = one_line(f"{type(error).__name__}: {error}", 200)
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
            f"{peak / GIB:.2f}" if peak is not None else f"failed: {row['failed']}" if "failed" in row else "-",
            *(f"{'fits' if row['fits'][name] else 'too large'}, at most {row['largest_batch'][name]} at once" for name in DEVICES),
        )
    return table


def run(options: argparse.Namespace, console: Console) -> None:
    """Every pipeline of the kit but the linear one, which needs no GPU: write the JSON, print the table."""
    how = "measured" if options.device.startswith("cuda") else "computed, not measured"
    report = {"machine": machine(options.device, options.threads), "how": how, "reserve_bytes": RESERVE, "devices": DEVICES}
    rows: list[dict[str, Any]] = []
    for pipeline in PIPELINES.values():
        if pipeline.architecture != "linear" and options.only in pipeline.name:
            rows.append(row_of(pipeline, options.device))
            write_json(options.json, report | {"rows": rows})  # after each: whoever is cut off keeps those before
    console.print(memory_table(rows, options.device))
    console.print(
        f"fits: {RESERVE / GIB:.1f} GiB are kept free for driver, libraries and what a layer needs while it works", highlight=False
    )
