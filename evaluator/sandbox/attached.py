"""A worker in the foreground, for the author of a submission to look at: ``local_evaluation.py --debug``. It isolates nothing.

Why a process of its own, and not the submission in the evaluator's process: the worker is the one that a run has (the same service
loop, environment, working folder and channel), so what works here works there; the evaluator's half keeps its promise that it never
imports a submission; and ``exit()``, a crash or a patched library ends the worker alone. Nothing is lost by it: the worker has the
evaluator's stdin, stdout and stderr and is in the foreground, so ``breakpoint()``, prints and windows work as in one process.

What it leaves out: no guard, no limits of memory, processes and disk, no filter of system calls, no clock that ends anything. What
a worker starts ends with it only as far as programs usually do. So it is no isolation tier: it stands in no list of tiers, and
nothing that ran in it is stored.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from evaluator.sandbox.channel import HostChannel
from evaluator.sandbox.guarded import worker_command
from evaluator.sandbox.readonly import Content, sealed
from evaluator.sandbox.scratch import scratch_folder
from evaluator.sandbox.tier import Ended, Environment, WorkerSpec

SHOWN = (
    *("TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES", "INPUTRC", "PYTHONBREAKPOINT"),
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "MPLBACKEND"),
)
"""Environment variables that a terminal, a debugger and windows need, passed beside those of every worker."""
SECONDS_TO_END = 5.0
"""A worker that has nothing to do any more has so long to end by itself."""


class AttachedSandbox:
    """Starts workers in the foreground. It has the methods of a tier, so that a session needs no other code.

    Args:
        full: tracebacks are printed with the frames of the worker.
    """

    name = "debug"
    promises: frozenset[str] = frozenset()

    def __init__(self, full: bool = False) -> None:
        self._how = ("attached", "full") if full else ("attached",)

    def start(self, spec: WorkerSpec) -> AttachedWorker:
        """See ``Sandbox.start``."""
        with ExitStack() as stack:
            scratch = stack.enter_context(scratch_folder())
            known = Environment()
            weights = None if spec.weights is None else str(spec.weights)
            environment = Environment(known.passed + SHOWN).build(spec, dict(os.environ), str(scratch), weights)
            keys = Path("~/.Xauthority").expanduser()
            if "XAUTHORITY" not in environment and keys.is_file():  # the worker has another home
                environment["XAUTHORITY"] = str(keys)
            ours, theirs = socket.socketpair()
            with theirs:
                command = [*worker_command(theirs.fileno()), *self._how]
                sys.stdout.flush()
                sys.stderr.flush()
                try:
                    process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), cwd=scratch, env=environment)
                except OSError:
                    ours.close()
                    raise
            return AttachedWorker(process, HostChannel(ours), stack.pop_all())

    def opened(self, file: Path | Content) -> int:
        """See ``Sandbox.opened``."""
        return sealed(file.data) if isinstance(file, Content) else os.open(file, os.O_RDONLY | os.O_CLOEXEC)


class AttachedWorker:
    """A worker in the foreground. ``left`` is closed when it has ended."""

    limited_by = ""

    def __init__(self, process: subprocess.Popen[bytes], channel: HostChannel, left: ExitStack) -> None:
        self.channel = channel
        self.pid = process.pid
        self._process, self._left = process, left

    def seen(self, path: Path) -> str:
        """See ``Worker.seen``: the submission's own files."""
        return str(path)

    def end(self) -> Ended:
        """See ``Worker.end``. The worker ends by itself when its channel is closed, unless it hangs."""
        with self._left:
            running = self._process.poll() is None
            self.channel.close()
            try:
                self._process.wait(SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if running:
            return Ended(killed=True)
        status = self._process.returncode
        return Ended(code=status) if status >= 0 else Ended(signal=-status)

    def follow(self, follower: Callable[[str], None]) -> None:
        """See ``Worker.follow``. Nothing is passed on: the terminal has it."""

    def log(self) -> str:
        """See ``Worker.log``. What it printed was seen when it was printed."""
        return ""
