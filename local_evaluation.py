"""Evaluate a submission here, the way the round does: buy, train, score, over the round's pairs.

python local_evaluation.py                          my_submission, profile quick, all five pairs
python local_evaluation.py --pair 621:17 --seeds 3  one pair, three repetitions with intervals
python local_evaluation.py --submission path/to/mine.py --profile debug
python local_evaluation.py --panel                  what was bought, judged by five pipelines
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from evaluator.data.layout import SPLITS
from evaluator.errors import ConfigurationError, KitError
from evaluator.purchase.profiles import PROFILES, Profile, profile_named
from evaluator.purchase.rounds import Pair

ROOT = Path(__file__).resolve().parent


def build_parser() -> argparse.ArgumentParser:
    """The options, in groups."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, add_help=False)
    what = parser.add_argument_group("what is judged")
    what.add_argument("--submission", type=Path, default=ROOT / "my_submission", metavar="PATH", help="folder or .py file")
    what.add_argument("--profile", default="quick", help=f"{', '.join(PROFILES)} (default: %(default)s)")
    what.add_argument(
        "--pairs", choices=("profile", "public"), default="profile", help="the profile's own, or the round's public ones"
    )
    what.add_argument("--pair", action="append", default=[], metavar="L:M", help="labels:minutes in the round's units; repeatable")
    what.add_argument("--seeds", type=int, default=1, metavar="N", help="repetitions of every pair (default: %(default)s)")
    what.add_argument("--root-seed", type=int, default=2022, metavar="N", help="every draw is split from it (default: %(default)s)")
    rules = parser.add_argument_group("rules")
    rules.add_argument(
        "--on-timeout", choices=("fail", "keep"), default="fail", help="keep: score what was bought before the limit"
    )
    rules.add_argument("--label-quality", type=float, default=1.0, metavar="Q", help="share of sold label entries that are right")
    rules.add_argument("--weights-dir", type=Path, metavar="DIR", help="pretrained weights for the participant, as TORCH_HOME")
    rules.add_argument(
        "--restart-workers", action="store_true", help="a fresh worker per phase, restored from the checkpoint hooks"
    )
    rules.add_argument(
        "--sandbox",
        choices=("auto", "bubblewrap", "docker", "process"),
        default="auto",
        help="isolation tier (default: auto, the strongest that works here)",
    )
    training = parser.add_argument_group("training and score")
    which = training.add_mutually_exclusive_group()
    which.add_argument("--pipeline", metavar="NAME|FILE", help="another pipeline than the profile's, or your own .toml")
    which.add_argument("--panel", action="store_true", help="all five pipelines of the panel, on the same purchases")
    training.add_argument(
        "--starting-weights", choices=("imagenet", "procedural", "none"), help="that pipelines have here (default: the profile's)"
    )
    training.add_argument("--device", default="auto", help="cpu, cuda or auto (default: %(default)s)")
    training.add_argument("--threads", type=int, metavar="N", help="CPU threads of the training (default: all, at most 4)")
    training.add_argument("--score-split", choices=SPLITS[2:4], help="default: validation, as in the round's own kit")
    files = parser.add_argument_group("files and output")
    files.add_argument("--data", type=Path, metavar="DIR", help="folder of the splits (default: data/ and the profile's)")
    files.add_argument("--out", type=Path, default=ROOT / "results", metavar="DIR", help="results folder (default: results/)")
    files.add_argument("--fresh", action="store_true", help="repeat what is finished already, purchases too")
    files.add_argument("--json", action="store_true", help="print result.json instead of the table")
    files.add_argument("-h", "--help", action="help", help="show this and exit")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Evaluate one submission.

    Returns:
        The exit status: 0 every cell was scored, 1 some cell failed, 2 the options or the data are wrong, 130 interrupted.
    """
    args = build_parser().parse_args(argv)
    try:
        return evaluate(args)
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; finished cells and purchases are kept and not made again", file=sys.stderr)
        return 130


def evaluate(args: argparse.Namespace) -> int:
    """Arguments -> evaluator -> table and files."""
    from rich.console import Console

    from evaluator.history.store import Store
    from evaluator.purchase.purchased import CellInputs
    from evaluator.purchase.sets import provide_data, read_sets
    from evaluator.purchase.spec import CellSpec
    from evaluator.report.terminal import progress_line, show_plan, show_result, show_warnings
    from evaluator.runner.cells import run_cells
    from evaluator.sandbox.tiers import choose
    from evaluator.submission.manifest import read_manifest
    from evaluator.submission.source import read_source
    from evaluator.sweep.plan import Plan, node_threads
    from evaluator.sweep.summary import purchase_rows, summarise
    from evaluator.training import recipes
    from evaluator.training.device import resolve

    console = Console(stderr=args.json)
    profile = profile_named(args.profile)
    asked = [recipes.load_pipeline(name) for name in (recipes.PANEL if args.panel else (args.pipeline or profile.pipeline,))]
    weights = args.starting_weights or profile.weights
    if args.pair and args.pairs != "profile":
        raise ConfigurationError("pairs were named by --pair and by --pairs; leave one of them out")
    if args.weights_dir is not None and not args.weights_dir.is_dir():
        raise ConfigurationError(f"--weights-dir {args.weights_dir} is not a folder")
    device = str(resolve(args.device))
    sandbox = choose(args.sandbox, gpu=device.startswith("cuda"))
    plan = Plan(
        source=read_source(args.submission),
        profile=profile,
        pairs=tuple(Pair.parse(text) for text in args.pair) or (profile.pairs if args.pairs == "profile" else profile.round.pairs),
        seeds=args.seeds,
        root_seed=args.root_seed,
        pipelines=tuple(recipes.fitted(pipeline, profile.image_size, weights) for pipeline in asked),
        tier=sandbox.name,
        device=device,
        threads=node_threads() if args.threads is None else args.threads,
        score_split=args.score_split or profile.round.score_split,
        label_quality=args.label_quality,
        on_timeout=args.on_timeout,
        restart=args.restart_workers,
        weights_dir=None if args.weights_dir is None else args.weights_dir.resolve(),
        asked=tuple(pipeline.name for pipeline in asked),
    )
    manifest = read_manifest(plan.source.path)
    store = Store(args.out.absolute())
    folder = (args.data or _default_data(profile)).absolute()
    started = time.perf_counter()
    with progress_line(console) as line:
        task = line.add_task("data", total=1)

        def step(what: str, done: int, total: int) -> None:
            line.update(task, description=what, completed=done, total=total or 1)

        if args.data is None:
            provide_data(profile, folder, step)
        sets = read_sets(profile, folder, score_split=plan.score_split, cache=ROOT / "data" / ".cache", step=step)
        line.remove_task(task)
    cells = plan.cells(sets)
    show_plan(console, plan, sets, "" if manifest is None else manifest.line)
    warnings = plan.warnings(sets)
    show_warnings(warnings)
    run = store.new_run(plan.source.name)
    inputs = CellInputs(plan.source.path, sets, sandbox, plan.weights_dir)
    finished = []
    try:
        with progress_line(console) as line:
            whole = line.add_task("cells", total=len(cells))

            def moved(spec: CellSpec, what: str, share: float) -> None:
                place = f"{spec.pair.name} seed {spec.seed}" + (f" {spec.pipeline.name}" if plan.panel else "")
                line.update(whole, description=f"{place}: {what}", completed=len(finished) + _share(what, share))

            for cell in run_cells(cells, lambda spec: inputs, store, run, fresh=args.fresh, progress=moved):
                finished.append(cell)
                line.update(whole, completed=len(finished))
    finally:
        # Also where a key ended the run: what is finished stands in the summary.
        summary = summarise(plan, finished, time.perf_counter() - started, warnings)
        store.write_run(run, summary)
        store.write_purchases(run, *purchase_rows(finished, sets.splits["unlabelled"].files, profile.round.classes))
    if args.json:
        print(json.dumps(summary, indent=1))
    else:
        show_result(console, summary)
        console.print(f"results: {run}", soft_wrap=True, highlight=False)
    return 0 if summary["verdict"] == "OK" else 1


def _default_data(profile: Profile) -> Path:
    return ROOT / "data" / profile.data_folder


def _share(what: str, share: float) -> float:
    # The training is about half of a cell; the phases before it share the other half.
    places = {
        "pre_training_phase": (0.0, 0.2),
        "purchase_phase": (0.2, 0.25),
        "prediction_phase": (0.45, 0.05),
        "training": (0.5, 0.5),
    }
    start, width = places.get(what, (0.0, 0.0))
    return start + width * share


if __name__ == "__main__":
    sys.exit(main())
