"""Files that a measurement leaves: written whole or not at all, JSON, and a part of a page between two marks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator import files


def write_text(path: Path, text: str) -> None:
    """Write a text file in the place of an older one, whole or not at all. Its folder is made.

    Raises:
        OSError: it cannot be written; ``path`` is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write_text(path, text)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON, a line per member, in the place of an older file."""
    write_text(path, json.dumps(value, indent=1) + "\n")


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
