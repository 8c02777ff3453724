"""Are the labels of a benchmark right, and does the ranking of models survive without the wrong ones?

python -m evaluator audit rank --labels labels.csv --predictions a.csv b.csv --corrections fix.csv    the ranking in every view
python -m evaluator audit bounds --table published.json --images 50000 46322 35716                    what a published table allows
python -m evaluator audit demo                                                                        planted errors, and the truth
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evaluator.cli.audit_data import DATA_ACTIONS
from evaluator.cli.audit_planted import PLANTED_ACTIONS
from evaluator.cli.parsing import add_action, named_path
from evaluator.places import given_path
from evaluator.text import json_text, one_line, say

if TYPE_CHECKING:
    from evaluator.audit.request import BenchmarkFiles


@dataclass(frozen=True)
class Action:
    """A command below ``audit``: its line of help, what adds its options, and what runs it."""

    summary: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``audit`` to the command line."""
    verb = subparsers.add_parser("audit", help="check a benchmark's labels, and the ranking of models by them", description=__doc__)
    actions = verb.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, action in ACTIONS.items():
        action.options(add_action(actions, name, action.summary))


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns the exit status."""
    return ACTIONS[args.action].run(args)


def add_labels(action: argparse.ArgumentParser) -> None:
    """Add the options that say what the benchmark is; ``read_labels`` reads them."""
    files = action.add_argument_group("benchmark")
    files.add_argument(
        "--labels", type=given_path, required=True, metavar="FILE", help="labels as given: .csv, .parquet, .npz, .npy, or imagenet"
    )
    files.add_argument("--ids", type=given_path, metavar="FILE", help="ids of arrays that have none: a line each, .json or .npy")
    files.add_argument("--stems", action="store_true", help="ids are paths: only the file's name without its ending counts")
    files.add_argument(
        "--classes", metavar="N|FILE", help="number of classes, or a file with a name a line (default: from the labels)"
    )
    files.add_argument("--multi-label", action="store_true", help="an image may have any number of labels, none included")
    files.add_argument(
        "--metadata", type=given_path, nargs="+", action="extend", default=[], metavar="FILE", help="further columns, by id"
    )
    files.add_argument("--revision", default="", metavar="TEXT", help="of the benchmark; it is stored with every figure")


def _rank_options(action: argparse.ArgumentParser) -> None:
    add_labels(action)
    given = action.add_argument_group("models and corrections")
    given.add_argument(
        "--predictions",
        type=named_path,
        nargs="+",
        action="extend",
        required=True,
        metavar="[NAME=]FILE",
        help="of each model: classes, top-k or scores",
    )
    given.add_argument(
        "--corrections",
        type=named_path,
        nargs="+",
        action="extend",
        default=[],
        metavar="[NAME=]FILE",
        help="sources: corrections, label sets, answers",
    )
    given.add_argument(
        "--threshold", type=float, default=0.5, metavar="P", help="of scores, with --multi-label (default: %(default)s)"
    )
    given.add_argument(
        "--agree",
        type=float,
        default=0.5,
        metavar="P",
        help="raw answers: a label is right above this share of yes (default: %(default)s)",
    )
    views = action.add_argument_group("further views")
    views.add_argument(
        "--where", action="append", default=[], metavar="TEXT", help='images of a condition, e.g. "correction is none"'
    )
    views.add_argument(
        "--duplicates", type=given_path, metavar="FILE", help="ids of images that stand in the training set, a line each"
    )
    draws = action.add_argument_group("draws")
    draws.add_argument("--draws", type=int, default=2_000, metavar="N", help="of images (default: %(default)s)")
    draws.add_argument(
        "--control-draws", type=int, default=500, metavar="N", help="of each exclusion at random (default: %(default)s)"
    )
    draws.add_argument("--rater-draws", type=int, default=500, metavar="N", help="of raters and images (default: %(default)s)")
    draws.add_argument("--seed", type=int, default=0, metavar="N", help="root of all draws (default: %(default)s)")
    shown = action.add_argument_group("output")
    shown.add_argument("--json", action="store_true", help="print the figures as JSON, with every id behind a swap")
    shown.add_argument("--html", type=given_path, metavar="FILE", help="write a page with pictures of the figures")
    shown.add_argument("--images", type=given_path, metavar="DIR", help="the images, for the page: of each swap those that make it")


def benchmark_files(args: argparse.Namespace) -> BenchmarkFiles:
    """What the options of ``add_labels`` name."""
    from evaluator.audit.request import BenchmarkFiles

    return BenchmarkFiles(
        args.labels,
        args.ids,
        tuple(args.metadata),
        stems=args.stems,
        classes=args.classes or "",
        multi=args.multi_label,
        threshold=getattr(args, "threshold", 0.5),
        revision=args.revision,
    )


def _rank(args: argparse.Namespace) -> int:
    from evaluator.audit.page import audit_page
    from evaluator.audit.record import as_dict
    from evaluator.audit.request import Request
    from evaluator.audit.results import Settings
    from evaluator.audit.shown import show_audit
    from evaluator.errors import ConfigurationError
    from evaluator.report.console import terminal
    from evaluator.report.page import check_page, write_page

    check_page(args.html)
    if args.images is not None and args.html is None:
        raise ConfigurationError("--images is given without --html; expected both, since only a page shows images. Add --html FILE")
    request = Request(
        benchmark_files(args),
        args.predictions,
        args.corrections,
        agree=args.agree,
        where=args.where,
        duplicates=args.duplicates,
        settings=Settings(args.draws, args.control_draws, args.rater_draws, seed=args.seed),
    )
    found, digests = request.perform(lambda text: say(one_line(text)))
    if args.html:
        write_page(args.html, audit_page(found, args.images), "--html")
    if args.json:
        print(json_text(as_dict(found, digests), indent=1))
        return 0
    show_audit(terminal(), found)
    if args.html:
        print(f"page: {one_line(args.html, 2_000)}")
    return 0


def _bounds_options(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--table", type=given_path, required=True, metavar="FILE", help="JSON: an object from model to its accuracies"
    )
    action.add_argument(
        "--images", type=int, nargs="+", required=True, metavar="N", help="of each column of the table, the first is all"
    )
    action.add_argument("--json", action="store_true", help="print the figures as JSON")


def _bounds(args: argparse.Namespace) -> int:
    from evaluator.audit.published import analysed, as_dict, read_table, show_published
    from evaluator.report.console import terminal

    found = analysed(read_table(args.table), args.images)
    if args.json:
        print(json_text(as_dict(found), indent=1))
    else:
        show_published(terminal(), found)
    return 0


ACTIONS: Mapping[str, Action] = {
    "rank": Action("rank the models in every view of the labels, and say what is more than noise", _rank_options, _rank),
    "bounds": Action("say what a published table without predictions allows to conclude", _bounds_options, _bounds),
    **{name: Action(*parts) for name, parts in (*DATA_ACTIONS.items(), *PLANTED_ACTIONS.items())},
}
