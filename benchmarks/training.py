"""What our training is worth against the plain one, and what each of its ideas is worth.

    python -m benchmarks.training --threads 2 --repeats 5          the contest: plain loop against ours
    python -m benchmarks.training --ideas --threads 1              every idea switched on and off
    python -m benchmarks.training --accuracy --seeds 5             do both routes learn as well?
    python -m benchmarks.training --memory                         what each pipeline needs on a T4 and on an H200
    python -m benchmarks.training --quick-look                     the contest in a minute, to see that it runs

How the contest is measured
- The data are painted sheets, written as PNG files of the pipeline's size. The plain loop (``benchmarks/plain_loop.py``) decodes
  them for every image pass; ours decodes each once into the image cache, and a tenth of that (ten epochs) is added to each pass.
- Recipe, initial weights and architecture are the same; both are stopped after as many steps as ``--steps`` says. The first step is
  a warm-up and is not counted. A figure is the time per image pass of the counted steps; a training of any length is that times
  images times epochs, which is how whole trainings are extrapolated.
- Frozen features: the plain loop makes as many forward passes as there are epochs, and is timed by steps as above. Ours is timed
  from the moment its weights are loaded to the end of its whole training, all epochs, embedding included once ("one view": without
  augmentation in either) or once per epoch ("views": augmented like the plain loop).
- Contestants take turns in every round, the plain loop in one process and ours in another, so that neither profits from what the
  other has set up. A row shows the median over rounds; a ratio is taken within each round, and its median,
  lowest and highest are shown. ``processor`` is the same ratio of processor time, which other programs disturb less.
- Each contestant has a row at its own batch size and one at the other's, so that the share of the gain that is the batch is seen.
- FLOP/s are operations of convolutions and matrix products, counted by torch on shapes, over time. Their share is of the matrix
  product that this machine reaches in the same run (float32; bfloat16 too on CUDA) with the same threads.
- Phases are measured in runs of their own, since a timer at each phase makes a CUDA device wait. Evaluation is per image evaluated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import accuracy, ideas, memory
from benchmarks.contest import (
    Contestant,
    Data,
    Ratio,
    Sides,
    Timing,
    alternate,
    phases_of_ours,
    phases_of_plain,
    time_embedded,
    time_ours,
    time_plain,
)
from benchmarks.operations import machine, matrix_product_rate, operations_per_image
from benchmarks.plain_loop import BATCH_SIZE
from evaluator.data.cache import cache_images
from evaluator.data.folders import read_split
from evaluator.data.make import DataSpec, make_dataset
from evaluator.data.painted import CLASSES
from evaluator.training import device as devices
from evaluator.training.pipeline import Augmentation, Pipeline
from evaluator.training.recipes import PIPELINES
from evaluator.training.weights import PROCEDURAL_ARCHITECTURE

RESULTS = Path(__file__).parent / "results"
TARGETS = {("cpu", "whole", 64): 3.0, ("cpu", "whole", 224): 1.5, ("cpu", "frozen", 64): 30.0, ("cpu", "frozen", 224): 12.0}
"""Ours over plain, each at its own batch size; on a data-centre GPU the goal is ``GPU_TARGET`` at every size."""
GPU_TARGET = 15.0
PLAIN, PLAIN_BATCH, OURS, OURS_SMALL = "plain", "plain, our batch", "ours", "ours, plain batch"


@dataclass(frozen=True)
class Race:
    """One comparison: a recipe, whole or frozen, at one image size."""

    name: str
    mode: str
    pipeline: Pipeline

    def target(self, device: str) -> float | None:
        """How many times faster ours is to be; ``None`` where no goal was set."""
        if device.startswith("cuda"):
            return GPU_TARGET if self.mode == "whole" else None
        return TARGETS.get((device, self.mode, self.pipeline.image_size))


def recipe_for(size: int, architecture: str | None = None) -> Pipeline:
    """The pipeline that is raced at a size, with starting weights that need no network (they have no bearing on speed)."""
    large = PIPELINES["round2"]
    base = replace(PIPELINES["quick"] if size < 160 else large, weights="none", image_size=size, from_scratch={})
    base = replace(base, architecture=architecture or base.architecture)
    return replace(base, weights="procedural" if base.architecture == PROCEDURAL_ARCHITECTURE else "none")


def races(size: int, architecture: str | None = None, weights: str | None = None) -> list[Race]:
    """Whole training, and frozen features with and without augmentation, at one size."""
    whole = recipe_for(size, architecture)
    if weights:
        whole = replace(whole, weights=weights)
    found = [Race(f"{size} px, whole", "whole", whole)]
    if whole.weights != "none":
        frozen = replace(whole, trains="head", averaging=0.0, validation_share=0.0, threshold="fixed", threshold_value=0.5)
        bare = replace(frozen, augmentation=Augmentation(), embedding_views=1)
        found.append(Race(f"{size} px, frozen, one view, no augmentation", "frozen", bare))
        found.append(Race(f"{size} px, frozen, {frozen.epochs} views", "views", replace(frozen, embedding_views=frozen.epochs)))
    return found


def paint(folder: Path, size: int, count: int, workers: int | None) -> Data:
    """``count`` painted sheets as PNG files, and decoded once into a cache."""
    make_dataset(folder / f"painted-{size}", DataSpec(2022, size, {"training": count}), workers=workers)
    split = read_split(folder / f"painted-{size}" / "training", CLASSES)
    started = time.perf_counter()
    images = cache_images(split, size, folder / "cache", workers=1).gather(range(count))
    return Data(split, images, 1e3 * (time.perf_counter() - started) / count)


def run_race(race: Race, data: Data, options: argparse.Namespace, told: Console) -> dict[str, Any]:
    """All contestants of one race, their ratios and their phases."""
    pipeline, settings = race.pipeline, {"device": options.device, "threads": options.threads}
    batch, frozen = pipeline.batch_size, race.mode != "whole"
    # As many images in each contestant's counted steps, so that a batch of 5 is not judged by 10 images and one of 32 by 64.
    counted = max(options.steps * batch, 1)
    small = max(round(counted / BATCH_SIZE), 2)
    large = max(options.steps, 2)
    plainly = partial(time_plain, pipeline, data, workers=options.loader_workers, **settings)
    runs = {PLAIN: partial(plainly, BATCH_SIZE, small), PLAIN_BATCH: partial(plainly, batch, large)}
    if frozen:
        runs[OURS] = partial(time_embedded, pipeline, data, **settings)
        runs[OURS_SMALL] = partial(time_embedded, replace(pipeline, batch_size=BATCH_SIZE), data, **settings)
    else:
        runs[OURS] = partial(time_ours, pipeline, data, batch, large, **settings)
        runs[OURS_SMALL] = partial(time_ours, pipeline, data, BATCH_SIZE, small, **settings)
    contestants = {name: Contestant("plain" if name in (PLAIN, PLAIN_BATCH) else "ours", run) for name, run in runs.items()}
    phases = {}
    with Sides() as sides:
        timings = alternate(sides, contestants, options.repeats, lambda line: told.print(f"  {race.name}: {line}", highlight=False))
        if not frozen:
            phases[PLAIN] = sides.run("plain", partial(phases_of_plain, pipeline, data, BATCH_SIZE, small, **settings))
            phases[OURS] = sides.run("ours", partial(phases_of_ours, pipeline, data, batch, large, **settings))
    operations = operations_per_image(pipeline)
    sizes = {PLAIN: BATCH_SIZE, PLAIN_BATCH: batch, OURS: batch, OURS_SMALL: BATCH_SIZE}
    ratios = {
        "own batch sizes": Ratio.between(timings[PLAIN], timings[OURS]),
        f"batch {batch} in both": Ratio.between(timings[PLAIN_BATCH], timings[OURS]),
        f"batch {BATCH_SIZE} in both": Ratio.between(timings[PLAIN], timings[OURS_SMALL]),
    }
    # Embeddings are worth the passes that they save, not operations that nobody computed.
    rows = {
        name: row(found, sizes[name], None if frozen and name in (OURS, OURS_SMALL) else operations)
        for name, found in timings.items()
    }
    return {
        "pipeline": pipeline.as_dict(),
        "mode": race.mode,
        "operations_per_image": operations,
        "contestants": rows,
        "ratios": {name: ratio.as_dict() for name, ratio in ratios.items()},
        "target": race.target(options.device),
        "phases_ms": phases,
        "decode_once_ms": data.decode_ms,
        "counted_steps": {PLAIN: small, PLAIN_BATCH: large} | ({} if frozen else {OURS: large, OURS_SMALL: small}),
        "images_embedded": len(data.images) if frozen else None,
    }


def row(timings: list[Timing], batch_size: int, operations: int | None) -> dict[str, Any]:
    """One contestant's figures."""
    ms = statistics.median(t.ms for t in timings)
    rate = None if operations is None else operations / ms * 1e3
    return {
        "batch_size": batch_size,
        "n": len(timings),
        "ms_per_image": ms,
        "ms_per_image_all": [t.ms for t in timings],
        "cpu_ms_per_image": statistics.median(t.cpu_ms for t in timings),
        "images_per_second": 1e3 / ms,
        "flops_per_second": rate,
        "peak_bytes": max((t.peak_bytes for t in timings if t.peak_bytes is not None), default=None),
    }


