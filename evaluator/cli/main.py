"""The command line ``python -m evaluator``. Every verb has a module of its own; this module collects them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from evaluator import __version__
from evaluator.cli.ending import status_of
from evaluator.cli.parsing import Parser, below, take_negative
from evaluator.cli.tracks import DEFAULT, chosen
from evaluator.track import Track

OF_A_TRACK = ("sweep", "export")
"""Verbs whose options depend on the track."""


def verbs() -> dict[str, ModuleType]:
    """The module of every verb, by its name."""
    from evaluator.cli import (
        audit,
        cleaning,
        compare,
        curation,
        data,
        doctor,
        export,
        image,
        judge,
        package,
        panel,
        replay,
        report,
        results,
        round,
        submit,
        sweep,
        validate,
        weights,
    )

    modules = (
        validate,
        package,
        submit,
        image,
        data,
        weights,
        replay,
        panel,
        sweep,
        compare,
        report,
        results,
        cleaning,
        audit,
        curation,
        round,
        judge,
        export,
        doctor,
    )
    return {module.__name__.rpartition(".")[2]: module for module in modules}


def build_parser(track: Track = DEFAULT) -> argparse.ArgumentParser:
    """The parser with every verb. ``track``: whose options the verbs ``OF_A_TRACK`` take."""
    parser: argparse.ArgumentParser = Parser(
        prog="python -m evaluator",
        description="Data-centric AI competition kit and evaluator. VERB --help lists the options of a verb.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module in verbs().items():
        if name in OF_A_TRACK:
            module.register(subparsers, track)
        else:
            module.register(subparsers)
    for command in below(parser):
        take_negative(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        The exit status: 0 done, 1 a training failed, 2 something the user can mend (both said on stderr), 130 interrupted.
    """
    words = sys.argv[1:] if argv is None else list(argv)

    def run() -> int:  # importing the verbs takes a moment, in which Ctrl-C may come, too
        args = build_parser(chosen(words[1:], files=True) if words[:1] and words[0] in OF_A_TRACK else DEFAULT).parse_args(words)
        return verbs()[args.verb].main(args)

    return status_of(run)
