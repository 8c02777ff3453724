"""How single figures are written in every table."""

from __future__ import annotations

from typing import Any


def figure(interval: dict[str, Any] | None) -> str:
    """``0.512 [0.498, 0.526]``; without an interval the mean alone, without a value a dash."""
    if interval is None:
        return "-"
    if interval["low"] is None:
        return f"{interval['mean']:.3f}"
    return f"{interval['mean']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


def verdicts(found: list[str]) -> str:
    """One verdict where all are the same, else how many of each."""
    if not found:
        return "not run"
    return found[0] if len(set(found)) == 1 else ", ".join(f"{found.count(v)} {v}" for v in dict.fromkeys(found))


def span(values: list[int]) -> str:
    """One number, or the least and the most."""
    return str(values[0]) if min(values) == max(values) else f"{min(values)}..{max(values)}"
