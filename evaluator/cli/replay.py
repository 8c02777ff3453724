"""Train on a stored ledger again, with the same pipeline, another pipeline, or the panel."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from evaluator.places import CACHE_HELP, given_path
from evaluator.report.console import hanging, terminal
from evaluator.report.live import doing
from evaluator.text import json_text
from evaluator.track import Progress


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``replay`` to the command line."""
    verb = subparsers.add_parser(
        "replay", help="train on a stored ledger again, with any pipeline, and score it", description=__doc__
    )
    verb.add_argument("cell", type=given_path, help="a result file, results/cells/<hash>.json")
    which = verb.add_mutually_exclusive_group()
    which.add_argument("--pipeline", metavar="NAME|FILE", help="a pipeline of the kit, or a .toml (default: the cell's own)")
    which.add_argument("--panel", action="store_true", help="all five pipelines of the panel")
    verb.add_argument("--data", type=given_path, help="data folder (default: the profile's)")
    verb.add_argument("--cache", type=given_path, metavar="DIR", help=CACHE_HELP)
    verb.add_argument("--secret", type=given_path, metavar="FILE", help="file of the cell's secret (default: its results folder's)")
    verb.add_argument("--device", help="cpu, cuda or auto (default: the cell's own)")
    verb.add_argument("--json", action="store_true", help="print the figures as JSON, a list for the panel")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0, or 1 if a training failed or the cell's own pipeline did not give the stored result to the bit."""
    from evaluator.purchase.replay import Replay, read_replay
    from evaluator.training import recipes

    with doing(terminal(stderr=True), "reading the data"):
        stored: Replay = read_replay(args.cell, args.data, args.device, args.secret, args.cache)
    names = recipes.PANEL if args.panel else () if args.pipeline is None else (args.pipeline,)
    rows = []
    console = terminal()
    for pipeline in stored.pipelines(names):
        with doing(terminal(stderr=True), f"{pipeline.name}: training") as moved:
            row = stored.run(pipeline, _shown(moved, pipeline.name))
        rows.append(row)
        if not args.json:
            for text in stored.line(row).split("\n"):
                hanging(console, text)
    if args.json:
        print(json_text(rows if args.panel else rows[0]))
    return 1 if any(row["failed"] or (row["own"] and not row["same"]) for row in rows) else 0


def _shown(moved: Callable[..., None], name: str) -> Progress:
    return lambda what, share: moved(share, 1, f"{name}: {what}")