def add_shares(report: dict[str, Any]) -> None:
    """Put to every contestant what share of the machine's own matrix product it reached."""
    for race in report["races"].values():
        for one in race["contestants"].values():
            rate = one["flops_per_second"]
            peaks = report["matrix_product_flops"].items()
            one["share_of_matrix_product"] = None if rate is None else {name: rate / peak for name, peak in peaks}


def contest_table(found: dict[str, dict[str, Any]]) -> Table:
    """Every contestant of every race."""
    table = Table(title="Ours against the plain loop, per image pass", title_justify="left")
    for name in ("race", "contestant", "batch", "ms", "processor ms", "images/s", "GFLOP/s", "of matrix product", "peak MiB", "n"):
        table.add_column(name, justify="left" if name in ("race", "contestant") else "right")
    for race, report in found.items():
        for name, one in report["contestants"].items():
            shares, rate, peak = one["share_of_matrix_product"], one["flops_per_second"], one["peak_bytes"]
            table.add_row(
                race if name == PLAIN else "",
                name,
                str(one["batch_size"]),
                f"{one['ms_per_image']:.3g}",
                f"{one['cpu_ms_per_image']:.3g}",
                f"{one['images_per_second']:.3g}",
                "-" if rate is None else f"{rate / 1e9:.3g}",
                "-" if shares is None else ", ".join(f"{100 * share:.0f} % {kind}" for kind, share in shares.items()),
                "-" if peak is None else f"{peak / 2**20:.0f}",
                str(one["n"]),
            )
        table.add_section()
    return table


