"""What a machine gives to a judge: jobs at once, trainings at once, clocks at once, memory, and room on the disk.

All of it is counted per machine and not per process, in the transaction that gives a job: so several judges may work in one folder
on one machine, and together they take no more than was allowed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import ConfigurationError
from evaluator.judging.jobs import Admit, Admitted, Held, Part
from evaluator.machine import cores
from evaluator.words import counted

GIB = 2**30
FULL = "as many jobs run on this machine as [resources] jobs allows"
_PROC = Path("/proc")


@dataclass(frozen=True)
class Resources:
    """What a machine gives (``[resources]`` of ``judge.toml``).

    Attributes:
        jobs: submissions that are judged at the same time.
        cells: trainings at the same time, of all jobs together; 0: as many as there are cores.
        clocks: submissions whose clock may run at the same time; while one does, no training of another job runs.
        memory: GiB that a job needs; 0: as much as the largest job of that part so far had.
        disk: GiB that stay free; with less, nothing is taken in and no job is begun.

    Raises:
        ConfigurationError: a number makes no sense.
    """

    jobs: int = 1
    cells: int = 0
    clocks: int = 1
    memory: float = 0.0
    disk: float = 2.0

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("jobs", self.jobs, 1, 64),
            ("cells", self.cells, 0, 1_024),
            ("clocks", self.clocks, 1, 64),
            ("memory", self.memory, 0, 1_000_000),
            ("disk", self.disk, 0, 1_000_000),
        ):
            if not least <= value <= most:
                raise ConfigurationError(f"{name} is {value:g}; expected {least} to {most:,}")
        if self.clocks > self.jobs:
            raise ConfigurationError(
                f"clocks is {self.clocks}; {counted(self.jobs, 'job')} at once cannot have more clocks. Raise jobs"
            )

    def workers(self, threads: int) -> int | None:
        """Trainings at a time of a single job, each of so many threads; None for what the options of the part say."""
        if not self.cells and self.jobs == 1:
            return None
        return max(1, (self.cells or cores() // max(1, threads)) // self.jobs)


def admit(resources: Resources, peaks: Mapping[Part, int], free: int | None) -> Admit:
    """Whether this machine has room for a further job.

    Args:
        peaks: bytes of memory that the largest job of a part had so far; ``free``: that can be had now, None if it is unknown.
    """

    def room(running: Sequence[Held], part: Part) -> Admitted:
        if len(running) >= resources.jobs:
            return Admitted(FULL)
        declared = int(resources.memory * GIB)
        need = declared or peaks.get(part, 0)
        if free is None or (not declared and not running):  # what was measured once is no reason to judge nothing at all
            return Admitted(memory=need)
        promised = sum(max(0, held.memory - held.used) for held in running)
        if free - promised < need:
            kept = f", of which {promised / GIB:.1f} are promised to jobs that run" if promised else ""
            source = "[resources] memory" if declared else "the largest job so far had as much"
            return Admitted(f"a job needs {need / GIB:.1f} GiB of memory ({source}), and {free / GIB:.1f} are free{kept}")
        return Admitted(memory=need)

    return room


def lack_of_disk(folder: Path, resources: Resources) -> str:
    """Why nothing is begun, in words: the disk is nearly full; else empty."""
    free = free_disk(folder)
    if free >= resources.disk * GIB:
        return ""
    seen = f"{free / GIB:.1f} GiB of the disk are free; [resources] disk keeps {resources.disk:g}"
    return f"{folder}: {seen}. Free some, or run judge clean"


def free_disk(folder: Path) -> int:
    """Bytes that this user may still write to the file system of a folder."""
    space = os.statvfs(folder)
    return space.f_bavail * space.f_frsize


def memory_of(process: int) -> int:
    """Bytes of memory of a process and all that descend from it; shared pages count for each in part. 0 where it is gone."""
    return sum(map(_memory, family(process)))


def family(process: int) -> list[int]:
    """A process and all that descend from it, by number; empty where it is gone or the system has no ``/proc``."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.glob("[0-9]*/stat"):
        try:
            children.setdefault(int(entry.read_text("utf-8", "replace").rpartition(")")[2].split()[1]), []).append(
                int(entry.parent.name)
            )
        except (OSError, ValueError, IndexError):  # it ended meanwhile
            continue
    if not (_PROC / str(process)).exists():
        return []
    found = [process]
    for number in found:
        found += children.get(number, [])
    return found


def _memory(process: int) -> int:
    try:
        text = (_PROC / str(process) / "smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1]) * 1024  # type: ignore[index]
    except (OSError, TypeError):
        pass  # an older kernel, or a process of somebody else: the coarser figure below does
    try:
        return int((_PROC / str(process) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
