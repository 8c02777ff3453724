"""Evaluate a submission here, the way the round does: buy, train, score, over the round's pairs.

python local_evaluation.py                          my_submission, profile quick, all five pairs
python local_evaluation.py --pair 621:17 --seeds 3  one pair, three repetitions with intervals
python local_evaluation.py --submission path/to/mine.py --profile debug
python local_evaluation.py --panel                  five pipelines, each trained on the same purchases
python local_evaluation.py --debug                  the submission in the foreground: breakpoint() works; no score
"""

from __future__ import annotations

if __name__ == "__main__":  # first of all: the imports take a moment, in which Ctrl-C may come
    import sys

    if sys.path[:1] != [here := __file__.rpartition("/")[0] or "."]:  # python -P and -I leave this folder out
        sys.path.insert(0, here)
    from evaluator.interrupts import end_quietly, handled

    end_quietly()

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evaluator.cli.ending import status_of
from evaluator.cli.parsing import Parser, take_negative
from evaluator.cli.tracks import DEFAULT, add_option, add_splits, add_track, chosen, refused_answers
from evaluator.errors import ConfigurationError
from evaluator.places import RESULTS, ROOT, data_place, given_path
from evaluator.purchase.profiles import PROFILES
from evaluator.purchase.rounds import Pair
from evaluator.purchase.track import PURCHASE
from evaluator.text import json_text, one_line
from evaluator.track import Track, Tracks

if TYPE_CHECKING:
    from evaluator.sweep.experiment import Experiment

OPTIONS = (
    *("profile", "seeds", "first_seed", "root_seed", "weights_dir", "sandbox", "starting_weights", "device"),
    *("threads", "workers", "data", "cache", "out", "fresh", "mixed_versions", "secret", "public_seeds"),
)
"""Options that have the same meaning as those of ``python -m evaluator sweep``."""
SINGLE = {"pair": "pairs", "pipeline": "pipelines"}
"""Options that name a single value, and what a sweep calls them."""


