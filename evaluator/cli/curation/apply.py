"""``curation apply``: a table of edits, applied to a folder of images; ``curation take-back``: the same backwards."""

from __future__ import annotations

import argparse

from evaluator.cli.curation.common import said
from evaluator.cli.parsing import add_action
from evaluator.places import given_path


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    action = add_action(actions, "apply", "write a new data set with the edits of a table in it", "--data")
    action.add_argument("edits", type=given_path, metavar="EDITS", help="a table of edits, .csv or .parquet")
    action.add_argument(
        "--data", type=given_path, required=True, metavar="DIR", help="folder with train and val; it stays as it is"
    )
    action.add_argument("--out", type=given_path, required=True, metavar="DIR", help="a new folder")


def main(args: argparse.Namespace) -> int:
    """Apply the edits. Returns 0."""
    from evaluator.curation.folders import apply_to_folder
    from evaluator.data.edits import EditTable
    from evaluator.errors import ConfigurationError
    from evaluator.text import as_command

    try:
        table = EditTable.read(args.edits)
    except OSError as error:
        raise ConfigurationError(f"{args.edits} cannot be read ({error.strerror}); expected a table of edits") from error
    done = apply_to_folder(table, args.data, args.edits.absolute().parent, args.out)
    said(", ".join(f"{many:,} {what}" for what, many in done.changed.items()) + f": {len(done.items):,} images")
    said(f"data set: {args.out}")
    said(f"to take the edits back: {as_command('python', '-m', 'evaluator', 'curation', 'take-back', args.out, '--out', 'DIR')}")
    return 0
