"""The curation track: change the data, never the model. A submission is a folder of images, a table of edits, or a class.

python -m evaluator curation make --folder numerals                          write the embedded data set as folders
python -m evaluator curation check SUBMISSION --data numerals                is it within the rules? nothing is trained
python -m evaluator curation evaluate SUBMISSION --data numerals             judge a folder, a table of edits or a class
python -m evaluator curation apply EDITS.csv --data numerals --out mine      a data set with the edits in it
python -m evaluator curation take-back mine --out before                     the same without them
python -m evaluator curation issues --data numerals                          which labels are doubtful
python -m evaluator curation sheet --data numerals                           a page to look at images and correct their labels
"""

from __future__ import annotations

import argparse
from types import ModuleType


def actions() -> dict[str, ModuleType]:
    """The module of every action, by its name. Each has ``register(actions)`` and ``main(args)``."""
    from evaluator.cli.curation import apply, boost, calibrate, check, evaluate, issues, label_studio, make, sheet, split, take_back
    from evaluator.cli.curation import map as map_action

    judged = (make, check, evaluate, apply, take_back, calibrate)
    tools = (issues, sheet, boost, split, map_action, label_studio)
    return {module.__name__.rpartition(".")[2].replace("_", "-"): module for module in (*judged, *tools)}


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
