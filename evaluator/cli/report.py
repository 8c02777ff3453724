"""Write the report of a run again, from stored files alone: report.html, one page without a script or a network.

python -m evaluator report results/20261126-141337-mine
python -m evaluator report results/20261126-141337-mine --no-pictures --out mine.html
"""

from __future__ import annotations

import argparse

from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError
from evaluator.history.layout import REPORT
from evaluator.places import CACHE_HELP, data_place, given_path
from evaluator.text import one_line, say
from evaluator.words import ending


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``report`` to the command line."""
    verb = subparsers.add_parser(
        "report",
        help="write the report of a run again, from stored files",
        description=__doc__,
    )
    verb.add_argument("run", type=given_path, metavar="RUN", help="folder of the run")
    verb.add_argument("--out", type=given_path, metavar="FILE.html", help=f"the page (default: {REPORT} in the folder of the run)")
    verb.add_argument(
        "--data", type=given_path, metavar="DIR", help="folder of the splits (default: that of the profile, in data/)"
    )
    verb.add_argument("--cache", type=given_path, metavar="DIR", help=CACHE_HELP)
    verb.add_argument("--secret", type=given_path, metavar="FILE", help="file of the secret (default: that of the results folder)")
    verb.add_argument("--no-pictures", action="store_true", help="show no single images and no labels of them")
    verb.add_argument(
        "--map",
        choices=("pca", "tsne"),
        default="pca",
        help="how the map of the images is made; tsne needs openTSNE (default: pca)",
    )


def main(args: argparse.Namespace) -> int:
    """Run the verb. Returns 0, or 1 if the page lacks something that was asked for and cannot be read."""
    from evaluator.report.html.run import run_report
    from evaluator.report.page import write_page

    if args.out is not None and args.out.suffix.lower() not in (".html", ".htm"):
        raise ConfigurationError(f"--out {args.out} {ending(args.out.name)}; the page is HTML. Name a file that ends in .html")
    if args.data is not None and not args.data.is_dir():
        raise ConfigurationError(f"--data {args.data} is no folder; name the folder of the splits, or leave the option out")
    pictures = not args.no_pictures
    how = {"folder": args.data, "secret": args.secret, "projection": args.map, "places": data_place(args.cache)}
    lacking: list[str] = []
    text = run_report(args.run, TRACKS, pictures=pictures, warn=lacking.append, **how)
    path = args.out or (args.run if args.run.is_dir() else args.run.parent) / REPORT
    write_page(path, text)
    for what in lacking:
        say(f"warning: {what}")
    if lacking:
        say("warning: the page is written without them. The command at its end runs again what is missing, and nothing else")
    print(one_line(f"report: {path}", 5_000))
    return 1 if lacking else 0
