"""A started worker behind its guard, whatever room they are in."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from evaluator.sandbox.channel import HostChannel
from evaluator.sandbox.guard import become_reaper, children, descendants, is_marked
from evaluator.sandbox.limits import LimitGroup, Limits
from evaluator.sandbox.logs import LogReader
from evaluator.sandbox.tier import Ended
from evaluator.sandbox.watch import Watch

KIT_ROOT = Path(__file__).resolve().parents[2]
GUARD = Path(__file__).with_name("guard.py")
WORKER = KIT_ROOT / "evaluator" / "worker" / "__main__.py"
SHOWN = ("__init__.py", "strategies", "worker")
"""What a worker sees of the package, in a room of its own."""
SOON = 0.6
"""Seconds in which a guard that nothing hinders has usually done its work."""


class Outer(Protocol):
    """The outermost process of a worker: the guard itself, or what holds the guard's room open."""

    @property
    def pid(self) -> int:
        """Its number on this machine; its descendants are the guard's tree."""
        ...

    def kill(self) -> None:
        """Kill it; returns when it is dead. May be called again."""
        ...


class LocalProcess:
    """An outermost process that we started ourselves. An ``Outer``."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def kill(self) -> None:
        """See ``Outer.kill``."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def resume(self) -> None:
        """Let it go on, where something has stopped it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)

    def ends_within(self, seconds: float) -> bool:
        """Wait at most so long for its end, and say whether it came."""
        try:
            self._process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


class Lines(NamedTuple):
    """Our ends of what connects us to a worker: the guard's line, the private channel, the output."""

    control: socket.socket
    channel: HostChannel
    logs: LogReader


@dataclass(frozen=True)
class GuardSpec:
    """How a worker is watched and ended.

    Attributes:
        limits: held by ``group`` where there is one, else by watching.
        room: the outer process takes every process of the worker with it when it is killed (a namespace). Where there is none,
            the outer process is the guard, within the worker's reach, and a ``LocalProcess``.
        group: holds the limits of memory and processes.
        join: puts a process into the group; None where they are in it from their first instruction on.
        scratch: a folder whose size is watched; None where it cannot outgrow its limit.
        mounts: the room's file systems in memory, whose size is watched too.
        filters: of system calls, installed by the guard before the worker starts.
        seen: how the worker names a file of the host.
        left: called once, when every process is gone; frees what the tier made for this worker.
    """

    limits: Limits
    room: bool = False
    group: LimitGroup | None = None
    join: Callable[[int], None] | None = None
    scratch: Path | None = None
    mounts: tuple[str, ...] = ()
    filters: tuple[bytes, ...] = ()
    seen: Callable[[Path], str] = str
    left: Callable[[], None] = lambda: None


class GuardedWorker:
    """A worker and the guard that leaves nothing of it behind.

    Args:
        outer: the process that we started: the guard itself, or what holds the guard's room open.
        lines: closed with the worker.
        spec: how it is watched and ended.

    Raises:
        OSError: the guard did not start; nothing is left behind.
        TypeError: there is no room, and the outer process is not one that we started.
    """

    def __init__(self, outer: Outer, lines: Lines, spec: GuardSpec) -> None:
        if not spec.room and not isinstance(outer, LocalProcess):
            raise TypeError(f"a guard without a room must be a LocalProcess; this is a {type(outer).__name__}")
        self.channel = lines.channel
        self.seen = spec.seen
        self._outer = outer
        # In no room the guard is our own child, and a worker of the same user can stop it.
        self._exposed = outer if isinstance(outer, LocalProcess) and not spec.room else None
        self._control, _, self._logs = lines
        self._spec = spec
        self._group = spec.group
        self._received = b""
        self._ended: Ended | None = None
        self._watch: Watch | None = None
        self.limited_by = "watch" if spec.group is None else f"cgroup v{spec.group.version}"
        self.pid = self._begin()
        if not self.pid:
            self.end()
            raise OSError(f"the worker's guard did not start: {self.log().strip()[-500:] or 'it said nothing'}")
        self._watch = Watch(outer.pid, spec.limits, spec.scratch, self._kill, group=spec.group, mounts=spec.mounts)

    def _begin(self) -> int:
        """Let the guard start the worker, in the control group; the worker's number, or 0."""
        if not self._read_report(timeout=20).get("ready"):
            return 0
        try:
            for pid in (self._outer.pid, *descendants(self._outer.pid)):
                if hasattr(resource, "prlimit"):
                    # A guard under filters cannot do this itself: they keep the limit as it is.
                    with contextlib.suppress(OSError, ValueError):
                        resource.prlimit(pid, resource.RLIMIT_CORE, (1, 1))
                if self._spec.join is not None:
                    self._spec.join(pid)
            sizes = " ".join(str(len(program)) for program in self._spec.filters)
            self._control.sendall(f"go {sizes}\n".encode() + b"".join(self._spec.filters))
        except OSError:
            return 0
        return int(self._read_report(timeout=20).get("pid", 0))

    def _kill(self) -> None:
        """Have the tree killed; ``end`` waits for it."""
        with contextlib.suppress(OSError):
            self._control.send(b"kill\n")
        # A guard that a worker has stopped cannot do its work; a guard that was not stopped ignores this.
        if self._exposed is not None:
            self._exposed.resume()

    def end(self) -> Ended:
        """See ``Worker.end``."""
        if self._ended is None:
            # Whatever goes wrong on the way, what comes below it still happens, in this order.
            with ExitStack() as last:
                for step in (self.channel.close, self._control.close, _bury_strays, self._spec.left):
                    last.callback(step)
                if self._group is not None:
                    last.callback(self._group.kill)
                last.callback(self._outer.kill)
                self._ended = self._end()
        return self._ended

    def _end(self) -> Ended:
        if self._watch is not None:
            self._watch.close()
        report = self._end_guard()
        guarded = bool(report.get("ended")) or self._exposed is None
        self._outer.kill()
        if self._exposed is not None and self._group is None:
            if not guarded:
                self._sweep_session()
            # Also after a report: a worker of the same user may have written it.
            _end_strays()
        breach = self._watch.breach if self._watch is not None else None
        if self._group is not None:
            self._group.kill()
            guarded = True
            breach = breach or self._group.breach()
        return Ended(report.get("code"), report.get("signal"), bool(report.get("killed")), guarded, breach)

    def _end_guard(self) -> dict[str, int]:
        """Have the guard do its work, and its report; an empty report where the guard is lost.

        A worker of the same user may stop its guard again and again, read its line, or write to it. So where there is no room, we
        do what the guard has not done in half a second, and a report counts only when the guard is gone.
        """
        self._kill()
        # In a room that root made, the guard is out of the worker's reach, so we wait longer for its report.
        report = self._read_report(timeout=2 if self._exposed is None and os.geteuid() == 0 else SOON)
        if self._exposed is None:
            return report
        if not report:
            _end_below(self._exposed.pid)
            self._kill()
            report = self._read_report(timeout=10)
        if not self._exposed.ends_within(SOON):
            _end_below(self._exposed.pid)
            self._kill()
            self._exposed.ends_within(10)
        return report

    def follow(self, follower: Callable[[str], None]) -> None:
        """See ``Worker.follow``."""
        self._logs.follow(follower)

    def log(self) -> str:
        """See ``Worker.log``."""
        return self._logs.close()

    def _read_report(self, timeout: float) -> dict[str, int]:
        """The guard's next report; an empty report where no line comes in time."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            while b"\n" not in self._received:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return {}
                try:
                    data = self._control.recv(4096)
                except ConnectionError:
                    return {}
                if not data or len(self._received) > 4096:
                    return {}
                self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return read_report(line)

    def _sweep_session(self) -> None:
        """The guard is lost: kill at least the processes that stayed in the worker's session."""
        if not os.path.isdir("/proc") and self.pid > 1:
            with contextlib.suppress(OSError):
                os.killpg(self.pid, signal.SIGKILL)
            return
        for name in os.listdir("/proc") if self.pid > 1 else ():
            # By the mark as well: the number came over a line that a worker may have reached.
            with contextlib.suppress(OSError):
                if name.isdigit() and os.getsid(int(name)) == self.pid and is_marked(int(name)):
                    os.kill(int(name), signal.SIGKILL)


