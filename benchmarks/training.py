"""What our training is worth against the plain one, and what each of its ideas is worth.

    python -m benchmarks.training --threads 2 --repeats 5          the contest: plain loop against ours
    python -m benchmarks.training --ideas --threads 1              every idea switched on and off
    python -m benchmarks.training --accuracy --seeds 5             do both routes learn as well?
    python -m benchmarks.training --memory                         what each pipeline needs on a T4 and on an H200
    python -m benchmarks.training --quick-look                     the contest in a minute, to see that it runs

How the contest is measured
- The data are painted sheets, written as PNG files of the pipeline's size. The plain loop (``benchmarks/plain_loop.py``) decodes
  them for every image pass; ours decodes each once into the image cache, and a tenth of that (ten epochs) is added to each pass.
- Recipe, initial weights and architecture are the same; both are stopped after as many steps as ``--steps`` says. Two steps
  before them are a warm-up and are not counted (``timing.WARM_UP`` says why). A figure is the time per image pass of the counted
  steps; a training of any length is that times images times epochs, which is how whole trainings are extrapolated.
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
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks import accuracy, ideas, memory
from benchmarks.operations import machine, matrix_product_rate
from benchmarks.race_tables import add_shares, contest_table, phase_table, ratio_table
from benchmarks.races import paint, races, recipe_for, run_race
from evaluator.training import device as devices

RESULTS = Path(__file__).parent / "results"


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
