"""Workers that judge: several processes, each of which works on one cell at a time, or on several on a CUDA device.

A worker process is spawned when it is first needed (not forked, so that no lock or CUDA context is copied) and kept for the whole
run, because importing torch takes seconds. It gets tasks and returns results through a pipe. If it dies, only the cell that it
worked on fails: a new process takes its place, and the run goes on. If the device of a worker fails, the process cannot use the
device any more; it is ended, and its cell is tried once more in a new process. A worker never runs code of a submission, and the
runner gives it no work while a submission runs.

On a CUDA device one process works on several cells, in a thread each: their steps share the device, and its context is there once.
If such a process ends, any of its cells may be the cause, so each is tried once more, by itself.

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
from functools import partial
from itertools import groupby
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from evaluator.errors import ConfigurationError, DeviceError, KitError, Verdict
from evaluator.records import Answer
from evaluator.specs import CellSpec
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
        beside: whether the process ended while it worked on other tasks, too, so that this task need not be the cause.
        verdict: of the cell.
    """

    reason: str
    trace: str
    device_lost: bool = False
    beside: bool = False
    verdict: Verdict = Verdict.INFRASTRUCTURE


TOGETHER = 8
"""Trainings at a time on a CUDA device, where nothing else is said: as many as filled an H200. Those that its memory has no room
for wait (``training/together.py``)."""

Outcome = Judged | Failure
Work = Callable[[Judging], Judged]


class _Cache(threading.local):
    """The ``cache`` of ``Track.judge``, one for every thread that judges."""

    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}


_CACHE = _Cache()


def judged(task: Judging) -> Judged:
    """Train and score: the work of a worker. Successive cells that differ only in the scored split share one training."""
    return task.track.judge(task.spec, task.data, task.answer, TELL, checkpoint=task.checkpoint, cache=_CACHE.kept)


def model_of(task: Judging) -> tuple[str, str]:
    """Tasks with equal values train the same model."""
    return task.answer.checksum, task.spec.model_digest()


@dataclass(frozen=True)
class Moved:
    """What a worker process says of the task that it works on: a word for the work, and the share of it that is done, 0 to 1."""

    what: str
    share: float


SECONDS_BETWEEN = 1.0
"""Between two messages on the progress of one task."""


