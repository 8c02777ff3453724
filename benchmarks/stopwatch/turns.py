"""Contestants that take turns, each side in a process of its own.

A machine's speed drifts: another program starts, the processor grows warm. Contestants therefore take turns, A B C A B C, and a
ratio is taken within each round, so that whatever slows a whole round cancels out.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from benchmarks.stopwatch.timing import Timing


@dataclass(frozen=True)
class Contestant:
    """What is timed, and on which ``side``. Contestants of the same side share a process, contestants of different sides never do.

    A training may change how its process manages memory, and what it compiles or allocates would help the other side, too.
    """

    side: str
    run: Callable[[], Timing]


class Sides:
    """A fresh process per side, kept until the end of the ``with``; a process does one task at a time."""

    def __init__(self) -> None:
        self._pools: dict[str, ProcessPoolExecutor] = {}

    def __enter__(self) -> Sides:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools.values():
            pool.shutdown()

    def run(self, side: str, function: Callable[[], Any]) -> Any:
        """What ``function``, which must be picklable, returns when it runs in the process of ``side``."""
        if side not in self._pools:
            self._pools[side] = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        return self._pools[side].submit(function).result()


def alternate(
    sides: Sides,
    contestants: dict[str, Contestant],
    repeats: int,
    told: Callable[[str], None] = lambda line: None,
    keep: Callable[[dict[str, list[Timing]]], None] = lambda found: None,
) -> dict[str, list[Timing]]:
    """Timings of every contestant, one per round, over ``repeats`` rounds; after each turn ``told`` gets a line, and ``keep`` all
    timings so far."""
    found: dict[str, list[Timing]] = {name: [] for name in contestants}
    for turn in range(repeats):
        for name, contestant in contestants.items():
            timing = sides.run(contestant.side, contestant.run)
            found[name].append(timing)
            told(f"round {turn + 1} of {repeats}: {name} {timing.ms:.2f} ms per image")
            keep(found)
    return found
