"""What was measured of an idea: timings off and on round by round, what follows from them, and the file that keeps them."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.pages import write_whole
from benchmarks.timing import Timing, round_by_round
from evaluator.scoring.intervals import Interval, t_interval

NOT_MEASURED = "not measured"
BACKGROUND = 0.15
"""Cores that other programs may keep busy without being mentioned."""


@dataclass(frozen=True)
class Gain:
    """How many times faster an idea makes it.

    Attributes:
        factor: geometric mean over rounds of time off over time on.
        low, high: its 95 % t-interval, of the logarithms; ``None`` for one round.
        cpu: the same factor of processor time.
        n: rounds.
    """

    factor: float
    low: float | None
    high: float | None
    cpu: float
    n: int

    @classmethod
    def between(cls, off: Sequence[Timing], on: Sequence[Timing]) -> Gain:
        """Round by round.

        Raises:
            ValueError: unequal numbers of rounds, or none.
        """
        ratios, of_cpu = round_by_round(off, on)
        clock, cpu = (t_interval(map(math.log, found)) for found in (ratios, of_cpu))
        low, high = (None if bound is None else math.exp(bound) for bound in (clock.low, clock.high))
        return cls(math.exp(clock.mean), low, high, math.exp(cpu.mean), clock.n)

    @property
    def verdict(self) -> str:
        """``faster`` or ``slower`` where the interval leaves 1 out, ``within noise`` where it does not, or ``one round``."""
        if self.low is None or self.high is None:
            return "one round"
        return "faster" if self.low > 1 else "slower" if self.high < 1 else "within noise"

    def __str__(self) -> str:
        return f"{self.factor:.2f}" + ("" if self.low is None else f" ({self.low:.2f} to {self.high:.2f})")


@dataclass(frozen=True)
class Row:
    """One idea at one size.

    Attributes:
        settings: what was asked for: architecture, batch_size, epochs, steps, repeats, threads, torch.
        machine: hardware, versions, load at the end of the row, command.
        off, on: a timing per round, those of one round from the same time; none where it was not measured.
        once: seconds of the first step of a compiled training, ``cold`` and (its code in the cache) ``warm``.
        trouble: why it was not measured.
        others: cores that other programs kept busy meanwhile, on average; ``None`` where that cannot be known.
    """

    size: int
    idea: str
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    off: tuple[Timing, ...] = ()
    on: tuple[Timing, ...] = ()
    once: Mapping[str, float] = field(default_factory=dict)
    trouble: str = ""
    others: float | None = None

    @property
    def gain(self) -> Gain | None:
        """``None`` where it was not measured."""
        return Gain.between(self.off, self.on) if self.off else None

    @property
    def verdict(self) -> str:
        """That of the gain; ``not measured`` where there is none."""
        return NOT_MEASURED if self.gain is None else self.gain.verdict

    @property
    def ms(self) -> tuple[float, float]:
        """Median milliseconds per image, off and on, of a row that was measured."""
        off, on = (statistics.median(timing.ms for timing in side) for side in (self.off, self.on))
        return off, on

    @property
    def disturbed(self) -> bool:
        """Whether other programs were more than the machine's usual background: threads that wait for each other suffer most."""
        return self.others is not None and self.others > BACKGROUND

    def saved(self) -> Interval:
        """Seconds that a step is shorter, over rounds."""
        batch = self.settings["batch_size"]
        return t_interval((a.ms - b.ms) * batch / 1e3 for a, b in zip(self.off, self.on, strict=True))

    def paid_back(self) -> dict[str, float] | None:
        """After how many steps what ``once`` took beyond an ordinary step is saved; ``None`` where no saving is shown."""
        saved = self.saved()
        if (saved.mean if saved.low is None else saved.low) <= 0:
            return None
        ordinary = self.ms[0] * self.settings["batch_size"] / 1e3
        return {name: max(seconds - ordinary, 0.0) / saved.mean for name, seconds in self.once.items()}

    def as_dict(self) -> dict[str, Any]:
        """JSON-able, with what follows from the timings; ``from_dict`` reads it back."""
        plain: dict[str, Any] = {"size": self.size, "idea": self.idea, "verdict": self.verdict}
        if self.gain is not None:
            plain |= {"ms_off": self.ms[0], "ms_on": self.ms[1], "gain": vars(self.gain)}
        rounds = {name: [[t.images, t.seconds, t.cpu_seconds] for t in getattr(self, name)] for name in ("off", "on")}
        plain |= {"once": dict(self.once), "trouble": self.trouble, "others": self.others}
        return plain | {"settings": dict(self.settings), "machine": dict(self.machine), **rounds}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Row:
        """The row of a file."""
        same = {name: plain[name] for name in ("size", "idea", "settings", "machine", "once", "trouble", "others")}
        off, on = (tuple(Timing(*timing) for timing in plain[name]) for name in ("off", "on"))
        return cls(**same, off=off, on=on)


def read_rows(path: Path) -> list[Row]:
    """The rows of a file; none where it is not there.

    Raises:
        SystemExit: it holds something else.
    """
    if not path.exists():
        return []
    try:
        return [Row.from_dict(plain) for plain in json.loads(path.read_text(encoding="utf-8"))["rows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise SystemExit(
            f"{path} holds no rows of ideas ({type(error).__name__}: {error}); name another file with --json, or remove this one"
        ) from error


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write the file, whole or not at all."""
    write_whole(path, json.dumps({"rows": [row.as_dict() for row in rows]}, indent=1, allow_nan=False) + "\n")


def put(rows: Sequence[Row], row: Row) -> list[Row]:
    """``rows`` with ``row`` in the place of the one of its size and idea; a row that was not measured replaces none that was."""
    before = next((old for old in rows if (old.size, old.idea) == (row.size, row.idea)), None)
    if before is None:
        return [*rows, row]
    kept = before if before.off and not row.off else row
    return [kept if old is before else old for old in rows]
