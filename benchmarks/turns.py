"""Contestants that take turns, each side in a process of its own.

Machines drift: another program starts, a processor grows warm. Contestants therefore take turns, A B C A B C, and a ratio is taken
within each round, so that what slows a whole round cancels out.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from benchmarks.timing import Timing


@dataclass(frozen=True)
class Contestant:
    """What is timed, and on which ``side``: contestants of one side share a process, those of different sides never do.

    A training may change how its process manages memory, and what it compiled or allocated would serve the other too.
    """

    side: str
    run: Callable[[], Timing]


class Sides:
    """One fresh process per side, kept until the end of the ``with``; a process does one thing at a time."""

    def __init__(self) -> None:
        self._pools: dict[str, ProcessPoolExecutor] = {}

    def __enter__(self) -> Sides:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools.values():
            pool.shutdown()

    def submit(self, side: str, function: Callable[[], Any]) -> Future:
        """Have ``function``, which can be pickled, run in the process of ``side``."""
        if side not in self._pools:
            self._pools[side] = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        return self._pools[side].submit(function)

    def run(self, side: str, function: Callable[[], Any]) -> Any:
        """The same, and wait for what it returns."""
        return self.submit(side, function).result()


def alternate(
    sides: Sides, contestants: dict[str, Contestant], repeats: int, told: Callable[[str], None] = lambda line: None
) -> dict[str, list[Timing]]:
    """``repeats`` rounds, in each of which every contestant has its turn."""
    found: dict[str, list[Timing]] = {name: [] for name in contestants}
    for turn in range(repeats):
        for name, contestant in contestants.items():
            timing = sides.run(contestant.side, contestant.run)
            found[name].append(timing)
            told(f"round {turn + 1} of {repeats}: {name} {timing.ms:.2f} ms per image")
    return found
