"""What training costs, from single steps with all images of a run in memory."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.scale.bench import Bench
from benchmarks.scale.growth import FLAT
from benchmarks.scale.synthetic import CLASSES
from benchmarks.stopwatch.processor import PROCESSOR
from evaluator.seeds import generator
from evaluator.training.loop import train
from evaluator.training.recipes import PIPELINES

SMALL_BATCH = 4
"""Batch size along the axis of image sizes: 16 images of 384 px need more memory than a small machine has."""
BY_LABELS: dict[str, dict[str, Any]] = {
    "one step of 16 images": {"limit": FLAT, "note": f"pipeline quick, one thread, {PROCESSOR}"},
    "one epoch": {"note": "its number of steps times the step"},
}
BY_SIDE: dict[str, dict[str, Any]] = {
    f"training step of {SMALL_BATCH} images": {"limit": None, "note": f"pipeline quick, one thread, {PROCESSOR}"},
}


class _Enough(Exception):
    """As many steps as wanted were measured."""


def steps(n: int, side: int, batch: int, wanted: int) -> tuple[list[float], int]:
    """Train ``quick`` on ``n`` random images until ``wanted`` steps are measured; the first is not counted.

    Returns:
        (processor seconds of each step, steps of an epoch).

    Raises:
        ValueError: the images make only one step, which is the warm-up.
    """
    pipeline = replace(PIPELINES["quick"], weights="none", image_size=side, batch_size=batch, epochs=1)
    draw = generator(1, "benchmark", "training", n, side)
    images = np.frombuffer(draw.bytes(n * side * side * 3), np.uint8).reshape(n, side, side, 3)
    labels = draw.integers(0, 2, (n, len(CLASSES))).astype(np.uint8)
    moments: list[float] = []
    shares: list[float] = []

    def progress(share: float) -> None:
        moments.append(time.process_time())
        shares.append(share)
        if len(moments) > wanted:
            raise _Enough

    with contextlib.suppress(_Enough):
        train(pipeline, images, labels, seed=1, device="cpu", threads=1, progress=progress)
    if len(moments) < 2:
        raise ValueError(f"{n} images make one step of {batch}; expected at least two steps, because the first is not counted")
    return np.diff(moments).tolist(), round(1 / shares[0])


def by_labels(bench: Bench) -> None:
    """A step and an epoch, by the number of labels that are trained on."""
    for _ in range(bench.plan.long_turns):
        for k in bench.plan.labels:
            found, in_epoch = steps(k, bench.plan.side, 16, bench.plan.steps)
            for seconds in found:
                bench.keep("training: one step of 16 images", k, seconds)
                bench.keep("training: one epoch", k, seconds * in_epoch)


def by_side(bench: Bench) -> None:
    """A step, by image size."""
    for _ in range(bench.plan.long_turns):
        for side in bench.plan.sides:
            for seconds in steps(8 * SMALL_BATCH, side, SMALL_BATCH, bench.plan.steps)[0]:
                bench.keep(f"size: training step of {SMALL_BATCH} images", side * side, seconds)
