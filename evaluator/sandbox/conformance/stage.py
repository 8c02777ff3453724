"""Where a check plays: a worker of the tier under test, a small program in the role of the submission, and a look from outside.

The program runs while the worker imports it, which needs nothing of the kit but the worker itself: the order to load names no
track, so no class is looked for. It speaks by ``tell(value)``, which the worker's log carries. Every process of it bears a mark in
its name, so that it is found from outside whatever session, parent or namespace it has moved to.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.sandbox.channel import ChannelEnded, ChannelTimeout, ProtocolError
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.tier import Ended, Sandbox, Worker, WorkerSpec

PATIENCE = 60.0
"""Seconds after which what should have happened counts as not happening. Generous: nothing is measured by it."""
SMALL = Limits(memory=512 << 20, processes=64, disk=32 << 20, files=2_000)

PRELUDE = """
import ctypes, json, os, signal, sys, time
def tell(value):
    os.write(1, ("TOLD " + json.dumps(value) + "\\n").encode())
def daemon(session=True):
    'Fork twice, and live on without a parent; True in the daemon, which has left the session if it was told to.'
    if os.fork():
        return False
    if session:
        os.setsid()
    if os.fork():
        os._exit(0)
    return True
def attempt(action):
    'What came of an action: its result, or the name of its error.'
    try:
        return action()
    except Exception as error:
        return type(error).__name__ + ": " + str(error)
def given_file():
    'The file of images that came with the order to load this program.'
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    for name in sorted(os.listdir(folder), key=int):
        try:
            if os.pread(int(name), 6, 0) == b"\\x93NUMPY":
                return f"{folder}/{name}"
        except OSError:
            pass
    return "no file was given"
IMAGES = given_file()
MARK = {mark!r}
if sys.platform.startswith("linux"):
    ctypes.CDLL(None).prctl(15, MARK.encode(), 0, 0, 0)
"""


class Broken(Exception):
    """The tier does not do what the check asks for; the message says what was seen."""


class Unseen(Exception):
    """The check cannot be made on this machine; the message says why."""


def need(condition: object, seen: str) -> None:
    """Raise ``Broken`` with what was seen, unless ``condition``."""
    if not condition:
        raise Broken(seen)


@dataclass(frozen=True)
class Outcome:
    """How a play went.

    Attributes:
        how: ``done`` or ``failed`` (the worker's answer), ``timeout``, ``ended`` (the channel closed) or ``refused`` (a frame that
            is none). ``message`` says more.
        told: what the program told, in order. ``left``: numbers of its processes that outlived ``end``.
        seconds: from the order to the answer; ``end_seconds``: that ``end`` took.
    """

    how: str
    message: str
    ended: Ended
    log: str
    told: list[Any]
    left: list[int]
    seconds: float
    end_seconds: float

    def only(self) -> Any:
        """What the program told, where it told exactly one value."""
        need(len(self.told) == 1, f"the program told {len(self.told)} things; it {self.how}: {self.message} {self.log[-300:]!r}")
        return self.told[0]


class Actor:
    """A started worker that has been told to import the program."""

    def __init__(self, worker: Worker, mark: str) -> None:
        self.worker, self.mark = worker, mark
        self.started = time.monotonic()
        self._answer = ("timeout", "nobody waited")
        self._seconds = 0.0
        self._outcome: Outcome | None = None

    def answer(self, seconds: float = PATIENCE) -> str:
        """Wait for the worker's answer; the ``how`` of the outcome."""
        deadline = time.monotonic() + seconds
        try:
            message = self.worker.channel.receive(deadline)
            self._answer = (message.kind, str(message.fields.get("message", "")))
        except ChannelTimeout:
            self._answer = ("timeout", f"no answer within {seconds:g} s")
        except ChannelEnded as error:
            self._answer = ("ended", str(error))
        except ProtocolError as error:
            self._answer = ("refused", str(error))
        self._seconds = time.monotonic() - self.started
        return self._answer[0]

    def await_processes(self, count: int, mark: str | None = None) -> None:
        """Wait until ``count`` processes bear the mark."""
        deadline = time.monotonic() + PATIENCE
        mark = mark or self.mark
        while (seen := len(marked(mark))) < count:
            if time.monotonic() > deadline:
                if not marked(self.mark):
                    raise Unseen("the worker's processes cannot be seen from here")
                raise Broken(f"the program started {seen} of {count} processes within {PATIENCE:g} s")
            time.sleep(0.02)

    def end(self) -> Outcome:
        """End the worker and look at what is left."""
        if self._outcome is None:
            before = time.monotonic()
            ended = self.worker.end()
            took = time.monotonic() - before
            left = marked(self.mark)
            log = self.worker.log()
            told = [json.loads(line[5:]) for line in log.splitlines() if line.startswith("TOLD ")]
            self._outcome = Outcome(*self._answer, ended, log, told, left, self._seconds, took)
        return self._outcome


