"""Turns of a step-by-step training, timed: alone, beside another, beside an evaluation, or compiled.

What has a ``Step`` runs in the process of a side and keeps its training there from turn to turn; a step before the first turn is
not counted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial

from benchmarks.phases import wait_for
from benchmarks.steps import Settings, Step
from benchmarks.timing import Timing, peak_of
from benchmarks.turns import Sides
from evaluator.training.pipeline import Pipeline

_STEPS: dict[tuple, Step] = {}
"""Trainings of this process, kept between its turns."""


def take(settings: Settings, pipeline: Pipeline, steps: int, device: str, seed: int = 0) -> Timing:
    """``steps`` steps in this process."""
    step = _warm(settings, pipeline, device, seed)
    return _timed(step, steps, lambda: _advance(step, steps))


def first_step(settings: Settings, pipeline: Pipeline, device: str, cache: str) -> float:
    """Seconds of a compiled training's first step; what is compiled is kept in the folder ``cache``."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
    step = Step(settings, pipeline, device)
    started = time.perf_counter()
    step()
    wait_for(step.device)
    _STEPS[settings, pipeline, device, 0] = step
    return time.perf_counter() - started


def epoch(settings: Settings, pipeline: Pipeline, steps: int, background: bool, device: str) -> Timing:
    """``steps`` steps and an evaluation of as many images as they train: after them, or beside them on a thread of its own.

    Beside them goes the evaluation of the epoch before, on a copy of its model; a last one, with no epoch beside it, is left out.
    """
    step = _warm(settings, pipeline, device, 0)
    images = steps * pipeline.batch_size

    def one_after_the_other() -> None:
        _advance(step, steps)
        step.evaluate(images)

    def beside() -> None:
        model = step.snapshot()

        def evaluate() -> None:
            with step.side_stream():
                step.evaluate(images, model)

        with ThreadPoolExecutor(1) as beside_it:
            evaluated = beside_it.submit(evaluate)
            _advance(step, steps)
            evaluated.result()

    return _timed(step, steps, beside if background else one_after_the_other)


def together(sides: Sides, settings: Settings, pipeline: Pipeline, steps: int, device: str, cells: int) -> Timing:
    """``cells`` trainings at a time, each in a process of its own: all their images, from the first's start to the last's end."""
    started = time.perf_counter()
    jobs = [sides.submit(f"cell {i}", partial(take, settings, pipeline, steps, device, i)) for i in range(cells)]
    wait(jobs)
    seconds = time.perf_counter() - started
    found = [job.result() for job in jobs]
    return Timing(sum(t.images for t in found), seconds, sum(t.cpu_seconds for t in found))


def _warm(settings: Settings, pipeline: Pipeline, device: str, seed: int) -> Step:
    key = (settings, pipeline, device, seed)
    if key not in _STEPS:
        _STEPS[key] = Step(settings, pipeline, device, seed)
        _STEPS[key]()
    return _STEPS[key]


def _advance(step: Step, steps: int) -> None:
    for _ in range(steps):
        step()


def _timed(step: Step, steps: int, work: Callable[[], None]) -> Timing:
    wait_for(step.device)
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    wait_for(step.device)
    seconds, used = time.perf_counter() - clock, time.process_time() - cpu
    return Timing(steps * step.pipeline.batch_size, seconds, used, peak_of(step.device))
