"""How long a step of ours takes, launched kernel by kernel and replayed as a graph: ``python -m benchmarks.training.steps``.

Milliseconds per image of the counted steps, at each size of image and of batch, taken in turn: launched, replayed, and replayed
with every depthwise layer in the library's form or in the kit's (``training/cuda/depthwise.py``). On the CPU there are neither
graphs nor these layers, so all columns are the same; that shows that the command runs, and no more. Where a step cannot be captured
the reason is in the row.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.pages import write_json
from benchmarks.stopwatch.timing import WARM_UP, Stamps, reset_peak
from benchmarks.training.contest import SEED, single_epoch
from benchmarks.training.operations import machine
from benchmarks.training.phases import replaced
from benchmarks.training.races import recipe_for
from evaluator.cli.parsing import Prose
from evaluator.seeds import generator
from evaluator.training import device as devices
from evaluator.training import step
from evaluator.training.cuda import depthwise
from evaluator.training.loop import train

BATCHES = (5, 16, 64, 256)
KINDS = ("launched", "replayed", "replayed, library", "replayed, triton")


@contextmanager
def kind_of_steps(kind: str) -> Iterator[None]:
    """Trainings inside of the ``with`` launch their steps, or replay them where they can; depthwise layers have the form named."""
    if kind != "launched":
        before = depthwise.FORM
        forms: dict[str, Literal["library", "triton"]] = {"replayed, library": "library", "replayed, triton": "triton"}
        depthwise.FORM = forms.get(kind, before)
        try:
            yield
        finally:
            depthwise.FORM = before
        return
    with replaced(step.steps_of, lambda of, where, graphs, acting: step.Launched(of, acting)):
        yield


def timed(size: int, batch: int, steps: int, kind: str, device: str, threads: int) -> dict[str, Any]:
    """Milliseconds per image, peak bytes, and why there were no graphs if there were none."""
    reset_peak(device)
    warm = WARM_UP + step.WARM_UP  # the first replay pays for the capture
    n = batch * (steps + warm)
    rng = generator(0, "steps")
    # Few images, taken again and again: an epoch of the largest batch would not fit into the memory of a small device.
    images = rng.integers(0, 256, (min(n, 512), size, size, 3), dtype=np.uint8)
    labels = (rng.random((len(images), 6)) < 0.3).astype(np.uint8)
    items = np.arange(n) % len(images)
    stamps = Stamps(device, warm_up=warm)
    with kind_of_steps(kind):
        recipe = single_epoch(recipe_for(size), batch)
        trained = train(recipe, images[items], labels[items], seed=SEED, device=device, threads=threads, progress=stamps)
    found = stamps.timing(n)
    return {"ms": found.ms, "peak_bytes": found.peak_bytes, "notes": list(trained.notes)}


def run(options: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """A row per size of image, size of batch and kind. The file is written after each timing, so whoever ends this keeps those."""
    rows: list[dict[str, Any]] = []
    about = machine(options.device, options.threads)
    for size in options.sizes:
        for batch in options.batches:
            found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in KINDS}
            for _ in range(options.repeats):
                for kind in KINDS:
                    found[kind].append(timed(size, batch, options.steps, kind, options.device, options.threads))
                    partly = {"image_size": size, "batch_size": batch, "timings": found}
                    write_json(options.json, {"machine": about, "rows": rows, "partly": partly})
            for kind, timings in found.items():
                of = [timing["ms"] for timing in timings]
                rows.append(
                    {
                        "image_size": size,
                        "batch_size": batch,
                        "steps": kind,
                        "n": len(of),
                        "ms_per_image": statistics.median(of),
                        "ms_per_image_all": of,
                        "peak_bytes": timings[-1]["peak_bytes"],
                        "notes": timings[-1]["notes"],
                    }
                )
            write_json(options.json, {"machine": about, "rows": rows})
            told = ", ".join(f"{row['steps']} {row['ms_per_image']:.3f}" for row in rows[-len(KINDS) :])
            console.print(f"{size} px, batch {batch}, ms per image: {told}", highlight=False)
    return rows


def table_of(rows: list[dict[str, Any]]) -> Table:
    """A row per size of image and of batch."""
    table = Table(title="A step of ours, ms per image", title_justify="left")
    for name in ("image", "batch", *KINDS, "notes"):
        table.add_column(name, justify="left" if name == "notes" else "right")
    for start in range(0, len(rows), len(KINDS)):
        of = rows[start : start + len(KINDS)]
        first = of[0]["ms_per_image"]
        figures = [f"{row['ms_per_image']:.3f} ({first / row['ms_per_image']:.1f} times)" for row in of]
        notes = dict.fromkeys(note for row in of for note in row["notes"])
        table.add_row(f"{of[0]['image_size']} px", str(of[0]["batch_size"]), *figures, "; ".join(notes))
    return table


def main(arguments: list[str] | None = None) -> None:
    """Run what the options ask for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.steps", description=__doc__, formatter_class=Prose)
    parser.add_argument("--device", default="cuda", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224], help="sides of the images in pixels")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES), help="sizes of a batch")
    parser.add_argument("--steps", type=int, default=20, help="steps that are counted")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, default=Path("results/steps.json"), help="file of the figures")
    options = parser.parse_args(arguments)
    options.device = str(devices.resolve(options.device))
    console = Console(width=None if sys.stdout.isatty() else 170)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    console.print(table_of(run(options, console)))


if __name__ == "__main__":
    main()