class Telling(threading.local):
    """Sends a worker's progress to the evaluator, not more often than it is looked at.

    Attributes:
        send: takes the news of this thread; None where nobody listens.
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
        count: how many trainings run at a time, 1 or more.
        devices: CUDA devices as ``CUDA_VISIBLE_DEVICES`` names them, assigned to the processes round-robin. Empty: every process
            sees what this process sees.
        work: the function that is called with each task; it must lie at the top of a module, because the processes import it.
        together: how many trainings run at a time in one process, in a thread each; 1 or more.

    Attributes:
        moved: called with a task and what its process says of its progress, about once a second.

    Raises:
        ConfigurationError: the count is below 1.
    """

    def __init__(self, count: int, devices: tuple[str, ...] = (), work: Work = judged, together: int = 1) -> None:
        if count < 1:
            raise ConfigurationError(f"--workers is {count}; it must be 1 or more")
        self.count = count
        self.moved: Callable[[Judging, Moved], None] = lambda task, moved: None
        if together < 1:
            raise ConfigurationError(f"{together} trainings in one process make no sense; it must be 1 or more")
        processes = max(-(-count // together), min(count, len(devices)))
        slots = [count // processes + (k < count % processes) for k in range(processes)]
        self._places = [_Place(work, devices[k % len(devices)] if devices else None, n) for k, n in enumerate(slots)]

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

        A task whose device fails is tried once more in a new process, which resumes from the last checkpoint; so is each of several
        tasks whose process ends, one after the other. Successive tasks of the same model go to the same place, so that the model is
        trained once. If the caller stops early, running tasks end.

        Args:
            started: called with each task when a process begins with it.

        Raises:
            KitError: an error that every other task would meet, too (a device that does not come back, no room for a process); the
                other tasks are ended.
        """
        again: set[int] = set()
        waiting = deque(deque(group) for _, group in groupby(tasks, model_of))
        try:
            while True:
                # The first slot of every place before the second of any: so devices are used evenly.
                for place, slot in sorted(self._slots(), key=lambda found: found[1]):
                    task = place.next_for(slot, waiting)
                    if task is not None:
                        place.give(slot, task)
                        started(task)
                busy = {place.connection: place for place in self._places if place.tasks}
                if not busy:
                    return
                for connection in wait([connection for connection in busy if connection is not None]):
                    place = busy[connection]  # type: ignore[index]
                    heard = place.heard()
                    if isinstance(heard, tuple):
                        self.moved(*heard)
                        continue
                    for task, outcome in heard:
                        retried = isinstance(outcome, Failure) and (outcome.device_lost or outcome.beside)
                        if retried and id(task) not in again:
                            how = "by itself" if outcome.beside else "in a new process"  # type: ignore[union-attr]
                            say(f"warning: {outcome.reason}; it is tried again {how}")  # type: ignore[union-attr]
                            again.add(id(task))
                            place.alone.append(task)
                            continue
                        yield task, outcome
        finally:
            for place in self._places:
                if place.tasks:
                    place.end()
                place.forget()

    def _slots(self) -> Iterator[tuple[_Place, int]]:
        for place in self._places:
            for slot in range(place.slots):
                yield place, slot


class _Place:
    """The place of a process that works on ``slots`` tasks at a time, and its current process.

    Attributes:
        tasks: that the process works on, by slot; ``alone``: tasks that it is to work on with nothing beside them, before others.
    """

    def __init__(self, work: Work, device: str | None, slots: int) -> None:
        self.tasks: dict[int, Judging] = {}
        self.alone: deque[Judging] = deque()
        self.slots = slots
        self._next: list[deque[Judging]] = [deque() for _ in range(slots)]
        """By slot, further tasks of the model that was trained last."""
        self._by_itself: Judging | None = None
        """The task that was taken out of ``alone`` last, and runs as long as it is among ``tasks``."""
        self._work, self._device = work, device
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._has: dict[int, Any] = {}  # references: while the object lives, no other has its id

    def next_for(self, slot: int, waiting: deque[deque[Judging]]) -> Judging | None:
        """The task that ``slot`` is to be given, taken out of where it waits; None if it is busy or has to wait."""
        if slot in self.tasks or any(task is self._by_itself for task in self.tasks.values()):
            return None
        if self.alone:
            if self.tasks:
                return None
            self._by_itself = self.alone.popleft()
            return self._by_itself
        if not self._next[slot] and waiting:
            self._next[slot] = waiting.popleft()
        return self._next[slot].popleft() if self._next[slot] else None

    def give(self, slot: int, task: Judging) -> None:
        """Send a task to the process; the connection becomes ready when the process says something of it, or ends.

        Raises:
            ConfigurationError: no process can be started.
        """
        if self._process is None or not (self.tasks or self._process.is_alive()):
            self.end()
            self._start()
        assert self._connection is not None
        key = id(task.data)
        try:
            if key not in self._has:
                self._connection.send((key, task.data))
                self._has[key] = task.data
            self._connection.send((slot, key, replace(task, data=None)))
        except OSError:
            pass  # the process died; `heard` reports how
        self.tasks[slot] = task

    @property
    def connection(self) -> Connection | None:
        """To the process; None where none runs."""
        return self._connection

    def heard(self) -> tuple[Judging, Moved] | list[tuple[Judging, Outcome]]:
        """What the process says: the progress of a task, or the tasks that have ended and their outcomes.

        Raises:
            KitError: a task raised it.
        """
        assert self._connection is not None
        try:
            slot, said = self._connection.recv()
        except (EOFError, OSError):
            tasks = list(self.tasks.values())
            return [(task, Failure(reason, "", beside=len(tasks) > 1)) for reason in [self._death()] for task in tasks]
        if isinstance(said, Moved):
            return self.tasks[slot], said
        if isinstance(said, KitError):
            raise said
        if isinstance(said, Failure) and said.device_lost:
            tasks = list(self.tasks.values())
            self.end()
            return [(task, said) for task in tasks]
        return [(self.tasks.pop(slot), said)]

    def forget(self) -> None:
        """Drop the tasks that wait here."""
        self.alone.clear()
        for tasks in self._next:
            tasks.clear()

    def end(self) -> None:
        """End the process; what it worked on is not done."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process.close()
        if self._connection is not None:
            self._connection.close()
        self._process = self._connection = None
        self.tasks.clear()
        self._has.clear()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        try:
            connection, theirs = context.Pipe()
        except OSError as error:
            raise _cannot_start(error) from None
        process = context.Process(target=_serve, args=(theirs, self._work, self.slots), name="training", daemon=True)
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


def _serve(connection: Connection, work: Work, slots: int) -> None:
    """The main function of a worker process. One slot works in the main thread, several in a thread each, for good."""
    # Ctrl-C reaches the whole group of processes; only the sweep's own process reacts to it and ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    data: dict[int, Any] = {}
    said = threading.Lock()

    def say_of(slot: int, news: Any) -> None:
        with said:
            connection.send((slot, news))

    def do(slot: int, task: Judging) -> None:
        TELL.send = partial(say_of, slot)
        outcome = _outcome(work, task)
        try:
            say_of(slot, outcome)
        except OSError:
            raise  # nobody listens any more
        except Exception as error:  # it cannot be sent: nothing of it was
            say_of(slot, Failure(f"the evaluator failed: {type(error).__name__}: {error}", traceback.format_exc()))

    def do_all(slot: int, tasks: SimpleQueue[Judging]) -> None:
        # What ends a process where there is one slot ends it here, too: a thread that is gone would be waited for.
        try:
            while True:
                do(slot, tasks.get())
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    queues: list[SimpleQueue[Judging]] = [SimpleQueue() for _ in range(slots if slots > 1 else 0)]
    for slot, queue in enumerate(queues):
        threading.Thread(target=do_all, args=(slot, queue), daemon=True).start()
    while True:
        try:
            given = connection.recv()
        except EOFError:
            return
        if len(given) == 2:
            data[given[0]] = given[1]
            continue
        slot, key, task = given
        task = replace(task, data=data[key])
        if queues:
            queues[slot].put(task)
        else:
            do(slot, task)


def _outcome(work: Work, task: Judging) -> Any:
    """Of a task: what the work gives, a failure, or an error that every other task would meet, too."""
    try:
        return work(task)
    except KitError as error:
        return error
    except DeviceError as error:
        return Failure(f"the training failed: {error}", traceback.format_exc(), device_lost=True)
    except Exception as error:  # a fault of the evaluator in one cell must not end the others
        return Failure(f"the evaluator failed: {type(error).__name__}: {error}", traceback.format_exc())


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
