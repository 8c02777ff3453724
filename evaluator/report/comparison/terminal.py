"""A comparison in the terminal: a table that is wider than the terminal is shown in parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluator.report.comparison.blocks import blocks
from evaluator.report.comparison.headings import heading, marks, track_of
from evaluator.report.comparison.notes import notes
from evaluator.report.console import hanging, label, line, titled
from evaluator.report.format import MARK
from evaluator.report.levels import level_blocks, level_notes
from evaluator.tables import Block
from evaluator.text import cells
from evaluator.track import Tracks

NAMES = 32
"""Room for a name beside the columns of a table, in cells of a terminal."""
_STYLES = {"better": "green", "worse": "red", "loses more": "red", "loses less": "green"}


def show_comparison(console: Console, report: dict[str, Any], tracks: Tracks) -> None:
    """Print all tables, each with its notes. A table that is wider than the terminal is shown in parts."""
    several = len({table["track"] for table in (*report["levels"], *report["tables"])}) > 1
    for table in report["levels"]:
        track = track_of(tracks, table)
        hanging(console, heading(track, table, several), "bold yellow" if table["proxy"] else "bold")
        for block in level_blocks(table, track.metric(table["metric"]), report["wanted"]):
            for number, part in enumerate(parts(block, console.width)):
                titled(console, block.title if not number else f"{block.title} (continued)", _drawn(part))
                console.print()
        for note in level_notes(table, report["alpha"], report["family"]):
            hanging(console, f"  {note}", "dim")
        console.print()
    for table in report["tables"]:
        track = track_of(tracks, table)
        hanging(console, heading(track, table, several), "bold yellow" if table["proxy"] else "bold")
        for mark in marks(table):
            hanging(console, mark, "yellow")
        for block in blocks(report, table, track, folders=True):
            for number, part in enumerate(parts(block, console.width)):
                titled(console, block.title if not number else f"{block.title} (continued)", _drawn(part))
                console.print()
        for heat in table["heat_maps"]:
            track.show_map(console, heat)
        for note in notes(report, table):
            hanging(console, f"  {note}", "dim")
        console.print()
    for reason in report["left_out"]:
        hanging(console, f"left out: {reason}", "dim")


def parts(block: Block, width: int) -> list[Block]:
    """A table in parts that fit a terminal of so many columns, each with the first column: no figure is broken into two lines.

    A column that is wider than the terminal by itself gets a part of its own.
    """
    wide = [max([min(cells(header), 60), *(cells(row[i]) for row in block.rows)]) for i, header in enumerate(block.headers)]
    longest = max((cells(word) for row in block.rows for word in row[0].split()), default=0)
    room = width - min(wide[0], max(longest, NAMES if width >= 2 * NAMES else width // 3)) - 1
    groups: list[list[int]] = [[]]
    for column in range(1, len(block.headers)):
        if groups[-1] and sum(wide[i] + 1 for i in (*groups[-1], column)) > room + 1:
            groups.append([])
        groups[-1].append(column)
    return [
        Block(block.title, *(_chosen(group, block.headers), tuple(_chosen(group, row) for row in block.rows))) for group in groups
    ]


def _chosen(columns: Sequence[int], row: tuple[str, ...]) -> tuple[str, ...]:
    return (row[0], *(row[i] for i in columns))


def _drawn(block: Block) -> Table:
    shown = Table(box=None, pad_edge=False)
    for i, name in enumerate(block.headers):
        shown.add_column(line(name, width=60), justify="right" if i and name != "finding" else "left", overflow="fold")
    for row in block.rows:
        texts = (line(cell, _STYLES.get(cell.removesuffix(f" {MARK}").removesuffix(" ?"), "")) for cell in row[1:])
        shown.add_row(label(row[0]), *texts)
    return shown
