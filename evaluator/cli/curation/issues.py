"""``curation issues``: which labels are probably wrong, and how far that list may be trusted."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from evaluator.cli.curation.common import said
from evaluator.cli.curation.tools import add_folder, add_folds, check_out, held_out_of, issues_of
from evaluator.cli.parsing import add_action
from evaluator.places import given_path

if TYPE_CHECKING:
    from evaluator.curation.issues import LabelIssues


CHECK = Path("check.csv")


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    action = add_action(actions, "issues", "find labels that are probably wrong by confident learning (cleanlab)", "--data")
    add_folder(action)
    add_folds(action)
    out = action.add_argument_group("what is written")
    out.add_argument(
        "--out", type=given_path, default=Path("issues.csv"), metavar="FILE", help="table, .csv or .parquet (default: issues.csv)"
    )
    drop = out.add_mutually_exclusive_group()
    drop.add_argument("--drop", type=int, metavar="N", help="write edits that drop the N most doubtful images")
    drop.add_argument("--drop-below", type=float, metavar="Q", help="write edits that drop images of a quality score below Q")
    out.add_argument("--edits", type=given_path, default=Path("drop.csv"), metavar="FILE", help="of --drop (default: drop.csv)")
    trust = action.add_argument_group("how far the list may be trusted")
    trust.add_argument("--check", type=int, metavar="N", help="draw N listed labels to be checked by hand, into check.csv")
    trust.add_argument(
        "--checked", type=given_path, metavar="FILE", help="check.csv with verdicts: the precision is estimated from it"
    )


def main(args: argparse.Namespace) -> int:
    """Find the issues. Returns 0."""
    import numpy as np

    from evaluator.curation.issues import check_drop, check_installed, write_issues
    from evaluator.curation.toolset import read_toolset
    from evaluator.curation.trust import precision, read_verdicts, write_sample
    from evaluator.data.edits import ENDINGS, Edit, EditTable
    from evaluator.errors import ConfigurationError

    check_installed()
    check_out("--out", args.out, *ENDINGS)
    asked = args.drop is not None or args.drop_below is not None
    if asked:
        check_out("--edits", args.edits, *ENDINGS)
    how = held_out_of(args)
    if args.check is not None and CHECK.exists():
        raise ConfigurationError(
            f"--check: {CHECK} exists, and may hold verdicts; expected none. Rename it, or read it with --checked"
        )
    verdicts = read_verdicts(args.checked) if args.checked else None
    data = read_toolset(args.data)
    if asked:
        check_drop(len(data.images), args.drop, args.drop_below)
    issues = issues_of(data, how, args)
    dropped = issues.to_drop(args.drop, args.drop_below) if asked else None
    listed = dropped if dropped is not None else np.flatnonzero(issues.flagged)
    found = precision(issues, listed, verdicts) if verdicts is not None else None
    write_issues(issues, args.out, data.splits)
    _show(issues, how.said)
    said(f"table: {args.out}")
    if dropped is not None:
        EditTable(tuple(Edit(issues.ids[i], "drop") for i in dropped)).write(args.edits)
        said(f"edits that drop {len(dropped):,} images: {args.edits}; apply them with `curation apply`")
    if args.check is not None:
        drawn = write_sample(issues, listed, CHECK, args.check, args.seed)
        said(f"{drawn} of {len(listed):,} listed labels to check: {CHECK}; write wrong, right or unclear into its column verdict")
    what = f"the {len(listed):,} most doubtful labels" if dropped is not None else f"the {len(listed):,} flagged labels"
    if found is None:
        said(f"precision of {what}: not known. The count is no estimate of the errors: --check 60 draws a sample to check by hand")
    else:
        said(f"precision of {what}: {found} (95 % interval)")
    return 0


def _show(issues: LabelIssues, how: str) -> None:
    from rich.table import Table

    from evaluator.report.console import hanging, terminal, titled

    console = terminal()
    names = list(issues.classes_health[0])
    health = Table(box=None, pad_edge=False)
    for name in names:
        health.add_column(name, justify="left" if name == "class" else "right")
    for row in issues.classes_health:
        health.add_row(*(f"{row[name]:.3f}" if isinstance(row[name], float) else str(row[name]) for name in names))
    titled(console, "Classes, worst first", health)
    if issues.overlaps:
        pairs = Table(box=None, pad_edge=False)
        for name in ("class", "other class", "images"):
            pairs.add_column(name, justify="right" if name == "images" else "left")
        for row in issues.overlaps[:5]:
            pairs.add_row(row["class"], row["other class"], str(row["images"]))
        titled(console, "Classes that are taken for each other", pairs)
    accuracy = (
        f"; {float((issues.probabilities.argmax(1) == issues.labels).mean()):.3f} of the labels are predicted"
        if issues.labels.ndim == 1
        else ""
    )
    hanging(
        console,
        f"{int(issues.flagged.sum()):,} of {len(issues.ids):,} labels are flagged; overall health {issues.health:.3f}. "
        f"{how}{accuracy}.",
    )
