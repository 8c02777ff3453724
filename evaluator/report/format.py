"""How single figures are written in every table, and what a table is before it is shown."""

from __future__ import annotations

from typing import Any

from evaluator.tables import Block

NAMES = {"macro_f1": "macro F1", "accuracy": "accuracy", "hamming_loss": "1 - Hamming loss"}
"""Of metrics, as scores of which more is better."""
LOSSES = {"hamming_loss": "Hamming loss"}
"""Of metrics, as they are stored, where that is a loss."""


def figure(interval: dict[str, Any] | None) -> str:
    """``0.512 [0.498, 0.526]``; without an interval the mean alone, without a value a dash."""
    if interval is None:
        return "-"
    if interval["low"] is None:
        return f"{interval['mean']:.3f}"
    return f"{interval['mean']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


def signed(interval: dict[str, Any] | None) -> str:
    """A difference: ``+0.012 [+0.004, +0.020]``; without an interval the mean alone, without a value a dash."""
    if interval is None:
        return "-"
    spread = "" if interval["low"] is None else f" [{interval['low']:+.3f}, {interval['high']:+.3f}]"
    return f"{interval['mean']:+.3f}{spread}"


def verdicts(found: list[str]) -> str:
    """One verdict where all are the same, else how many of each."""
    if not found:
        return "not run"
    return found[0] if len(set(found)) == 1 else ", ".join(f"{found.count(v)} {v}" for v in dict.fromkeys(found))


def span(values: list[int]) -> str:
    """One number, or the least and the most."""
    return str(values[0]) if min(values) == max(values) else f"{min(values)}..{max(values)}"


def markdown_rows(block: Block) -> list[str]:
    """A table of Markdown, a line per row."""
    rows = [block.headers, tuple(":--" if i == 0 else "--:" for i in range(len(block.headers))), *block.rows]
    return ["| " + " | ".join(map(plain, row)) + " |" for row in rows]


def plain(text: str) -> str:
    """A text that Markdown shows as it is, inside a table, too."""
    return text.strip().replace("|", "\\|").replace("<", "&lt;")


def printable(text: str) -> str:
    """A text from outside (a name, a path, a reason) without characters that would steer a terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
