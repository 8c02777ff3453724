"""Many fits of one task: each distinct set of labels is fitted once, on as many processes as are wanted.

A curve of n steps has at most one new set of labels per wrong label, and the curves of several rankings share their first and
last; so the cost is that of the distinct sets, not of the steps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from evaluator.cleaning import measures
from evaluator.cleaning.linear import Start, Training, exact_probabilities, fit_exactly, outputs_of, targets
from evaluator.cleaning.rules import SEED
from evaluator.cleaning.tasks import CleaningTask
from evaluator.data.processes import Processes

Scoring = Literal["dataperf", "strict"]
PORTION = 32
"""Fits that a process does before it says so."""


@dataclass(frozen=True, eq=False)
class Labelling:
    """Labels to train on.

    Attributes:
        labels: as of ``tasks.Part``, for every training row; ``kept``: bool (n,), the rows that are trained on; None: all.
    """

    labels: np.ndarray
    kept: np.ndarray | None = None

    def key(self) -> bytes:
        """Equal for labellings that give the same model."""
        made = hashlib.sha256()
        for array in (self.labels, self.kept):
            made.update(b"-" if array is None else array.tobytes())
        return made.digest()


@dataclass(frozen=True)
class Fit:
    """What a fit gave. ``accuracy``: on the test set. ``exact``: fitted in the original's order of operations."""

    accuracy: float
    exact: bool


class Refits:
    """The fits of one task, kept by their labels.

    Args:
        task: the sets.
        scoring: ``dataperf`` measures as the original prints, for binary labels; ``strict`` does not round.
        exact: fit always in the original's order of operations; else only where a printed accuracy hangs by a thread.
        seed: of the starting weights.
        processes: how many fit at a time; 1 fits in this process.
        progress: called with the number of fits that are done and that of all.
    """

    def __init__(
        self,
        task: CleaningTask,
        scoring: Scoring = "strict",
        *,
        exact: bool = False,
        seed: int = SEED,
        processes: int = 1,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:
        self._task, self._scoring, self._exact, self._seed = task, scoring, exact, seed
        self._processes, self._progress = processes, progress
        self._known: dict[bytes, Fit] = {}

    def of(self, labellings: Sequence[Labelling]) -> list[Fit]:
        """The fits of labellings, in their order."""
        keys = [labelling.key() for labelling in labellings]
        missing = {key: labelling for key, labelling in zip(keys, labellings, strict=True) if key not in self._known}
        for key, made in zip(missing, self._fitted(list(missing.values())), strict=True):
            self._known[key] = made
        return [self._known[key] for key in keys]

    @property
    def fitted(self) -> int:
        """How many distinct labellings were fitted."""
        return len(self._known)

    @property
    def exactly(self) -> int:
        """How many of them in the original's order of operations."""
        return sum(made.exact for made in self._known.values())

    def _fitted(self, wanted: list[Labelling]) -> Iterable[Fit]:
        portions = [wanted[at : at + PORTION] for at in range(0, len(wanted), PORTION)]
        done = 0
        common = (self._task, self._scoring, self._exact, self._seed)
        if self._processes == 1 or len(portions) < 2:
            for portion in portions:
                yield from fit_all(*common, portion)
                done += len(portion)
                self._progress(done, len(wanted))
            return
        with Processes(min(self._processes, len(portions))) as pool:
            for portion, made in zip(
                portions, pool.map(fit_all, *zip(*[common] * len(portions), strict=True), portions), strict=True
            ):
                yield from made
                done += len(portion)
                self._progress(done, len(wanted))


def fit_all(task: CleaningTask, scoring: Scoring, exact: bool, seed: int, wanted: list[Labelling]) -> list[Fit]:
    """Fit and measure every labelling, on one thread: two threads on one small model are slower than one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows, test = torch.from_numpy(task.train.rows), torch.from_numpy(task.test.rows)
        start = Start.drawn(rows.shape[1], outputs_of(task.kind, task.classes), seed)
        whole = Training(rows, task.kind, start)
        return [_fit(task, scoring, exact, start, rows, test, whole, labelling) for labelling in wanted]
    finally:
        torch.set_num_threads(threads)


def _fit(
    task: CleaningTask,
    scoring: Scoring,
    exact: bool,
    start: Start,
    rows: torch.Tensor,
    test: torch.Tensor,
    training: Training,
    labelling: Labelling,
) -> Fit:
    labels = labelling.labels
    if labelling.kept is not None:
        rows, labels = rows[torch.from_numpy(labelling.kept)], labels[labelling.kept]
        training = Training(rows, task.kind, start)
    goal = targets(labels, task.kind, task.classes)
    if not exact:
        model = training.fit(goal)
        found = model.probabilities(rows), model.probabilities(test)
        if scoring == "strict":
            return Fit(measures.accuracy(task.kind, *found, labels, task.test.labels), False)
        flat = found[0][:, 0], found[1][:, 0], labels, task.test.labels
        if not measures.is_fragile(*flat):
            return Fit(measures.printed(*flat), False)
    layers = fit_exactly(rows, goal, task.kind, start)
    found = exact_probabilities(layers, rows, task.kind), exact_probabilities(layers, test, task.kind)
    if scoring == "strict":
        return Fit(measures.accuracy(task.kind, *found, labels, task.test.labels), True)
    return Fit(measures.printed(found[0][:, 0], found[1][:, 0], labels, task.test.labels), True)