_REPORT = re.compile(rb"[a-z]{1,8} [0-9]{1,10}(?: [a-z]{1,8} [0-9]{1,10}){0,7}")


def read_report(line: bytes) -> dict[str, int]:
    """What a line of a guard says; nothing where it is no such line. A worker that reaches its guard can write there as well."""
    if not _REPORT.fullmatch(line):
        return {}
    words = line.decode().split(" ")
    return {name: int(value) for name, value in zip(words[::2], words[1::2], strict=True)}


def _end_below(guard: int) -> None:
    """End everything below a guard, but not the guard."""
    for _ in range(3):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in descendants(guard):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)


def _end_strays() -> None:
    """End processes that have lost their guard: our children that a worker started. Other workers are their guards' children."""
    for _ in range(1_000):
        strays = [pid for pid in children(os.getpid()) if is_marked(pid)]
        if not strays:
            return
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for stray in strays:
                for pid in (stray, *descendants(stray)):
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, number)
        for stray in strays:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(stray, 0)


def _bury_strays() -> None:
    """Reap dead processes that lost their guard: they became our children, and would stay in the list of processes."""
    for pid in children(os.getpid()):
        if is_marked(pid):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def launch(
    command: Callable[[int, int], list[str]],
    spec: GuardSpec,
    *,
    cwd: Path | None,
    environment: Mapping[str, str],
    keep: tuple[int, ...] = (),
) -> GuardedWorker:
    """Start ``command(channel descriptor, control descriptor)`` with nothing inherited but these two, ``keep`` and the log's pipe.

    Raises:
        OSError: it did not start; nothing is left behind.
    """
    # A process that loses its guard then becomes our child, and not that of another process.
    become_reaper()
    ours, theirs = socket.socketpair()
    control, guard_end = socket.socketpair()
    out_read, out_write = os.pipe()
    try:
        outer = subprocess.Popen(
            command(theirs.fileno(), guard_end.fileno()),
            stdin=subprocess.DEVNULL,
            stdout=out_write,
            stderr=out_write,
            pass_fds=(theirs.fileno(), guard_end.fileno(), *keep),
            cwd=cwd,
            env=dict(environment),
            start_new_session=True,
        )
    except OSError:
        for descriptor in (out_read, ours.detach(), control.detach()):
            os.close(descriptor)
        spec.left()
        raise
    finally:
        os.close(out_write)
        theirs.close()
        guard_end.close()
    return GuardedWorker(LocalProcess(outer), Lines(control, HostChannel(ours), LogReader(out_read)), spec)


def worker_command(channel: int, python: str = sys.executable, worker: str = str(WORKER)) -> list[str]:
    """The worker's own command line.

    Not ``-I``: that would ignore the PYTHONHASHSEED which makes sets repeat. The environment is an allow-list anyway.
    """
    return [python, "-s", "-P", worker, str(channel)]
