"""Throughput of pre-training on procedural primitives: images per second by batch size, memory layout and compilation.

    python -m benchmarks.training.pretraining --device cuda --seconds 90

Measures rendering by itself, then whole training steps (rendering, forward, backward, clipping, optimiser, moving average) after a
warm-up that is not counted, the cheapest settings first, and stops when the time is up. It prints a table and writes no file.
"""

from __future__ import annotations

import argparse
import time

import torch

from benchmarks.stopwatch.timing import wait_for
from evaluator.cli.parsing import Prose
from evaluator.training.pretraining import primitives
from evaluator.training.pretraining.run import Run
from evaluator.training.pretraining.spec import PretrainSpec


def measure(spec: PretrainSpec, device: torch.device, compiled: bool, contiguous: bool, steps: int) -> tuple[float, float]:
    """Images per second over ``steps`` training steps, and the seconds of preparation (building, compiling, warming up)."""
    began = time.monotonic()
    run = Run(spec, device, compiled, print)
    if contiguous:
        run.model.to(memory_format=torch.contiguous_format)
    run.train(None, until=5)
    wait_for(device)
    ready = time.monotonic()
    run.train(None, until=5 + steps)
    wait_for(device)
    return steps * spec.batch_size / (time.monotonic() - ready), ready - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.pretraining", description=__doc__, formatter_class=Prose)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--architecture", default="efficientnet_b4")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1024, 2048, 512])
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=90.0, help="start no other setting after this time")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=True, help="measure torch.compile too")
    args = parser.parse_args()
    began, device = time.monotonic(), torch.device(args.device)
    for size in args.batch_sizes:
        for index in range(3):
            primitives.draw_batch(size, args.size, 1, index, device=device)
        wait_for(device)
        start = time.monotonic()
        for index in range(args.steps):
            primitives.draw_batch(size, args.size, 1, index, device=device)
        wait_for(device)
        print(f"render           batch {size:5d}  {args.steps * size / (time.monotonic() - start):9,.0f} images/s", flush=True)
    settings = [(False, False), (True, False)] if args.compile else [(False, False)]
    plan = [(size, *setting) for setting in settings for size in args.batch_sizes]
    plan.insert(1, (args.batch_sizes[0], False, True))
    for size, compiled, contiguous in plan:
        if time.monotonic() - began > args.seconds:
            print("the time is up; settings after this one are not measured")
            break
        spec = PretrainSpec(args.architecture, args.size, images=10_000 * size, batch_size=size)
        speed, prepared = measure(spec, device, compiled, contiguous, args.steps)
        name = ("compiled" if compiled else "eager") + (" nchw" if contiguous else "")
        memory = f"  {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB at most so far" if device.type == "cuda" else ""
        print(f"train {name:10s} batch {size:5d}  {speed:9,.0f} images/s  prepared in {prepared:.0f} s{memory}", flush=True)


if __name__ == "__main__":
    main()
