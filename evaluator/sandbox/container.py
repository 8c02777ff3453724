"""A running container: started, limited, ended, removed; and the sweeping of those whose evaluator is dead."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import uuid
from pathlib import Path
from typing import Any

from evaluator.sandbox.cgroup import ROOT, ControlGroup
from evaluator.sandbox.engine import Engine, EngineError
from evaluator.sandbox.limits import Breach, Limits

OWNER_LABEL = "data-centric-kit.evaluator"
PATIENCE = 60.0


class Container:
    """A container. To a guarded worker it is both the outermost process (``Outer``) and what holds the limits (``LimitGroup``).

    Attributes:
        pid: the number of its first process on this machine. ``limited``: control groups hold its limits, of ``version`` 1 or 2.
    """

    def __init__(self, engine: Engine, description: dict[str, Any]) -> None:
        self._engine = engine
        name = f"dck-worker-{uuid.uuid4().hex[:12]}"
        self._id = engine.ask("POST", "/containers/create", description, name=name)["Id"]
        self._group: ControlGroup | None = None
        self._breach: Breach | None = None
        self._limits: Limits | None = None
        self._killed = False
        self.pid = 0
        self.version = 0

    def run(self, limits: Limits) -> None:
        """Start its first process.

        Raises:
            OSError: it did not start, or its processes cannot be seen from here.
        """
        self._limits = limits
        self._engine.ask("POST", f"/containers/{self._id}/start")
        self.pid = int(self._state()["Pid"])
        try:
            table = Path(f"/proc/{self.pid or 'none'}/cgroup").read_text()
        except OSError as error:
            # It may also have ended just now; only a container that goes on running is out of sight.
            if self._ends_within(2.0):
                raise OSError(
                    "the container ended as soon as it was started; does its image hold Python 3.11 or newer as `python`?"
                ) from None
            raise OSError(
                "the container's processes cannot be seen from here: the evaluator must run on the engine's own machine, not in a"
                " container"
            ) from error
        self._group = _control_group(table, limits)
        if self._group is not None:
            self.version = self._group.version

    def _state(self) -> dict[str, Any]:
        """The engine's state of the container; a container that the engine has removed has ended."""
        try:
            return self._engine.ask("GET", f"/containers/{self._id}/json")["State"]
        except EngineError as error:
            if error.status != 404:
                raise
            return {"Running": False, "Pid": 0}

    def _ends_within(self, seconds: float) -> bool:
        """Whether the engine reports within that time that the container has ended; it notices an end a moment late."""
        deadline = time.monotonic() + seconds
        while self._state()["Running"]:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        return True

    @property
    def limited(self) -> bool:
        """Whether control groups hold the limits; an engine without rights to them starts containers all the same."""
        return self._group is not None

    def running(self) -> bool:
        """Whether the engine still runs it."""
        try:
            return bool(self._engine.ask("GET", f"/containers/{self._id}/json")["State"]["Running"])
        except EngineError as error:
            if error.status == 404:
                return False
            raise

    def kill(self) -> None:
        """Read what the limits counted, then end every process of the container. May be called again."""
        if self._killed:
            return
        self._breach = self.breach()
        self._killed = True
        try:
            # The engine answers when the processes are dead.
            self._engine.ask("POST", f"/containers/{self._id}/kill", signal="KILL")
        except EngineError as error:
            if error.status not in (404, 409):
                raise
            # It had ended by itself. If the kernel chose to kill the guard, the counters were gone before we could read them.
            if self._breach is None and self._limits is not None and self._ran_out_of_memory():
                self._breach = Breach("memory", self._limits.memory, self._limits.memory)
        except OSError:
            # The engine is gone, its containers may run on. Root and the container's own user may still kill it directly.
            if self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)

    def breach(self) -> Breach | None:
        """The limit that the kernel enforced so far, if any; also after the end."""
        if not self._killed and self._group is not None:
            return self._group.breach()
        return self._breach

    def remove(self) -> None:
        """End it and wait until the engine has forgotten it. May be called again.

        Raises:
            OSError: it may still run.
        """
        deadline = time.monotonic() + PATIENCE
        forced = 0.0
        while time.monotonic() < deadline:
            try:
                if time.monotonic() >= forced:
                    self._engine.ask("DELETE", f"/containers/{self._id}", force="1", v="1")
                    return
                self._engine.ask("GET", f"/containers/{self._id}/json")
            except EngineError as error:
                if error.status == 404:
                    return
                if error.status != 409:  # 409: the engine is removing it already
                    raise
                forced = time.monotonic() + 5
            except OSError:
                # The engine is gone. When it comes back it removes containers that have ended (AutoRemove).
                if self.pid and not os.path.exists(f"/proc/{self.pid}"):
                    return
            time.sleep(0.005)
        raise OSError(f"the container {self._id[:12]} could not be removed; remove it: docker rm --force {self._id[:12]}")

    def _ran_out_of_memory(self) -> bool:
        filters = {"container": [self._id], "event": ["oom"]}
        # Of this container alone, so from the first that the engine remembers: the clock may have been set back since it began.
        until = time.time() + 0.2
        return bool(self._engine.ask("GET", "/events", since="1", until=f"{until:.3f}", filters=filters))


def owner() -> str:
    """This evaluator, for the label of its containers: boot, process namespace, process number, and when that process began."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}/{os.getpid()}/{_began(os.getpid())}"


def sweep(engine: Engine) -> int:
    """Remove the containers of evaluators that are dead, and say how many there were. Others' containers are left alone."""
    boot, space, _, _ = owner().split("/")
    count = 0
    for found in engine.ask("GET", "/containers/json", all="1", filters={"label": [OWNER_LABEL]}):
        parts = found["Labels"][OWNER_LABEL].split("/")
        # Whether an evaluator of another namespace still lives cannot be seen from here.
        if len(parts) != 4 or (parts[0] == boot and (parts[1] != space or _began(int(parts[2])) == parts[3])):
            continue
        with contextlib.suppress(EngineError):  # another evaluator sweeps as well
            engine.ask("DELETE", f"/containers/{found['Id']}", force="1", v="1")
            count += 1
    return count


def _began(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return ""


def _control_group(table: str, limits: Limits) -> ControlGroup | None:
    """The container's control group, from its line in /proc, where it holds our limits."""
    places = {kind: path for line in table.splitlines() for kinds, path in [line.split(":", 2)[1:]] for kind in kinds.split(",")}
    if (ROOT / "cgroup.controllers").exists():
        folder = ROOT / places.get("", "").lstrip("/")
        folders, files, version = {"memory": folder, "pids": folder}, ("memory.max", "pids.max"), 2
    else:
        folders = {kind: ROOT / kind / places.get(kind, "").lstrip("/") for kind in ("memory", "pids")}
        files, version = ("memory.limit_in_bytes", "pids.max"), 1
    try:
        memory = int((folders["memory"] / files[0]).read_text())
        processes = int((folders["pids"] / files[1]).read_text())
    except (OSError, ValueError):  # not there, or "max"
        return None
    return ControlGroup(version, folders, limits) if memory <= limits.memory and processes <= limits.processes else None
