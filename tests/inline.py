"""Workers without processes: trainings are done in the test's own process, so that a test may change what they meet."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator

import slot_works

from evaluator.errors import KitError
from evaluator.runner.workers import Failure, Judging, Outcome, Work, Workers


class Inline(Workers):
    """Does its tasks one after the other, each as if it were the first of its process. No process is ever started."""

    def __init__(self, work: Work = slot_works.anew) -> None:
        super().__init__(1)
        self.work = work

    def train(
        self, tasks: Iterable[Judging], started: Callable[[Judging], None] = lambda task: None
    ) -> Iterator[tuple[Judging, Outcome]]:
        """As ``Workers.train``."""
        for task in tasks:
            started(task)
            try:
                outcome: Outcome = self.work(task)
            except KitError:
                raise
            except Exception as error:
                outcome = Failure(f"the evaluator failed: {type(error).__name__}: {error}", traceback.format_exc())
            yield task, outcome
