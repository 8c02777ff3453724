"""The curation track: change the data, never the model. A submission is a folder of images, a table of edits, or a class.

python -m evaluator curation make --folder numerals                          write the embedded data set as folders
python -m evaluator curation evaluate SUBMISSION --data numerals             judge a folder, a table of edits or a class
python -m evaluator curation apply EDITS.csv --data numerals --out mine      a data set with the edits in it
"""

from __future__ import annotations

import argparse
from importlib import import_module
from types import ModuleType

ACTIONS = ("make", "evaluate", "apply", "take-back", "calibrate")
"""The actions of the verb, each a module of this folder with ``register(actions)`` and ``main(args)``."""


def register(subparsers: argparse._SubParsersAction) -> None:
    """Add the verb ``curation`` to the command line."""
    verb = subparsers.add_parser(
        "curation",
        help="data sets as submissions: make, change and judge them",
        description=__doc__,
    )
    actions = verb.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name in ACTIONS:
        _module(name).register(actions)


def main(args: argparse.Namespace) -> int:
    """Run the action that was named. Returns its exit status."""
    status: int = _module(args.action).main(args)
    return status


def _module(name: str) -> ModuleType:
    """The module of an action. It imports what computes where it is used, so that the help is there at once."""
    return import_module(f"{__name__}.{name.replace('-', '_')}")
