"""``curation evaluate``: judge folders of images, tables of edits, and classes, and show them in one table."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import get_args

from evaluator.cli.curation.common import add_data, add_sandbox, said, secret_in, sets_in
from evaluator.cli.parsing import add_action
from evaluator.cli.tracks import refused_answers
from evaluator.places import RESULTS, given_path


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    from evaluator.curation.rules import Rank

    action = add_action(actions, "evaluate", "judge folders of images, tables of edits, and classes", "--data")
    action.add_argument(
        "submissions",
        nargs="*",
        type=given_path,
        metavar="SUBMISSION",
        help="a folder with train and val, a table of edits (.csv, .parquet), or a class (.py, or a folder with a run.py)",
    )
    add_data(action, rules=True)
    judged = action.add_argument_group("judging")
    judged.add_argument(
        "--references",
        nargs="*",
        default=["as_given"],
        choices=("as_given", "oracle"),
        help="judged beside: the data as given, and with true labels, where they are known (default: as_given)",
    )
    judged.add_argument(
        "--recipe", metavar="NAME|FILE", help="fixed, fixed-bf16, quick, linear, or a TOML file (default: the profile's)"
    )
    judged.add_argument("--panel", nargs="+", action="extend", metavar="NAME|FILE", help="several recipes that judge together")
    judged.add_argument("--panel-rank", choices=get_args(Rank), default="mean", help="which score of a panel ranks (default: mean)")
    judged.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings of every data set (default: 1)")
    judged.add_argument("--first-seed", type=int, default=0, metavar="N", help="number of the first (default: 0)")
    judged.add_argument("--workers", type=int, metavar="N", help="trainings at a time (default: the cores, or 8 on a CUDA device)")
    judged.add_argument("--device", default="cpu", metavar="NAME", help="of the trainings: auto, cpu or cuda (default: cpu)")
    add_sandbox(judged, "where classes run and files are decoded")
    judged.add_argument("--out", type=given_path, default=RESULTS, metavar="DIR", help="results folder (default: results/)")


def main(args: argparse.Namespace) -> int:
    """Judge. Returns 0, or 1 if a submission has no score."""
    from evaluator.curation.evaluation import evaluate, write_references
    from evaluator.curation.rules import Judges, chosen_recipe
    from evaluator.curation.shown import show_evaluated
    from evaluator.curation.track import CURATION
    from evaluator.errors import ConfigurationError
    from evaluator.machine import cores
    from evaluator.report.console import terminal
    from evaluator.report.terminal import progress_line
    from evaluator.runner.workers import TOGETHER
    from evaluator.sandbox.tiers import choose
    from evaluator.text import one_line
    from evaluator.training.device import resolve

    if args.seeds < 1 or args.first_seed < 0 or (args.workers or 1) < 1:
        raise ConfigurationError(
            f"--seeds is {args.seeds}, --first-seed {args.first_seed}, --workers {args.workers}; expected 1, 0 and 1 or more"
        )
    if args.recipe and args.panel:
        raise ConfigurationError("--recipe and --panel were both given; a panel judges alone. Leave one out")
    refused_answers(CURATION, args.submissions, "Judge it with `python -m evaluator sweep --track {track}`")
    if not args.submissions and not args.references:
        raise ConfigurationError("there is nothing to judge; name a submission, or --references as_given")
    device = str(resolve(args.device))
    console, sets = terminal(), sets_in(args)
    judges = (
        Judges.panel(args.panel, args.panel_rank) if args.panel else Judges.of(chosen_recipe(args.recipe or sets.profile.pipeline))
    )
    with tempfile.TemporaryDirectory() as folder:
        references = write_references(list(dict.fromkeys(args.references)), sets, Path(folder))
        with progress_line(console) as line:
            work = line.add_task("judging", total=1.0)
            found = evaluate(
                [*args.submissions, *references],
                sets,
                judges,
                seeds=range(args.first_seed, args.first_seed + args.seeds),
                root_seed=args.root_seed,
                secret=secret_in(args),
                out=args.out,
                sandbox=lambda: choose(args.sandbox),
                workers=args.workers or (TOGETHER if device.startswith("cuda") else cores()),
                device=device,
                finished=lambda text: console.print(one_line(text, 5_000), highlight=False, markup=False, soft_wrap=True),
                moved=lambda what, share: line.update(work, description=what, completed=share),
            )
    show_evaluated(console, found)
    said(f"results: {args.out}")
    return 0 if all(result.metrics is not None for entry in found for result in entry.results) else 1