def build_parser(track: Track = DEFAULT) -> argparse.ArgumentParser:
    """The options, in groups. ``track``: whose own options are among them; those of the purchase track have shorter forms here."""
    own = track is PURCHASE
    parser = Parser(
        usage="%(prog)s [option ...]",
        path_option="--submission",
        description=__doc__ if own else track.front_help,
        add_help=False,
    )
    what = parser.add_argument_group("what is judged")
    add_track(what, track)
    what.add_argument("--submission", type=given_path, default=ROOT / "my_submission", metavar="PATH", help="folder or .py file")
    what.add_argument("--label", metavar="TEXT", help="its name in tables (default: that of its folder)")
    if own:
        profiles = f"{', '.join(PROFILES)}, or a TOML file (default: quick)"
    else:
        profiles = f"default: {track.default_profile({name: option.default for name, option in track.options.items()})}"
    what.add_argument("--profile", metavar="NAME|FILE" if own else "NAME", help=profiles)
    if own:
        what.add_argument("--round", metavar="NAME|FILE", help="another round than the profile's (docs/files.md)")
        what.add_argument(
            "--pairs", choices=("profile", "public"), default="profile", help="those of the profile, or the round's public pairs"
        )
        what.add_argument(
            "--pair", action="append", default=[], metavar="L:M", help="labels:minutes in the round's units; repeatable"
        )
    word = track.task_word
    what.add_argument("--seeds", type=int, default=1, metavar="N", help=f"repetitions of every {word} (default: %(default)s)")
    what.add_argument(
        "--first-seed", type=int, default=0, metavar="N", help="number of the first repetition (default: %(default)s)"
    )
    what.add_argument(
        "--root-seed", type=int, default=2022, metavar="N", help="draws follow from it and the secret (default: %(default)s)"
    )
    seeds = what.add_mutually_exclusive_group()
    seeds.add_argument("--secret", type=given_path, metavar="FILE", help="file of a secret (default: that of the results folder)")
    seeds.add_argument(
        "--public-seeds",
        action="store_true",
        default=None,
        help="no secret: draws as in published figures",
    )
    rules = parser.add_argument_group("rules")
    if own:
        rules.add_argument("--label-quality", type=float, default=1.0, metavar="Q", help=track.options["label_quality"].help)
    for name, option in track.options.items():
        if not own or name in ("on_timeout", "restart_workers"):
            add_option(rules, name, option)
    rules.add_argument("--weights-dir", type=given_path, metavar="DIR", help="pretrained weights for the participant: TORCH_HOME")
    rules.add_argument(
        "--sandbox",
        choices=("auto", "bubblewrap", "docker", "landlock", "process"),
        default="auto",
        help="isolation tier (default: the strongest that works)",
    )
    training = parser.add_argument_group("training and score")
    which = training.add_mutually_exclusive_group()
    one = "name, or your own .toml (default: the profile's)" if own else "how answers are judged (default: the track's own)"
    which.add_argument("--pipeline", metavar="NAME|FILE" if own else "NAME", help=one)
    if own:
        which.add_argument("--panel", action="store_true", help="all five pipelines of the panel, on the same purchases")
    else:
        which.add_argument("--pipelines", nargs="+", action="extend", metavar="NAME", help="several, which judge the same answers")
    training.add_argument(
        "--starting-weights", choices=("imagenet", "procedural", "none"), help="of the pipelines (default: the profile's)"
    )
    training.add_argument("--device", default="auto", help="cpu, cuda or auto (default: %(default)s)")
    training.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads of one training (default: %(default)s)")
    training.add_argument("--workers", type=int, metavar="N", help="trainings at a time (default: cores / threads; GPU: 8)")
    add_splits(training, track, many=False)
    files = parser.add_argument_group("files and output")
    files.add_argument("--data", type=given_path, metavar="DIR", help=track.data_help)
    files.add_argument("--cache", type=given_path, metavar="DIR", help="made data and caches (default: data/; or DCK_CACHE)")
    files.add_argument("--out", type=given_path, default=RESULTS, metavar="DIR", help="results folder (default: results/)")
    files.add_argument("--fresh", action="store_true", help=f"repeat finished cells and {'purchases' if own else 'answers'}, too")
    files.add_argument("--mixed-versions", action="store_true", help="reuse stored cells of other library versions, too")
    shown = "pair" if own else "cell"
    files.add_argument("--debug", action="store_true", help=f"one {shown} in the foreground; no limits, no score")
    files.add_argument("--full-traceback", action="store_true", help="show all frames of a traceback, the kit's own, too")
    files.add_argument("--json", action="store_true", help="print result.json instead of the table")
    files.add_argument("--no-pictures", action="store_true", help=f"report.html without single {track.item_word}s and their labels")
    files.add_argument("-h", "--help", action="help", help="show this and exit")
    take_negative(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate one submission; internally a sweep with one submission.

    Returns:
        The exit status: 0 if the submission is fit to submit, 1 if it is not (a cell that failed, too), 2 if options or data are
        wrong, 130 if interrupted.
    """
    words = sys.argv[1:] if argv is None else list(argv)

    def run() -> int:
        track = chosen(words)
        args = build_parser(track).parse_args(words)
        try:
            return debug(args, track) if args.debug else evaluate(args, track)
        except ConfigurationError as error:
            raise ConfigurationError(as_given(str(error), args)) from error

    return status_of(run, "interrupted; finished cells and answers are stored and will be reused")


def as_given(text: str, args: argparse.Namespace) -> str:
    """A message of a sweep, with the options as they are called here, where they were given so."""
    for here, there in SINGLE.items():
        if getattr(args, here, None) and f"--{here} " not in text:  # a message on both options has both names
            text = re.sub(rf"(?<![\w-])--{there}(?![\w-])", f"--{here}", text)
    return text


def with_names(experiment: Experiment, args: argparse.Namespace) -> Experiment:
    """The experiment with warnings in which options are called as here."""
    return replace(experiment, plan=replace(experiment.plan, warnings=tuple(as_given(t, args) for t in experiment.plan.warnings)))


def sweep_options(args: argparse.Namespace, track: Track = DEFAULT) -> dict[str, Any]:
    """The arguments as options of a sweep of a track with one submission.

    Raises:
        ConfigurationError: options that contradict each other.
    """
    given = {name: getattr(args, name) for name in OPTIONS} | {"submissions": [args.submission]}
    if getattr(args, "score_split", None):
        given["score_split"] = [args.score_split]
    if args.label is not None:
        given["label"] = [args.label]
    if args.pipeline is not None:
        given["pipelines"] = [args.pipeline]
    if track is PURCHASE:
        return given | _purchase_options(args)
    if args.pipelines:
        given["pipelines"] = args.pipelines
    return given | {name: getattr(args, name) for name in track.options}


def _purchase_options(args: argparse.Namespace) -> dict[str, Any]:
    from evaluator.training.recipes import PANEL

    if args.pair and args.pairs != "profile":
        raise ConfigurationError("--pair and --pairs were both given; only one of them may be. Leave one out")
    pairs = [Pair.parse(text).name for text in args.pair]
    if len(set(pairs)) != len(pairs):
        raise ConfigurationError(f"--pair: a pair is given more than once: {', '.join(pairs)}; use --seeds to repeat")
    own: dict[str, Any] = {"pairs": pairs or [args.pairs], "label_quality": [args.label_quality]}
    own |= {name: getattr(args, name) for name in ("on_timeout", "restart_workers", "round")}
    return own | ({"pipelines": PANEL} if args.panel else {})


def debug(args: argparse.Namespace, track: Track = DEFAULT) -> int:
    """Run the submission in the foreground, without a score. Returns the exit status: 0 if nothing would make a run fail, else 1.

    Raises:
        KitError: options, data or the submission are wrong, or the track cannot do this.
    """
    from evaluator.report.console import terminal
    from evaluator.report.findings import show_findings
    from evaluator.report.terminal import progress_line, show_warnings
    from evaluator.sandbox.attached import AttachedSandbox
    from evaluator.sweep.debug import debug as run_debug
    from evaluator.sweep.experiment import prepare
    from evaluator.sweep.settings import read_settings

    if args.json:
        raise ConfigurationError("--json and --debug were both given; --debug writes no result. Leave one out")
    console = terminal()
    settings, _ = read_settings(sweep_options(args, track), track)
    refused_answers(track, settings.submissions)
    if track.source(settings.submissions[0]).answer:
        raise ConfigurationError(f"--debug: {settings.submissions[0]} is an answer, of which nothing runs. Leave --debug out")
    found = track.examined(settings.submissions[0], image=settings.sandbox == "docker", home=True)
    with progress_line(console) as line:
        reading = line.add_task("data", total=1)
        experiment = prepare(
            track,
            settings,
            lambda what, done, total: line.update(reading, description=what, completed=done, total=total or 1),
            sandbox=AttachedSandbox(full=args.full_traceback),
        )
    experiment = with_names(experiment, args)
    show_findings(terminal(stderr=True), found.found)
    show_warnings(experiment.plan.warnings)
    good = run_debug(experiment, console)
    return 0 if good and not found.errors else 1


def evaluate(args: argparse.Namespace, track: Track = DEFAULT) -> int:
    """Run the evaluation that the arguments ask for: experiment, run, table and files. Returns the exit status 0 or 1.

    What can be said of the submission by its files is said first, before data and torch are loaded; with an error nothing is run.
    """
    from evaluator.history.store import Store
    from evaluator.report.console import terminal
    from evaluator.report.findings import show_validation
    from evaluator.report.html.run import write_run_report
    from evaluator.report.terminal import progress_line, show_result, show_rows, show_warnings
    from evaluator.runner.cells import log_name
    from evaluator.submission.manifest import read_manifest
    from evaluator.sweep.experiment import prepare
    from evaluator.sweep.forecast import forecast
    from evaluator.sweep.progress import SweepLine, run_rows
    from evaluator.sweep.run import Outcome, run, stored_cells
    from evaluator.sweep.settings import read_settings
    from evaluator.sweep.summary import summarise

    console = terminal(stderr=args.json)
    settings, _ = read_settings(sweep_options(args, track), track)
    refused_answers(track, settings.submissions)
    found = track.examined(settings.submissions[0], image=settings.sandbox == "docker", home=True)
    if found.errors and not found.unread:  # what cannot be read is refused below, as in a sweep
        show_validation(terminal(stderr=True), found)
        return 1
    manifest = read_manifest(settings.submissions[0])
    store = Store(settings.out.absolute())
    with progress_line(console) as line:
        reading = line.add_task("data", total=1)
        experiment = prepare(
            track,
            settings,
            lambda what, done, total: line.update(reading, description=what, completed=done, total=total or 1),
        )
    experiment = with_names(experiment, args)
    for name, values in experiment.plan.conditions.items():
        if len(values) > 1:
            raise ConfigurationError(
                f"--{name.replace('_', '-')}: {len(values)} values; a run has one. Give one, or use `python -m evaluator sweep`"
            )
    source = experiment.sources[0]
    show_rows(console, run_rows(experiment, "" if manifest is None else manifest.line))
    doubts = [finding.line for finding in found.warnings]
    show_warnings([*doubts, *experiment.warnings])
    summary: dict[str, Any] = {}

    def finish(outcome: Outcome) -> None:
        cells = stored_cells(experiment, store, outcome)
        summary.update(summarise(experiment, cells, outcome.seconds, outcome.folder, log_name, doubts))
        store.write_run(outcome.folder, summary)
        results = [cell.result for cell in cells]
        for name, (header, rows) in track.tables(results, experiment.plan.data[experiment.splits[0]]).items():
            store.write_table(outcome.folder, name, header, rows)

    with progress_line(console) as line:
        shown = SweepLine(line, experiment, forecast(experiment, experiment.index()), log_name)
        outcome = run(experiment, store, source.name, finish, shown.moved, shown.finished, log=log_name, begun=shown.logged)
    if args.json:
        print(json_text(summary, indent=1))
    else:
        show_result(console, summary, track, full=args.full_traceback, root=str(settings.out))
        console.print(one_line(f"results: {outcome.folder}", 5_000), soft_wrap=True, highlight=False)
    data = experiment.plan.data[experiment.splits[0]]
    page = write_run_report(
        outcome.folder, Tracks({track.name: track}), pictures=not args.no_pictures, data=data, places=data_place(settings.cache)
    )
    if page is not None and not args.json:
        console.print(one_line(f"report: {page}", 5_000), soft_wrap=True, highlight=False)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return 0 if summary["verdict"] == "OK" and summary["fit_to_submit"] else 1


if __name__ == "__main__":
    sys.exit(handled(main()))
