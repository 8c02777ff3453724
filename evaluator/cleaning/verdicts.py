"""Judging a ranking by verdicts on some of the rows, where nobody knows what an expert says of the others: no model is trained.

The rows with a verdict are checked in the order of the ranking, and all others are left out: they count neither as wrong nor as
right. What the game calls accuracy is here the share of right labels among the rows with a verdict; so the figures have the same
names and forms as those of ``game.py``, and mean the quality of the labels and not of a model.

This speaks of the order among the rows that somebody voted on, and of nothing else. Where those were chosen by a method, as the
rows of CIFAR-10 were, it says nothing of the wrong labels that the method did not see.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluator.cleaning.game import ENOUGH, Course
from evaluator.cleaning.tasks import CleaningTask


def course_by_verdicts(task: CleaningTask, ranking: Sequence[int], *, enough: float = ENOUGH) -> Course:
    """The course of a ranking over the rows with a verdict; ``Course.rows`` is their number.

    Args:
        ranking: a permutation of all rows.
        enough: the target, as a share of right labels.
    """
    order = np.asarray(ranking)
    known = np.ones(len(task.train), bool) if task.known is None else task.known
    wrong = task.wrong[order[known[order]]]
    rows, many = len(wrong), int(wrong.sum())
    hits = tuple(int(place) + 1 for place in np.flatnonzero(wrong))
    accuracies = tuple((rows - many + found) / rows for found in range(many + 1))
    return Course((0, *hits), accuracies, hits, enough, 1.0, rows)


def unjudged(task: CleaningTask, ranking: Sequence[int]) -> tuple[int, int]:
    """How many rows have no verdict, and how many of the first rows of a ranking: as many as there are verdicts."""
    if task.known is None:
        return 0, 0
    first = np.asarray(ranking)[: int(task.known.sum())]
    return int((~task.known).sum()), int((~task.known[first]).sum())
