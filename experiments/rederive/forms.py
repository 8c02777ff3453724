"""How a cell of a table reads: words, and the numbers between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.rederive.cells import Series
from experiments.rederive.differences import Test, t_bounds

Form = tuple[str, list[float]]
"""How a cell of a table reads, with ``{}`` for each of the numbers."""


def score_form(of: Series) -> Form:
    """A mean with its interval, or how many of its seeds collapsed."""
    mean, low, high, n = t_bounds(of.observed)
    fell, without = of.collapsed
    if not n:
        return "-", []
    if fell and without is None:
        return ("{}! (collapsed)", [mean]) if n == 1 else ("{}! (all {} collapsed)", [mean, n])
    if fell and without is not None:
        return "{}! ({} of {} collapsed; {} without)", [mean, fell, n, without]
    return bounds_form((mean, low, high))


def difference_form(test: Test) -> Form:
    """A difference with its interval, or how many of its seeds rest on a collapsed cell."""
    mean, low, high, n = test.bounds
    fell, without = test.of.collapsed
    if not n:
        return "-", []
    if fell and without is not None:
        return "{}! ({} of {} with a collapse; {} without)", [mean, fell, n, without]
    return ("{}! ({} of {} with a collapse)", [mean, fell, n]) if fell else bounds_form((mean, low, high))


def bounds_form(bounds: Sequence[float | None]) -> Form:
    """A value with its interval, if there is one."""
    known = [value for value in bounds[:3] if value is not None]
    return ("{} [{}, {}]", known) if len(known) == 3 else ("{}", known[:1])


def over_sets_form(own: dict[str, Any], words: str) -> Form:
    """A mean over data sets with its interval, or how many of its cells collapsed."""
    if not own["collapsed"]:
        return bounds_form(around(own["mean"], own["half"]))
    figures = [own["mean"], own["collapsed"], own["n"]]
    if own["without"] is not None:
        return f"{{}}! ({{}} of {{}} {words}; {{}} without)", [*figures, own["without"]]
    return (
        ("{}! (all {} collapsed)", [own["mean"], own["n"]]) if words == "collapsed" else (f"{{}}! ({{}} of {{}} {words})", figures)
    )


def around(mean: float, half: float) -> tuple[float, float, float]:
    """A value with its interval, from the half of the interval's width."""
    return mean, mean - half, mean + half
