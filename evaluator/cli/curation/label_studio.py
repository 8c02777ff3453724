"""``curation label-studio``: images as tasks of Label Studio, and its annotations as a table of edits."""

from __future__ import annotations

import argparse
from pathlib import Path

from evaluator.cli.curation.common import said
from evaluator.cli.curation.tools import add_doubtful, add_folder, add_folds, check_out, issues_of, predictions_of
from evaluator.cli.parsing import add_action
from evaluator.places import given_path


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    action = add_action(actions, "label-studio", "write tasks for Label Studio, or read its export as a table of edits", "--data")
    add_folder(action)
    add_folds(action)
    out = action.add_argument_group("tasks")
    out.add_argument(
        "--out",
        type=given_path,
        default=Path("tasks.json"),
        metavar="FILE",
        help="tasks; the labelling interface lies beside them (default: tasks.json)",
    )
    add_doubtful(out, "given labels alone")
    out.add_argument("--pre-label", choices=("given", "predicted"), default="given", help="what annotators see (default: given)")
    back = action.add_argument_group("annotations")
    back.add_argument("--read", type=given_path, metavar="FILE", help="an export of Label Studio (JSON) to read instead")
    back.add_argument(
        "--edits",
        type=given_path,
        default=Path("annotated.csv"),
        metavar="FILE",
        help="what --read writes (default: annotated.csv)",
    )


def main(args: argparse.Namespace) -> int:
    """Write tasks, or read annotations. Returns 0."""
    import numpy as np

    from evaluator.curation.label_studio import read_annotations, tasks, write_tasks
    from evaluator.curation.toolset import read_toolset
    from evaluator.data.edits import ENDINGS
    from evaluator.errors import ConfigurationError
    from evaluator.text import name as shown

    if args.read is not None:
        check_out("--edits", args.edits, *ENDINGS)
        found = read_annotations(args.read, read_toolset(args.data))
        found.edits.write(args.edits)
        said(f"{found.looked_at:,} tasks annotated, {found.open:,} not; {len(found.edits):,} edits: {args.edits}")
        if found.disagreed:
            said(
                f"{len(found.disagreed):,} tasks on which people disagree have no edit, e.g. {shown(found.disagreed[0])}; settle "
                "them and export again"
            )
        return 0
    check_out("--out", args.out, ".json")
    if args.without_predictions and args.pre_label == "predicted":
        raise ConfigurationError("--pre-label predicted: there are none with --without-predictions. Leave out one of the two")
    how = predictions_of(args)
    data = read_toolset(args.data)
    issues = None if how is None else issues_of(data, how, args)
    order = np.arange(len(data.images)) if issues is None else issues.worst_first()
    made = tasks(data, order[: args.most], issues, predictions=args.pre_label == "predicted")
    try:
        config = write_tasks(made, data.classes, args.out)
    except OSError as error:
        raise ConfigurationError(f"--out {args.out}: it cannot be written ({error.strerror}); name another file") from error
    said(f"{len(made):,} tasks: {args.out}; labelling interface: {config}")
    said("in Label Studio: make a project, paste the interface under Settings, Labeling Interface, Code; import; export as JSON")
    return 0
