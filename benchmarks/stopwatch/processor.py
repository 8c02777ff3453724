"""Processor time of short work, whatever else the machine does.

Work that only computes is measured in processor time: other programs lengthen the wait for a core, and the longer the work takes
the more often it waits. Work that is shorter than a measurement should be is repeated, as ``timeit`` does it. It is done once
before, so that the memory it needs has been touched and what it reads is in the page cache. Python's garbage collector is off
meanwhile: what it costs grows with everything that the process holds, not with this work.
"""

from __future__ import annotations

import gc
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROCESSOR = "processor time"
"""Note of a row that is measured in processor time."""


def processor_seconds() -> float:
    """Processor time, user and system, of this process and of the processes that it has started and seen the end of."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def machine_seconds(counters: Path = Path("/proc/stat")) -> float | None:
    """Processor time of all programs since the machine was started, and the time that a virtual machine's host kept from it.

    Idle time and waiting for a disk are left out. ``None`` where the system has no such file.
    """
    if not counters.exists():
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, counters.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def measured(work: Callable[[], Any], least: float = 0.05) -> tuple[Any, float]:
    """Do ``work`` once without counting it, then again and again until it has taken ``least`` seconds.

    Returns:
        (what ``work`` returned last, processor seconds of one repetition).
    """
    value = work()
    with _collector_off():
        times, started = 0, processor_seconds()
        while True:
            del value  # the next repetition takes this memory: fresh pages can cost ten times as much as copying into them
            value = work()
            times += 1
            used = processor_seconds() - started
            if used >= least:
                return value, used / times


@contextmanager
def _collector_off() -> Iterator[None]:
    before = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
