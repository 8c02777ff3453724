"""The trainings of a round's pairs, all at a time on one CUDA device: ``python -m benchmarks.training.pairs``.

Sizes, recipe and epochs are the round's (profile ``official``): a thousand images of the training set and every label that a pair
allows. What the images show does not change the time, so they are drawn at random and no data are needed; the starting weights are
the kit's own. Seconds are from the first call to the last end, with networks built, graphs captured and thresholds set, and without
purchases and predictions.
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
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
from evaluator.training import device as devices
from evaluator.training.loop import train
from evaluator.training.trained import Trained


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of all trainings together, and of each."""
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

    def one(count: int) -> Trained:
        return train(recipe, images[:count], labels[:count], seed=0, device=options.device, threads=1)

    started = time.perf_counter()
    with ThreadPoolExecutor(options.at_a_time) as pool:
        # The longest first, as a run does.
        found = list(pool.map(one, sorted(counts, reverse=True)))
    seconds = time.perf_counter() - started
    passes = sum(counts) * recipe.epochs
    rows = [{"images": t.n_items, "seconds": t.seconds, "timings": t.timings, "notes": list(t.notes)} for t in found]
    return {"seconds": seconds, "ms_per_image": 1e3 * seconds / passes, "at_a_time": options.at_a_time, "trainings": rows}


def main(arguments: list[str] | None = None) -> None:
    """Run what the options ask for."""
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
    write_json(options.json, {"machine": machine(options.device, 1)} | found)
    table = Table(
        title=f"{options.profile}: {len(found['trainings'])} trainings, {options.at_a_time} at a time", title_justify="left"
    )
    for name in ("images", "seconds", "notes"):
        table.add_column(name, justify="left" if name == "notes" else "right")
    for row in found["trainings"]:
        table.add_row(str(row["images"]), f"{row['seconds']:.1f}", "; ".join(row["notes"]))
    console = Console(width=None if sys.stdout.isatty() else 170)
    console.print(table)
    console.print(f"all: {found['seconds']:.1f} s, {found['ms_per_image']:.3f} ms per image pass", highlight=False)


if __name__ == "__main__":
    main()
