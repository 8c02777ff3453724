"""The races of the contest: a recipe at one image size, trained by the plain loop and by ours, with goals."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.stopwatch.timing import Ratio, Timing
from benchmarks.stopwatch.turns import Contestant, Sides, alternate
from benchmarks.training.contest import Data, phases_of_ours, phases_of_plain, time_embedded, time_ours, time_plain
from benchmarks.training.operations import operations_per_image
from benchmarks.training.plain_loop import BATCH_SIZE
from evaluator.data.cache import cache_images
from evaluator.data.folders import read_split
from evaluator.data.make import DataSpec, make_dataset
from evaluator.data.painted import CLASSES
from evaluator.training.pipeline import PROCEDURAL_ARCHITECTURE, Augmentation, Pipeline
from evaluator.training.recipes import PIPELINES

TARGETS = {("cpu", "whole", 64): 3.0, ("cpu", "whole", 224): 1.5, ("cpu", "frozen", 64): 30.0, ("cpu", "frozen", 224): 12.0}
"""Goals: how many times faster ours is, each side at its own batch size. ``GPU_TARGETS``: on a data-centre GPU, by mode."""
GPU_TARGETS = {"whole": 15.0, "frozen": 25.0}
PLAIN, PLAIN_BATCH, OURS, OURS_SMALL = "plain", "plain, our batch", "ours", "ours, plain batch"
OURS_COMPILED = "ours, compiled"


@dataclass(frozen=True)
class Race:
    """A comparison: a recipe at one image size. ``mode``: ``whole``, ``frozen`` (one view) or ``views`` (one per epoch)."""

    name: str
    mode: str
    pipeline: Pipeline

    def target(self, device: str) -> float | None:
        """The goal: how many times faster ours should be; ``None`` where there is none."""
        if device.startswith("cuda"):
            return GPU_TARGETS.get(self.mode)
        return TARGETS.get((device, self.mode, self.pipeline.image_size))


def recipe_for(size: int, architecture: str | None = None) -> Pipeline:
    """The pipeline that is raced at a size, with starting weights that need no download (they do not change the speed)."""
    large = PIPELINES["round2"]
    base = replace(PIPELINES["quick"] if size < 160 else large, weights="none", image_size=size, from_scratch={})
    base = replace(base, architecture=architecture or base.architecture)
    return replace(base, weights="procedural" if base.architecture == PROCEDURAL_ARCHITECTURE else "none")


def races(size: int, architecture: str | None = None, weights: str | None = None) -> list[Race]:
    """Whole training, and frozen features with and without augmentation, at one size."""
    whole = recipe_for(size, architecture)
    if weights:
        whole = replace(whole, weights=weights)
    found = [Race(f"{size} px, whole", "whole", whole)]
    if whole.weights != "none":
        frozen = replace(whole, trains="head", averaging=0.0, validation_share=0.0, threshold="fixed", threshold_value=0.5)
        bare = replace(frozen, augmentation=Augmentation(), embedding_views=1)
        found.append(Race(f"{size} px, frozen, one view, no augmentation", "frozen", bare))
        found.append(Race(f"{size} px, frozen, {frozen.epochs} views", "views", replace(frozen, embedding_views=frozen.epochs)))
    return found


def paint(folder: Path, size: int, count: int, workers: int | None) -> Data:
    """``count`` painted sheets as PNG files, and decoded once into a cache."""
    make_dataset(folder / f"painted-{size}", DataSpec(2022, size, {"training": count}), workers=workers)
    split = read_split(folder / f"painted-{size}" / "training", CLASSES)
    started = time.perf_counter()
    images = cache_images(split, size, folder / "cache", workers=1).gather(range(count))
    return Data(split, images, 1e3 * (time.perf_counter() - started) / count)


def run_race(
    race: Race,
    data: Data,
    options: argparse.Namespace,
    told: Console,
    sides: Sides,
    keep: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """All contestants of one race, their ratios and their phases; ``keep`` gets what there is after each turn."""
    pipeline, settings = race.pipeline, {"device": options.device, "threads": options.threads}
    batch, frozen = pipeline.batch_size, race.mode != "whole"
    # Every contestant counts as many images, so that a batch size of 5 is not judged by 10 images and a batch size of 32 by 64.
    counted = max(options.steps * batch, 1)
    small = max(round(counted / BATCH_SIZE), 2)
    large = max(options.steps, 2)
    plainly = partial(time_plain, pipeline, data, workers=options.loader_workers, **settings)
    runs = {PLAIN: partial(plainly, BATCH_SIZE, small), PLAIN_BATCH: partial(plainly, batch, large)}
    steps = {PLAIN: small, PLAIN_BATCH: large}
    if frozen:
        runs[OURS] = partial(time_embedded, pipeline, data, **settings)
        runs[OURS_SMALL] = partial(time_embedded, replace(pipeline, batch_size=BATCH_SIZE), data, **settings)
    else:
        runs[OURS] = partial(time_ours, pipeline, data, batch, large, **settings)
        runs[OURS_SMALL] = partial(time_ours, pipeline, data, BATCH_SIZE, small, **settings)
        steps |= {OURS: large, OURS_SMALL: small}
        if options.compiled:
            runs[OURS_COMPILED] = partial(time_ours, replace(pipeline, compiled=True), data, batch, large, **settings)
            steps[OURS_COMPILED] = large
    contestants = {name: Contestant("plain" if name in (PLAIN, PLAIN_BATCH) else "ours", run) for name, run in runs.items()}
    operations = operations_per_image(pipeline)
    report: dict[str, Any] = {
        "pipeline": pipeline.as_dict(),
        "mode": race.mode,
        "operations_per_image": operations,
        "contestants": {},
        "ratios": {},
        "target": race.target(options.device),
        "phases_ms": {},
        "decode_once_ms": data.decode_ms,
        "counted_steps": steps,
        "images_embedded": len(data.images) if frozen else None,
    }

    def take(timings: dict[str, list[Timing]]) -> None:
        # Ours computes its embeddings once, so operations of all passes over its time would be a rate that it never reached.
        report["contestants"] = {
            name: row(found, _batch_of(name, batch), None if frozen and name in (OURS, OURS_SMALL) else operations)
            for name, found in timings.items()
            if found
        }
        report["ratios"] = {name: ratio.as_dict() for name, ratio in ratios(timings, batch).items()}
        keep(report)

    alternate(sides, contestants, options.repeats, lambda line: told.print(f"  {race.name}: {line}", highlight=False), take)
    if not frozen and options.phases:
        report["phases_ms"][PLAIN] = sides.run("plain", partial(phases_of_plain, pipeline, data, BATCH_SIZE, small, **settings))
        report["phases_ms"][OURS] = sides.run("ours", partial(phases_of_ours, pipeline, data, batch, large, **settings))
        keep(report)
    return report


def ratios(timings: dict[str, list[Timing]], batch: int) -> dict[str, Ratio]:
    """How many times faster ours is, over the rounds that both sides of a comparison have ended; none where there is no such round.

    Args:
        timings: by contestant, in the order of rounds.
        batch: our batch size.
    """
    compared = {
        "own batch sizes": (PLAIN, OURS),
        "own batch sizes, ours compiled": (PLAIN, OURS_COMPILED),
        f"batch {batch} in both": (PLAIN_BATCH, OURS),
        f"batch {BATCH_SIZE} in both": (PLAIN, OURS_SMALL),
    }
    found = {}
    for name, (slow, fast) in compared.items():
        rounds = min(len(timings.get(slow, ())), len(timings.get(fast, ())))
        if rounds:
            found[name] = Ratio.between(timings[slow][:rounds], timings[fast][:rounds])
    return found


def _batch_of(contestant: str, batch: int) -> int:
    return BATCH_SIZE if contestant in (PLAIN, OURS_SMALL) else batch


def row(timings: list[Timing], batch_size: int, operations: int | None) -> dict[str, Any]:
    """The figures of one contestant."""
    ms = statistics.median(t.ms for t in timings)
    rate = None if operations is None else operations / ms * 1e3
    return {
        "batch_size": batch_size,
        "n": len(timings),
        "ms_per_image": ms,
        "ms_per_image_all": [t.ms for t in timings],
        "cpu_ms_per_image": statistics.median(t.cpu_ms for t in timings),
        "images_per_second": 1e3 / ms,
        "flops_per_second": rate,
        "peak_bytes": max((t.peak_bytes for t in timings if t.peak_bytes is not None), default=None),
    }
