"""Trainings that keep a checkpoint after every epoch, and one whose evaluator is killed in the middle of it."""

from __future__ import annotations

import os
import signal
import time

import slot_works

from evaluator.runner.workers import Judging
from evaluator.track import Judged
from evaluator.training import checkpoint, loop


def kept(task: Judging) -> Judged:
    """The work of a run, with a checkpoint after every epoch."""
    checkpoint.SHORTEST, checkpoint.LARGEST_SHARE = 0.0, 1e9
    return slot_works.anew(task)


def killing(task: Judging) -> Judged:
    """The same until a little more than half of the training is done: then the evaluator is killed, as its process ends."""
    train = loop.train

    def watched(pipeline, *arguments, progress, **options):
        def moved(share):
            progress(share)
            if share > 0.55:
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(60)  # this process ends with its evaluator, long before that

        return train(pipeline, *arguments, progress=moved, **options)

    loop.train = watched
    return kept(task)
