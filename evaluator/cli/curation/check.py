"""``curation check``: is a data set within the rules, what was changed, and what do its sets have in common? Nothing is trained."""

from __future__ import annotations

import argparse
from dataclasses import replace

from evaluator.cli.curation.common import add_data, add_sandbox, sets_in
from evaluator.cli.parsing import add_action
from evaluator.places import given_path


def register(actions: argparse._SubParsersAction) -> None:
    """Add the action."""
    action = add_action(actions, "check", "hold a folder or a table of edits against the rules; nothing is trained", "--data")
    action.add_argument(
        "submission", type=given_path, metavar="SUBMISSION", help="a folder with train and val, or a table of edits"
    )
    add_data(action, rules=True)
    add_sandbox(action, "where its files are decoded")


def main(args: argparse.Namespace) -> int:
    """Check. Returns 0, or 1 if the rules refuse the data set."""
    from evaluator.curation.judge import checked
    from evaluator.curation.shown import show_checked
    from evaluator.curation.submitted import kind_of, longest_side, read_submitted
    from evaluator.errors import ConfigurationError, DataError, SubmissionError
    from evaluator.report.console import terminal
    from evaluator.sandbox.foreign import ForeignFiles
    from evaluator.sandbox.tiers import choose
    from evaluator.text import say

    if kind_of(args.submission) == "class":
        raise ConfigurationError(
            f"{args.submission}: it is neither a folder with train and val nor a table of edits. For a class run "
            "`python -m evaluator validate PATH --track curation`"
        )
    sets = sets_in(args, judged=False)
    if sets.folder is not None:
        if sets.book is None:
            raise ConfigurationError(f"--label-book: there is none in {sets.folder} or beside it. Name it with --label-book DIR")
        if sets.test is None:
            say("note: the hidden test set is not here; what is said of it is of the label book")
            sets = replace(sets, test=sets.book)
    data, profile = sets.load(), sets.profile
    try:
        with ForeignFiles(lambda: choose(args.sandbox), longest_side(data, profile.most_side)) as foreign:
            read = read_submitted(args.submission, data, foreign, profile.most, profile.most_side)
        ready = checked(read, data, profile)
    except (DataError, SubmissionError) as error:
        say(f"refused: {error}")
        return 1
    show_checked(terminal(), ready.changes, ready.near, max(0, data.calibration.distance))
    return 0
