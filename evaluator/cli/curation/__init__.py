"""The curation track: change the data, never the model. A submission is a folder of images, a table of edits, or a class.

python -m evaluator curation make --folder numerals                          write the embedded data set as folders
python -m evaluator curation check SUBMISSION --data numerals                is it within the rules? nothing is trained
python -m evaluator curation evaluate SUBMISSION --data numerals             judge a folder, a table of edits or a class
python -m evaluator curation apply EDITS.csv --data numerals --out mine      a data set with the edits in it
python -m evaluator curation take-back mine --out before                     the same without them
"""

from __future__ import annotations

import argparse
from types import ModuleType


def actions() -> dict[str, ModuleType]:
    """The module of every action, by its name. Each has ``register(actions)`` and ``main(args)``."""
    from evaluator.cli.curation import apply, calibrate, check, evaluate, make, take_back

    modules = (make, check, evaluate, apply, take_back, calibrate)
    return {module.__name__.rpartition(".")[2].replace("_", "-"): module for module in modules}


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``curation`` to the command line."""
    verb = subparsers.add_parser(
        "curation",
        help="data sets as submissions: make, change and judge them",
        description=__doc__,
    )
    below = verb.add_subparsers(dest="action", required=True, metavar="ACTION")
    for module in actions().values():
        module.register(below)


def main(args: argparse.Namespace) -> int:
    """Run the action that was named. Returns its exit status."""
    status: int = actions()[args.action].main(args)
    return status