def ratio_table(found: dict[str, dict[str, Any]]) -> Table:
    """How many times faster ours is, and whether that is what was aimed at."""
    table = Table(title="Ours over plain (median of rounds, lowest to highest)", title_justify="left")
    for name in ("race", "compared at", "times faster", "processor", "goal", "reached"):
        table.add_column(name, justify="left" if name in ("race", "compared at") else "right")
    for race, report in found.items():
        for index, (name, one) in enumerate(report["ratios"].items()):
            target = report["target"] if index == 0 else None
            table.add_row(
                race if index == 0 else "",
                name,
                str(Ratio(**one)),
                f"{one['cpu_median']:.2f}",
                "-" if target is None else f"{target:g}",
                "-" if target is None else "yes" if one["median"] >= target else "no",
            )
        table.add_section()
    return table


def phase_table(found: dict[str, dict[str, Any]]) -> Table:
    """Milliseconds per image and phase of the whole trainings."""
    table = Table(title="Where the time goes, ms per image (evaluation: per image evaluated)", title_justify="left")
    names = ("decode", "augment", "forward", "backward", "optimiser", "everything else", "evaluation")
    for name in ("race", "contestant", *names):
        table.add_column(name, justify="left" if name in ("race", "contestant") else "right")
    for race, report in found.items():
        for contestant, phases in report["phases_ms"].items():
            table.add_row(race, contestant, *(f"{phases[name]:.3g}" if name in phases else "-" for name in names))
    return table


