"""The open division of the cleaning track: rankings as files, in the folders and by the steps of DataPerf.

python -m evaluator cleaning run --folder cleaning                    all four steps on the embedded tasks
python -m evaluator cleaning download --folder cleaning               write the embedded tasks in DataPerf's layout
python -m evaluator cleaning create-baselines --folder cleaning       rank them by every baseline
python -m evaluator cleaning evaluate --folder cleaning               score the rankings
python -m evaluator cleaning plot --folder cleaning                   draw the curves, and score against time
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator.cli.parsing import add_action
from evaluator.places import given_path
from evaluator.text import one_line, say

if TYPE_CHECKING:
    from evaluator.cleaning.offline import Folders

ROOT_SEED = 2022


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``cleaning`` to the command line."""
    verb = subparsers.add_parser(
        "cleaning",
        help="rankings as files: make tasks, rank them, score and plot the rankings",
        description=__doc__,
    )
    actions = verb.add_subparsers(dest="action", required=True)
    every = {
        "download": add_action(actions, "download", "write the embedded tasks in DataPerf's layout", "--folder"),
        "create-baselines": add_action(actions, "create-baselines", "rank every task by every baseline", "--folder"),
        "evaluate": add_action(actions, "evaluate", "score the rankings of a folder", "--folder"),
        "plot": add_action(actions, "plot", "draw the curves of every task, and score against time", "--folder"),
        "run": add_action(actions, "run", "all four steps, one after the other", "--folder"),
    }
    for name, action in every.items():
        places = action.add_argument_group("folders")
        places.add_argument(
            "--folder", type=given_path, default=Path("cleaning"), metavar="DIR", help="holds the others (default: cleaning)"
        )
        for option, below in (
            ("embeddings", "embeddings"),
            ("groundtruth", "data"),
            ("submissions", "submissions"),
            ("results", "results"),
        ):
            places.add_argument(f"--{option}", type=given_path, metavar="DIR", help=f"default: {below} in --folder")
        if name != "plot":
            action.add_argument("--tasks", nargs="+", action="extend", metavar="TASK", help="default: all")
        if name in ("download", "create-baselines", "run", "evaluate"):
            action.add_argument(
                "--root-seed", type=int, default=ROOT_SEED, metavar="N", help=f"draws follow from it (default: {ROOT_SEED})"
            )
        if name in ("create-baselines", "run"):
            action.add_argument("--methods", nargs="+", action="extend", metavar="NAME", help="default: all that can run here")
            action.add_argument(
                "--seconds", type=float, default=60.0, help="that a method may take, if it looks at it (default: 60)"
            )
        if name in ("evaluate", "run"):
            action.add_argument("--scoring", choices=("strict", "dataperf"), default="strict", help="default: strict")
            action.add_argument("--seeds", type=int, default=5, metavar="N", help="strict: starts of the model (default: 5)")
            action.add_argument(
                "--action", dest="expert", choices=("fix", "remove"), default="fix", help="strict: what is done with a wrong label"
            )
            action.add_argument(
                "--recipe", default="linear", metavar="NAME", help="strict: linear, coarse or exact (default: linear)"
            )
            action.add_argument(
                "--exact", action="store_true", help="dataperf: train in the original's order of operations, three times as slow"
            )
            action.add_argument("--processes", type=int, metavar="N", help="trainings at a time (default: the cores)")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0, or 1 if a file was refused."""
    steps = {"download": _download, "create-baselines": _create, "evaluate": _evaluate, "plot": _plot}
    if args.action != "run":
        return steps[args.action](args)
    return max(step(args) for step in steps.values())


def _folders(args: argparse.Namespace) -> Folders:
    from evaluator.cleaning.offline import Folders

    below = Folders.below(args.folder)
    return Folders(
        args.embeddings or below.embeddings,
        args.groundtruth or below.groundtruth,
        args.submissions or below.submissions,
        args.results or below.results,
    )


def _download(args: argparse.Namespace) -> int:
    from evaluator.cleaning.offline import write_tasks
    from evaluator.cleaning.rules import DIGITS

    folders = _folders(args)
    sizes = (DIGITS.train, DIGITS.validation, DIGITS.test)
    write_tasks(args.tasks or DIGITS.tasks, folders, args.root_seed, sizes, _said)
    _said(f"tasks: {folders.embeddings} and {folders.groundtruth}")
    return 0


def _create(args: argparse.Namespace) -> int:
    from evaluator.cleaning.offline import create_baselines

    folders = _folders(args)
    written = create_baselines(folders, args.tasks or (), args.methods or (), args.root_seed, args.seconds, _said)
    _said(f"{written} rankings: {folders.submissions}")
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from evaluator.cleaning.open_division import evaluate_original_cells, evaluate_strict_cells
    from evaluator.cleaning.rules import recipe_named
    from evaluator.cleaning.shown import show_methods
    from evaluator.errors import ConfigurationError
    from evaluator.machine import cores
    from evaluator.report.console import terminal

    folders, processes = _folders(args), args.processes or cores()
    if args.seeds < 1 or processes < 1:
        raise ConfigurationError(f"--seeds is {args.seeds}, --processes {processes}; expected 1 or more")
    recipe_named(args.recipe)
    if args.scoring == "dataperf":
        found, refused = evaluate_original_cells(folders, args.tasks or (), exact=args.exact, processes=processes, said=_said)
    else:
        found, refused = evaluate_strict_cells(
            folders,
            args.tasks or (),
            seeds=args.seeds,
            root=args.root_seed,
            recipe=args.recipe,
            action=args.expert,
            processes=processes,
            said=_said,
        )
    show_methods(terminal(), found, args.scoring)
    for file in refused:
        say(f"refused: {file.why}")
    _said(f"results: {folders.results}")
    return 1 if refused else 0


def _plot(args: argparse.Namespace) -> int:
    from evaluator.cleaning.plots import plot_results
    from evaluator.cli.tracks import TRACKS

    for path in plot_results(_folders(args), TRACKS):
        _said(f"picture: {path}")
    return 0


def _said(text: str) -> None:
    print(one_line(text, 5_000), flush=True)
