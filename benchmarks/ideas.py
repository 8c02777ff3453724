"""Every idea for a faster training as a pair, off and on: same step, same data, taking turns, each setting in a process of its own.

The step is ours with switches: rows of a uint8 array are transformed as a batch, sent forward and backward, clipped and stepped.
What is timed is steps alone; the first turn of every process is a warm-up. A test holds this step against the loop's.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks.operations import machine
from benchmarks.phases import wait_for
from benchmarks.timing import Ratio, Timing, peak_of
from benchmarks.turns import Contestant, Sides, alternate
from evaluator.seeds import generator
from evaluator.training import device as devices
from evaluator.training.allocator import keep_memory
from evaluator.training.augment import draw, transform
from evaluator.training.convolutions import quicken
from evaluator.training.network import build_network
from evaluator.training.pipeline import Pipeline
from evaluator.training.weights import load_starting_weights

CELLS = 4
"""Trainings at a time on one large GPU."""
NO_DEVICE = "not measured: no CUDA device"


@dataclass(frozen=True)
class Settings:
    """The switches of a step. ``kept_memory``: the process keeps freed memory (glibc) instead of giving it back to the system."""

    quicken: bool = True
    channels_last: bool = True
    fused: bool = True
    whole_batch: bool = True
    kept_memory: bool = True
    bf16: bool = False
    compiled: bool = False
    graphed: bool = False
    threads: int = 1


class Step:
    """A training that is advanced step by step."""

    def __init__(self, settings: Settings, pipeline: Pipeline, device: str, seed: int = 0) -> None:
        torch.set_num_threads(settings.threads)
        self.settings, self.pipeline, self.device = settings, pipeline, devices.resolve(device)
        if settings.kept_memory:
            keep_memory()
        model = build_network(pipeline.architecture, 6, seed=seed, image_size=pipeline.image_size)
        load_starting_weights(model, pipeline.weights, pipeline.architecture)
        layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.layout, self.model = layout, model.to(self.device, memory_format=layout)
        if settings.quicken and self.device.type == "cpu":
            quicken(self.model)
        self.forward: Callable = torch.compile(self.model) if settings.compiled else self.model
        rng, n = generator(seed, "ideas"), 4 * pipeline.batch_size
        images = rng.integers(0, 256, (n, pipeline.image_size, pipeline.image_size, 3), dtype=np.uint8)
        self.images = torch.from_numpy(images).to(self.device)
        self.targets = torch.from_numpy((rng.random((n, 6)) < 0.3).astype(np.float32)).to(self.device)
        self.draws = draw(rng, n)
        options: dict[str, Any] = {"fused": True} if settings.fused else {"foreach": False, "fused": False}
        if settings.graphed:
            options["capturable"] = True
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-4, **options)
        self.taken, self._replay = 0, None

    def __call__(self) -> torch.Tensor:
        """One step; its loss, on the device."""
        size, at = self.pipeline.batch_size, (self.taken % 4) * self.pipeline.batch_size
        self.taken += 1
        x = self._input(slice(at, at + size))
        targets = self.targets[at : at + size]
        return self._graph(x, targets) if self.settings.graphed else self._learn(x, targets)

    def evaluate(self, images: int, model: nn.Module | None = None) -> None:
        """Forward passes of so many images, in batches of 64."""
        model = copy.deepcopy(self.model).eval() if model is None else model
        with torch.inference_mode():
            for start in range(0, images, 64):
                rows = torch.arange(start, min(start + 64, images), device=self.device) % len(self.images)
                model(transform(self.images[rows], self.pipeline).contiguous(memory_format=self.layout))

    def _input(self, rows: slice) -> torch.Tensor:
        if self.settings.whole_batch:
            x = transform(self.images[rows], self.pipeline, self.draws[rows])
        else:
            items = range(rows.start, rows.stop)
            x = torch.cat([transform(self.images[i : i + 1], self.pipeline, self.draws[i : i + 1]) for i in items])
        return x.contiguous(memory_format=self.layout)

    def _learn(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self.model.train()
        cuda = self.device.type == "cuda"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.settings.bf16 or cuda):
            logits = self.forward(x)
        loss = F.binary_cross_entropy_with_logits(logits.float(), targets)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.pipeline.gradient_clip or torch.inf)
        self.optimiser.step()
        return loss.detach()

    def _graph(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The step as one CUDA graph: recorded once, after three steps on a stream of their own, then replayed."""
        if self._replay is None:
            self._x, self._targets = x.clone(memory_format=self.layout), targets.clone()
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):
                    self._learn(self._x, self._targets)
            torch.cuda.current_stream().wait_stream(stream)
            self._replay = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._replay):
                self._loss = self._learn(self._x, self._targets)
        self._x.copy_(x)
        self._targets.copy_(targets)
        self._replay.replay()
        return self._loss


