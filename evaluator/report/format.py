"""How numbers and names are written in every table."""

from __future__ import annotations

from typing import Any

from evaluator.tables import Block


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


def verdicts(found: list[str]) -> str:
    """The verdict if all are the same, else the number of each."""
    if not found:
        return "not run"
    return found[0] if len(set(found)) == 1 else ", ".join(f"{found.count(v)} {v}" for v in dict.fromkeys(found))


def span(values: list[int]) -> str:
    """``3`` if all values are equal, else the smallest and the largest: ``1..5``."""
    return str(values[0]) if min(values) == max(values) else f"{min(values)}..{max(values)}"


def markdown_rows(block: Block) -> list[str]:
    """A table of Markdown, a line per row."""
    rows = [block.headers, tuple(":--" if i == 0 else "--:" for i in range(len(block.headers))), *block.rows]
    return ["| " + " | ".join(map(plain, row)) + " |" for row in rows]


def plain(text: str) -> str:
    """A text with the characters escaped that Markdown would not show literally, also inside a table."""
    return text.strip().replace("|", "\\|").replace("<", "&lt;")


def printable(text: str) -> str:
    """A text from outside the kit (a name, a path, a reason), with characters escaped that could control a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
