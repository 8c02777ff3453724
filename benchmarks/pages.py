"""The part of a page that a command writes, between two marks, and files that are written whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Region:
    """A part of a page. ``name`` is what its marks call it, ``writer`` the file of the command that writes it."""

    name: str
    writer: str

    @property
    def start(self) -> str:
        """The mark before the part."""
        return f"<!-- {self.name}: written by {self.writer} -->"

    @property
    def end(self) -> str:
        """The mark behind it."""
        return f"<!-- end of {self.name} -->"

    def replaced(self, page: str, text: str) -> str:
        """``page`` with ``text`` between its two marks.

        Raises:
            ValueError: the marks are not there, once each and in order.
        """
        start, end = self.start, self.end
        if page.count(start) != 1 or page.count(end) != 1 or page.index(start) > page.index(end):
            raise ValueError(f"the page needs the marks {start!r} and {end!r}, once each")
        return f"{page[: page.index(start)]}{start}\n{text}{page[page.index(end) :]}"


def write_whole(path: Path, text: str) -> None:
    """Write a text file in the place of an older one, whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
