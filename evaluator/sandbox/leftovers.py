"""What evaluators that were killed left on this machine: workers that still live, control groups, scratch folders.

A killed evaluator can clean nothing. Its workers end with it (their guards see to that); this removes the rest, and ends whatever
of a worker had escaped its guard but not its control group. What another evaluator still needs is left alone.
"""

from __future__ import annotations

from evaluator.sandbox.cgroup import remove_abandoned_groups
from evaluator.sandbox.scratch import remove_abandoned_folders


def remove_leftovers() -> int:
    """Remove what belongs to no living evaluator; how many things that were. Called before the first worker is started."""
    # Groups first: a process that still lived could write into a folder while that is removed.
    return remove_abandoned_groups() + remove_abandoned_folders()
