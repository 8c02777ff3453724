"""A started worker behind its guard, whatever room the two of them are in."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from evaluator.sandbox.cgroup import ControlGroup
from evaluator.sandbox.channel import HostChannel
from evaluator.sandbox.guard import become_reaper, children, descendants, is_marked
from evaluator.sandbox.limits import Limits
from evaluator.sandbox.logs import LogReader
from evaluator.sandbox.tier import Ended
from evaluator.sandbox.watch import Watch

KIT_ROOT = Path(__file__).resolve().parents[2]
GUARD = Path(__file__).with_name("guard.py")
WORKER = KIT_ROOT / "evaluator" / "worker" / "__main__.py"
SHOWN = ("__init__.py", "strategies", "worker")
"""What a worker sees of the package, in a room of its own."""
SOON = 0.6
"""Seconds in which a guard that nobody hinders has done its work, on most machines and days."""


class GuardedWorker:
    """A worker and the guard that leaves nothing of it behind.

    Args:
        outer: the process that we started: the guard itself, or what holds the guard's room open.
        control: our end of the guard's line.
        room: True where the outer process takes every process of the worker with it when it is killed (a namespace).
        seen: how the worker names a file of the host.
        left: called when every process is gone.
        limits: held by ``group`` where there is one, else by watching; ``scratch`` is watched where it is given, and so are the
            room's file systems in memory, ``mounts``.
    """

    def __init__(
        self,
        outer: subprocess.Popen[bytes],
        control: socket.socket,
        channel: HostChannel,
        logs: LogReader,
        *,
        room: bool = False,
        seen: Callable[[Path], str] = str,
        left: Callable[[], None] = lambda: None,
        limits: Limits,
        group: ControlGroup | None = None,
        scratch: Path | None = None,
        mounts: tuple[str, ...] = (),
    ) -> None:
        self.outer = outer
        self.channel = channel
        self.seen = seen
        self._control = control
        self._logs = logs
        self._room = room
        self._left = left
        self._lines = b""
        self._ended: Ended | None = None
        self._group = group
        self._watch: Watch | None = None
        self.limited_by = "watch" if group is None else f"cgroup v{group.version}"
        self.pid = self._begin()
        if not self.pid:
            self.end()
            raise OSError(f"the worker's guard did not start: {self.log().strip()[-500:] or 'it said nothing'}")
        self._watch = Watch(outer.pid, limits, scratch, self._kill, group=group, mounts=mounts)

    def _begin(self) -> int:
        """Let the guard start the worker, in the control group; the worker's number, or 0."""
        if not self._read_report(timeout=20).get("ready"):
            return 0
        try:
            if self._group is not None:
                for pid in (self.outer.pid, *descendants(self.outer.pid)):
                    self._group.add(pid)
            self._control.send(b"go\n")
        except OSError:
            return 0
        return int(self._read_report(timeout=20).get("pid", 0))

    def _kill(self) -> None:
        """Have the tree killed; ``end`` waits for it."""
        with contextlib.suppress(OSError):
            self._control.send(b"kill\n")
        # A guard that a worker has stopped cannot do its work; a guard that was not stopped ignores this.
        with contextlib.suppress(ProcessLookupError):
            self.outer.send_signal(signal.SIGCONT)

    def end(self) -> Ended:
        """See ``Worker.end``."""
        if self._ended is None:
            if self._watch is not None:
                self._watch.close()
            report = self._end_guard()
            guarded = bool(report.get("ended")) or self._room
            with contextlib.suppress(ProcessLookupError):
                self.outer.kill()
            self.outer.wait()
            if not self._room and self._group is None:
                if not guarded:
                    self._sweep_session()
                # Also after a report: a worker of the same user may have written it.
                _end_strays()
            if self._group is not None:
                self._group.kill()
                guarded = True
            self._left()
            _bury_strays()
            self._control.close()
            self.channel.close()
            breach = self._watch.breach if self._watch is not None else None
            if self._group is not None:
                breach = breach or self._group.breach()
                self._group.close()
            self._ended = Ended(report.get("code"), report.get("signal"), bool(report.get("killed")), guarded, breach)
        return self._ended

    def _end_guard(self) -> dict[str, int]:
        """Have the guard do its work, and its report; an empty one where it is lost.

        A worker of the same user may stop its guard again and again, read its line, or write to it. So what a guard in no room of
        its own has not done in half a second is done from here, and a report counts when the guard is gone.
        """
        self._kill()
        # In a room that root made the guard is out of the worker's reach, and its report is worth waiting for.
        report = self._read_report(timeout=2 if self._room and os.geteuid() == 0 else SOON)
        if self._room:
            return report
        if not report:
            _end_below(self.outer.pid)
            self._kill()
            report = self._read_report(timeout=10)
        try:
            self.outer.wait(timeout=SOON)
        except subprocess.TimeoutExpired:
            _end_below(self.outer.pid)
            self._kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.outer.wait(timeout=10)
        return report

    def log(self) -> str:
        """See ``Worker.log``."""
        return self._logs.close()

    def _read_report(self, timeout: float) -> dict[str, int]:
        """The guard's next line, or an empty report where there is none in time."""
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            while b"\n" not in self._lines:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return {}
                try:
                    data = self._control.recv(4096)
                except ConnectionError:
                    return {}
                if not data or len(self._lines) > 4096:
                    return {}
                self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        try:
            report = json.loads(line)
        except ValueError:
            return {}
        # A worker that reaches its guard can write here; texts would be shown to people.
        return {name: value for name, value in report.items() if isinstance(value, int)} if isinstance(report, dict) else {}

    def _sweep_session(self) -> None:
        """The guard is lost: kill at least what stayed in the worker's session."""
        if not self.pid:
            return
        for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
            with contextlib.suppress(OSError):
                if name.isdigit() and os.getsid(int(name)) == self.pid:
                    os.kill(int(name), signal.SIGKILL)
        with contextlib.suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)


def _end_below(guard: int) -> None:
    """End everything below a guard, but not the guard."""
    for _ in range(3):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in descendants(guard):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)


def _end_strays() -> None:
    """End what has lost its guard: children of ours that a worker started. Workers whose guards live are their guards' children."""
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
    """Take note of the end of what lost its guard and is dead: it became our child, and would stay in the list of processes."""
    for pid in children(os.getpid()):
        if is_marked(pid):
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def launch(
    command: Callable[[int, int], list[str]],
    *,
    cwd: Path | None,
    environment: Mapping[str, str],
    keep: tuple[int, ...] = (),
    **options: object,
) -> GuardedWorker:
    """Start ``command(channel descriptor, control descriptor)`` with nothing inherited but these two, ``keep`` and the log's pipe.

    Raises:
        OSError: it did not start; nothing is left behind.
    """
    # What loses its guard then becomes our child, and not a stranger's.
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
        raise
    finally:
        os.close(out_write)
        theirs.close()
        guard_end.close()
    return GuardedWorker(outer, control, HostChannel(ours), LogReader(out_read), **options)  # type: ignore[arg-type]


def worker_command(channel: int, python: str = sys.executable, worker: str = str(WORKER), root: str = str(KIT_ROOT)) -> list[str]:
    """The worker's own command line.

    Not ``-I``: that would ignore the PYTHONHASHSEED which makes sets repeat. The environment is an allow-list anyway.
    """
    return [python, "-s", "-P", worker, str(channel), root]
