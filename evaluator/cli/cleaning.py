"""The open division of the cleaning track: rankings as files, in the folders and by the steps of DataPerf.

python -m evaluator cleaning run --folder cleaning                    all four steps on the embedded tasks
python -m evaluator cleaning download --folder cleaning               write the embedded tasks in DataPerf's layout
python -m evaluator cleaning create-baselines --folder cleaning       rank them by every baseline
python -m evaluator cleaning evaluate --folder cleaning               score rankings and tables of edits
python -m evaluator cleaning plot --folder cleaning                   draw the curves, and score against time
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator.cli.parsing import add_action
from evaluator.places import CACHE_HELP, given_path
from evaluator.text import one_line, say
from evaluator.words import counted

if TYPE_CHECKING:
    from evaluator.cleaning.offline import Folders
    from evaluator.cleaning.open_division import Asked, Opened
    from evaluator.cleaning.rankings import Refused

ROOT_SEED = 2022
INTERRUPTED = 130
"""Exit status after Ctrl-C."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``cleaning`` to the command line."""
    verb = subparsers.add_parser(
        "cleaning",
        help="rankings as files: make tasks, rank them, score and plot the rankings",
        description=__doc__,
    )
    actions = verb.add_subparsers(dest="action", required=True, metavar="STEP")
    every = {
        "download": add_action(actions, "download", "write tasks in DataPerf's layout", "--folder"),
        # The original's name of this step, by which MLCube starts it, has a low line.
        "create-baselines": add_action(
            actions, "create-baselines", "rank every task by every baseline", "--folder", ["create_baselines"]
        ),
        "evaluate": add_action(actions, "evaluate", "score the rankings and tables of edits of a folder", "--folder"),
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
        if name in ("download", "run"):
            action.add_argument("--profile", default="digits", metavar="NAME", help="whose tasks are written (default: digits)")
            action.add_argument("--data", type=given_path, metavar="PATH", help="what a profile without tasks of its own reads")
            action.add_argument("--cache", type=given_path, metavar="DIR", help=CACHE_HELP)
        action.add_argument("--tasks", nargs="+", action="extend", metavar="TASK", help="default: all")
        if name != "plot":
            action.add_argument("--root-seed", type=int, metavar="N", help=f"draws follow from it (default: {ROOT_SEED})")
        if name in ("create-baselines", "run"):
            action.add_argument("--methods", nargs="+", action="extend", metavar="NAME", help="default: all that can run here")
            action.add_argument(
                "--seconds", type=float, default=60.0, metavar="S", help="that a method may take, if it looks at it (default: 60)"
            )
        if name in ("evaluate", "run"):
            action.add_argument("--scoring", choices=("strict", "dataperf"), default="strict", help="default: strict")
            action.add_argument("--seeds", type=int, metavar="N", help="strict: starts of the model (default: 5)")
            action.add_argument(
                "--action",
                dest="expert",
                nargs="+",
                choices=("fix", "remove"),
                help="strict: what is done with a wrong label; of both, each has tables of its own (default: fix)",
            )
            action.add_argument(
                "--pipelines",
                "--recipe",
                nargs="+",
                action="extend",
                metavar="NAME",
                help="strict: linear, coarse, exact, original_start or votes; of several, each has tables of its own "
                "(default: linear; votes where nobody knows some labels)",
            )
            action.add_argument(
                "--exact", action="store_true", help="dataperf: train in the original's order of operations, three times as slow"
            )
            action.add_argument("--processes", type=int, metavar="N", help="trainings at a time (default: the cores)")


def main(args: argparse.Namespace) -> int:
    """Run the verb.

    Returns:
        0 if everything was judged; 1 if a file or a task was not, which is said; 130 after Ctrl-C.
    """
    args.action = args.action.replace("_", "-")
    if args.action in ("evaluate", "run"):
        _asked(args)  # what is wrong with the options is said before anything is written
    try:
        return _steps(args)
    except OSError as error:
        from evaluator.errors import ConfigurationError

        what = f"{error.filename or args.folder}: it cannot be read or written ({error.strerror or error})"
        raise ConfigurationError(f"{what}; expected a place to write to. Name another with --folder") from None


def _steps(args: argparse.Namespace) -> int:
    steps = {"download": _download, "create-baselines": _create, "evaluate": _evaluate, "plot": _plot}
    if args.action != "run":
        return steps[args.action](args)
    from evaluator.cleaning.plots import can_plot

    status = 0
    for name, step in steps.items():
        if name == "plot" and not can_plot():
            say("warning: no pictures: matplotlib is not installed (requirements-cleaning.txt); the report has the same curves")
            break
        status = max(status, step(args))
        if status == INTERRUPTED:
            break
    return status


def _folders(args: argparse.Namespace) -> Folders:
    from evaluator.cleaning.offline import Folders

    below = Folders.below(args.folder)
    return Folders(
        args.embeddings or below.embeddings,
        args.groundtruth or below.groundtruth,
        args.submissions or below.submissions,
        args.results or below.results,
    )


def _root(args: argparse.Namespace) -> int:
    from evaluator.errors import ConfigurationError

    if args.root_seed is not None and args.root_seed < 0:
        raise ConfigurationError(f"--root-seed is {args.root_seed}; it must be 0 or more")
    return ROOT_SEED if args.root_seed is None else int(args.root_seed)


def _asked(args: argparse.Namespace) -> Asked:
    from evaluator.cleaning.open_division import Asked
    from evaluator.errors import ConfigurationError

    if args.processes is not None and args.processes < 1:
        raise ConfigurationError(f"--processes is {args.processes}; expected 1 or more")
    if args.scoring == "dataperf" and args.action == "evaluate" and args.root_seed is not None:
        raise ConfigurationError("--root-seed: --scoring dataperf draws nothing. Leave it out, or use --scoring strict")
    return Asked.of(
        args.scoring,
        _root(args),
        tasks=args.tasks or (),
        seeds=args.seeds,
        recipes=args.pipelines,
        actions=args.expert,
        exact=args.exact,
    )


def _download(args: argparse.Namespace) -> int:
    from evaluator.cleaning.offline import write_tasks
    from evaluator.cleaning.rules import profile_named
    from evaluator.cleaning.sets import CleaningSets
    from evaluator.places import data_place

    folders = _folders(args)
    sets = CleaningSets.chosen(profile_named(args.profile), _root(args), args.data, data_place(args.cache) / ".cache")
    write_tasks(sets, args.tasks or (), folders, _said)
    _said(f"tasks: {folders.embeddings} and {folders.groundtruth}")
    return 0


def _create(args: argparse.Namespace) -> int:
    from evaluator.cleaning.offline import create_baselines

    folders = _folders(args)
    written, failed = create_baselines(folders, args.tasks or (), args.methods or (), _root(args), args.seconds, _said)
    _refused(failed, "failed")
    _said(f"{counted(written, 'ranking')}: {folders.submissions}")
    return 1 if failed else 0


def _evaluate(args: argparse.Namespace) -> int:
    from evaluator.cleaning.open_division import opened, score_as_original
    from evaluator.machine import cores

    folders, asked, processes = _folders(args), _asked(args), args.processes or cores()
    found = opened(folders, asked)
    for line in found.missing:
        say(f"warning: {line}")
    folders.results.mkdir(parents=True, exist_ok=True)
    if asked.scoring == "dataperf":
        score_as_original(found, folders, asked, processes, _said)
    status = _judge(folders, asked, found, processes)
    _refused(found.refused, "refused")
    _said(f"results: {folders.results}")
    return max(status, 1 if found.refused else 0)


def _judge(folders: Folders, asked: Asked, found: Opened, processes: int) -> int:
    """Judge the cells, show them, and write the page. Returns 0, 1 if a cell has no score, 130 after Ctrl-C."""
    from evaluator.cleaning.cells import FILE, CleaningResult
    from evaluator.cleaning.shown import show_methods
    from evaluator.report.console import terminal
    from evaluator.report.html.run import write_run_report
    from evaluator.report.sweep import show_sweep_result
    from evaluator.report.terminal import progress_line
    from evaluator.sweep.given import experiment_of, judge_given
    from evaluator.sweep.settings import Settings
    from evaluator.track import Tracks

    settings = Settings(
        tuple(source.path for source in found.sources),
        options={"tasks": asked.tasks or None, "action": asked.actions},
        profile=found.plan.rules.name,
        pipelines=tuple(recipe.name for recipe in found.plan.pipelines),
        seeds=asked.seeds,
        root_seed=asked.root,
        public_seeds=True,
        sandbox=FILE,
        device="cpu",
        workers=processes,
        out=folders.results,
    )
    experiment = experiment_of(found.track, found.plan, found.sources, settings, FILE)
    console = terminal()
    with progress_line(console) as line:
        judged = judge_given(experiment, "cleaning", line)
    show_methods(console, [cell.result for cell in judged.cells if isinstance(cell.result, CleaningResult)], found.seconds)
    # Files that are refused are named by the caller, with tasks and files that have no cell.
    show_sweep_result(console, judged.summary | {"faults": ()}, found.track, root=str(folders.results))
    page = write_run_report(judged.folder, Tracks({found.track.name: found.track}), pictures=False)
    if page is not None:
        _said(f"report: {page}")
    if judged.interrupted:
        say("interrupted; what was judged is stored, and the same command goes on")
        return INTERRUPTED
    return 0 if all(cell["score"] is not None for cell in judged.summary["cells"]) else 1


def _plot(args: argparse.Namespace) -> int:
    from evaluator.cleaning.plots import plot_results
    from evaluator.cli.tracks import TRACKS

    for path in plot_results(_folders(args), TRACKS, args.tasks or ()):
        _said(f"picture: {path}")
    return 0


def _refused(files: Sequence[Refused], word: str) -> None:
    for file in files:
        say(f"{word}: {file.why}")


def _said(text: str) -> None:
    print(one_line(text, 5_000), flush=True)
