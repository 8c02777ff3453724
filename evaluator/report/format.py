"""How numbers and names are written in every table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from evaluator.tables import Block
from evaluator.text import visible
from evaluator.words import counted

MARK = "!"
"""Behind a figure: a model behind it learnt nothing (``Track.collapsed``)."""


def figure(interval: dict[str, Any] | None, decimals: int = 3) -> str:
    """``0.512 [0.498, 0.526]``; only the mean without an interval; a dash without a value.

    Where some of the seeds collapsed, no interval: ``0.345! (3 of 10 collapsed; 0.493 without)``.
    """
    if interval is None:
        return "-"
    if interval.get("collapsed"):
        return f"{brief(interval, decimals)} ({mixed(interval, decimals)})"
    if interval["low"] is None:
        return f"{interval['mean']:.{decimals}f}"
    return f"{interval['mean']:.{decimals}f} [{interval['low']:.{decimals}f}, {interval['high']:.{decimals}f}]"


def brief(interval: dict[str, Any] | None, decimals: int = 3) -> str:
    """The mean alone, for narrow columns: ``0.512``, or ``0.345!`` where some of the seeds collapsed; a dash without a value."""
    if interval is None:
        return "-"
    return f"{interval['mean']:.{decimals}f}{MARK if interval.get('collapsed') else ''}"


def mixed(interval: dict[str, Any], decimals: int = 3) -> str:
    """Of how many of the seeds the model learnt nothing, and the mean of the others: ``3 of 10 collapsed; 0.493 without``."""
    if interval["without"] is None:
        return "collapsed" if interval["n"] == 1 else f"all {interval['n']} collapsed"
    return f"{interval['collapsed']} of {interval['n']} collapsed; {interval['without']:.{decimals}f} without"


def signed(interval: dict[str, Any] | None, decimals: int = 3) -> str:
    """A difference: ``+0.012 [+0.004, +0.020]``; only the mean without an interval; a dash without a value."""
    if interval is None:
        return "-"
    spread = "" if interval["low"] is None else f" [{interval['low']:+.{decimals}f}, {interval['high']:+.{decimals}f}]"
    if interval.get("collapsed"):
        without = interval["without"]
        left = "" if without is None else f"; {without:+.{decimals}f} without"
        spread = f"{MARK} ({interval['collapsed']} of {interval['n']} with a collapse{left})"
    return f"{interval['mean']:+.{decimals}f}{spread}"


def percent(share: float) -> str:
    """``46 %``."""
    return f"{100 * share:.0f} %"


def not_run(summary: Mapping[str, Any], word: str) -> int:
    """Number of cells that a run of one submission still has to run. ``word``: what its track calls a task."""
    return len(summary[f"{word}s"]) * summary["seeds"] * len(summary["panel"] or (None,)) - len(summary["cells"])


def not_run_note(missing: int) -> str:
    """Of so many cells: ``2 cells have not run yet; the same command continues``."""
    return f"{counted(missing, 'cell')} {'has' if missing == 1 else 'have'} not run yet; the same command continues"


def verdicts(found: list[str]) -> str:
    """The verdict if all are the same, else the number of each."""
    if not found:
        return "not run"
    return found[0] if len(set(found)) == 1 else ", ".join(f"{found.count(v)} {v}" for v in dict.fromkeys(found))


def span(values: list[int]) -> str:
    """``3`` if all values are equal, else the smallest and the largest: ``1..5``."""
    return str(values[0]) if min(values) == max(values) else f"{min(values)}..{max(values)}"


def in_cell(text: str) -> str:
    """A text of our own for a cell of Markdown: what would end the cell or begin a tag is escaped, code and emphasis stay."""
    return visible(text.strip()).replace("|", "\\|").replace("<", "&lt;")


def markdown_rows(block: Block, form: Callable[[str], str] = in_cell) -> list[str]:
    """A table of Markdown, a line per row.

    Args:
        form: of the text of a cell. ``evaluator.text.markdown`` where strangers named something in it; without it only what would
            end a cell or begin a tag is escaped, so that our own pages may use code and emphasis.
    """
    rows = [tuple(map(form, block.headers)), tuple(":--" if i == 0 else "--:" for i in range(len(block.headers)))]
    rows += [tuple(map(form, row)) for row in block.rows]
    return ["| " + " | ".join(row) + " |" for row in rows]
