"""How numbers and names are written in every table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evaluator.tables import Block
from evaluator.text import visible

NAMES = {"macro_f1": "macro F1", "accuracy": "accuracy", "hamming_loss": "1 - Hamming loss"}
"""Names of metrics as scores, for which higher is better."""
LOSSES = {"hamming_loss": "Hamming loss"}
"""Names of stored metrics that are losses."""


def figure(interval: dict[str, Any] | None) -> str:
    """``0.512 [0.498, 0.526]``; only the mean without an interval; a dash without a value."""
    if interval is None:
        return "-"
    if interval["low"] is None:
        return f"{interval['mean']:.3f}"
    return f"{interval['mean']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


def signed(interval: dict[str, Any] | None) -> str:
    """A difference: ``+0.012 [+0.004, +0.020]``; only the mean without an interval; a dash without a value."""
    if interval is None:
        return "-"
    spread = "" if interval["low"] is None else f" [{interval['low']:+.3f}, {interval['high']:+.3f}]"
    return f"{interval['mean']:+.3f}{spread}"


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
