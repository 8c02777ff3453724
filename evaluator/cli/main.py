"""The verbs of ``python -m evaluator``. One file per verb; this one only gathers them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from evaluator import __version__
from evaluator.errors import KitError


def build_parser() -> argparse.ArgumentParser:
    """The parser with every verb."""
    from evaluator.cli import compare, data, doctor, panel, replay, sweep, weights

    parser = argparse.ArgumentParser(prog="python -m evaluator", description="Data-centric AI competition kit and evaluator.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for module in (data, weights, replay, panel, sweep, compare, doctor):
        module.register(verbs)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        The exit status: 0 done, 2 something the user can mend (said on stderr), 130 interrupted.
    """
    from evaluator.cli import compare, data, doctor, panel, replay, sweep, weights

    args = build_parser().parse_args(argv)
    modules = (data, weights, replay, panel, sweep, compare, doctor)
    try:
        return {module.__name__.rpartition(".")[2]: module for module in modules}[args.verb].main(args)
    except KitError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
