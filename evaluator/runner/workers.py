"""Workers that judge: several processes, each of which works on one cell at a time.

A worker process is spawned when it is first needed (not forked, so that no lock or CUDA context is copied) and kept for the whole
run, because importing torch takes seconds. It gets tasks and returns results through a pipe. If it dies, only the cell that it
worked on fails: a new process takes its place, and the run goes on. If the device of a worker fails, the process cannot use the
device any more; it is ended, and its cell is tried once more in a new process. A worker never runs code of a submission, and the
runner gives it no work while a submission runs.

Process pools of the standard library and of loky lose all their tasks when one process is killed, and cannot give a task to a new
process because a device failed. That is why this module exists.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import groupby
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError, DeviceError, KitError, Verdict
from evaluator.records import Answer, CellSpec
from evaluator.text import say
from evaluator.track import Judged, Track


@dataclass(frozen=True, eq=False)
class Judging:
    """A task: a cell that has its answer and is to be judged. It does not need the submission.

    Attributes:
        data: ``CellInputs.data``; None while the task is sent to a process that has the data already.
        checkpoint: file in which the training keeps its state.
        reused: whether the answer is of an earlier run.
    """

    track: Track
    spec: CellSpec
    data: Any
    answer: Answer
    checkpoint: Path
    reused: bool


@dataclass(frozen=True)
class Failure:
    """Why a task has no result: an error of the evaluator, the end of its process, or a submission that cannot be read.

    Attributes:
        reason: in words; ``trace``: the traceback, or empty.
        device_lost: whether the device failed; another process may still do the task.
        verdict: of the cell.
    """

    reason: str
    trace: str
    device_lost: bool = False
    verdict: Verdict = Verdict.INFRASTRUCTURE


Outcome = Judged | Failure
Work = Callable[[Judging], Judged]

_CACHE: dict[str, Any] = {}
"""The ``cache`` of ``Track.judge``, one per process."""


def judged(task: Judging) -> Judged:
    """Train and score: the work of a worker. Successive cells that differ only in the scored split share one training."""
    return task.track.judge(task.spec, task.data, task.answer, TELL, checkpoint=task.checkpoint, cache=_CACHE)


def model_of(task: Judging) -> tuple[str, str]:
    """Tasks with equal values train the same model."""
    return task.answer.checksum, task.spec.model_digest()


@dataclass(frozen=True)
class Moved:
    """What a worker process says of the task that it works on: a word for the work, and the share of it that is done, 0 to 1."""

    what: str
    share: float


SECONDS_BETWEEN = 1.0
"""Between two messages of one process on its progress."""


class Telling:
    """Sends a worker process's progress to the evaluator, not more often than it is looked at.

    Attributes:
        send: takes the news; None where nobody listens.
    """

    def __init__(self, send: Callable[[Moved], None] | None = None) -> None:
        self.send = send
        self._last = -SECONDS_BETWEEN

    def __call__(self, what: str, share: float) -> None:
        now = time.monotonic()
        if self.send is not None and now - self._last >= SECONDS_BETWEEN:
            self._last = now
            with suppress(OSError):  # the evaluator is gone, and this process soon will be
                self.send(Moved(what, share))


TELL = Telling()
"""Of a process that trains: whoever gives it work listens."""


class Workers:
    """Processes for trainings. A context manager that leaves no process running.

    Args:
        count: how many processes train at a time, 1 or more.
        devices: CUDA devices as ``CUDA_VISIBLE_DEVICES`` names them, assigned to the workers round-robin. Empty: every worker
            sees what this process sees.
        work: the function that is called with each task; it must lie at the top of a module, because the processes import it.

    Attributes:
        moved: called with a task and what its process says of its progress, about once a second.

    Raises:
        ConfigurationError: the count is below 1.
    """

    def __init__(self, count: int, devices: tuple[str, ...] = (), work: Work = judged) -> None:
        if count < 1:
            raise ConfigurationError(f"--workers is {count}; it must be 1 or more")
        self.count = count
        self.moved: Callable[[Judging, Moved], None] = lambda task, moved: None
        self._places = [_Place(work, devices[k % len(devices)] if devices else None) for k in range(count)]

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process, even while it works. May be called again."""
        for place in self._places:
            place.end()

    def train(
        self, tasks: Iterable[Judging], started: Callable[[Judging], None] = lambda task: None
    ) -> Iterator[tuple[Judging, Outcome]]:
        """Do all tasks, ``count`` at a time, and yield each with its outcome when it ends.

        A task whose device fails is tried once more in a new process, which resumes from the last checkpoint. Successive tasks of
        the same model go to the same process, so that the model is trained once. If the caller stops early, running tasks end.

        Args:
            started: called with each task when a process begins with it.

        Raises:
            KitError: an error that every other task would meet, too (a device that does not come back, no room for a process); the
                other tasks are ended.
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
                    moved = place.moved()
                    if moved is not None:
                        assert place.task is not None
                        assert place.connection is not None
                        busy[place.connection] = place
                        self.moved(place.task, moved)
                        continue
                    task, outcome = place.take()
                    if isinstance(outcome, Failure) and outcome.device_lost and id(task) not in again:
                        say(f"warning: {outcome.reason}; it is tried again in a new process")
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
    """One of the ``count`` places, and its current process.

    Attributes:
        task: the task that the process works on; ``next``: further tasks of the same model.
    """

    def __init__(self, work: Work, device: str | None) -> None:
        self.task: Judging | None = None
        self.next: deque[Judging] = deque()
        self._work, self._device = work, device
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._message: Any = None  # that was received, and not yet taken
        self._has: dict[int, Any] = {}  # references: while the object lives, no other has its id

    def give(self, task: Judging) -> Connection:
        """Send a task to the process. The returned connection becomes ready when the task or the process ends.

        Raises:
            ConfigurationError: no process can be started.
        """
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
            pass  # the process died; `take` reports how
        self.task = task
        return self._connection

    @property
    def connection(self) -> Connection | None:
        """To the process; None where none runs."""
        return self._connection

    def moved(self) -> Moved | None:
        """What the process says of its progress; None if it says something else, or is gone: then ``take`` tells it."""
        assert self._connection is not None
        try:
            self._message = self._connection.recv()
        except (EOFError, OSError):
            self._message = None
        return self._message if isinstance(self._message, Moved) else None

    def take(self) -> tuple[Judging, Outcome]:
        """The task that was given, and its outcome, after ``moved`` gave None.

        Raises:
            KitError: the task raised it.
        """
        task, self.task = self.task, None
        assert task is not None
        assert self._connection is not None
        outcome, self._message = self._message, None
        if outcome is None:
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
        try:
            connection, theirs = context.Pipe()
        except OSError as error:
            raise _cannot_start(error) from None
        process = context.Process(target=_serve, args=(theirs, self._work), name="training", daemon=True)
        try:
            with _environment({} if self._device is None else {"CUDA_VISIBLE_DEVICES": self._device}):
                process.start()
        except OSError as error:
            connection.close()
            raise _cannot_start(error) from None
        finally:
            theirs.close()  # so that our end reports the death of the process
        self._process, self._connection = process, connection

    def _death(self) -> str:
        assert self._process is not None
        self._process.join(10)  # the pipe closes a moment before the process ends
        code = self._process.exitcode
        self.end()
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"  # not every signal has a name
            hint = "; the system does that when memory runs out. Train fewer cells at a time with --workers" if code == -9 else ""
            return f"the process of the training was killed by {name}{hint}"
        return f"the process of the training ended with status {code} before it had a result"


def _cannot_start(error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"--workers: a process for a training cannot be started ({error.strerror}); the system has no room for another process or "
        "for its open files. Train fewer cells at a time with --workers, or raise the limit (`ulimit -u`, `ulimit -n`, memory)"
    )


def _serve(connection: Connection, work: Work) -> None:
    """The main function of a worker process."""
    # Ctrl-C reaches the whole group of processes; only the sweep's own process reacts to it and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    TELL.send = connection.send
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
        except Exception as error:  # a fault of the evaluator in one cell must not end the others
            outcome = Failure(f"the evaluator failed: {type(error).__name__}: {error}", traceback.format_exc())
        connection.send(outcome)


def _end_with_parent() -> None:
    """End this process when its parent ends: a training that outlived a killed sweep would use the cores of the next run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process while a child is started; the child inherits them."""
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
