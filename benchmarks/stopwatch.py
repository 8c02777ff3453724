"""Processor time of short work, told apart from what the machine does beside it.

A cost that is all computing is measured in processor time: other programs lengthen the wait for a core, and the longer the work the
more often. Work that is shorter than a measurement should be is repeated, as ``timeit`` does it. It is done once before, so
that the memory it needs has been touched and what it reads lies in the page cache; the collector of garbage is off meanwhile,
because what it costs goes with all that the process holds, not with this work.
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
"""The note of a row that is measured by it."""


def processor_seconds() -> float:
    """Processor time of this process and of those it has started and seen the end of, user and system."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def machine_seconds() -> float | None:
    """Processor time of everything on this machine since it was started, and what a virtual machine's host kept from it.

    Idle time and waiting for a disk are left out. ``None`` where there is no ``/proc/stat``.
    """
    counters = Path("/proc/stat")
    if not counters.exists():
        return None
    user, nice, system, _, _, irq, softirq, steal = map(int, counters.read_text(encoding="ascii").split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def measured(work: Callable[[], Any], least: float = 0.05) -> tuple[Any, float]:
    """Do ``work`` once for nothing, then until ``least`` seconds are used.

    Returns:
        (what it returned at last, processor seconds of one time).
    """
    value = work()
    with _collector_off():
        times, started = 0, processor_seconds()
        while True:
            del value  # its memory is what the next one is to take: fresh pages can cost ten times as much as copying into them
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
