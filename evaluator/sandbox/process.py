"""The portable tier: a process of its own, no privileges needed.

What it stops: disturbance by prints, exceptions and crashes; anything that outlives the run; the evaluator's environment and open
descriptors being inherited. What it does not stop: the worker runs as the same user, so it can read every file that this user can
read, label files included, and can signal this user's processes. Judge strangers' code in a stronger tier.
"""

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
from pathlib import Path

from evaluator.sandbox.channel import HostChannel
from evaluator.sandbox.logs import LogReader
from evaluator.sandbox.tier import Ended, Environment, WorkerSpec

KIT_ROOT = Path(__file__).resolve().parents[2]
_GUARD = Path(__file__).with_name("guard.py")
_WORKER = KIT_ROOT / "evaluator" / "worker" / "__main__.py"


class ProcessWorker:
    """A worker in a process of its own, behind its guard."""

    def __init__(self, guard: subprocess.Popen[bytes], control: socket.socket, channel: HostChannel, logs: LogReader) -> None:
        self._guard = guard
        self._control = control
        self._logs = logs
        self._lines = b""
        self._ended: Ended | None = None
        self.channel = channel
        self.pid = int(self._read_report(timeout=20).get("pid", 0))
        if not self.pid:
            self.end()
            raise OSError("the worker's guard did not start")

    def end(self) -> Ended:
        """See ``Worker.end``."""
        if self._ended is None:
            with contextlib.suppress(OSError):
                self._control.send(b"kill\n")
            # A guard that a worker has stopped cannot do its work; a guard that was not stopped ignores this.
            with contextlib.suppress(ProcessLookupError):
                self._guard.send_signal(signal.SIGCONT)
            report = self._read_report(timeout=10)
            guarded = bool(report.get("ended"))
            if not guarded:
                self._sweep_session()
            with contextlib.suppress(ProcessLookupError):
                self._guard.kill()
            self._guard.wait()
            self._control.close()
            self.channel.close()
            self._ended = Ended(report.get("code"), report.get("signal"), bool(report.get("killed")), guarded)
        return self._ended

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
                data = self._control.recv(4096)
                if not data:
                    return {}
                self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        return json.loads(line)

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


class ProcessSandbox:
    """Tier ``process``."""

    name = "process"

    def start(self, spec: WorkerSpec) -> ProcessWorker:
        """See ``Sandbox.start``."""
        ours, theirs = socket.socketpair()
        control, guard_end = socket.socketpair()
        out_read, out_write = os.pipe()
        try:
            # Not -I: that would ignore the PYTHONHASHSEED which makes sets repeat. The environment is an allow-list anyway.
            worker = [sys.executable, "-s", "-P", str(_WORKER), str(theirs.fileno()), str(KIT_ROOT)]
            guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), str(guard_end.fileno()), "--", *worker],
                stdin=subprocess.DEVNULL,
                stdout=out_write,
                stderr=out_write,
                pass_fds=(theirs.fileno(), guard_end.fileno()),
                cwd=spec.scratch,
                env=Environment().build(spec, dict(os.environ)),
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
        return ProcessWorker(guard, control, HostChannel(ours), LogReader(out_read))


SANDBOXES = {"process": ProcessSandbox}
"""Isolation tiers by name."""