class Stage:
    """A tier and what its workers are given.

    Args:
        sandbox: the tier under test.
        folder: an empty folder for what the workers are given, and for a file that they must not see.
    """

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.folder = folder
        self.images = folder / "images.npy"
        np.save(self.images, np.arange(3 * 8 * 8 * 3, dtype=np.uint8).reshape(3, 8, 8, 3))
        self.images.chmod(0o444)
        self.weights = folder / "weights"
        self.weights.mkdir()
        (self.weights / "b4.pth").write_text("weights")
        (self.weights / "b4.pth").chmod(0o644)
        self.weights.chmod(0o755)
        self.secret = folder / "labels.csv"
        self.secret.write_text("hunter2")

    @contextmanager
    def cast(self, code: str, limits: Limits | None = None, images: Path | None = None, **given: Any) -> Iterator[Actor]:
        """A worker that imports ``code`` and is given ``images`` with the order to do so. It is ended in any case.

        Args:
            images: another file than the stage's.
            given: fields of the worker's ``WorkerSpec``.
        """
        mark = "dck" + secrets.token_hex(4)
        submission = self.folder / f"submission-{mark}"
        submission.mkdir()
        spec = WorkerSpec(submission=submission, limits=limits or Limits(memory=4 << 30))
        worker = None
        (submission / "run.py").touch()  # bound by its folder; its text needs names that only a started worker knows
        # Whatever the umask: a worker of another user reads both, as it reads the copy that a session stages.
        (submission / "run.py").chmod(0o644)
        submission.chmod(0o755)
        try:
            worker = self.sandbox.start(replace(spec, **given))
            name = worker.seen(submission)
            places = f"SUBMISSION, SECRET = {name!r}, {str(self.secret)!r}\n"
            text = PRELUDE.replace("{mark!r}", repr(mark)) + places + textwrap.dedent(code)
            (submission / "run.py").write_text(text)
            actor = Actor(worker, mark)
            _greet(worker)
            file = self.sandbox.opened(images or self.images)
            try:
                order = {"t": "load", "submission": name, "files": ["images"]}
                worker.channel.send(order, deadline=time.monotonic() + PATIENCE, descriptors=[file])
            finally:
                os.close(file)
            yield actor
            actor.end()
        finally:
            if worker is not None:
                worker.end()
                worker.log()
            _sweep_up(mark)  # a process that a tier lets live is reported by its check, and must not stay on this machine

    def play(self, code: str, seconds: float = PATIENCE, **options: Any) -> Outcome:
        """Have ``code`` imported, wait at most ``seconds`` for the answer, end the worker."""
        with self.cast(code, **options) as actor:
            actor.answer(seconds)
            return actor.end()


def _sweep_up(mark: str) -> None:
    """Kill what bears the mark until it is gone: a killed process is there for a moment more, and may have forked in it."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        killed = 0
        for pid in marked(mark):
            with contextlib.suppress(OSError):
                os.kill(pid, 9)
                killed += 1
        if not killed:  # none is left, or none that may be killed
            return
        time.sleep(0.005)


def _greet(worker: Worker) -> None:
    try:
        kind = worker.channel.receive(time.monotonic() + PATIENCE).kind
    except (ChannelTimeout, ChannelEnded, ProtocolError) as error:
        ended = worker.end()
        raise Broken(f"the worker did not greet: {error} {ended} {worker.log()[-500:]!r}") from None
    need(kind == "hello", f"the worker greeted with a {kind!r} message")


def marked(mark: str) -> list[int]:
    """Numbers of the processes whose name begins with ``mark``, as this machine sees them; the dead are not counted."""

    def bears(stat: bytes) -> bool:
        name = stat[stat.index(b"(") + 1 : stat.rindex(b")")]
        return name.startswith(mark.encode()) and stat[stat.rindex(b")") + 2 : stat.rindex(b")") + 3] not in (b"Z", b"X")

    return [pid for pid, stat in _stats() if bears(stat)]


def _stats() -> Iterator[tuple[int, bytes]]:
    if not os.path.isdir("/proc/self"):
        raise Unseen("this system has no /proc to look for processes in")
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                yield int(name), file.read()
