"""What our training is worth against the plain one, and what each of its ideas is worth.

    python -m benchmarks.training --threads 2 --repeats 5          the contest: plain loop against ours
    python -m benchmarks.training --ideas --threads 1              every idea switched on and off
    python -m benchmarks.training --ideas --only "channels last"   the rows of one idea again, in the place of the stored ones
    python -m benchmarks.training --ideas --stored --page FILE     write the stored rows into a page
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

How the ideas are measured
- A pair of settings of one step (``benchmarks/steps.py``), which take turns, each in a process of its own whose first turn is not
  counted. A turn is ``--steps`` steps, four times as many below 160 px. A verdict follows from the rounds alone: ``faster`` or
  ``slower`` where the 95 % t-interval of the ratio leaves 1 out. What else the machine does makes it wider.
- Every row is stored as soon as it is there. The command goes on where it was stopped: rows that are stored under the same settings
  are not measured again, unless ``--fresh`` or ``--only`` asks for it. So a row that was disturbed can be replaced by itself.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks import accuracy, memory
from benchmarks.idea_rows import put, read_rows, write_rows
from benchmarks.idea_tables import ideas_table, page_text, region
from benchmarks.ideas import Bench, ideas_for, measured
from benchmarks.operations import machine, matrix_product_rate
from benchmarks.pages import write_whole
from benchmarks.race_tables import add_shares, contest_table, phase_table, ratio_table
from benchmarks.races import paint, races, recipe_for, run_race
from evaluator.training import device as devices

RESULTS = Path(__file__).parent / "results"
MORE_STEPS = 4
"""Of the ideas at less than 160 px, in a turn."""


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


def run_ideas(options: argparse.Namespace, console: Console) -> None:
    """Measure the ideas that are wanted and not stored yet; store each row when it is there; print the table; write the page."""
    kind = options.device.partition(":")[0]
    page = options.page and options.page.read_text(encoding="utf-8")
    if page:
        region(kind).replaced(page, "")  # a page without the marks is said before the first row, not after the last
    rows, benches, started = read_rows(options.json), [_bench(size, options) for size in options.sizes], time.monotonic()
    asked = [(bench, idea) for bench in benches for idea in ideas_for(kind)]
    wanted = [(bench, idea) for bench, idea in asked if options.only in f"{bench.pipeline.image_size} px, {idea.name}"]
    if not wanted:
        raise SystemExit(f"no idea's name holds {options.only!r}; there are: {', '.join(idea.name for idea in ideas_for(kind))}")
    for number, (bench, idea) in enumerate([] if options.stored else wanted, 1):
        size = bench.pipeline.image_size
        where = f"{time.monotonic() - started:5.0f} s, {number} of {len(wanted)}, {size} px, {idea.name}"
        before = next((row for row in rows if (row.size, row.idea) == (size, idea.name)), None)
        again = options.fresh or options.only or before is None or before.trouble or before.settings != bench.settings()
        if not again:
            console.print(f"  {where}: stored already (--fresh or --only measures it again)", highlight=False)
            continue
        row = measured(idea, bench)
        rows = put(rows, row)
        write_rows(options.json, rows)
        console.print(f"  {where}: {row.trouble or f'{row.gain}, {row.verdict}'}", highlight=False)
    console.print(ideas_table(rows, kind))
    if page:
        write_whole(options.page, region(kind).replaced(page, page_text(rows, kind)))


def _bench(size: int, options: argparse.Namespace) -> Bench:
    """Small images make short steps, of which it takes more."""
    pipeline = replace(recipe_for(size, options.architecture), dropout=0.0, stochastic_depth=0.0)
    steps = options.steps * (MORE_STEPS if size < 160 else 1)
    return Bench(pipeline, steps, options.repeats, options.threads, options.device)


def write(path: Path, report: dict[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    write_whole(path, json.dumps(report, indent=1) + "\n")


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
    parser.add_argument("--fresh", action="store_true", help="of --ideas: measure rows again that are stored")
    parser.add_argument("--stored", action="store_true", help="of --ideas: measure nothing, take the rows that are stored")
    parser.add_argument("--page", type=Path, help="of --ideas: write the table between its marks of this page")
    parser.add_argument("--seeds", type=int, default=5, help="of --accuracy")
    parser.add_argument("--workers", type=int, default=1, help="trainings at a time, of --accuracy")
    parser.add_argument("--pipeline", default="quick", help="of --accuracy")
    parser.add_argument("--json", type=Path, help="default: benchmarks/results/training-<device>.json, or training-ideas-... etc.")
    parser.add_argument("--quick-look", action="store_true", help="64 px, one round, few steps")
    options = parser.parse_args(arguments)
    options.device = str(devices.resolve(options.device))
    for name in ("threads", "repeats", "steps", "seeds", "workers"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} is {getattr(options, name)}; give 1 or more")
    if not options.ideas and (options.fresh or options.stored or options.page):
        parser.error("--fresh, --stored and --page belong to --ideas")
    verb = next((name for name in ("ideas", "accuracy", "memory") if getattr(options, name)), "")
    file = "-".join(filter(None, ("training", verb, options.device.partition(":")[0]))) + ".json"
    if options.quick_look:
        options.sizes, options.repeats, options.steps, options.images = [64], 1, 2, options.images or 32
        options.json = options.json or Path(tempfile.gettempdir()) / f"quick-look-{file}"
    options.json = options.json or RESULTS / file
    return options


def main() -> None:
    """Do what the options ask for."""
    options, console = parse(), Console(width=None if sys.stdout.isatty() else 170)
    if options.ideas:
        run_ideas(options, console)
    elif options.accuracy:
        accuracy.run(options, console, write)
    elif options.memory:
        memory.run(options, console, write)
    else:
        run_contest(options, console)


if __name__ == "__main__":
    main()