def run_contest(options: argparse.Namespace, console: Console) -> None:
    """Race at every size; print the tables; write the JSON after every race."""
    where = devices.resolve(options.device)
    kinds = {"float32": torch.float32} | ({"bfloat16": torch.bfloat16} if where.type == "cuda" else {})
    peaks: dict[str, float] = {}
    report: dict[str, Any] = {"machine": machine(options.device, options.threads), "matrix_product_flops": peaks, "races": {}}
    with tempfile.TemporaryDirectory() as folder:
        for size in options.sizes:
            count = options.images or (192 if size < 160 else 64)
            data = paint(Path(folder), size, count, options.threads)
            for race in races(size, options.architecture):
                if options.only in race.name:
                    with devices.threads(options.threads):
                        for name, dtype in kinds.items():  # before every race, and the best of all: a busy moment hides it
                            peaks[name] = max(peaks.get(name, 0.0), matrix_product_rate(where, dtype))
                    report["races"][race.name] = run_race(race, data, options, console)
                    add_shares(report)
                    write(options.json, report)
    for table in (contest_table, ratio_table, phase_table):
        console.print(table(report["races"]))
    told = ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in peaks.items())
    console.print(f"matrix product: {told}; {where}, {options.threads} threads; figures in {options.json}", highlight=False)


def write(path: Path, report: dict[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_file = path.with_name(path.name + ".partial")
    partial_file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    partial_file.replace(path)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options, with what depends on others filled in."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--ideas", action="store_true", help="every idea switched on and off")
    kind.add_argument("--accuracy", action="store_true", help="macro F1 of both routes over seeds")
    kind.add_argument("--memory", action="store_true", help="what each pipeline needs on the device")
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224], help="sides of the images in pixels")
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    parser.add_argument("--steps", type=int, default=3, help="steps at our batch that are counted, per round")
    parser.add_argument("--images", type=int, help="images painted, and embedded where features are frozen (64 px: 192; 224: 64)")
    parser.add_argument("--loader-workers", type=int, default=0, help="processes that decode for the plain loop")
    parser.add_argument("--architecture", help="another network than the recipe's")
    parser.add_argument("--only", default="", help="races or ideas whose name holds this")
    parser.add_argument("--seeds", type=int, default=5, help="of --accuracy")
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time, of --accuracy")
    parser.add_argument("--pipeline", default="quick", help="of --accuracy")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/training-<device>.json, or training-ideas-... etc.")
    parser.add_argument("--quick-look", action="store_true", help="64 px, one round, few steps")
    options = parser.parse_args(arguments)
    options.device = str(devices.resolve(options.device))
    if options.quick_look:
        options.sizes, options.repeats, options.steps, options.images = [64], 1, 2, options.images or 32
        options.json = options.json or Path(tempfile.gettempdir()) / "training-quick-look.json"
    for name in ("threads", "repeats", "steps", "seeds", "workers"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}; give 1 or more")
    verb = next((name for name in ("ideas", "accuracy", "memory") if getattr(options, name)), "")
    file = "-".join(filter(None, ("training", verb, options.device.partition(":")[0]))) + ".json"
    options.json = options.json or RESULTS / file
    return options


def main() -> None:
    """Do what the options ask for."""
    options, console = parse(), Console(width=None if sys.stdout.isatty() else 170)
    if options.ideas:
        ideas.run(options, console, recipe_for, write)
    elif options.accuracy:
        accuracy.run(options, console, write)
    elif options.memory:
        memory.run(options, console, write)
    else:
        run_contest(options, console)


if __name__ == "__main__":
    main()
