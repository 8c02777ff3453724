"""Every idea for a faster training as a pair, off and on: same step, same data, taking turns, each side in processes of its own.

What is timed is steps alone; the first turn of every process is a warm-up. A row says what was measured and nothing else: whether
an idea is faster follows from its rounds. ``state`` and ``today`` say what the training does at present, whatever was measured.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from benchmarks.idea_rows import Row
from benchmarks.operations import machine
from benchmarks.step_timing import epoch, first_step, take, together
from benchmarks.steps import Settings
from benchmarks.stopwatch import machine_seconds, processor_seconds
from benchmarks.timing import Timing
from benchmarks.turns import Contestant, Sides, alternate
from evaluator.training.pipeline import Pipeline

CELLS = 4
"""Trainings at a time on one large GPU."""
NO_DEVICE = "no CUDA device"


@dataclass(frozen=True)
class Bench:
    """How ideas are measured: ``repeats`` rounds of ``steps`` steps, ``threads`` per operator where an idea does not say."""

    pipeline: Pipeline
    steps: int
    repeats: int
    threads: int
    device: str

    @property
    def kind(self) -> str:
        """``cpu`` or ``cuda``."""
        return self.device.partition(":")[0]

    @property
    def base(self) -> Settings:
        """What the loop does on this device."""
        return Settings(threads=self.threads, bf16=self.kind == "cuda")

    def steps_of(self, settings: Settings, steps: int | None = None) -> Callable[[], Timing]:
        """A turn that can be sent to a process."""
        return partial(take, settings, self.pipeline, steps or self.steps, self.device)

    def settings(self) -> dict[str, Any]:
        """What of it decides a row."""
        recipe = {name: getattr(self.pipeline, name) for name in ("architecture", "batch_size", "epochs")}
        return recipe | {"steps": self.steps, "repeats": self.repeats, "threads": self.threads, "torch": torch.__version__}


@dataclass(frozen=True)
class Found:
    """Timings off and on, without the warm-up, and what is paid once."""

    off: list[Timing]
    on: list[Timing]
    once: dict[str, float] = field(default_factory=dict)


Measure = Callable[[Bench, Sides], Found]


def _rounds(bench: Bench, off: Callable[[], Timing], on: Callable[[], Timing]) -> tuple[list[Timing], list[Timing]]:
    """Both in turn, here; the first round is the warm-up."""
    found = [(off(), on()) for _ in range(bench.repeats + 1)][1:]
    return [a for a, _ in found], [b for _, b in found]


def switched(off: dict[str, Any] | None = None, on: dict[str, Any] | None = None) -> Measure:
    """The step with its settings changed on either side."""

    def measure(bench: Bench, sides: Sides) -> Found:
        a, b = (replace(bench.base, **(changes or {})) for changes in (off, on))
        contestants = {name: Contestant(name, bench.steps_of(settings)) for name, settings in (("off", a), ("on", b))}
        found = alternate(sides, contestants, bench.repeats + 1)
        return Found(found["off"][1:], found["on"][1:])

    return measure


def two_cells(bench: Bench, sides: Sides) -> Found:
    """One cell on two threads against two cells on one each, half as many steps in each of the two."""
    one, each = replace(bench.base, threads=2), replace(bench.base, threads=1)
    alone = partial(sides.run, "one", bench.steps_of(one, 2 * bench.steps))
    beside = partial(together, sides, each, bench.pipeline, bench.steps, bench.device, 2)
    return Found(*_rounds(bench, alone, beside))


def cells_on_a_gpu(bench: Bench, sides: Sides) -> Found:
    """One cell at a time against ``CELLS`` at a time."""
    alone = partial(sides.run, "one", bench.steps_of(bench.base))
    beside = partial(together, sides, bench.base, bench.pipeline, bench.steps, bench.device, CELLS)
    return Found(*_rounds(bench, alone, beside))


def evaluated_beside(bench: Bench, sides: Sides) -> Found:
    """Epoch and evaluation one after the other on two threads, against both at a time on one each."""
    settings = {side: replace(bench.base, threads=threads) for side, threads in (("off", 2), ("on", 1))}
    runs = {
        side: Contestant(side, partial(epoch, settings[side], bench.pipeline, bench.steps, side == "on", bench.device))
        for side in ("off", "on")
    }
    found = alternate(sides, runs, bench.repeats + 1)
    return Found(found["off"][1:], found["on"][1:])


def compiled(bench: Bench, sides: Sides) -> Found:
    """Steps of the compiled network, and its first step twice: with an empty cache, and in a new process with what that left."""
    settings = replace(bench.base, compiled=True)
    with tempfile.TemporaryDirectory(prefix="compiled-") as cache:
        first = partial(first_step, settings, bench.pipeline, bench.device, cache)
        with Sides() as before:
            cold = before.run("cold", first)
        warm = sides.run("on", first)
        off, on = (partial(sides.run, side, bench.steps_of(s)) for side, s in (("off", bench.base), ("on", settings)))
        return Found(*_rounds(bench, off, on), {"cold": cold, "warm": warm})


@dataclass(frozen=True)
class Idea:
    """An idea: what is off and on, how it is measured, and what the training does today.

    Attributes:
        state: ``on``, ``off`` or ``a choice``, of the training as it is today; ``today`` says more.
        only: the kind of device that it concerns, ``cpu`` or ``cuda``; empty for both.
        cores: that it needs.
    """

    name: str
    off: str
    on: str
    measure: Measure
    state: str
    today: str = ""
    only: str = ""
    cores: int = 1

    def hindrance(self, bench: Bench) -> str:
        """Why it cannot be measured here; empty where it can."""
        if self.only == "cuda" and bench.kind != "cuda":
            return NO_DEVICE
        there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return f"needs {self.cores} cores, and there is {there}" if there < self.cores else ""


CACHED = switched({"cached": False})
WHOLE_BATCH = switched({"whole_batch": False})
FUSED = switched({"fused": False})
CHANNELS_LAST = switched({"channels_last": False})
QUICKENED = switched({"quicken": False})
KEPT_MEMORY = switched({"kept_memory": False})
BFLOAT16 = switched({"bf16": False}, {"bf16": True})
TWO_THREADS = switched({"threads": 1}, {"threads": 2})
GRAPHED = switched(on={"graphed": True})

IDEAS = (
    Idea("batches from the uint8 cache", "a PNG file decoded per image", "rows of an array", CACHED, "on"),
    Idea("whole-batch augmentation", "image by image", "the batch at once", WHOLE_BATCH, "on"),
    Idea("fused optimiser", "the AdamW that torch takes by itself", "its fused form", FUSED, "on"),
    Idea("channels last", "contiguous", "channels last", CHANNELS_LAST, "on"),
    Idea("quickened convolutions", "torch's own", "the kit's own forms", QUICKENED, "on", "in EfficientNets", only="cpu"),
    Idea("keep freed memory", "given back", "kept by the process", KEPT_MEMORY, "on", "where the C library is glibc", only="cpu"),
    Idea("bfloat16 on the CPU", "float32", "bfloat16", BFLOAT16, "off", only="cpu"),
    Idea("two threads for one cell", "one", "two", TWO_THREADS, "a choice", "`--threads`", only="cpu", cores=2),
    Idea(
        "two cells side by side",
        "one cell on two threads",
        "two cells on one each",
        two_cells,
        "on",
        "in a sweep; `local_evaluation.py` trains one at a time",
        only="cpu",
        cores=2,
    ),
    Idea(
        "evaluation in the background",
        "after the epoch, on two threads",
        "beside the next epoch, on one each",
        evaluated_beside,
        "off",
        "after the epoch, where there is a validation share",
        cores=2,
    ),
    Idea(
        "torch.compile", "as it is", "compiled (1 x 1 convolutions are torch's own), the cache kept between cells", compiled, "off"
    ),
    Idea("bfloat16 on a GPU", "float32", "bfloat16", BFLOAT16, "on", "float16 on devices without it", only="cuda"),
    Idea("CUDA graphs", "kernel by kernel", "a step is one graph", GRAPHED, "off", only="cuda"),
    Idea(
        f"{CELLS} cells on one GPU", "one", f"{CELLS} at a time", cells_on_a_gpu, "a choice", "`--workers` of a sweep", only="cuda"
    ),
)


def ideas_for(kind: str) -> list[Idea]:
    """Those of the table of a kind of device: on CUDA without those of the CPU, on the CPU with those that wait for a device."""
    return [idea for idea in IDEAS if kind == "cpu" or idea.only != "cpu"]


def measured(idea: Idea, bench: Bench) -> Row:
    """The row of an idea; one that fails is a row that says how."""
    found, trouble = Found([], []), idea.hindrance(bench)
    started, busy, own = time.perf_counter(), machine_seconds(), processor_seconds()
    if not trouble:
        try:
            with Sides() as sides:
                found = idea.measure(bench, sides)
        except Exception as error:  # of a compiler, a device, a killed process: the other ideas are still worth their rows
            lines = str(error).strip().splitlines() or [""]  # the first says what, the others where
            trouble = f"{type(error).__name__}: {lines[0][:100]}"
    others = None
    if found.off and busy is not None:
        # The processes of the sides have ended, so that their time is known.
        beside = machine_seconds() - busy - (processor_seconds() - own)
        others = max(beside, 0.0) / (time.perf_counter() - started)
    return Row(
        size=bench.pipeline.image_size,
        idea=idea.name,
        settings=bench.settings(),
        machine=machine(bench.device, bench.threads),
        off=tuple(found.off),
        on=tuple(found.on),
        once=found.once,
        trouble=trouble,
        others=others,
    )
