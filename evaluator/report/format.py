"""How numbers and names are written in every table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evaluator.tables import Block
from evaluator.text import visible


def figure(interval: dict[str, Any] | None, decimals: int = 3) -> str:
    """``0.512 [0.498, 0.526]``; only the mean without an interval; a dash without a value."""
    if interval is None:
        return "-"
    if interval["low"] is None:
        return f"{interval['mean']:.{decimals}f}"
    return f"{interval['mean']:.{decimals}f} [{interval['low']:.{decimals}f}, {interval['high']:.{decimals}f}]"


def signed(interval: dict[str, Any] | None, decimals: int = 3) -> str:
    """A difference: ``+0.012 [+0.004, +0.020]``; only the mean without an interval; a dash without a value."""
    if interval is None:
        return "-"
    spread = "" if interval["low"] is None else f" [{interval['low']:+.{decimals}f}, {interval['high']:+.{decimals}f}]"
    return f"{interval['mean']:+.{decimals}f}{spread}"


def percent(share: float) -> str:
    """``46 %``."""
    return f"{100 * share:.0f} %"


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
