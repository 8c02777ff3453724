"""Evaluate a submission here, the way the round does: buy, train, score, over the round's pairs.

python local_evaluation.py                          my_submission, profile quick, all five pairs
python local_evaluation.py --pair 621:17 --seeds 3  one pair, three repetitions with intervals
python local_evaluation.py --submission path/to/mine.py --profile debug
python local_evaluation.py --panel                  five pipelines, each trained on the same purchases
"""

from __future__ import annotations

if __name__ == "__main__":  # first of all: the imports take a moment, in which Ctrl-C may come
    from evaluator.interrupts import end_quietly, handled

    end_quietly()

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from evaluator.cli.parsing import take_negative
from evaluator.data.layout import SCORED_SPLITS
from evaluator.errors import ConfigurationError, KitError
from evaluator.places import DATA, RESULTS, ROOT, given_path
from evaluator.purchase.profiles import PROFILES
from evaluator.purchase.rounds import Pair
from evaluator.text import json_text, one_line, say

OPTIONS = (
    *("profile", "seeds", "root_seed", "on_timeout", "restart_workers", "weights_dir", "sandbox", "starting_weights", "device"),
    *("threads", "workers", "data", "out", "fresh", "mixed_versions", "secret", "public_seeds"),
)
"""Options that have the same meaning as those of ``python -m evaluator sweep``."""


def build_parser() -> argparse.ArgumentParser:
    """The options, in groups."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [option ...]",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    what = parser.add_argument_group("what is judged")
    what.add_argument("--submission", type=given_path, default=ROOT / "my_submission", metavar="PATH", help="folder or .py file")
    what.add_argument("--profile", default="quick", help=f"{', '.join(PROFILES)} (default: %(default)s)")
    what.add_argument(
        "--pairs", choices=("profile", "public"), default="profile", help="those of the profile, or the public pairs of the round"
    )
    what.add_argument("--pair", action="append", default=[], metavar="L:M", help="labels:minutes in the round's units; repeatable")
    what.add_argument("--seeds", type=int, default=1, metavar="N", help="repetitions of every pair (default: %(default)s)")
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
    rules.add_argument("--on-timeout", choices=("fail", "keep"), default="fail", help="keep: score with the labels bought in time")
    rules.add_argument(
        "--label-quality", type=float, default=1.0, metavar="Q", help="share of the sold label entries that are right"
    )
    rules.add_argument("--weights-dir", type=given_path, metavar="DIR", help="pretrained weights for the participant: TORCH_HOME")
    rules.add_argument(
        "--restart-workers", action="store_true", help="a fresh worker per phase, restored from the checkpoint hooks"
    )
    rules.add_argument(
        "--sandbox",
        choices=("auto", "bubblewrap", "docker", "process"),
        default="auto",
        help="isolation tier (default: the strongest that works)",
    )
    training = parser.add_argument_group("training and score")
    which = training.add_mutually_exclusive_group()
    which.add_argument("--pipeline", metavar="NAME|FILE", help="name, or your own .toml (default: the profile's)")
    which.add_argument("--panel", action="store_true", help="all five pipelines of the panel, on the same purchases")
    training.add_argument(
        "--starting-weights", choices=("imagenet", "procedural", "none"), help="of the pipelines (default: the profile's)"
    )
    training.add_argument("--device", default="auto", help="cpu, cuda or auto (default: %(default)s)")
    training.add_argument("--threads", type=int, default=1, metavar="N", help="CPU threads of one training (default: %(default)s)")
    training.add_argument("--workers", type=int, metavar="N", help="trainings side by side (default: cores / threads)")
    training.add_argument("--score-split", choices=SCORED_SPLITS, help="default: validation, as in the round's own kit")
    files = parser.add_argument_group("files and output")
    files.add_argument("--data", type=given_path, metavar="DIR", help="folder of the splits (default: the profile's, below data/)")
    files.add_argument("--out", type=given_path, default=RESULTS, metavar="DIR", help="results folder (default: results/)")
    files.add_argument("--fresh", action="store_true", help="repeat finished cells and purchases, too")
    files.add_argument("--mixed-versions", action="store_true", help="reuse stored cells of other library versions, too")
    files.add_argument("--json", action="store_true", help="print result.json instead of the table")
    files.add_argument("-h", "--help", action="help", help="show this and exit")
    take_negative(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate one submission; internally a sweep with one submission.

    Returns:
        The exit status: 0 if every cell was scored, 1 if a cell failed, 2 if options or data are wrong, 130 if interrupted.
    """
    try:
        return evaluate(build_parser().parse_args(argv))
    except KitError as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished cells and purchases are stored and will be reused", file=sys.stderr)
        return 130


def sweep_options(args: argparse.Namespace) -> dict[str, Any]:
    """The arguments as options of a sweep with one submission.

    Raises:
        ConfigurationError: options that contradict each other.
    """
    from evaluator.training.recipes import PANEL

    if args.pair and args.pairs != "profile":
        raise ConfigurationError("--pair and --pairs were both given; only one of them may be. Leave one out")
    given = {name: getattr(args, name) for name in OPTIONS}
    pairs = [Pair.parse(text).name for text in args.pair]
    if len(set(pairs)) != len(pairs):
        raise ConfigurationError(f"--pair: a pair is given more than once: {', '.join(pairs)}; use --seeds to repeat")
    given |= {"submissions": [args.submission], "pairs": pairs or [args.pairs], "label_quality": [args.label_quality]}
    if args.panel or args.pipeline is not None:
        given["pipelines"] = PANEL if args.panel else [args.pipeline]
    if args.score_split:
        given["score_split"] = [args.score_split]
    return given


def evaluate(args: argparse.Namespace) -> int:
    """Run the evaluation that the arguments ask for: experiment, run, table and files. Returns the exit status 0 or 1."""
    from evaluator.history.store import Store
    from evaluator.purchase.track import PURCHASE
    from evaluator.report.console import terminal
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
    settings, _ = read_settings(sweep_options(args), PURCHASE)
    manifest = read_manifest(settings.submissions[0])
    store = Store(settings.out.absolute())
    with progress_line(console) as line:
        reading = line.add_task("data", total=1)
        experiment = prepare(
            PURCHASE,
            settings,
            lambda what, done, total: line.update(reading, description=what, completed=done, total=total or 1),
            DATA,
        )
    source = experiment.sources[0]
    show_rows(console, run_rows(experiment, "" if manifest is None else manifest.line))
    show_warnings(experiment.warnings)
    summary: dict[str, Any] = {}

    def finish(outcome: Outcome) -> None:
        cells = stored_cells(experiment, store, outcome)
        summary.update(summarise(experiment, cells, outcome.seconds))
        store.write_run(outcome.folder, summary)
        results = [cell.result for cell in cells]
        for name, (header, rows) in PURCHASE.tables(results, experiment.plan.data[experiment.splits[0]]).items():
            store.write_table(outcome.folder, name, header, rows)

    with progress_line(console) as line:
        shown = SweepLine(line, experiment, forecast(experiment, experiment.index()))
        outcome = run(experiment, store, source.name, finish, shown.moved, shown.finished, log=log_name)
    if args.json:
        print(json_text(summary, indent=1))
    else:
        show_result(console, summary, PURCHASE)
        console.print(one_line(f"results: {outcome.folder}", 5_000), soft_wrap=True, highlight=False)
    if outcome.interrupted:
        raise KeyboardInterrupt
    return 0 if summary["verdict"] == "OK" else 1


if __name__ == "__main__":
    sys.exit(handled(main()))
