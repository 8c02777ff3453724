"""The game, scored without holes: a ranking names every row once, and the target comes from a real run on true labels.

An expert checks labels in the order of a ranking. After ``i`` checks the model is trained on the labels as they then are, and its
accuracy on the test set is the curve at ``i``, from 0 (nothing checked) to n (everything). The target is a share (95 %) of the
accuracy after a training on true labels alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evaluator.cleaning.refits import Labelling, Refits
from evaluator.cleaning.rules import SEED
from evaluator.cleaning.tasks import CleaningTask

Action = Literal["fix", "remove"]
"""What the expert does with a wrong label: correct it, or remove the row."""
ENOUGH = 0.95


@dataclass(frozen=True)
class Course:
    """The course of one ranking.

    Attributes:
        checks: numbers of checks at which the model was trained, increasing, from 0; between two of them the labels do not change,
            unless ``points`` thinned them. ``accuracies``: on the test set after so many checks.
        hits: numbers of checks, 1 to n, by which one more wrong label is found; as many as there are wrong labels.
        target: the accuracy that counts as reached; ``clean``: of the training on true labels.
        rows: n.
    """

    checks: tuple[int, ...]
    accuracies: tuple[float, ...]
    hits: tuple[int, ...]
    target: float
    clean: float
    rows: int

    @property
    def first_reach(self) -> float:
        """Share of rows that are checked when the target is first reached, 0 to 1; 1 if it never is. Lower is better."""
        reached = (checks for checks, accuracy in zip(self.checks, self.accuracies, strict=True) if accuracy >= self.target)
        return next(reached, self.rows) / self.rows

    @property
    def reached(self) -> bool:
        """Whether the target is reached at all."""
        return max(self.accuracies) >= self.target

    @property
    def area(self) -> float:
        """Mean accuracy over all numbers of checks, 0 to n: the area under the curve, 0 to 1."""
        widths = np.diff([*self.checks, self.rows + 1])
        return float(np.average(self.accuracies, weights=widths))

    @property
    def discovery(self) -> float:
        """Mean share of the wrong labels found, over all numbers of checks, 0 to 1. By chance it is 0.5."""
        return float(np.mean(self.rows + 1 - np.array(self.hits))) / (self.rows + 1)

    @property
    def found_early(self) -> float:
        """Share of the wrong labels found by as many checks as there are wrong labels, 0 to 1."""
        return self.found(len(self.hits))

    def found(self, checks: int) -> float:
        """Share of the wrong labels found by so many checks, 0 to 1."""
        return float(np.searchsorted(self.hits, checks, side="right")) / len(self.hits)

    def accuracy(self, checks: int) -> float:
        """Accuracy after so many checks."""
        return self.accuracies[int(np.searchsorted(self.checks, checks, side="right")) - 1]


def play(
    task: CleaningTask,
    rankings: Sequence[Sequence[int]],
    *,
    action: Action = "fix",
    points: int | None = None,
    exact: bool = False,
    seed: int = SEED,
    enough: float = ENOUGH,
    processes: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
    refits: Refits | None = None,
) -> list[Course]:
    """The courses of rankings of one task. Each is a permutation of its rows.

    Args:
        action: what the expert does with a wrong label.
        points: the largest number of trainings of a course; None: after every wrong label that is found.
        exact, seed, processes, progress: as of ``Refits``.
        enough: the target as a share of the accuracy with true labels.
        refits: fits of the same task and choices, to share them; None: made here.
    """
    refits = refits or Refits(task, "strict", exact=exact, seed=seed, processes=processes, progress=progress)
    wrong = task.wrong
    clean = Labelling(task.true)
    steps, wanted = [], [clean]
    for ranking in rankings:
        order = np.asarray(ranking)
        hits = np.flatnonzero(wrong[order])  # places in the ranking where a wrong label is found
        numbers = _thinned(len(hits), points)
        steps.append((order, hits, numbers))
        wanted += [_after(task, order[hits[:number]], action) for number in numbers]
    fits = iter(refits.of(wanted))
    best = next(fits).accuracy
    courses = []
    for order, hits, numbers in steps:
        checks = tuple(0 if number == 0 else int(hits[number - 1]) + 1 for number in numbers)
        found = tuple(int(hit) + 1 for hit in hits)
        courses.append(Course(checks, tuple(next(fits).accuracy for _ in numbers), found, enough * best, best, len(order)))
    return courses


def _after(task: CleaningTask, checked: np.ndarray, action: Action) -> Labelling:
    """What is trained on once the wrong labels of these rows were found."""
    if action == "remove":
        kept = np.ones(len(task.train), bool)
        kept[checked] = False
        return Labelling(task.train.labels, kept)
    labels = task.train.labels.copy()
    labels[checked] = task.true[checked]
    return Labelling(labels)


def _thinned(wrong: int, points: int | None) -> list[int]:
    """The numbers of wrong labels found at which the model is trained: all, or about ``points`` with the first and the last."""
    if points is None or wrong + 1 <= points:
        return list(range(wrong + 1))
    return sorted(set(np.linspace(0, wrong, max(2, points)).round().astype(int).tolist()))
