"""Texts in the terminal: every name and message of a stranger goes through one of these functions, and nothing is markup."""

from __future__ import annotations

import re

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evaluator.text import LINE_WIDTH, message, name, one_line, said

_ADDED = re.compile(r"^\d+ | \([0-9a-f]{8}\)$")


def terminal(stderr: bool = False) -> Console:
    """A console that takes no text for markup: names and messages of strangers hold brackets and colons, too."""
    return Console(stderr=stderr, markup=False, emoji=False)


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
    """Print a table below its title."""
    hanging(console, title, "italic")
    console.print(table)


def show_failure(console: Console, place: str, reason: str) -> None:
    """Print why a cell failed. Its reason may be a text of the submission: what is not short enough for one line is quoted."""
    console.print(Text(said(one_line(place, 200), reason, console.width), style="red"))
