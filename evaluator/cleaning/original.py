"""Scoring as DataPerf's own evaluator does it, number by number, with what it lets through.

After each fix the model is trained anew, and its accuracy is printed with two decimals. A method's score is the share of fixes
after which the accuracy reaches 95 % of the accuracy *after its own last fix*. So a file of one line scores a perfect 0: ``strict``
(``game.py``) closes that. Read in ``main.py`` and ``utils`` of https://github.com/DS3Lab/dataperf-vision-debugging.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluator.cleaning.rankings import Ranking
from evaluator.cleaning.refits import Labelling, Refits
from evaluator.cleaning.tasks import CleaningTask
from evaluator.errors import ConfigurationError

ENOUGH = 0.95
"""Share of the last accuracy that counts as reached."""


@dataclass(frozen=True)
class Curve:
    """The course of one method.

    Attributes:
        method: its name; ``accuracies``: after each fix, as many as there are training rows; a shorter file repeats its last.
        fixes: lines of its file that were used up to each step.
        score: share of fixes, 0 to below 1, lower is better.
    """

    method: str
    accuracies: tuple[float, ...]
    fixes: tuple[int, ...]
    score: float


@dataclass(frozen=True)
class Original:
    """What the original prints of one task.

    Attributes:
        before: accuracy with the labels as given; ``curves``: of the methods, in the order given.
        fits: trainings of distinct labels; ``exact``: how many of them in the original's order of operations.
    """

    before: float
    curves: tuple[Curve, ...]
    fits: int
    exact: int

    def as_json(self) -> dict[str, Any]:
        """The content of the original's ``{data_id}_evaluation.json``, with its keys."""
        rows = [
            {"submission": curve.method, "accuracy": accuracy, "fixes": fixes}
            for curve in self.curves
            for accuracy, fixes in zip(curve.accuracies, curve.fixes, strict=True)
        ]
        scores = {curve.method: {"auc": -1, "fraction_fixes": curve.score} for curve in self.curves}
        return {"before_acc": self.before, "submitted_evaluations": rows, "auc_score": scores}


def evaluate_original(
    task: CleaningTask,
    rankings: Sequence[Ranking],
    *,
    exact: bool = False,
    processes: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Original:
    """The curves and scores of all methods on a task with binary labels.

    Args:
        exact: train always in the original's order of operations, three to six times as slow.
        processes: trainings at a time; ``progress``: called with the trainings that are done and all.

    Raises:
        ConfigurationError: the labels are not binary.
    """
    if task.kind != "binary":
        raise ConfigurationError(f"{task.name}: its labels are {task.kind}; the original takes binary labels. Use --scoring strict")
    refits = Refits(task, "dataperf", exact=exact, processes=processes, progress=progress)
    steps = [Labelling(task.train.labels)]
    for ranking in rankings:
        steps += [Labelling(labels) for labels in _relabelled(task, ranking)]
    before, *after = (fit.accuracy for fit in refits.of(steps))
    rows = len(task.train)
    curves = []
    for number, ranking in enumerate(rankings):
        own = tuple(after[number * rows : (number + 1) * rows])
        fixes = tuple(min(step + 1, len(ranking.indices)) for step in range(rows))
        curves.append(Curve(ranking.method, own, fixes, score_of(own)))
    return Original(before, tuple(curves), refits.fitted, refits.exactly)


def score_of(accuracies: Sequence[float]) -> float:
    """The score of a course: ``i / n`` for the first zero-based ``i`` whose accuracy reaches 95 % of the last.

    The comparison is the original's, in float64 without a tolerance: values may lie exactly on the edge.
    """
    enough = ENOUGH * accuracies[-1]
    return next(step for step, accuracy in enumerate(accuracies) if accuracy >= enough) / len(accuracies)


def _relabelled(task: CleaningTask, ranking: Ranking) -> list[np.ndarray]:
    """The labels after each fix."""
    labels, steps = task.train.labels, []
    for step in range(len(task.train)):
        if step < len(ranking.indices):
            row = ranking.indices[step]
            if labels[row] != task.true[row]:
                labels = labels.copy()
                labels[row] = task.true[row]
        steps.append(labels)
    return steps
