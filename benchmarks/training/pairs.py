"""The trainings of a round's pairs, all at a time on one CUDA device: ``python -m benchmarks.training.pairs``.

Sizes, recipe and epochs are the round's (profile ``official``): a thousand images of the training set and every label that a pair
allows. What the images show does not change the time, so they are drawn at random and no data are needed; the starting weights are
the kit's own. Seconds are from the first call to the last end, with networks built, graphs captured and thresholds set, and without
purchases and predictions.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.pages import write_json
from benchmarks.training.operations import machine
from benchmarks.training.races import recipe_for
from evaluator.cli.parsing import Prose
from evaluator.purchase.profiles import PROFILES
from evaluator.seeds import generator
from evaluator.text import one_line
from evaluator.training import device as devices
from evaluator.training.loop import train

EVERY = 5.0
"""Seconds between two writings of the figures while trainings go on."""


class _Board:
    """What the trainings have done so far, written into a file after each and every few seconds.

    Whoever is cut off keeps it.
    """

    def __init__(self, file: Path, about: dict[str, Any]) -> None:
        self.rows: list[dict[str, Any]] = []
        self._file, self._about = file, about
        self._lock = threading.Lock()
        self._written = self._begun = time.perf_counter()

    def progress(self, row: dict[str, Any], share: float) -> None:
        """A training has done that share of its steps."""
        with self._lock:
            row["done"] = share
            if time.perf_counter() - self._written > EVERY:
                self._write()

    def end(self, row: dict[str, Any], **found: Any) -> None:
        """A training has ended."""
        with self._lock:
            row |= found
            self._write()

    def report(self) -> dict[str, Any]:
        """All figures: of trainings that have not ended, how far they are."""
        seconds = time.perf_counter() - self._begun
        passes = sum(row["images"] * row["epochs"] * row["done"] for row in self.rows)
        return self._about | {"seconds": seconds, "ms_per_image": 1e3 * seconds / max(passes, 1), "trainings": self.rows}

    def _write(self) -> None:
        write_json(self._file, self.report())
        self._written = time.perf_counter()


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of all trainings together, and of each; a training that fails is a row that says why."""
    profile = PROFILES[options.profile]
    side = options.size or profile.image_size
    recipe = recipe_for(side)
    recipe = replace(recipe, epochs=options.epochs or recipe.epochs)
    counts = [profile.sizes["training"] + profile.budget(pair) for pair in profile.pairs]
    if options.most:
        counts = [min(count, options.most) for count in counts]
    rng = generator(0, "pairs")
    images = rng.integers(0, 256, (max(counts), side, side, 3), dtype=np.uint8)
    labels = (rng.random((len(images), len(profile.round.classes))) < 0.3).astype(np.uint8)
    board = _Board(options.json, {"machine": machine(options.device, 1), "at_a_time": options.at_a_time})
    # The longest first, as a run does.
    board.rows += [{"images": count, "epochs": recipe.epochs, "done": 0.0} for count in sorted(counts, reverse=True)]

    def one(row: dict[str, Any]) -> None:
        count = row["images"]
        try:
            found = train(
                recipe,
                images[:count],
                labels[:count],
                seed=0,
                device=options.device,
                threads=1,
                progress=partial(board.progress, row),
            )
        except Exception as error:
            board.end(row, failed=one_line(f"{type(error).__name__}: {error}", 200))
        else:
            board.end(row, done=1.0, seconds=found.seconds, timings=found.timings, notes=list(found.notes))

    with ThreadPoolExecutor(options.at_a_time) as pool:
        list(pool.map(one, board.rows))
    return board.report()


def main(arguments: list[str] | None = None) -> int:
    """Run what the options ask for.

    Returns:
        0, or 1 where a training failed.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.pairs", description=__doc__, formatter_class=Prose)
    parser.add_argument("--device", default="cuda", help="auto, cpu or cuda")
    parser.add_argument("--profile", default="official", choices=sorted(PROFILES))
    parser.add_argument("--at-a-time", type=int, default=5, metavar="N", help="trainings at a time")
    parser.add_argument("--size", type=int, help="side of the images, in place of the profile's")
    parser.add_argument("--epochs", type=int, help="in place of the recipe's")
    parser.add_argument("--most", type=int, help="images of a training, at most")
    parser.add_argument("--json", type=Path, default=Path("results/pairs.json"), help="file of the figures")
    options = parser.parse_args(arguments)
    options.device = str(devices.resolve(options.device))
    options.json.parent.mkdir(parents=True, exist_ok=True)
    found = run(options)
    write_json(options.json, found)
    table = Table(
        title=f"{options.profile}: {len(found['trainings'])} trainings, {options.at_a_time} at a time", title_justify="left"
    )
    for name in ("images", "seconds", "notes"):
        table.add_column(name, justify="left" if name == "notes" else "right")
    for row in found["trainings"]:
        failed = "failed" in row
        table.add_row(
            str(row["images"]), "-" if failed else f"{row['seconds']:.1f}", row["failed"] if failed else "; ".join(row["notes"])
        )
    console = Console(width=None if sys.stdout.isatty() else 170)
    console.print(table)
    console.print(f"all: {found['seconds']:.1f} s, {found['ms_per_image']:.3f} ms per image pass", highlight=False)
    return int(any("failed" in row for row in found["trainings"]))


if __name__ == "__main__":
    sys.exit(main())
