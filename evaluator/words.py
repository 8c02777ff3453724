"""Small pieces of English for messages and tables: numbers, a number with its noun, and the name that was probably meant."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from difflib import get_close_matches


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """``1 cell``, ``2 cells``, ``10,000 cells``; ``plural`` where it is not the noun with an s."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def number(value: float, digits: int = 3) -> str:
    """``8.5``, ``0.025``, ``1,200``: ``digits`` significant digits, all digits before the point, no exponent for a large number."""
    return f"{value:,.0f}" if 10 ** (digits - 1) <= abs(value) < 1e15 else f"{value:.{digits}g}"


def ending(name: str) -> str:
    """``ends in '.txt'``, or ``has no ending``, of a file's name."""
    dot = name.rfind(".")
    return f"ends in {name[dot:]!r}" if dot > 0 else "has no ending"


def was(n: int) -> str:
    """``was`` for one thing, else ``were``."""
    return "was" if n == 1 else "were"


def meant(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'quick'?`` for the name among ``known`` that is most like ``name``; empty where none is alike.

    A name that looks the same, because only its form of Unicode is another (a Mac writes an accent as a character of its own), is
    shown by its characters.
    """
    names = list(known)
    if not name.isascii():
        composed = unicodedata.normalize("NFC", name)
        same = next((other for other in names if other != name and unicodedata.normalize("NFC", other) == composed), None)
        if same is not None:
            return f"; did you mean {same!a}, which is written in another form of Unicode than {name!a}?"
    near = get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
