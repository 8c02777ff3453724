"""Run all cells of submissions x tasks x seeds x pipelines that are not stored yet.

python -m evaluator sweep --file sweep.toml --dry-run
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from evaluator.cli.tracks import add_option, add_splits, add_track, named, refused_answers
from evaluator.places import data_place, given_path
from evaluator.runner.cells import Finished
from evaluator.sweep.settings import COMMON
from evaluator.text import json_text, one_line, say
from evaluator.track import Track, Tracks

MOST_READ = 1_000
"""Largest number of cells that are not fit to submit whose files are read for their faults."""
GROUPS: dict[str, tuple[str, ...]] = {
    "the grid": (
        "submissions",
        "label",
        "seeds",
        "first_seed",
        "until",
        "data_sets",
        "first_data_set",
        "root_seed",
        "secret",
        "public_seeds",
        "pipelines",
        "profile",
    ),
    "rules": ("weights_dir", "sandbox", "starting_weights"),
    "work and files": ("device", "threads", "workers", "ray", "data", "cache", "out", "fresh", "mixed_versions"),
}
"""Options of every track by their heading in ``--help``; an option of one track names its heading itself (``Option.group``)."""


def register(subparsers: argparse._SubParsersAction, track: Track) -> None:
    """Add the verb ``sweep`` with the options of a track to the command line."""
    verb = subparsers.add_parser(
        "sweep",
        help="run a grid of submissions, tasks, seeds and pipelines",
        description="\n".join([(__doc__ or "").rstrip(), *track.examples]),
        path_option="--submissions",
    )
    groups = {title: verb.add_argument_group(title) for title in GROUPS}
    grid = groups["the grid"]
    grid.add_argument(
        "--file",
        type=given_path,
        metavar="FILE",
        help="read these options from a TOML file; the command line replaces its options",
    )
    add_track(grid, track)
    for title, names in GROUPS.items():
        options = {name: COMMON[name] for name in names}
        options |= {name: option for name, option in track.options.items() if option.group == title}
        for name, option in options.items():
            add_option(groups[title], name, option)
    add_splits(grid, track, many=True)
    work = groups["work and files"]
    if track.map_help:
        work.add_argument("--heat-map", type=given_path, metavar="FILE", help=track.map_help)
    work.add_argument(
        "--dry-run",
        action="store_true",
        help="only show what would run and how long it would take; the address of --ray is not tried",
    )
    work.add_argument("--no-pictures", action="store_true", help="report.html shows no single images and no labels of them")
    work.add_argument("--full-traceback", action="store_true", help="show all frames of a traceback, the kit's own, too")
    work.add_argument("--json", action="store_true", help="print sweep.json instead of the table; with --dry-run the forecast")
    verb.set_defaults(heat_map=None)


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0 if every cell is fit to submit, 1 if some are not, 130 if interrupted (finished cells are kept)."""
    from evaluator.history.store import Store
    from evaluator.report.console import hanging, terminal
    from evaluator.report.html.run import write_run_report
    from evaluator.report.sweep import show_sweep_result, titled_maps
    from evaluator.report.terminal import progress_line, show_rows, show_warnings
    from evaluator.sweep.experiment import prepare
    from evaluator.sweep.faults import Faults, Remarks
    from evaluator.sweep.forecast import forecast
    from evaluator.sweep.looks import Looks
    from evaluator.sweep.progress import SweepLine, further_seeds, sweep_rows
    from evaluator.sweep.run import Outcome, run, stored_cells
    from evaluator.sweep.settings import read_settings, require_outside
    from evaluator.sweep.table import summarise_sweep

    track = named(args.track)
    console = terminal(stderr=args.json)
    given: dict[str, Any] = {k: v for k, v in vars(args).items() if k in COMMON or k in track.options}
    settings, skipped = read_settings(given, track, args.file)
    wrong = refused_answers(track, settings.submissions)
    if skipped:
        hanging(console, f"left out, because they are not submissions: {', '.join(skipped)}", "dim")
    if args.heat_map is not None:
        require_outside("--heat-map", args.heat_map, settings.submissions)
        track.check_drawing(args.heat_map, track.tasks(settings.options, settings.profile))
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
    looks = Looks.of(experiment)
    index = experiment.index()
    expected = forecast(experiment, index)
    show_rows(console, sweep_rows(experiment, expected))
    show_warnings([*wrong, *experiment.warnings])
    if store is None:
        for damaged in index.damaged:  # a run that is not dry reports the file when it moves it aside
            say(f"warning: {damaged}; it is not used")
        if args.json:
            making = experiment.plan.making
            more = {"data_sets": None if making is None else making.as_dict(), "warnings": list(experiment.warnings)}
            print(json_text(expected.as_dict() | more, indent=1))
        return 0
    if looks is None and (note := further_seeds(experiment, index)):
        hanging(console, f"  {note}", "dim")
    summary: dict[str, Any] = {}
    remarks = Remarks(experiment)

    def finish(outcome: Outcome) -> None:
        faults = Faults(experiment)
        for cell in stored_cells(experiment, store, outcome, lambda row: not row["fit"], MOST_READ):
            faults.add(cell)
        found = faults.rows(outcome.folder), remarks.said(earlier=bool(outcome.before))
        summary.update(summarise_sweep(experiment, outcome.rows, outcome.before, expected, outcome.seconds, *found, outcome.looks))
        store.write_run(outcome.folder, summary, "sweep")

    with progress_line(console) as line:
        shown = SweepLine(line, experiment, expected)

        def finished(cell: Finished) -> None:
            remarks.add(cell)
            shown.finished(cell)

        outcome = run(experiment, store, "sweep", finish, shown.moved, finished, begun=shown.logged, looks=looks)
    if args.json:
        print(json_text(summary, indent=1))
    else:
        show_sweep_result(console, summary, track, full=args.full_traceback, root=str(settings.out))
        console.print(one_line(f"results: {outcome.folder}", 5_000), soft_wrap=True, highlight=False)
    data = experiment.plan.data[experiment.splits[0]] if len(experiment.plan.data_sets) < 2 else None
    page = write_run_report(
        outcome.folder, Tracks({track.name: track}), pictures=not args.no_pictures, data=data, places=data_place(settings.cache)
    )
    if page is not None and not args.json:
        console.print(one_line(f"report: {page}", 5_000), soft_wrap=True, highlight=False)
    if args.heat_map is not None:
        track.draw_maps(args.heat_map, titled_maps(summary, track), f"cells of {outcome.folder.name}")
        console.print(one_line(f"heat map: {args.heat_map}", 5_000), soft_wrap=True, highlight=False)
    if outcome.interrupted:
        print("interrupted; finished cells and answers are stored and will be reused", file=sys.stderr)
        return 130
    reached = outcome.looks[-1]["seeds"] if outcome.looks else settings.seeds
    wanted = [cell for cell in summary["cells"] if cell["seed"] < settings.first_seed + reached]
    return 0 if all(cell["score"] is not None and cell["fit_to_submit"] for cell in wanted) else 1
