"""The contestants: trainings by the plain loop and by ours, timed step by step, as a whole, or phase by phase."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import evaluator.training.weights
from benchmarks.stopwatch.timing import WARM_UP, Stamps, Timing, peak_of, reset_peak, wait_for
from benchmarks.training.phases import Phases, observed, replaced
from benchmarks.training.plain_loop import BATCH_SIZE, predict_plainly, train_plainly
from evaluator.data.folders import Split
from evaluator.training import device as devices
from evaluator.training import step
from evaluator.training.loop import train
from evaluator.training.pipeline import Pipeline
from evaluator.training.predict import predict

SEED = 4


@dataclass(frozen=True, eq=False)
class Data:
    """The same images twice: files for the plain loop, and the decoded cache for ours.

    Attributes:
        split: files and labels.
        images: uint8 (n, s, s, 3), from the cache.
        decode_ms: per image, of decoding it once into the cache and reading it back.
    """

    split: Split
    images: np.ndarray
    decode_ms: float


def time_plain(
    pipeline: Pipeline, data: Data, batch_size: int, steps: int, *, device: str, threads: int, workers: int = 0
) -> Timing:
    """``steps`` steps of the plain loop after the warm-up, with decoding and augmenting."""
    reset_peak(device)
    stamps, n = Stamps(device), batch_size * (steps + WARM_UP)
    train_plainly(
        single_epoch(pipeline, batch_size),
        data.split,
        np.arange(n) % len(data.split),
        seed=SEED,
        device=device,
        threads=threads,
        loader_workers=workers,
        progress=stamps,
    )
    return stamps.timing(n)


def time_ours(pipeline: Pipeline, data: Data, batch_size: int, steps: int, *, device: str, threads: int) -> Timing:
    """``steps`` steps of ours after the warm-up; to each pass its share of decoding the image once is added.

    On a device the step is captured after ``step.WARM_UP`` steps of its own, and replayed from then on. A training pays that once,
    like all that the warm-up leaves out.
    """
    reset_peak(device)
    warm = WARM_UP + (step.WARM_UP if devices.resolve(device).type == "cuda" else 0)
    stamps, n = Stamps(device, warm_up=warm), batch_size * (steps + warm)
    items = np.arange(n) % len(data.split)
    train(
        single_epoch(pipeline, batch_size),
        data.images[items],
        data.split.labels[items],
        seed=SEED,
        device=device,
        threads=threads,
        progress=stamps,
    )
    found = stamps.timing(n)
    decoding = found.images * data.decode_ms / 1e3 / pipeline.epochs
    return Timing(found.images, found.seconds + decoding, found.cpu_seconds + decoding, found.peak_bytes)


def time_embedded(pipeline: Pipeline, data: Data, *, device: str, threads: int) -> Timing:
    """A whole training of the head by ours, all epochs, from the moment when the weights are loaded: embedding, head, thresholds.

    No warm-up is left out but what a process pays once on a device: its libraries start, and look for algorithms, in a training
    of one epoch before the first that counts. The plain loop leaves out its first steps, too. The passes are images times epochs,
    and each image is decoded once.
    """
    where = devices.resolve(device)
    if where.type == "cuda":
        _warmed(pipeline, data, device, threads)
    reset_peak(device)
    begun: list[float] = []

    def stamped(*args: Any, **options: Any) -> Any:
        found = load(*args, **options)
        begun[:] = [time.perf_counter(), time.process_time()]
        return found

    load = evaluator.training.weights.load_starting_weights
    with replaced(load, stamped):
        train(pipeline, data.images, data.split.labels, seed=SEED, device=device, threads=threads)
        wait_for(where)
        clock, cpu = time.perf_counter() - begun[0], time.process_time() - begun[1]
    decoding = len(data.images) * data.decode_ms / 1e3
    return Timing(len(data.images) * pipeline.epochs, clock + decoding, cpu + decoding, peak_of(where))


_WARM: set[tuple[str, int]] = set()
"""Architectures and sizes of image that this process has trained with on a device."""


def _warmed(pipeline: Pipeline, data: Data, device: str, threads: int) -> None:
    key = pipeline.architecture, pipeline.image_size
    if key not in _WARM:
        once = replace(pipeline, epochs=1, embedding_views=min(pipeline.embedding_views, 1))
        train(once, data.images, data.split.labels, seed=SEED, device=device, threads=threads)
        wait_for(devices.resolve(device))
        _WARM.add(key)


def single_epoch(pipeline: Pipeline, batch_size: int) -> Pipeline:
    """The recipe for timing its step: one epoch, no validation share, no fitted thresholds."""
    return replace(
        pipeline,
        batch_size=batch_size,
        epochs=1,
        validation_share=0.0,
        threshold="fixed",
        threshold_value=0.5,
        embedding_views=0,
    )


def phases_of_plain(pipeline: Pipeline, data: Data, batch_size: int, steps: int, *, device: str, threads: int) -> dict[str, float]:
    """Milliseconds per image of each phase of the plain loop; evaluation per image evaluated."""
    where = devices.resolve(device)
    phases, n = Phases(where), batch_size * (steps + WARM_UP)
    stamps = Stamps(device, on_first=phases.seconds.clear)
    trained = train_plainly(
        single_epoch(pipeline, batch_size),
        data.split,
        np.arange(n) % len(data.split),
        seed=SEED,
        device=device,
        threads=threads,
        phases=phases,
        progress=stamps,
    )
    scored, evaluation = np.arange(min(len(data.split), 8 * batch_size)), Phases(where)
    with devices.threads(threads), evaluation("evaluation"):
        predict_plainly(trained, data.split, scored, batch_size=batch_size)
    return _per_image(phases, stamps.timing(n)) | {"evaluation": 1e3 * evaluation.seconds["evaluation"] / len(scored)}


def phases_of_ours(pipeline: Pipeline, data: Data, batch_size: int, steps: int, *, device: str, threads: int) -> dict[str, float]:
    """Milliseconds per image of each phase of ours, measured from outside by hooks; the warm-up is not counted."""
    where = devices.resolve(device)
    phases, n = Phases(where), batch_size * (steps + WARM_UP)
    items = np.arange(n) % len(data.split)
    stamps = Stamps(device, on_first=phases.seconds.clear)
    recipe = single_epoch(pipeline, batch_size)
    with observed(phases):
        trained = train(
            recipe, data.images[items], data.split.labels[items], seed=SEED, device=device, threads=threads, progress=stamps
        )
    found = _per_image(phases, stamps.timing(n)) | {"decode": data.decode_ms / pipeline.epochs}
    scored, evaluation = data.images[: 8 * max(batch_size, BATCH_SIZE)], Phases(where)
    with evaluation("evaluation"):
        predict(trained, scored)
    return found | {"evaluation": 1e3 * evaluation.seconds["evaluation"] / len(scored) + data.decode_ms}


def _per_image(phases: Phases, counted: Timing) -> dict[str, float]:
    """Milliseconds per image and phase of the counted steps; ``everything else`` is what no phase covers."""
    found = {name: 1e3 * seconds / counted.images for name, seconds in phases.seconds.items()}
    return found | {"everything else": max(counted.ms - sum(found.values()), 0.0)}
