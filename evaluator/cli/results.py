"""List, show, export and clean the stored results.

python -m evaluator results list
python -m evaluator results show 3f2a
python -m evaluator results export cells.csv
python -m evaluator results clean --partial --older-than 30          a preview; --yes removes
"""

from __future__ import annotations

import argparse

from evaluator.cli.parsing import add_action
from evaluator.cli.tracks import TRACKS
from evaluator.places import RESULTS, given_path
from evaluator.text import one_line, say
from evaluator.words import counted


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``results`` to the command line."""
    verb = subparsers.add_parser(
        "results",
        help="list, show, export and clean what is stored",
        description=__doc__,
    )
    actions = verb.add_subparsers(dest="action", required=True)
    listed = add_action(actions, "list", "what is stored, with sizes and dates", "--out")
    show = add_action(actions, "show", "one cell: its spec, figures and verdict", "--out")
    show.add_argument("cell", help="the beginning of its hash, e.g. from results list")
    export = add_action(
        actions, "export", "a table with a row per cell (and submission that it belongs to) and all metrics", path_option="--out"
    )
    export.add_argument("file", type=given_path, help="ends in .csv or .parquet (which needs pyarrow)")
    clean = add_action(actions, "clean", "remove what is no longer needed; without --yes only a preview", "--out")
    clean.add_argument("--partial", action="store_true", help="states of unfinished trainings (up to 200 MB each)")
    clean.add_argument("--failed", action="store_true", help="cells without a score")
    clean.add_argument("--damaged", action="store_true", help="files that were moved aside because they are damaged")
    clean.add_argument("--replaced", action="store_true", help="cells that were replaced by cells of other library versions")
    clean.add_argument("--older-than", type=float, metavar="DAYS", help="everything that has not changed for DAYS days")
    clean.add_argument("--yes", action="store_true", help="remove the files; without it nothing is removed")
    for action in (listed, show, export, clean):
        action.add_argument("--out", type=given_path, default=RESULTS, metavar="DIR", help="results folder (default: results/)")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0, or 1 if something could not be removed."""
    return {"list": _list, "show": _show, "export": _export, "clean": _clean}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    from evaluator.history.entries import read_entries
    from evaluator.history.inventory import inventory
    from evaluator.history.reading import require_results
    from evaluator.report.console import terminal
    from evaluator.report.stored import show_inventory

    require_results(args.out)
    things, index = inventory(args.out, TRACKS)
    entries, damaged = read_entries(args.out)
    show_inventory(terminal(), things, index, entries)
    for line in damaged:
        say(f"warning: {line}; it is not used")
    return 0


def _show(args: argparse.Namespace) -> int:
    from evaluator.errors import ConfigurationError
    from evaluator.history.entries import read_entries
    from evaluator.history.reading import read_cells
    from evaluator.report.console import terminal
    from evaluator.report.stored import show_cell

    matching = [(p, cell, why) for p, cell, why in read_cells(args.out, TRACKS) if p.name.startswith(args.cell)]
    if len(matching) != 1:
        seen = f"{counted(len(matching), 'cell')} in {args.out} have" if matching else f"no cell in {args.out} has"
        raise ConfigurationError(
            f"results show {args.cell!r}: {seen} a hash that begins so; give the beginning of one hash, e.g. from `results list`"
        )
    path, cell, why = matching[0]
    if cell is None:
        raise ConfigurationError(f"{path} {why}")
    track = TRACKS.of(cell["spec"])
    assert track is not None  # read_cells gives cells of known tracks only
    show_cell(terminal(), cell, track, read_entries(args.out)[0])
    return 0


def _export(args: argparse.Namespace) -> int:
    from evaluator.history.export import rows, write_table

    table, damaged = rows(args.out, TRACKS)
    for line in damaged:
        say(f"warning: {line}; it is not in the table")
    print(one_line(f"{counted(write_table(args.file, table), 'row')}: {args.file}", 5_000))
    return 0


def _clean(args: argparse.Namespace) -> int:
    import time

    from evaluator.files import unheld
    from evaluator.history.inventory import Choice, Removed, amount, inventory, remove, select
    from evaluator.report.console import terminal
    from evaluator.report.stored import show_things

    choice = Choice(args.partial, args.failed, args.damaged, args.replaced, args.older_than)
    console = terminal()
    removed = Removed()
    # Locked until everything is removed: an evaluation that starts meanwhile waits.
    with unheld(args.out.resolve()) as idle:
        things, _ = inventory(args.out, TRACKS, only_ours=True)
        found = select(things, choice, time.time(), idle=idle)
        show_things(console, found.chosen)
        if args.yes:
            removed = remove(args.out, found.chosen)
    for line in removed.failed:
        say(f"warning: {line}")
    if found.in_use:
        why = f"an evaluation is running on {args.out}, or its file system has no locks"
        using = counted(len(found.in_use), "more file or run is in use", "more files and runs are in use")
        say(f"warning: {using}: {why}. What is in use stays; run the same command when the evaluation has ended")
    if found.foreign:
        others = counted(found.foreign, "file or folder in it was", "files and folders in it were")
        links = "is a link; it stays" if found.foreign == 1 else "are links; they stay"
        console.print(f"{others} not made by the kit, or {links}.")
    if not args.yes:
        console.print(
            f"{counted(len(found.chosen), 'file')} would be removed, {amount(sum(thing.size for thing in found.chosen))}; nothing "
            "was removed. Add --yes to the same command to remove what it lists."
        )
        return 0
    stayed = f", {len(removed.failed)} could not be" if removed.failed else ""
    console.print(f"{counted(removed.things, 'file')} removed, {amount(removed.size)}{stayed}.")
    return 1 if removed.failed else 0
