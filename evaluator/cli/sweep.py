"""Run all cells of submissions x pairs x seeds x pipelines that are not stored yet.

python -m evaluator sweep --submissions baselines/* --pairs public --seeds 10 --pipelines round2
python -m evaluator sweep --file sweep.toml --dry-run
python -m evaluator sweep --submissions my_submission --pairs public hidden:5 --round-seed 7 --seeds 5
python -m evaluator sweep --submissions my_submission --pairs grid:500,1000,2000x15,30,60 --heat-map map.svg
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from evaluator.cli.tracks import add_option
from evaluator.places import given_path
from evaluator.purchase.track import PURCHASE
from evaluator.sweep.settings import COMMON
from evaluator.text import json_text, one_line, say

GROUPS: dict[str, tuple[str, ...]] = {
    "the grid": (
        "submissions",
        "pairs",
        "round_seed",
        "seeds",
        "first_seed",
        "root_seed",
        "secret",
        "public_seeds",
        "pipelines",
        "profile",
        "label_quality",
        "score_split",
    ),
    "rules": ("on_timeout", "restart_workers", "weights_dir", "sandbox", "starting_weights"),
    "work and files": ("device", "threads", "workers", "ray", "data", "out", "fresh", "mixed_versions"),
}
"""Options by their heading in ``--help``."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``sweep`` to the command line."""
    verb = subparsers.add_parser(
        "sweep",
        help="run a grid of submissions, pairs, seeds and pipelines",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    groups = {title: verb.add_argument_group(title) for title in GROUPS}
    groups["the grid"].add_argument(
        "--file",
        type=given_path,
        metavar="FILE",
        help="read these options from a TOML file; the command line replaces its options",
    )
    for title, names in GROUPS.items():
        for name in names:
            add_option(groups[title], name, COMMON.get(name) or PURCHASE.options[name])
    work = groups["work and files"]
    work.add_argument("--heat-map", type=given_path, metavar="FILE", help="draw the grid of --pairs grid:... as .svg or .png")
    work.add_argument(
        "--dry-run",
        action="store_true",
        help="only show what would run and how long it would take; the address of --ray is not tried",
    )
    work.add_argument("--json", action="store_true", help="print sweep.json instead of the table; with --dry-run the forecast")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0 if every cell was scored, 1 if some were not, 130 if interrupted (finished cells are kept)."""
    from evaluator.history.store import Store
    from evaluator.purchase.heat import require_grid
    from evaluator.purchase.heat_picture import check_picture, draw_heat_maps
    from evaluator.report.console import hanging, terminal
    from evaluator.report.sweep import show_sweep_result, titled_maps
    from evaluator.report.terminal import progress_line, show_rows, show_warnings
    from evaluator.sweep.experiment import prepare
    from evaluator.sweep.forecast import forecast
    from evaluator.sweep.progress import SweepLine, sweep_rows
    from evaluator.sweep.run import Outcome, run
    from evaluator.sweep.settings import read_settings, require_outside
    from evaluator.sweep.table import summarise_sweep

    track = PURCHASE
    console = terminal(stderr=args.json)
    given: dict[str, Any] = {k: v for k, v in vars(args).items() if k in COMMON or k in track.options}
    settings, skipped = read_settings(given, track, args.file)
    if skipped:
        hanging(console, f"left out, because they are not submissions: {', '.join(skipped)}", "dim")
    if args.heat_map is not None:
        require_outside("--heat-map", args.heat_map, settings.submissions)
        check_picture(args.heat_map)
        require_grid(track.tasks(settings.options, settings.profile))
    # An unwritable folder is reported before data are read. A dry run does not make the folder.
    store = None if args.dry_run else Store(settings.out.absolute())
    with progress_line(console) as line:
        reading = line.add_task("data", total=1)
        experiment = prepare(
            track,
            settings,
            lambda what, done, total: line.update(reading, description=what, completed=done, total=total or 1),
            keep_secret=not args.dry_run,
        )
    index = experiment.index()
    expected = forecast(experiment, index)
    show_rows(console, sweep_rows(experiment, expected))
    show_warnings(experiment.warnings)
    if store is None:
        for damaged in index.damaged:  # a run that is not dry reports the file when it moves it aside
            say(f"warning: {damaged}; it is not used")
        if args.json:
            print(json_text(expected.as_dict() | {"warnings": list(experiment.warnings)}, indent=1))
        return 0
    summary: dict[str, Any] = {}

    def finish(outcome: Outcome) -> None:
        summary.update(summarise_sweep(experiment, outcome.rows, outcome.before, expected, outcome.seconds))
        store.write_run(outcome.folder, summary, "sweep")

    with progress_line(console) as line:
        shown = SweepLine(line, experiment, expected)
        outcome = run(experiment, store, "sweep", finish, shown.moved, shown.finished)
    if args.json:
        print(json_text(summary, indent=1))
    else:
        show_sweep_result(console, summary, track)
        console.print(one_line(f"results: {outcome.folder}", 5_000), soft_wrap=True, highlight=False)
    if args.heat_map is not None:
        draw_heat_maps(args.heat_map, titled_maps(summary, track), f"cells of {outcome.folder.name}")
        console.print(one_line(f"heat map: {args.heat_map}", 5_000), soft_wrap=True, highlight=False)
    if outcome.interrupted:
        print("interrupted; finished cells and answers are stored and will be reused", file=sys.stderr)
        return 130
    return 0 if all(cell["score"] is not None for cell in summary["cells"]) else 1
