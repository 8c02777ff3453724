"""``curation take-back``: a data set as it was before edits were applied to it."""

from __future__ import annotations

import argparse

from evaluator.cli.curation.common import said
from evaluator.cli.parsing import add_action
from evaluator.places import given_path


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    action = add_action(actions, "take-back", "write a new data set as it was before edits were applied", "--out")
    action.add_argument("data", type=given_path, metavar="DIR", help="a folder that `curation apply` wrote; it stays as it is")
    action.add_argument("--out", type=given_path, required=True, metavar="DIR", help="a new folder")


def main(args: argparse.Namespace) -> int:
    """Take the edits back. Returns 0."""
    from evaluator.curation.folders import take_back

    done = take_back(args.data, args.out)
    said(f"{len(done.items):,} images")
    said(f"data set: {args.out}")
    return 0
