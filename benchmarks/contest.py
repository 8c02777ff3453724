"""Contestants that take turns, and what their timings say: medians, ratios and their spread.

Machines drift: another program starts, a processor grows warm. Contestants therefore take turns, A B C A B C, and a ratio is taken
within each round, so that what slows a whole round cancels out.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch

import evaluator.training.weights
from benchmarks.phases import Phases, observed, replaced, wait_for
from benchmarks.plain_loop import BATCH_SIZE, predict_plainly, train_plainly
from evaluator.data.folders import Split
from evaluator.training import device as devices
from evaluator.training.loop import train
from evaluator.training.pipeline import Pipeline
from evaluator.training.predict import predict

SEED = 4


@dataclass(frozen=True)
class Timing:
    """Seconds for a number of image passes.

    Attributes:
        images: passes, not a whole number where one is shared (an embedding that serves ten epochs).
        seconds: by the clock. ``cpu_seconds``: of all threads of this process, which other programs lengthen less.
        peak_bytes: most memory that tensors took on a CUDA device.
    """

    images: float
    seconds: float
    cpu_seconds: float
    peak_bytes: int | None = None

    @property
    def ms(self) -> float:
        """Milliseconds per image pass."""
        return 1e3 * self.seconds / self.images

    @property
    def cpu_ms(self) -> float:
        """Processor milliseconds per image pass."""
        return 1e3 * self.cpu_seconds / self.images


class Stamps:
    """A ``progress`` callback: starts the clock after the first step, which is the warm-up, and stops it after the last."""

    def __init__(self, device: str, on_first: Callable[[], None] = lambda: None) -> None:
        self.device, self.on_first = devices.resolve(device), on_first
        self.first: tuple[float, float, float] | None = None
        self.last: tuple[float, float, float] | None = None

    def __call__(self, share: float) -> None:
        if self.first is None or share >= 1.0:
            wait_for(self.device)
            if self.first is None:
                self.on_first()
                self.first = (share, time.perf_counter(), time.process_time())
            else:
                self.last = (share, time.perf_counter(), time.process_time())

    def timing(self, passes: float) -> Timing:
        """Of a training of ``passes`` image passes.

        Raises:
            ValueError: there was one step only, so that none is left to time.
        """
        if self.first is None or self.last is None:
            raise ValueError("a training of one step has nothing but its warm-up; give it more images")
        share, clock, cpu = (b - a for a, b in zip(self.first, self.last, strict=True))
        return Timing(share * passes, clock, cpu, peak_of(self.device))


def peak_of(device: torch.device) -> int | None:
    """Most bytes of tensors on a CUDA device since the last reset; ``None`` on the CPU."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def reset_peak(device: str) -> None:
    """Start measuring the peak anew."""
    if devices.resolve(device).type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(devices.resolve(device))


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
    """``steps`` steps of the plain loop after one that is not counted; decoding and augmenting included."""
    reset_peak(device)
    stamps, n = Stamps(device), batch_size * (steps + 1)
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
    """``steps`` steps of ours after one that is not counted; each image's share of having been decoded once is added."""
    reset_peak(device)
    stamps, n = Stamps(device), batch_size * (steps + 1)
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

    Nothing is left out as a warm-up; the passes are images times epochs, and each image is decoded once.
    """
    reset_peak(device)
    where, begun = devices.resolve(device), []

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


def single_epoch(pipeline: Pipeline, batch_size: int) -> Pipeline:
    """The same step, for timing: one epoch, nothing held out, no thresholds fitted."""
    fixed = {"epochs": 1, "validation_share": 0.0, "threshold": "fixed", "threshold_value": 0.5, "embedding_views": 0}
    return replace(pipeline, batch_size=batch_size, **fixed)


@dataclass(frozen=True)
class Contestant:
    """What is timed, and on which ``side``: contestants of one side share a process, those of different sides never do.

    A training may change how its process manages memory, and what it compiled or allocated would serve the other too.
    """

    side: str
    run: Callable[[], Timing]


class Sides:
    """One fresh process per side, kept until the end of the ``with``; a process does one thing at a time."""

    def __init__(self) -> None:
        self._pools: dict[str, ProcessPoolExecutor] = {}

    def __enter__(self) -> Sides:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools.values():
            pool.shutdown()

    def submit(self, side: str, function: Callable[[], Any]) -> Future:
        """Have ``function``, which can be pickled, run in the process of ``side``."""
        if side not in self._pools:
            self._pools[side] = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        return self._pools[side].submit(function)

    def run(self, side: str, function: Callable[[], Any]) -> Any:
        """The same, and wait for what it returns."""
        return self.submit(side, function).result()


def alternate(
    sides: Sides, contestants: dict[str, Contestant], repeats: int, told: Callable[[str], None] = lambda line: None
) -> dict[str, list[Timing]]:
    """``repeats`` rounds, in each of which every contestant has its turn."""
    found: dict[str, list[Timing]] = {name: [] for name in contestants}
    for turn in range(repeats):
        for name, contestant in contestants.items():
            timing = sides.run(contestant.side, contestant.run)
            found[name].append(timing)
            told(f"round {turn + 1} of {repeats}: {name} {timing.ms:.2f} ms per image")
    return found


@dataclass(frozen=True)
class Ratio:
    """How many times faster: the median over rounds, with the lowest and highest round; the same of processor time."""

    median: float
    low: float
    high: float
    cpu_median: float
    n: int

    @classmethod
    def between(cls, slow: list[Timing], fast: list[Timing]) -> Ratio:
        """Round by round, ``slow`` over ``fast``.

        Raises:
            ValueError: unequal numbers of rounds, or none.
        """
        if len(slow) != len(fast) or not slow:
            raise ValueError(f"a ratio needs the same rounds of both, one or more; got {len(slow)} and {len(fast)}")
        ratios = [a.ms / b.ms for a, b in zip(slow, fast, strict=True)]
        cpu = [a.cpu_ms / b.cpu_ms for a, b in zip(slow, fast, strict=True)]
        return cls(statistics.median(ratios), min(ratios), max(ratios), statistics.median(cpu), len(ratios))

    def __str__(self) -> str:
        return f"{self.median:.2f}" + (f" ({self.low:.2f} to {self.high:.2f})" if self.n > 1 else "")

    def as_dict(self) -> dict[str, float]:
        """Plain JSON values."""
        return asdict(self)


def phases_of_plain(pipeline: Pipeline, data: Data, batch_size: int, steps: int, *, device: str, threads: int) -> dict[str, float]:
    """Milliseconds per image of each phase of the plain loop; evaluation per image evaluated."""
    where = devices.resolve(device)
    phases, n = Phases(where), batch_size * (steps + 1)
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
    """Milliseconds per image of each phase of ours, taken from outside by hooks; the first step is not counted."""
    where = devices.resolve(device)
    phases, n = Phases(where), batch_size * (steps + 1)
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
    """Milliseconds per image and phase of the counted steps, and what no phase holds."""
    found = {name: 1e3 * seconds / counted.images for name, seconds in phases.seconds.items()}
    return found | {"everything else": max(counted.ms - sum(found.values()), 0.0)}
