"""A control group for one worker, version 1 or 2, where this user may make one: the kernel lets no worker exceed its limits."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from pathlib import Path

from evaluator.files import abandoned, hold
from evaluator.sandbox.limits import Breach, Limits

ROOT = Path("/sys/fs/cgroup")
PREFIX = "dck-worker-"
_TRIES = 20
"""How often a folder is made that another process removes or locks."""


class ControlGroup:
    """Limits of memory and processes over whatever is put in. A ``LimitGroup``. Made by ``make``.

    Attributes:
        version: 1 or 2, for the record.
    """

    def __init__(self, version: int, folders: dict[str, Path], limits: Limits) -> None:
        self.version = version
        self._folders = folders
        self._limits = limits
        self._held: list[int] = []

    @classmethod
    def make(cls, limits: Limits) -> ControlGroup | None:
        """A new group with the limits set, or None where the machine offers none that this user may write."""
        version, parents = _parents()
        name = f"{PREFIX}{uuid.uuid4().hex[:12]}"
        folders = {kind: parent / name for kind, parent in parents.items()}
        if version == 2:
            settings = [
                ("memory", "memory.max", limits.memory),
                ("memory", "memory.swap.max", 0),
                ("pids", "pids.max", limits.processes),
            ]
        else:
            settings = [("memory", "memory.limit_in_bytes", limits.memory), ("pids", "pids.max", limits.processes)]
        group = cls(version, folders, limits)
        try:
            group._make_folders()
            for kind, file, value in settings:
                # Swap is not limited where the kernel does not account for it; the memory limit still holds.
                optional = file == "memory.swap.max"
                with contextlib.suppress(*((OSError,) if optional else ())):
                    (folders[kind] / file).write_text(str(value))
        except OSError:
            group.close()
            return None
        return group

    def _make_folders(self) -> None:
        for folder in dict.fromkeys(self._folders.values()):
            for attempt in range(1, _TRIES + 1):
                folder.mkdir()
                try:
                    self._held.append(hold(folder, wait=False))
                    break
                except FileNotFoundError:
                    # Before it was marked, another evaluator took it for abandoned and removed it.
                    if attempt == _TRIES:
                        raise
                except BlockingIOError:
                    # Everybody may read it, and so lock it, and never let it go.
                    with contextlib.suppress(FileNotFoundError):
                        folder.rmdir()
                    if attempt == _TRIES:
                        raise

    def add(self, pid: int) -> None:
        """Put a process in; its later children are in as well.

        Raises:
            OSError: the process is gone, or the kernel refuses.
        """
        for folder in dict.fromkeys(self._folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def kill(self) -> None:
        """Kill everything in the group until it is empty, also processes that left every parent and session."""
        for _ in range(500):
            pids = {int(pid) for folder in self._folders.values() for pid in _lines(folder / "cgroup.procs")}
            if not pids:
                return
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def breach(self) -> Breach | None:
        """The limit that the kernel enforced with a kill or a refused fork, if any."""
        memory = self._folders["memory"]
        if self.version == 2:
            kills = _counter(memory / "memory.events", "oom_kill")
            peak = _number(memory / "memory.peak")
        else:
            kills = _counter(memory / "memory.oom_control", "oom_kill")
            peak = _number(memory / "memory.max_usage_in_bytes")
        if kills:
            return Breach("memory", max(peak, self._limits.memory), self._limits.memory)
        if _counter(self._folders["pids"] / "pids.events", "max"):
            return Breach("processes", self._limits.processes + 1, self._limits.processes)
        return None

    def close(self) -> None:
        """Remove the group. Called when its processes are dead; the kernel may need a moment to see that."""
        for folder in dict.fromkeys(self._folders.values()):
            for _ in range(100):
                try:
                    folder.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)
                else:
                    break
        while self._held:
            os.close(self._held.pop())


def remove_abandoned_groups() -> int:
    """Kill the processes in groups of evaluators that were killed, remove the groups, and return their number."""
    count = 0
    version, parents = _parents()
    for parent in dict.fromkeys(parents.values()):
        for folder in parent.glob(f"{PREFIX}*"):
            with abandoned(folder) as free:
                if free:
                    group = ControlGroup(version, {"only": folder}, Limits())
                    group.kill()
                    group.close()
                    count += 1
    return count


def _parents() -> tuple[int, dict[str, Path]]:
    """The version of control groups here, and per controller the group below which new groups are made."""
    if (ROOT / "cgroup.controllers").exists():
        return 2, dict.fromkeys(("memory", "pids"), _own(ROOT))
    return 1, {kind: ROOT / kind for kind in ("memory", "pids")}


def _own(root: Path) -> Path:
    """Our own group of version 2, below which a new one may be made if it is delegated to us."""
    with contextlib.suppress(OSError), open("/proc/self/cgroup") as file:
        for line in file:
            if line.startswith("0::"):
                parent = root / line[3:].strip().lstrip("/")
                # A group that holds processes cannot hand out controllers, so the new group is made beside it.
                return parent.parent if os.access(parent.parent, os.W_OK) and parent != root else parent
    return root


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []  # the group is gone, and with it everything in it


def _counter(path: Path, name: str) -> int:
    with contextlib.suppress(OSError, ValueError):
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _number(path: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        return int(path.read_text())
    return 0
