"""Turns of several runs on one machine: while a submission's clock runs, no other clock and no training of another run does.

Within one run the runner sees to that. Runs that are started side by side, by a judge, take turns by locks: a clock holds a place
for itself, and trainings hold all places together with each other. The kernel releases a lock when its process ends, in whatever
way.

A run takes turns if its environment says so (``CLOCKS``): with the number of clocks that may run at the same time, usually 1. The
locks lie in this machine's folder for temporary files, so runs of one user on one machine share them, whatever they judge;
containers share them if they share that folder. On a file system without locks nobody waits.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from evaluator.errors import ConfigurationError
from evaluator.files import lock, lock_file

CLOCKS = "DCK_CLOCKS"
"""Environment variable: how many clocks may run at the same time on this machine. Without it, a run waits for nobody."""
MOST = 64
POLL = 0.2
"""Seconds between two looks where several places could become free."""


def environment(clocks: int) -> dict[str, str]:
    """What a run that takes turns is started with."""
    return {CLOCKS: str(clocks)}


@contextmanager
def clock() -> Iterator[None]:
    """While the block runs, no training of another run does, and no more clocks than were said. Waits until that is so."""
    count = _count()
    if not count:
        yield
        return
    places = [_open(number) for number in range(count)]
    try:
        _wait_for_any(places)
        yield
    finally:
        for descriptor in places:
            os.close(descriptor)


@contextmanager
def training() -> Iterator[None]:
    """While the block runs, no clock of another run does; trainings run side by side. Waits until that is so."""
    with ExitStack() as held:
        for number in range(_count()):
            descriptor = _open(number)
            held.callback(os.close, descriptor)
            lock(descriptor, fcntl.LOCK_SH)
        yield


def _wait_for_any(places: list[int]) -> None:
    if len(places) == 1:
        lock(places[0], fcntl.LOCK_EX)  # the kernel wakes us
        return
    while True:
        for descriptor in places:
            try:
                lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                continue
        time.sleep(POLL)


def _count() -> int:
    text = os.environ.get(CLOCKS, "")
    if not text:
        return 0
    if not text.isdigit() or not 1 <= int(text) <= MOST:
        raise ConfigurationError(
            f"{CLOCKS} is {text[:20]!r}; expected a number of clocks from 1 to {MOST}. Set it right, or unset it"
        )
    return int(text)


def _open(number: int) -> int:
    return lock_file("dck-turns", f"clock-{number}")
