"""Workers that judge: processes side by side, each at one cell after the other.

A worker is a process of its own, started anew (not forked, so that no lock or CUDA context is copied) when it is first needed and
kept for the whole run, since importing torch takes seconds. It gets its tasks and gives its results through a pipe. When it dies,
it takes the cell it was at with it, no other: its place is filled and the rest goes on. A worker whose device failed can compute
nothing more on it and is ended; its cell is given once more, to the process that comes after it. Nothing of a submission ever runs
in such a worker, and none of them does anything while a submission runs: that is the runner's order of things.

Pools of the standard library and of loky lose their other tasks when one process is killed, and cannot give a task to a new process
because a device failed; that is why this one is our own.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError, DeviceError, KitError
from evaluator.records import Answer, CellSpec
from evaluator.track import Judged, Track


@dataclass(frozen=True, eq=False)
class Judging:
    """A cell whose answer is there: what is left of it needs no submission.

    Attributes:
        data: what the track judges on; None on its way into a process that has it already.
        reused: the answer is of an earlier run.
    """

    track: Track
    spec: CellSpec
    data: Any
    answer: Answer
    checkpoint: Path
    reused: bool


@dataclass(frozen=True)
class Failure:
    """Why a training has no result: an error of the evaluator, or the end of its process.

    ``device_lost``: the device failed, so that another process may still do it.
    """

    reason: str
    trace: str
    device_lost: bool = False


Outcome = Judged | Failure
Work = Callable[[Judging], Judged]

_CACHE: dict[str, Any] = {}
"""What the cell before left in this process."""


def judged(task: Judging) -> Judged:
    """Train and score: what a worker does. Cells in a row that differ in the split that is scored alone are trained once."""
    return task.track.judge(task.spec, task.data, task.answer, _silent, checkpoint=task.checkpoint, cache=_CACHE)


def model_of(task: Judging) -> tuple[str, str]:
    """Tells apart the models that tasks train."""
    return task.answer.checksum, task.spec.model_digest()


def _silent(what: str, share: float) -> None:
    """Progress within a cell is not told across processes."""


class Workers:
    """Processes for trainings; a context that leaves none of them behind.

    Args:
        count: how many train at once, 1 or more.
        devices: CUDA devices as ``CUDA_VISIBLE_DEVICES`` names them, assigned to the workers round-robin. Empty: every worker
            sees what this process sees.
        work: what is done with a task; a function of a module, since the processes import it.

    Raises:
        ConfigurationError: the count is below 1.
    """

    def __init__(self, count: int, devices: tuple[str, ...] = (), work: Work = judged) -> None:
        if count < 1:
            raise ConfigurationError(f"--workers is {count}; it must be 1 or more")
        self.count = count
        self._places = [_Place(work, devices[k % len(devices)] if devices else None) for k in range(count)]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process, whatever it is at. May be called again."""
        for place in self._places:
            place.end()

    def train(
        self, tasks: Iterable[Judging], started: Callable[[Judging], None] = lambda task: None
    ) -> Iterator[tuple[Judging, Outcome]]:
        """Do all tasks, as many at a time as there are slots; each comes back when it is done.

        A task whose device fails is done once more, in a new process, which goes on from its last checkpoint.

        Neighbours of one model go to one slot, which has it after the first of them. Whoever stops in the middle ends what is
        under way.

        Raises:
            KitError: what a task met and no other task could do without (a device that is gone for good); the others are ended.
        """
        again: set[int] = set()
        waiting = deque(deque(group) for _, group in groupby(tasks, model_of))
        busy: dict[Connection, _Place] = {}
        try:
            while waiting or busy or any(place.next for place in self._places):
                for place in self._places:
                    if place.task is None and (place.next or waiting):
                        place.next = place.next or waiting.popleft()
                        task = place.next.popleft()
                        busy[place.give(task)] = place
                        started(task)
                ready = wait(list(busy))
                for place in [busy.pop(connection) for connection in list(busy) if connection in ready]:
                    task, outcome = place.take()
                    if isinstance(outcome, Failure) and outcome.device_lost and id(task) not in again:
                        print(f"warning: {outcome.reason}; it is done again in a new process", file=sys.stderr)
                        again.add(id(task))
                        place.next.appendleft(task)
                        continue
                    yield task, outcome
        finally:
            for place in busy.values():
                place.end()
            for place in self._places:
                place.next.clear()


class _Place:
    """One place, and the process that fills it now."""

    def __init__(self, work: Work, device: str | None) -> None:
        self.task: Judging | None = None
        self.next: deque[Judging] = deque()
        self._work, self._device = work, device
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._has: dict[int, Any] = {}  # held, so that no other object gets the number of one

    def give(self, task: Judging) -> Connection:
        """Hand over a task; the connection that becomes ready when it is done, or when the process is gone."""
        if self._process is None or not self._process.is_alive():
            self.end()
            self._start()
        assert self._connection is not None
        key = id(task.data)
        try:
            if key not in self._has:
                self._connection.send((key, task.data))
                self._has[key] = task.data
            self._connection.send((key, replace(task, data=None)))
        except OSError:
            pass  # it has died since; `take` finds that out and says how
        self.task = task
        return self._connection

    def take(self) -> tuple[Judging, Outcome]:
        """The task, and what became of it.

        Raises:
            KitError: the task raised it.
        """
        task, self.task = self.task, None
        assert task is not None
        assert self._connection is not None
        try:
            outcome = self._connection.recv()
        except (EOFError, OSError):
            outcome = Failure(self._death(), "")
        if isinstance(outcome, KitError):
            raise outcome
        if isinstance(outcome, Failure) and outcome.device_lost:
            self.end()
        return task, outcome

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = self.task = None
        self._has.clear()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._work), name="training", daemon=True)
        with _environment({} if self._device is None else {"CUDA_VISIBLE_DEVICES": self._device}):
            self._process.start()
        theirs.close()  # ours is the only other end, so that it closes with the process

    def _death(self) -> str:
        assert self._process is not None
        self._process.join(10)  # the pipe closes a moment before the process is gone
        code = self._process.exitcode
        self.end()
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = "; the system does that where memory runs out: train fewer at once with --workers" if code == -9 else ""
            return f"the process of the training was killed by {name}{hint}"
        return f"the process of the training ended with status {code} before it had a result"


def _serve(connection: Connection, work: Work) -> None:
    """The life of a slot's process."""
    # Ctrl-C goes to the whole group of processes; the sweep decides what becomes of its trainings.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    data: dict[int, Any] = {}
    while True:
        try:
            key, given = connection.recv()
        except EOFError:
            return
        if not isinstance(given, Judging):
            data[key] = given
            continue
        try:
            outcome: Any = work(replace(given, data=data[key]))
        except KitError as error:
            outcome = error
        except DeviceError as error:
            outcome = Failure(f"the training failed: {error}", traceback.format_exc(), device_lost=True)
        except Exception as error:  # our own fault must not take the other cells with it
            outcome = Failure(f"the evaluator failed: {type(error).__name__}: {error}", traceback.format_exc())
        connection.send(outcome)


def _end_with_parent() -> None:
    """A killed sweep can end nothing; a training that outlived it would use the cores of the next one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Variables of this process for as long as a child is started, which takes them over."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
