"""Several trainings at a time on one CUDA device, in threads of one process: ``python -m benchmarks.training.several``.

Milliseconds per image of all trainings together, from the moment when every one of them replays its graph to the moment when the
last one ends. All of them are the same training, so their weights must be equal to the bit, and equal to those of the training
that ran alone; where they are not, the row says so. On the CPU trainings of a process take turns, so nothing can be measured there.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.pages import write_json
from benchmarks.training.contest import SEED, single_epoch
from benchmarks.training.operations import machine
from benchmarks.training.races import recipe_for
from evaluator.cli.parsing import Prose
from evaluator.seeds import generator
from evaluator.text import one_line
from evaluator.training import device as devices
from evaluator.training import step
from evaluator.training.loop import train
from evaluator.training.trained import Trained
from evaluator.words import counted

COUNTS = (1, 2, 4, 8)
WARM = step.WARM_UP + 2
"""Steps until all replay."""
MINUTES, MINUTES_COMPILED = 1, 10
"""Until all trainings must have begun; a compiler takes its time."""


class Failed(Exception):
    """Trainings side by side did not come to their end; the message says why."""


def timed(size: int, count: int, batch: int, steps: int, device: str, *, compiled: bool = False) -> dict[str, Any]:
    """Milliseconds per image of ``count`` trainings together, digests of their weights, and their notes.

    Raises:
        Failed: one of them failed, or not all had begun after some minutes.
    """
    n = batch * (steps + WARM)
    rng = generator(0, "several")
    images = rng.integers(0, 256, (min(n, 512), size, size, 3), dtype=np.uint8)
    labels = (rng.random((len(images), 6)) < 0.3).astype(np.uint8)
    items = np.arange(n) % len(images)
    recipe = replace(single_epoch(recipe_for(size), batch), compiled=compiled)
    minutes = MINUTES_COMPILED if compiled else MINUTES
    ready = threading.Barrier(count, timeout=60 * minutes)
    begun: list[float] = []
    ended: list[float] = []

    def one(_: int) -> Trained:
        done = 0

        def progress(share: float) -> None:
            nonlocal done
            done += 1
            if done in (WARM, steps + WARM) and device.startswith("cuda"):
                torch.cuda.current_stream().synchronize()
            if done == WARM:
                ready.wait()
                begun.append(time.perf_counter())
            elif done == steps + WARM:
                ended.append(time.perf_counter())

        try:
            return train(recipe, images[items], labels[items], seed=SEED, device=device, threads=1, progress=progress)
        except BaseException:
            ready.abort()  # the others need not wait for this one
            raise

    with ThreadPoolExecutor(count) as pool:
        jobs = [pool.submit(one, number) for number in range(count)]
    errors = [error for job in jobs if (error := job.exception()) is not None]
    if errors:
        # Of the others the barrier says only that it was broken.
        reason = next((error for error in errors if not isinstance(error, threading.BrokenBarrierError)), None)
        late = f"{count} trainings did not all begin within {counted(minutes, 'minute')}: is there memory?"
        raise Failed(late if reason is None else one_line(f"{type(reason).__name__}: {reason}", 300)) from reason
    found = [job.result() for job in jobs]
    ms = 1e3 * (max(ended) - min(begun)) / (count * batch * steps)
    return {"ms": ms, "weights": [digest_of(trained) for trained in found], "notes": [n for t in found for n in t.notes]}


def digest_of(trained: Trained) -> str:
    """Of a model's weights and statistics."""
    digest = hashlib.sha256()
    for name, tensor in trained.model.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def run(options: argparse.Namespace, console: Console) -> list[dict[str, Any]]:
    """A row per size of image and number of trainings; written after each. Trainings that fail are a row that says why."""
    rows: list[dict[str, Any]] = []
    about = machine(options.device, 1)
    for size in options.sizes:
        alone: set[str] = set()
        for count in sorted({1, *options.counts}):  # one alone is what the others are held against
            given = size, count, options.batch, options.steps, options.device
            row: dict[str, Any] = {
                "image_size": size,
                "batch_size": options.batch,
                "at_a_time": count,
                "compiled": options.compiled,
            }
            rows.append(row)
            try:
                found = [timed(*given, compiled=options.compiled) for _ in range(options.repeats)]
            except Failed as error:
                row["failed"] = str(error)
                write_json(options.json, {"machine": about, "rows": rows})
                console.print(f"{size} px, {count} at a time: {error}", highlight=False, markup=False)
                continue
            weights = {weight for each in found for weight in each["weights"]}
            alone = alone or weights
            of = [each["ms"] for each in found]
            row |= {
                "n": len(of),
                "ms_per_image": statistics.median(of),
                "ms_per_image_all": of,
                "as_alone": len(weights) == 1 and weights == alone,
                "notes": sorted({note for each in found for note in each["notes"]}),
            }
            write_json(options.json, {"machine": about, "rows": rows})
            same = "as alone" if row["as_alone"] else "NOT as alone"
            console.print(f"{size} px, {count} at a time: {row['ms_per_image']:.3f} ms per image, {same}", highlight=False)
    return rows


def table_of(rows: list[dict[str, Any]]) -> Table:
    """A row per size of image and number of trainings."""
    table = Table(title="Trainings at a time, ms per image of all together", title_justify="left")
    for name in ("image", "at a time", "ms per image", "times", "weights", "notes"):
        table.add_column(name, justify="left" if name in ("weights", "notes") else "right")
    for row in rows:
        if "failed" in row:
            table.add_row(f"{row['image_size']} px", str(row["at_a_time"]), "-", "-", "failed", row["failed"])
            continue
        first = next(each for each in rows if each["image_size"] == row["image_size"] and "failed" not in each)
        table.add_row(
            f"{row['image_size']} px",
            str(row["at_a_time"]),
            f"{row['ms_per_image']:.3f}",
            f"{first['ms_per_image'] / row['ms_per_image']:.1f}",
            "as alone" if row["as_alone"] else "NOT as alone",
            "; ".join(row["notes"]),
        )
    return table


def main(arguments: list[str] | None = None) -> int:
    """Run what the options ask for.

    Returns:
        0, or 1 where trainings failed, or gave other weights side by side than one alone.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.several", description=__doc__, formatter_class=Prose)
    parser.add_argument("--device", default="cuda", help="cuda, or cuda:1")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224], help="sides of the images in pixels")
    parser.add_argument("--counts", type=int, nargs="+", default=list(COUNTS), help="trainings at a time")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=100, help="steps of each training that are counted")
    parser.add_argument("--compiled", action="store_true", help="through torch's compiler")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path("results/several.json"), help="file of the figures")
    options = parser.parse_args(arguments)
    where = devices.resolve(options.device)
    if where.type == "cpu" and max(options.counts) > 1:
        parser.error("--counts: on the CPU trainings of one process take turns; give 1")
    options.device = str(where)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 170)
    rows = run(options, console)
    console.print(table_of(rows))
    return int(not all(row.get("as_alone") for row in rows))


if __name__ == "__main__":
    sys.exit(main())