_STEPS: dict[tuple, Step] = {}
"""Trainings of this process, kept between its turns."""


def take(settings: Settings, pipeline: Pipeline, steps: int, device: str, seed: int = 0) -> Timing:
    """``steps`` steps in this process; before the first ones, one that is not counted."""
    key = (settings, pipeline, device, seed)
    if key not in _STEPS:
        _STEPS[key] = Step(settings, pipeline, device, seed)
        _STEPS[key]()
    step = _STEPS[key]
    wait_for(step.device)
    clock, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        step()
    wait_for(step.device)
    seconds, used = time.perf_counter() - clock, time.process_time() - cpu
    return Timing(steps * pipeline.batch_size, seconds, used, peak_of(step.device))


def compiled(pipeline: Pipeline, steps: int, threads: int, device: str, cache: str) -> tuple[float, Timing]:
    """Seconds of the first step, which compiles, and what later steps take; compiled code is kept in the folder ``cache``."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    step = Step(Settings(compiled=True, threads=threads), pipeline, device)
    started = time.perf_counter()
    step()
    wait_for(step.device)
    seconds = time.perf_counter() - started
    _STEPS[key := (step.settings, pipeline, device, 0)] = step
    return seconds, take(key[0], pipeline, steps, device)


def epoch(pipeline: Pipeline, steps: int, evaluated: int, background: bool, device: str) -> Timing:
    """An epoch of ``steps`` steps with the evaluation of the one before: after it on two threads, or beside it on one each."""
    settings = Settings(threads=1 if background else 2)
    key = (settings, pipeline, device, 0)
    if key not in _STEPS:
        _STEPS[key] = Step(settings, pipeline, device)
        _STEPS[key]()
    step = _STEPS[key]
    clock, cpu = time.perf_counter(), time.process_time()
    if background:
        other = threading.Thread(target=step.evaluate, args=(evaluated, copy.deepcopy(step.model).eval()))
        other.start()
    for _ in range(steps):
        step()
    if background:
        other.join()
    else:
        step.evaluate(evaluated)
    wait_for(step.device)
    return Timing(steps * pipeline.batch_size, time.perf_counter() - clock, time.process_time() - cpu)


def together(sides: Sides, settings: Settings, pipeline: Pipeline, steps: int, device: str, cells: int) -> Timing:
    """``cells`` trainings at a time, each in a process of its own: all their images, until the last is done."""
    jobs = [sides.submit(f"cell {i}", partial(take, settings, pipeline, steps, device, i)) for i in range(cells)]
    wait(jobs)
    found = [job.result() for job in jobs]
    return Timing(sum(t.images for t in found), max(t.seconds for t in found), sum(t.cpu_seconds for t in found))


@dataclass(frozen=True)
class Idea:
    """A pair of settings, whether the loop has the idea, and why or why not."""

    name: str
    off: Settings
    on: Settings
    kept: str
    why: str

    def sides(self) -> list[tuple[str, Settings]]:
        """Both settings by name."""
        return [("off", self.off), ("on", self.on)]


def pairs(threads: int) -> list[Idea]:
    """The ideas that are a switch of the step."""
    base = Settings(threads=threads)
    return [
        Idea("convolutions of our own (quicken)", replace(base, quicken=False), base, "yes", "equal but for rounding"),
        Idea("channels last", replace(base, channels_last=False), base, "yes", "the layout that the convolutions want"),
        Idea("fused optimiser", replace(base, fused=False), base, "yes", "one call instead of thousands of small ones"),
        Idea("whole-batch augmentation", replace(base, whole_batch=False), base, "yes", "equal to the bit"),
        Idea("keep freed memory", replace(base, kept_memory=False), base, "yes", "equal to the bit; no pages to clear"),
        Idea("bfloat16 on the CPU", base, replace(base, bf16=True), "no", "changes results; pays on processors with AMX alone"),
        Idea("two threads instead of one", replace(base, threads=1), replace(base, threads=2), "a choice", "--threads"),
    ]


def measure(options: argparse.Namespace, size: int, pipeline: Pipeline, told: Callable[[str], None]) -> list[dict[str, Any]]:
    """Rows of all ideas at one size."""
    rows, device, steps = [], options.device, options.steps
    cuda = device.startswith("cuda")

    def wanted(name: str) -> bool:
        return options.only in name

    def row(name: str, off: list[Timing], on: list[Timing], kept: str, why: str, **more: Any) -> None:
        median = [statistics.median(t.ms for t in side) for side in (off, on)]
        cpu = [statistics.median(t.cpu_ms for t in side) for side in (off, on)]
        ratio = Ratio.between(off, on).as_dict()
        rows.append(
            {"size": size, "idea": name, "ms_off": median[0], "ms_on": median[1], "cpu_ms_off": cpu[0], "cpu_ms_on": cpu[1]}
        )
        rows[-1] |= {"ratio": ratio, "n": len(off), "kept": kept, "why": why, **more}
        told(f"{size} px, {name}: {median[0]:.2f} -> {median[1]:.2f} ms per image")

    def compare(off: Contestant, on: Contestant, sides: Sides) -> tuple[list[Timing], list[Timing]]:
        found = alternate(sides, {"off": off, "on": on}, options.repeats + 1)
        return found["off"][1:], found["on"][1:]  # the first turn of a process is a warm-up

    for idea in pairs(options.threads):
        cpu_only = idea.name in ("bfloat16 on the CPU", "two threads instead of one", "keep freed memory")
        if wanted(idea.name) and not (cuda and (cpu_only or idea.name.startswith("convolutions"))):
            with Sides() as sides:
                runs = [Contestant(side, partial(take, s, pipeline, steps, device)) for side, s in idea.sides()]
                row(idea.name, *compare(*runs, sides), idea.kept, idea.why)
    base = Settings(threads=options.threads)
    name = "two trainings side by side on two cores"
    if wanted(name) and not cuda:
        with Sides() as sides:
            off, on = [], []
            for _ in range(options.repeats + 1):
                off.append(sides.run("one", partial(take, replace(base, threads=2), pipeline, 2 * steps, device)))
                on.append(together(sides, replace(base, threads=1), pipeline, steps, device, 2))
            row(name, off[1:], on[1:], "yes", "a sweep's workers, one thread each, instead of one cell on two threads")
    name = "evaluation in the background"
    if wanted(name):
        with Sides() as sides:
            runs = [
                Contestant(side, partial(epoch, pipeline, steps, 4 * pipeline.batch_size, side == "on", device))
                for side in ("off", "on")
            ]
            row(name, *compare(*runs, sides), "no", "the same cores do the same work; a sweep keeps them busy anyway")
    name = "torch.compile"
    if wanted(name):
        rows += compiling(options, size, pipeline, base, told)
    for name, kept, why in (
        ("CUDA graphs", "no", "batch sizes differ by one and rates change; to be judged on a GPU"),
        (f"{CELLS} cells on one GPU", "a choice", "one process per cell: --workers of a sweep"),
    ):
        if not wanted(name):
            continue
        if not cuda:
            rows.append({"size": size, "idea": name, "kept": kept, "why": NO_DEVICE, "n": 0})
            continue
        with Sides() as sides:
            off, on = [], []
            for _ in range(options.repeats + 1):
                off.append(sides.run("one", partial(take, base, pipeline, steps, device)))
                if name == "CUDA graphs":
                    on.append(sides.run("graphed", partial(take, replace(base, graphed=True), pipeline, steps, device)))
                else:
                    on.append(together(sides, base, pipeline, steps, device, CELLS))
            row(name, off[1:], on[1:], kept, why)
    return rows


def compiling(options, size: int, pipeline: Pipeline, base: Settings, told: Callable[[str], None]) -> list[dict[str, Any]]:
    """The row of ``torch.compile``: steps with and without, and how long the first step takes with its cache cold and warm."""
    with tempfile.TemporaryDirectory() as cache:
        job = partial(compiled, pipeline, options.steps, options.threads, options.device, cache)
        try:
            with Sides() as sides:
                cold, _ = sides.run("cold", job)
            with Sides() as sides:
                warm, first = sides.run("on", job)
                settings = replace(base, compiled=True)
                sides.run("off", partial(take, base, pipeline, options.steps, options.device))
                off = [sides.run("off", partial(take, base, pipeline, options.steps, options.device))]
                on = [first]
                for _ in range(options.repeats - 1):
                    off.append(sides.run("off", partial(take, base, pipeline, options.steps, options.device)))
                    on.append(sides.run("on", partial(take, settings, pipeline, options.steps, options.device)))
        except Exception as error:  # whatever a compiler can raise: the other ideas are still worth their rows
            why = f"not measured: {type(error).__name__}: {str(error).strip().splitlines()[-1][:100]}"
            return [{"size": size, "idea": "torch.compile", "kept": "no", "why": why, "n": 0}]
    median = [statistics.median(t.ms for t in side) for side in (off, on)]
    told(f"{size} px, torch.compile: {median[0]:.2f} -> {median[1]:.2f} ms per image, compiled in {cold:.0f} s ({warm:.0f} s warm)")
    saved = (median[0] - median[1]) / 1e3
    worth = (
        f"pays after {warm / saved:.0f} image passes with a warm cache, {cold / saved:.0f} with a cold one"
        if saved > 0
        else "slower"
    )
    return [
        {
            "size": size,
            "idea": "torch.compile",
            "ms_off": median[0],
            "ms_on": median[1],
            "cpu_ms_off": statistics.median(t.cpu_ms for t in off),
            "cpu_ms_on": statistics.median(t.cpu_ms for t in on),
            "ratio": Ratio.between(off, on).as_dict(),
            "n": len(off),
            "kept": "no",
            "why": f"{cold:.0f} s to compile, {warm:.0f} s from its cache; {worth}",
            "compile_seconds": {"cold": cold, "warm": warm},
        }
    ]


def ideas_table(rows: list[dict[str, Any]]) -> Table:
    """Idea by idea: milliseconds per image off and on."""
    table = Table(title="Ideas, off and on", title_justify="left")
    for name in ("px", "idea", "ms off", "ms on", "times faster", "processor", "n", "kept", "why"):
        table.add_column(name, justify="left" if name in ("idea", "kept", "why") else "right")
    for one in rows:
        figures = ["-"] * 4
        if "ratio" in one:
            ratio = Ratio(**one["ratio"])
            figures = [f"{one['ms_off']:.2f}", f"{one['ms_on']:.2f}", str(ratio), f"{ratio.cpu_median:.2f}"]
        table.add_row(str(one["size"]), one["idea"], *figures, str(one["n"]), one["kept"], one["why"])
    return table


def run(options: argparse.Namespace, console: Console, recipe_for: Callable, write: Callable[[Path, dict], None]) -> None:
    """Measure every idea at every size; the JSON is written after each size."""
    report: dict[str, Any] = {"machine": machine(options.device, options.threads), "rows": []}
    for size in options.sizes:
        pipeline = replace(recipe_for(size, options.architecture), dropout=0.0, stochastic_depth=0.0)
        report["rows"] += measure(options, size, pipeline, lambda line: console.print(f"  {line}", highlight=False))
        report["settings"] = asdict(Settings(threads=options.threads))
        write(options.json, report)
    console.print(ideas_table(report["rows"]))
