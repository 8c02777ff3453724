"""Texts in the terminal: every name and message of a stranger goes through one of these functions, and nothing is markup."""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from evaluator.text import LINE_WIDTH, message, name, one_line, said

NARROWEST, USUAL = 40, 80
"""Columns of the narrowest terminal that is printed for, and of a terminal whose width is not known."""
LONGEST_WORD = 12
"""Characters of a name that are never broken."""
_ADDED = re.compile(r"^\d+ | \([0-9a-f]{8}\)$")


def terminal(stderr: bool = False) -> Console:
    """A console that takes no text for markup: names and messages of strangers hold brackets and colons, too.

    A width that nothing can be printed in (``COLUMNS=0``, as some build servers set it) counts as unknown.
    """
    console = Console(stderr=stderr, markup=False, emoji=False)
    if console.width < NARROWEST:
        console.width = USUAL if console.width <= 1 else NARROWEST
    return console


def label(text: object, style: str = "") -> Text:
    """A name that somebody else chose, for a cell of a table in the terminal.

    Where the column is too narrow, a name with blanks is cut and not folded: its rest in the first column would look like a row of
    its own. The number and the mark of a version that the tables add to a name do not count.
    """
    shown = name(text)
    cut = " " in _ADDED.sub("", shown)
    return Text(shown, style=style, no_wrap=cut, overflow="ellipsis" if cut else "fold")


def line(text: object, style: str = "", width: int = LINE_WIDTH) -> Text:
    """A text in one line for the terminal, never markup."""
    return Text(one_line(text, width), style=style)


def hanging(console: Console, text: object, style: str = "", width: int = 2_000) -> None:
    """Print a title or a note in lines as long as the terminal allows; all lines but the first are indented, so that no part of a
    stranger's name begins a line."""
    console.print(Text(message(one_line(text, width), console.width), style=style))


def titled(console: Console, title: str, table: Table) -> None:
    """Print a table below its title, in parts if the terminal is too narrow for it."""
    hanging(console, title, "italic")
    show_table(console, table)


def show_table(console: Console, table: Table) -> None:
    """Print a table so that no number and no word in it is cut or broken.

    Cells are folded between words as far as that helps. Where it does not, the columns that do not fit follow in further tables,
    each of which begins with the first column.
    """
    gap, room = (2, console.width) if table.box is None else (3, console.width - 4)
    widths = [_widths(column, first=number == 0) for number, column in enumerate(table.columns)]
    if sum(widest + gap for _, widest in widths) - gap <= room:
        console.print(table)
        return
    parts: list[list[int]] = []
    for number, (least, _) in enumerate(widths):
        used = sum(widths[other][0] + gap for other in parts[-1]) if parts else 0
        if not parts or (used + least > room and len(parts[-1]) > 1):
            parts.append([0] if parts else [])
        parts[-1].append(number)
    for place, numbers in enumerate(parts):
        if place:
            console.print()
        console.print(_part(table, numbers, [widths[number] for number in numbers], room - gap * (len(numbers) - 1)))


def _widths(column: Column, first: bool) -> tuple[int, int]:
    """The smallest width of a column in which no word is broken, and the width in which nothing is folded.

    Names in the first column may be broken: a long name has no blanks. The column's own ``min_width`` is kept.
    """
    texts = [cell.plain if isinstance(cell, Text) else str(cell) for cell in (column.header, *column.cells)]
    least = max((cell_len(word) for text in texts for word in text.split()), default=0)
    return max(min(least, LONGEST_WORD if first else USUAL), column.min_width or 0), max(map(cell_len, texts), default=0)


def _part(table: Table, numbers: list[int], widths: list[tuple[int, int]], room: int) -> Table:
    """A table of some columns. What is left of ``room`` goes to the columns that lack most."""
    given = [least for least, _ in widths]
    while sum(given) > room and max(given) > 1:  # a single word is wider than the terminal
        given[given.index(max(given))] -= 1
    for _ in range(max(0, room - sum(given))):
        lacking = max(range(len(given)), key=lambda place: widths[place][1] - given[place])
        if widths[lacking][1] <= given[lacking]:
            break
        given[lacking] += 1
    part = Table(box=table.box, pad_edge=table.pad_edge, show_header=table.show_header, title=table.title)
    part.title_justify = table.title_justify
    for index, number in enumerate(numbers):
        old = table.columns[number]
        column = old.copy()
        column._index = index
        column._cells = list(old._cells)
        column.width = given[index]
        part.columns.append(column)
    part.rows = list(table.rows)
    return part


def show_failure(console: Console, place: str, reason: str) -> None:
    """Print why a cell failed. Its reason may be a text of the submission: what is not short enough for one line is quoted."""
    console.print(Text(said(one_line(place, 200), reason, console.width), style="red"))
