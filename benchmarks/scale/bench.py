"""What is measured and how often, and the figures that were measured so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scale.growth import Series
from benchmarks.stopwatch.processor import measured


@dataclass(frozen=True)
class Plan:
    """What is measured, and how often.

    Attributes:
        pools: images in the pool, per size of that axis.
        sides: of an image in pixels, per size of that axis.
        labels: labels bought, per size of that axis.
        side, images, bought: the same where another axis varies.
        turns: repetitions of short measurements.
        long_turns: repetitions of long measurements.
        steps: training steps per repetition.
    """

    pools: tuple[int, ...] = (1_000, 3_000, 10_000, 30_000, 100_000)
    sides: tuple[int, ...] = (64, 128, 224, 384)
    labels: tuple[int, ...] = (100, 300, 1_000, 3_000, 10_000)
    side: int = 64
    images: int = 1_000
    bought: int = 100
    turns: int = 15
    long_turns: int = 3
    steps: int = 4


QUICK_LOOK = Plan((100, 300, 1_000), (32, 48, 64), (30, 100, 300), images=100, bought=30, turns=2, long_turns=2, steps=2)


class Bench:
    """Measures, and collects figures by series and size. ``folder`` is a temporary folder for everything that is written."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder = plan, folder
        self.found: dict[str, dict[int, list[float]]] = {}

    def keep(self, name: str, size: int, value: float) -> None:
        """Add a figure to the series ``name``, a part and a row: ``cell: one purchase``."""
        self.found.setdefault(name, {}).setdefault(size, []).append(value)

    def timed(self, name: str, size: int, work: Callable[..., Any], *given: Any) -> Any:
        """What ``work`` returns; its seconds by the clock are kept."""
        started = time.perf_counter()
        value = work(*given)
        self.keep(name, size, time.perf_counter() - started)
        return value

    def processor(self, name: str, size: int, work: Callable[..., Any], *given: Any) -> Any:
        """What ``work`` returns, repeated as ``stopwatch.processor`` says; its processor seconds are kept."""
        value, seconds = measured(lambda: work(*given))
        self.keep(name, size, seconds)
        return value

    def series(self, part: str, axis: str, sizes: Iterable[int], rows: dict[str, dict[str, Any]]) -> list[Series]:
        """The figures of ``rows``, whose values give unit, limit and note, as series; sizes in the order given."""
        return [
            Series(name, part, axis, {size: self.found[f"{part}: {name}"][size] for size in sizes}, **row)
            for name, row in rows.items()
        ]
