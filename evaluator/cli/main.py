"""The command line ``python -m evaluator``. Every verb has a module of its own; this module collects them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from types import ModuleType

from evaluator import __version__
from evaluator.cli.parsing import take_negative
from evaluator.cli.tracks import DEFAULT, chosen
from evaluator.errors import DeviceError, KitError, TrainingError
from evaluator.text import say
from evaluator.track import Track


def verbs() -> dict[str, ModuleType]:
    """The module of every verb, by its name."""
    from evaluator.cli import compare, data, doctor, panel, replay, report, results, sweep, weights

    modules = (data, weights, replay, panel, sweep, compare, report, results, doctor)
    return {module.__name__.rpartition(".")[2]: module for module in modules}


def build_parser(track: Track = DEFAULT) -> argparse.ArgumentParser:
    """The parser with every verb. ``track``: whose options the verb ``sweep`` takes."""
    parser = argparse.ArgumentParser(prog="python -m evaluator", description="Data-centric AI competition kit and evaluator.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module in verbs().items():
        if name == "sweep":
            module.register(subparsers, track)
        else:
            module.register(subparsers)
    for verb in subparsers.choices.values():
        take_negative(verb)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb.

    Returns:
        The exit status: 0 done, 1 a training failed, 2 something the user can mend (both said on stderr), 130 interrupted.
    """
    try:
        # Importing the verbs takes a moment, in which Ctrl-C may come, too.
        words = sys.argv[1:] if argv is None else argv
        args = build_parser(chosen(words[1:], files=True) if words[:1] == ["sweep"] else DEFAULT).parse_args(argv)
        return verbs()[args.verb].main(args)
    except KitError as error:
        say(f"error: {error}")
        return 2
    except (TrainingError, DeviceError) as error:
        say(f"error: the training failed: {error}")
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
