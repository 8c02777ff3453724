"""``curation sheet``: every image with what is known of it, as a page to correct labels in and as a table."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluator.cli.curation.common import said
from evaluator.cli.curation.tools import add_doubtful, add_folder, add_folds, check_out, issues_of, predictions_of
from evaluator.cli.parsing import add_action
from evaluator.places import given_path


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    action = add_action(actions, "sheet", "write a page (and a table) of all images, to correct labels in a browser", "--data")
    add_folder(action)
    add_folds(action)
    out = action.add_argument_group("the sheet")
    out.add_argument(
        "--out",
        type=given_path,
        default=Path("sheet.html"),
        metavar="FILE",
        help="page; a table lies beside it (default: sheet.html)",
    )
    add_doubtful(out, "labels and checks alone")


def main(args: argparse.Namespace) -> int:
    """Write the sheet. Returns 0."""
    from evaluator.curation.sheets import sheet_rows
    from evaluator.curation.toolset import TRAIN, VAL, read_toolset
    from evaluator.data.image_checks import EXPLAINED
    from evaluator.errors import ConfigurationError
    from evaluator.report.sheet.page import write_sheet
    from evaluator.report.sheet.rows import write_sheet_csv
    from evaluator.text import as_command

    check_out("--out", args.out, ".html")
    how = predictions_of(args)
    data = read_toolset(args.data)
    issues = None if how is None else issues_of(data, how, args)
    rows = sheet_rows(data, issues)[: args.most]
    lead = f"{len(rows):,} of {len(data.images):,} images" + (f", most doubtful first; {how.said}" if how else "")
    try:
        write_sheet(rows, data.classes, args.out, title=f"Images of {args.data.absolute().name}", lead=lead, splits=(TRAIN, VAL))
        write_sheet_csv(rows, data.classes, args.out.with_suffix(".csv"))
    except OSError as error:
        raise ConfigurationError(f"--out {args.out}: it cannot be written ({error.strerror}); name another file") from error
    for flag, meaning in EXPLAINED.items():
        many = sum(flag in row.flags for row in rows)
        if many:
            said(f"{flag}: {many:,} images ({meaning})")
    apply = as_command("python", "-m", "evaluator", "curation", "apply", "edits.csv", "--data", args.data, "--out", "DIR")
    said(f"page: {args.out}; its edits are applied with `{apply}`")
    said(f"table: {args.out.with_suffix('.csv')}")
    return 0
