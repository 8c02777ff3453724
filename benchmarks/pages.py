"""Files that a measurement leaves: written whole or not at all, JSON, Markdown tables, and a part of a page between two marks.

``benchmarks`` and ``experiments`` write every file through ``replaced`` and every Markdown table through ``table``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from evaluator.report.format import Block, markdown_rows


@contextmanager
def replaced(path: Path, mode: Literal["w", "wb"] = "w") -> Iterator[IO[Any]]:
    """Open a new file that takes the place of ``path`` when the block ends; text is UTF-8. Its folder is made.

    If the block raises, ``path`` is left as it was and the new file is removed. Two processes may write the same path: the file of
    the one that ends last remains.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, mode, encoding="utf-8" if mode == "w" else None) as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in the place of an older one."""
    with replaced(path) as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, a line per member, in the place of an older file."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, a string per line: the first column to the left, the others to the right."""
    return markdown_rows(Block("", tuple(headers), tuple(tuple(row) for row in rows)))


@dataclass(frozen=True)
class Region:
    """A part of a page that a command writes. ``name`` is what its two marks call it, ``command`` what writes it anew."""

    name: str
    command: str

    @property
    def start(self) -> str:
        """The mark before the part."""
        return f"<!-- {self.name}: written by {self.command} -->"

    @property
    def end(self) -> str:
        """The mark after the part."""
        return f"<!-- end of {self.name} -->"

    def replaced(self, page: str, text: str) -> str:
        """``page`` with ``text`` between the two marks.

        Raises:
            ValueError: a mark is missing, is there twice, or the end comes before the start.
        """
        start, end = self.start, self.end
        if page.count(start) != 1 or page.count(end) != 1 or page.index(start) > page.index(end):
            raise ValueError(f"the page needs the mark {start!r} and after it {end!r}, each exactly once")
        return f"{page[: page.index(start)]}{start}\n{text}{page[page.index(end) :]}"
