"""What our training is worth against the plain loop: time, accuracy, memory.

    python -m benchmarks.training --threads 2 --repeats 5          the contest: time of the plain loop against ours
    python -m benchmarks.training --accuracy --seeds 5             do both learn as well?
    python -m benchmarks.training --memory                         what each pipeline needs on a T4 and on an H200
    python -m benchmarks.training --quick-look                     the contest in a minute, to see that it runs
    python -m benchmarks.training.pretraining --help               throughput of pre-training, a command of its own

How the contest is measured
- The data are painted sheets, written as PNG files of the pipeline's size. The plain loop (``benchmarks/training/plain_loop.py``)
  decodes them for every image pass; ours decodes each image once into the image cache, and a tenth of that time (ten epochs) is
  added to each pass.
- Recipe, initial weights and architecture are the same; both are stopped after as many steps as ``--steps`` says. Two steps
  before them are a warm-up and are not counted (``WARM_UP`` in ``benchmarks/stopwatch/timing.py`` says why); on CUDA four of ours,
  because the third is captured. A figure is the time per image pass of the counted steps. The time of a whole training is
  extrapolated as that figure times images times epochs.
- Frozen features: the plain loop makes as many forward passes as there are epochs, and is timed by steps as above. Ours is timed
  from the moment when its weights are loaded to the end of its whole training, all epochs, with the embedding included: once
  ("one view": neither side augments) or once per epoch ("views": augmented like the plain loop).
- Contestants take turns in every round, the plain loop in one process and ours in another, so that neither profits from what the
  other has set up. A row shows the median over rounds; a ratio is taken within each round, and its median, lowest and highest
  value are shown. ``processor`` is the same ratio of processor time, which other programs disturb less.
- Each contestant is measured at its own batch size and at the other's, so that the share of the gain that is the batch is visible.
- FLOP/s are operations of convolutions and matrix products, counted by torch from shapes, over time. Their share is of the matrix
  product that this machine reaches in the same run with the same threads (float32; on CUDA bfloat16, too).
- Phases are measured in separate runs, because a timer at each phase makes a CUDA device wait. Evaluation is per image evaluated.

The figures go to ``benchmarks/results/training-<device>.json``, with ``--accuracy`` and ``--memory`` to
``training-accuracy-<device>.json`` and ``training-memory-<device>.json``; ``--json`` names another file.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.pages import write_json
from benchmarks.stopwatch.turns import Sides
from benchmarks.training import accuracy, memory
from benchmarks.training.operations import machine, matrix_product_rate
from benchmarks.training.races import paint, races, run_race
from benchmarks.training.tables import add_shares, contest_table, phase_table, ratio_table
from evaluator.cli.parsing import Prose
from evaluator.training import device as devices

RESULTS = Path(__file__).resolve().parents[1] / "results"


def run_contest(options: argparse.Namespace, console: Console) -> None:
    """Race at every size; print the tables; write the JSON after every turn of a contestant."""
    where = devices.resolve(options.device)
    kinds = {"float32": torch.float32} | ({"bfloat16": torch.bfloat16} if where.type == "cuda" else {})
    peaks: dict[str, float] = {}
    report: dict[str, Any] = {"machine": machine(options.device, options.threads), "matrix_product_flops": peaks, "races": {}}
    with tempfile.TemporaryDirectory() as folder, Sides() as sides:
        for size in options.sizes:
            count = options.images or (192 if size < 160 else 64)
            data = paint(Path(folder), size, count, options.threads)
            for race in races(size, options.architecture):
                if options.only in race.name:
                    with devices.threads(options.threads):
                        for name, dtype in kinds.items():  # before every race, and the best of all: a busy moment hides it
                            peaks[name] = max(peaks.get(name, 0.0), matrix_product_rate(where, dtype))

                    def keep(found: dict[str, Any], name: str = race.name) -> None:
                        report["races"][name] = found
                        add_shares(report)
                        write_json(options.json, report)

                    run_race(race, data, options, console, sides, keep)
    for table in (contest_table, ratio_table, phase_table):
        console.print(table(report["races"]))
    told = ", ".join(f"{name} {rate / 1e9:.0f} GFLOP/s" for name, rate in peaks.items())
    console.print(f"matrix product: {told}; {where}, {options.threads} threads; figures in {options.json}", highlight=False)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options; those that depend on others are filled in."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__, formatter_class=Prose)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--accuracy", action="store_true", help="macro F1 of the plain loop and of ours, over seeds")
    kind.add_argument("--memory", action="store_true", help="memory that each pipeline needs on the device")
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 224], help="sides of the images in pixels")
    parser.add_argument("--repeats", type=int, default=5, help="rounds")
    parser.add_argument("--steps", type=int, default=3, help="steps at our batch size that are counted, per round")
    parser.add_argument("--images", type=int, help="images painted, and embedded where features are frozen (64 px: 192; 224: 64)")
    parser.add_argument("--loader-workers", type=int, default=0, help="processes that decode for the plain loop")
    parser.add_argument("--architecture", help="another network than the recipe's")
    parser.add_argument("--only", default="", help="races whose name contains this; with --memory, pipelines")
    parser.add_argument("--phases", action=argparse.BooleanOptionalAction, default=True, help="where the time of a step goes")
    parser.add_argument("--compiled", action="store_true", help="on CUDA: ours through torch's compiler, too")
    parser.add_argument("--seeds", type=int, default=5, help="with --accuracy: number of seeds")
    parser.add_argument("--workers", type=int, default=1, help="with --accuracy: trainings at a time")
    parser.add_argument("--pipeline", default="quick", help="with --accuracy: the pipeline")
    parser.add_argument("--json", type=Path, help="file of the figures (default: benchmarks/results/training-<device>.json etc.)")
    parser.add_argument("--quick-look", action="store_true", help="64 px, one round, few steps; figures in a temporary folder")
    options = parser.parse_args(arguments)
    options.device = str(devices.resolve(options.device))
    for name in ("threads", "repeats", "steps", "seeds", "workers"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: {getattr(options, name)}; expected at least 1")
    if options.compiled and not options.device.startswith("cuda"):
        parser.error(f"--compiled: only a CUDA device compiles; the device is {options.device}")
    verb = next((name for name in ("accuracy", "memory") if getattr(options, name)), "")
    file = "-".join(filter(None, ("training", verb, options.device.partition(":")[0]))) + ".json"
    if options.quick_look:
        options.sizes, options.repeats, options.steps, options.images = [64], 1, 2, options.images or 32
        options.json = options.json or Path(tempfile.gettempdir()) / f"quick-look-{file}"
    options.json = options.json or RESULTS / file
    return options


def main() -> None:
    """Run what the options ask for."""
    options, console = parse(), Console(width=None if sys.stdout.isatty() else 170)
    if options.accuracy:
        accuracy.run(options, console)
    elif options.memory:
        memory.run(options, console)
    else:
        run_contest(options, console)


if __name__ == "__main__":
    main()
