"""The file ``.submitignore`` at the top of a submission's folder: what its owner leaves at home, in a small part of git's syntax.

A line is a pattern: ``*`` and ``?`` within a name, ``[ab]`` for one of some characters; a slash at its end means folders only; a
slash elsewhere means that the pattern begins at the top; without one it holds at any depth. What is below a folder that stays
behind stays behind. Empty lines and lines that begin with ``#`` say nothing. Git's ``!`` (take back) and ``**`` are refused: who
reads the file must see at once what travels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase

FILE = ".submitignore"
MAX_BYTES = 64 * 1024
MAX_LINES = 1_000
MAX_PATTERN = 200
"""Characters of a pattern."""
MAX_STARS = 8
"""Stars in a pattern. The time of a match grows with each."""


@dataclass(frozen=True)
class Pattern:
    """A line of the file. ``names``: patterns of the names of a path, from the top if ``anchored``, else of its last name."""

    line: int
    names: tuple[str, ...]
    anchored: bool
    folders_only: bool

    def matches(self, place: tuple[str, ...], folder: bool) -> bool:
        """Whether it names what lies at ``place``."""
        if self.folders_only and not folder:
            return False
        if not self.anchored:
            return fnmatchcase(place[-1], self.names[0])
        return len(place) == len(self.names) and all(map(fnmatchcase, place, self.names))


def parse_ignore(raw: bytes, refuse: Callable[[str], Exception]) -> tuple[Pattern, ...]:
    """The patterns of a file.

    Args:
        refuse: makes the exception that is raised, from what was seen and what to do, in words.

    Raises:
        Exception: what ``refuse`` gives, where the file is beyond a bound or a line is not understood.
    """
    if len(raw) > MAX_BYTES:
        raise refuse(f"it has more than {MAX_BYTES:,} bytes. Shorten it")
    try:
        lines = raw.removeprefix(b"\xef\xbb\xbf").decode().splitlines()
    except UnicodeDecodeError:
        raise refuse("it is not UTF-8. Save it as UTF-8") from None
    if len(lines) > MAX_LINES:
        raise refuse(f"it has {len(lines):,} lines; at most {MAX_LINES:,} are read. Shorten it")
    return tuple(
        _pattern(number, text, refuse)
        for number, line in enumerate(lines, 1)
        if (text := line.strip()) and not text.startswith("#")
    )


def _pattern(line: int, text: str, refuse: Callable[[str], Exception]) -> Pattern:
    at = f"line {line}"
    if text.startswith("!"):
        raise refuse(f"{at} takes a name back (!), which is not understood here. Name what stays behind only")
    if "**" in text:
        raise refuse(f"{at} holds **, which is not understood here. Write a name without a slash; it holds at any depth")
    if len(text) > MAX_PATTERN or text.count("*") > MAX_STARS:
        raise refuse(f"{at} is longer than {MAX_PATTERN} characters, or has more than {MAX_STARS} stars. Shorten it")
    names = tuple(text.strip("/").split("/"))
    if not all(names) or {".", ".."} & set(names):
        raise refuse(f"{at} holds an empty name, . or .. as a name. Write a path below the folder, e.g. notes/*.txt")
    return Pattern(line, names, anchored="/" in text.rstrip("/"), folders_only=text.endswith("/"))
