"""The machine that this process runs on: usable cores, versions of Python and the libraries, and the load by other programs."""

from __future__ import annotations

import math
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from evaluator import __version__

LIBRARIES = ("numpy", "scipy", "scikit-learn", "pillow", "torch", "torchvision", "timm")
"""Packages whose versions can change a figure."""
LITTLE_MEMORY = 2**30
"""Bytes of available memory below which a machine counts as busy."""
_PROC, _CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


def cores() -> int:
    """Cores that this process may use: those of its CPU affinity, at most the quota of its control groups rounded down, at least 1.

    Containers limit processor time by a quota and not by affinity, so ``os.cpu_count`` alone would start too many processes.
    """
    return max(1, int(min(len(_affinity()) or os.cpu_count() or 1, _quota())))


def versions() -> dict[str, str]:
    """Versions by name: kit, Python, kind of machine, processor model and ``LIBRARIES``. No library is imported.

    The version of a library that is not installed is ``"absent"``.
    """
    found = {"kit": __version__, "python": platform.python_version(), "machine": platform.machine(), "processor": processor()}
    return found | {name: _installed(name) for name in LIBRARIES}


@lru_cache  # it takes milliseconds to find out, and is asked for every cell
def _installed(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "absent"


def processor() -> str:
    """The model name of the processor; the kind of machine if the system does not give a name."""
    for line in _lines(_PROC / "cpuinfo"):
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return " ".join(value.split())
    return platform.processor() or platform.machine() or "unknown"


@dataclass(frozen=True)
class Load:
    """How much of the machine other programs leave.

    Attributes:
        running: processor time that other programs use on this process's cores, in cores, 0 to ``cores``; None if unknown.
        free_memory: bytes that can be allocated without swapping, within the limits of the control groups; None if unknown.
        cores: cores that this process may use.
    """

    running: float | None
    free_memory: int | None
    cores: int

    def busy(self) -> str:
        """What other programs use, in words, if it is enough to slow a measurement down; else the empty string.

        It is enough if they use at least half a core and a quarter of the cores, or leave less than ``LITTLE_MEMORY``.
        """
        parts = []
        if self.running is not None and self.running >= max(0.5, self.cores / 4):
            parts.append(f"{self.running:.1f} of {self.cores} cores are busy with other programs")
        if self.free_memory is not None and self.free_memory < LITTLE_MEMORY:
            parts.append(f"only {self.free_memory / 2**30:.1f} GiB of memory is free")
        return "; ".join(parts)


def load(seconds: float = 0.2) -> Load:
    """Measure the load for ``seconds``. The processor time of this process itself is not counted.

    Processor time is measured on the cores of this process's affinity (``/proc/stat``). Elsewhere the load average of the last
    minute is taken, which lags behind and includes this process.
    """
    usable, running = cores(), None
    before, own, began = _core_times(), time.process_time(), time.perf_counter()
    if before:
        time.sleep(seconds)
        after, own, elapsed = _core_times(), time.process_time() - own, time.perf_counter() - began
        measured = before.keys() & after.keys()
        if measured:
            ticks = os.sysconf("SC_CLK_TCK")
            idle = sum(after[core] - before[core] for core in measured) / ticks / elapsed
            running = usable - (idle + own / elapsed)
    elif hasattr(os, "getloadavg"):
        running = os.getloadavg()[0] - max(0, (os.cpu_count() or 1) - usable)
    if running is not None:
        running = min(max(running, 0.0), float(usable))
    return Load(running, _free_memory(), usable)


def free_memory() -> int | None:
    """Bytes that can be allocated without swapping, within the limits of the control groups; None if unknown."""
    return _free_memory()


def _affinity() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()


def _core_times() -> dict[int, int]:
    """Clock ticks that each core of the affinity was idle since the system started; empty without ``/proc/stat``."""
    mine, idle = _affinity(), {}
    for line in _lines(_PROC / "stat"):
        name, *values = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and len(values) >= 5 and int(name[3:]) in mine:
            idle[int(name[3:])] = int(values[3]) + int(values[4])  # idle, and idle while waiting for a disk
    return idle


def _free_memory() -> int | None:
    available = None
    for line in _lines(_PROC / "meminfo"):
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            available = int(value.split()[0]) * 1024
    if available is None:
        return None
    for folder in _groups("memory"):
        for most, used, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit, current = _number(folder / most), _number(folder / used)
            if limit is not None and current is not None:
                # The system gives up cached pages of files before it refuses memory.
                reclaimable = sum(int(line.split()[1]) for line in _lines(folder / "memory.stat") if line.startswith(f"{cache} "))
                available = min(available, max(0, int(limit - current) + reclaimable))
    return available


def _quota() -> float:
    """The smallest quota of a control group of this process, in cores; infinite if none has a quota."""
    smallest = math.inf
    for folder in _groups("cpu"):
        line = next(iter(_lines(folder / "cpu.max")), "")
        quota, period = line.split() if len(line.split()) == 2 else ("", "")
        if not quota:
            quota, period = (next(iter(_lines(folder / f"cpu.cfs_{part}_us")), "") for part in ("quota", "period"))
        if quota.isdigit() and period.isdigit() and int(period):  # no quota is written as "max" or as -1
            smallest = min(smallest, int(quota) / int(period))
    return smallest


def _groups(controller: str) -> list[Path]:
    """The folders of this process's control groups for a controller, from its own up to the root, under version 1 or 2.

    Inside a container the path of ``/proc/self/cgroup`` may not exist below the mounted folder; its parents up to the root do.
    """
    found = []
    for line in _lines(_PROC / "self" / "cgroup"):
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            roots = [_CGROUPS, _CGROUPS / "unified"]
        elif controller in controllers.split(","):
            roots = [_CGROUPS / controller, _CGROUPS / controllers]
        else:
            continue
        own = Path(path.lstrip("/"))
        found += [root / part for root in roots for part in (own, *own.parents)]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _number(path: Path) -> int | None:
    text = next(iter(_lines(path)), "").strip()
    return int(text) if text.isdigit() else None


DECIDING_VERSIONS = ("python", "numpy", "scipy", "scikit-learn", "pillow", "torch", "torchvision", "timm")


def computed_by(versions: Mapping[str, str]) -> dict[str, str]:
    """The stored versions that may change a figure: libraries, and Python by its minor version (``3.13``).

    Cells that differ in them are not reused and not shown in one table. The processor is not among them: a table only says that its
    cells were computed on several.
    """
    found = {name: versions[name] for name in DECIDING_VERSIONS if versions.get(name)}
    if "python" in found:
        found["python"] = ".".join(found["python"].split(".")[:2])
    return found
