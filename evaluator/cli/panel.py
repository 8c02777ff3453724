"""How well the pipelines agree on the ranking of the stored submissions."""

from __future__ import annotations

import argparse

from evaluator.cli.tracks import TRACKS, named, profile_name
from evaluator.places import RESULTS, given_path
from evaluator.text import json_text


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``panel`` to the command line."""
    verb = subparsers.add_parser("panel", help="rank agreement of pipelines over stored submissions", description=__doc__)
    verb.add_argument("results", type=given_path, nargs="?", default=RESULTS, help="folder of results (default: results/)")
    verb.add_argument("--track", metavar="NAME", help="only cells of this track")
    verb.add_argument("--profile", type=profile_name, metavar="NAME|FILE", help="only cells of this profile")
    verb.add_argument("--seed", type=int, default=2022, metavar="N", help="root of the draws for intervals (default: %(default)s)")
    verb.add_argument("--json", action="store_true", help="print the figures as JSON")


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0."""
    from evaluator.errors import ConfigurationError
    from evaluator.history.comparable import gather
    from evaluator.report.agreement import agreement_report, show_agreement
    from evaluator.report.console import terminal

    if args.seed < 0:
        raise ConfigurationError(f"--seed is {args.seed}; it must be 0 or more")
    only = None if args.track is None else named(args.track).name
    gathered = gather(args.results, TRACKS, args.profile, only)
    report = agreement_report(gathered, args.seed)
    if args.json:
        print(json_text(report, indent=1))
    else:
        track = TRACKS.known[gathered.rules["track"]]
        show_agreement(terminal(), report, track.metric(gathered.metric), track.task_word)
    return 0
