"""``curation make``: the embedded data set as folders."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluator.cli.curation.common import add_data, said, sets_in
from evaluator.cli.parsing import add_action
from evaluator.places import given_path


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    action = add_action(
        actions,
        "make",
        "write the embedded data set as folders: train, val, label_book, test, and the edits of an oracle",
        "--folder",
    )
    add_data(action)
    action.add_argument(
        "--folder", type=given_path, default=Path("numerals"), metavar="DIR", help="a new folder (default: numerals)"
    )


def main(args: argparse.Namespace) -> int:
    """Write the folders. Returns 0."""
    from evaluator.curation.folders import write_data
    from evaluator.errors import ConfigurationError

    if args.data is not None:
        raise ConfigurationError("--data: make writes an embedded data set. Leave the option out; --folder names the new folder")
    data = sets_in(args).load()
    write_data(data, args.folder)
    said(f"{len(data.train):,} + {len(data.validation):,} images, {len(data.book):,} in the label book, {len(data.test):,} to test")
    said(f"data set: {args.folder}")
    return 0
