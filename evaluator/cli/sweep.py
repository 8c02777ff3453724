"""``python -m evaluator sweep``: submissions x pairs x seeds x pipelines, of which only what is missing is run.

python -m evaluator sweep --submissions baselines/* --pairs public --seeds 10 --pipelines round2
python -m evaluator sweep --file sweep.toml --dry-run
python -m evaluator sweep --submissions my_submission --pairs public hidden:5 --round-seed 7 --seeds 5
python -m evaluator sweep --submissions my_submission --pairs grid:500,1000,2000x15,30,60 --heat-map map.svg
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``sweep`` to the command line."""
    verb = subparsers.add_parser(
        "sweep",
        help="run a grid of submissions, pairs, seeds and pipelines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = verb.add_argument_group("the grid")
    what.add_argument("--file", type=Path, metavar="FILE", help="these options from TOML or YAML; those of the command line win")
    what.add_argument("--submissions", type=Path, nargs="+", metavar="PATH", help="folders, .py files or patterns")
    what.add_argument(
        "--pairs",
        nargs="+",
        metavar="WORD",
        help="profile (default), public, 621:17,..., grid:500,1000x15,30, hidden:5; several add up",
    )
    what.add_argument("--round-seed", type=int, metavar="N", help="what hidden pairs are drawn from")
    what.add_argument("--seeds", type=int, metavar="N", help="repetitions of every pair (default: 1)")
    what.add_argument("--first-seed", type=int, metavar="N", help="number of the first repetition (default: 0)")
    what.add_argument("--root-seed", type=int, metavar="N", help="every draw is split from it (default: 2022)")
    what.add_argument("--pipelines", nargs="+", metavar="NAME|FILE", help="default: the profile's own")
    what.add_argument("--profile", help="default: quick")
    what.add_argument("--label-quality", type=float, nargs="+", metavar="Q", help="share of sold label entries that are right")
    what.add_argument("--score-split", nargs="+", metavar="SPLIT", help="validation or test, or both")
    rules = verb.add_argument_group("rules")
    rules.add_argument("--on-timeout", choices=("fail", "keep"), help="keep: score what was bought before the limit")
    rules.add_argument("--restart-workers", action="store_true", default=None, help="a fresh worker per phase")
    rules.add_argument("--weights-dir", type=Path, metavar="DIR", help="pretrained weights for the participant")
    rules.add_argument("--sandbox", choices=("auto", "bubblewrap", "docker", "process"), help="isolation tier (default: auto)")
    rules.add_argument("--starting-weights", choices=("imagenet", "procedural", "none"), help="default: the profile's")
    work = verb.add_argument_group("work and files")
    work.add_argument("--device", help="cpu, cuda or auto (default: auto)")
    work.add_argument("--threads", type=int, metavar="N", help="CPU threads of one training (default: 1)")
    work.add_argument(
        "--workers", type=int, metavar="N", help="trainings at a time (default: cores / threads; one per CUDA device)"
    )
    work.add_argument(
        "--ray", metavar="ADDRESS", help="run on a Ray cluster: auto, HOST:PORT, or local to start one here (docs/cluster.md)"
    )
    work.add_argument("--data", type=Path, metavar="DIR", help="folder of the splits (default: data/ and the profile's)")
    work.add_argument("--out", type=Path, metavar="DIR", help="results folder (default: results/)")
    work.add_argument("--heat-map", type=Path, metavar="FILE", help="draw the grid of --pairs grid:... as .svg or .png")
    work.add_argument("--fresh", action="store_true", default=None, help="repeat what is finished already, purchases too")
    work.add_argument("--dry-run", action="store_true", help="say what would run and how long it will take, and stop")
    work.add_argument("--json", action="store_true", help="print sweep.json instead of the table; for a dry run its figures")


def main(args: argparse.Namespace) -> int:
    """Run the verb; 0 where every cell was scored, 1 where some were not, 130 interrupted (what is finished is kept)."""
    from rich.console import Console

    from evaluator.history.store import Store
    from evaluator.purchase.heat import require_grid
    from evaluator.purchase.pairs import choose_pairs
    from evaluator.purchase.profiles import profile_named
    from evaluator.report.heat_picture import check_picture, draw_heat_maps
    from evaluator.report.sweep import SweepLine, show_sweep, show_sweep_result, titled_heat_maps
    from evaluator.report.terminal import progress_line, show_warnings
    from evaluator.sweep.experiment import prepare
    from evaluator.sweep.forecast import forecast
    from evaluator.sweep.run import conduct
    from evaluator.sweep.settings import read_settings

    console = Console(stderr=args.json)
    given: dict[str, Any] = {k: v for k, v in vars(args).items() if k not in ("verb", "file", "heat_map", "dry_run", "json")}
    settings, skipped = read_settings(given, args.file)
    if skipped:
        console.print(f"not submissions, left out: {', '.join(skipped)}", style="dim", markup=False, highlight=False)
    if args.heat_map is not None:
        check_picture(args.heat_map)
        require_grid(choose_pairs(settings.pairs, profile_named(settings.profile), settings.round_seed))
    # An unwritable folder is said before data are read. A dry run leaves no folder where there was none.
    store = None if args.dry_run else Store(settings.out.absolute())
    with progress_line(console) as line:
        reading = line.add_task("data", total=1)
        experiment = prepare(
            settings, lambda what, done, total: line.update(reading, description=what, completed=done, total=total or 1)
        )
    catalogue = experiment.catalogue()
    expected = forecast(experiment, catalogue)
    show_sweep(console, experiment, expected)
    show_warnings(experiment.warnings)
    if store is None:
        for line in catalogue.damaged:  # a run says it when it moves the file aside
            print(f"warning: {line}; it does not count", file=sys.stderr)
        if args.json:
            print(json.dumps(expected.as_dict() | {"warnings": list(experiment.warnings)}, indent=1))
        return 0
    with progress_line(console) as line:
        shown = SweepLine(line, experiment, expected)
        run, summary, interrupted = conduct(experiment, expected, store, shown.moved, shown.finished)
    if args.json:
        print(json.dumps(summary, indent=1))
    else:
        show_sweep_result(console, summary)
        console.print(f"results: {run}", soft_wrap=True, highlight=False)
    if args.heat_map is not None:
        draw_heat_maps(args.heat_map, titled_heat_maps(summary), f"cells of {run.name}")
        console.print(f"heat map: {args.heat_map}", soft_wrap=True, highlight=False)
    if interrupted:
        print("interrupted; finished cells and purchases are kept and not made again", file=sys.stderr)
        return 130
    return 0 if all(cell["score"] is not None for cell in summary["cells"]) else 1
