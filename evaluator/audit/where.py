"""Conditions on the columns of a benchmark: a small language, read by a parser of its own and never run as a program.

    condition := part ("or" part)*        part := test ("and" test)*        test := "not" test | "(" condition ")" | comparison
    comparison := column ("=" | "!=" | "<" | "<=" | ">" | ">=") value
                | column ["not"] "in" "(" value ("," value)* ")"
                | column "is" ["not"] "none"

Names and values are words, numbers, or texts in single or double quotes. An empty cell is *none*: no comparison holds for it, not
even ``!=``, as in SQL. ``=``, ``!=`` and ``in`` compare numbers where both sides are numbers, else texts; ``<`` and ``>`` need
numbers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from evaluator.bounded import BoundsError
from evaluator.text import one_line
from evaluator.words import meant

LONGEST = 2_000
"""Characters of a condition."""
DEEPEST = 50
"""Brackets and ``not`` within each other."""
_TOKEN = re.compile(r"""\s*(?:(?P<text>"[^"]*"|'[^']*')|(?P<sign>!=|<=|>=|[=<>(),])|(?P<word>[^\s"'=<>!(),]+))""")
_SIGNS: Mapping[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
Columns = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Condition:
    """A condition, ready to be asked.

    Attributes:
        text: as it was written.
        names: the columns that it asks for.
        holds: gives bool (n,) from the columns, a text per image.
    """

    text: str
    names: frozenset[str]
    holds: Callable[[Columns, int], np.ndarray]

    def of(self, columns: Columns, n: int) -> np.ndarray:
        """Whether it holds for each of n images.

        Raises:
            BoundsError: there is no such column, or a value that must be a number is none.
        """
        for name in sorted(self.names):
            if name not in columns:
                near = meant(name, columns)
                raise BoundsError(
                    f"--where {shown(self.text)}: there is no column {shown(name)}{near}; the columns are "
                    f"{one_line(', '.join(sorted(columns)), 300)}. Name one of them"
                )
        return self.holds(columns, n)


def shown(text: str) -> str:
    """A part of a condition for a message."""
    return one_line(repr(text), 80)


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        BoundsError: it is none; the message names the place.
    """
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.depth = text, 0, 0
        self.names: set[str] = set()
        self.tokens: list[tuple[str, str]] = []
        if len(text) > LONGEST:
            raise self.wrong(f"{len(text):,} characters; at most {LONGEST:,} are read. Make it shorter")
        place = 0
        while text[place:].strip():
            match = _TOKEN.match(text, place)
            if match is None:
                raise self.wrong(f"{shown(text[place:].strip()[:20])} is no part of a condition; expected e.g. scale > 3")
            kind = str(match.lastgroup)
            self.tokens.append((kind, match[kind][1:-1] if kind == "text" else match[kind]))
            place = match.end()

    def wrong(self, what: str) -> BoundsError:
        return BoundsError(f"--where {shown(self.text)}: {what}")

    def next(self, *words: str) -> str | None:
        """The next token if it is one of these signs or words, which is then taken."""
        if self.at < len(self.tokens):
            kind, token = self.tokens[self.at]
            if kind != "text" and token.lower() in words:
                self.at += 1
                return token.lower()
        return None

    def need(self, *words: str) -> str:
        found = self.next(*words)
        if found is None:
            raise self.wrong(f"{self.here()}; expected {' or '.join(map(repr, words))}")
        return found

    def here(self) -> str:
        return "it ends too early" if self.at == len(self.tokens) else f"{shown(self.tokens[self.at][1])} stands there"

    def value(self, what: str) -> str:
        if self.at == len(self.tokens) or self.tokens[self.at][0] == "sign":
            raise self.wrong(f"{self.here()}; expected {what}")
        self.at += 1
        return self.tokens[self.at - 1][1]

    def whole(self) -> Condition:
        holds = self.either()
        if self.at < len(self.tokens):
            raise self.wrong(f"{self.here()}; expected 'and', 'or', or the end")
        return Condition(self.text, frozenset(self.names), holds)

    def either(self) -> Callable[[Columns, int], np.ndarray]:
        parts = [self.both()]
        while self.next("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda columns, n: np.logical_or.reduce([part(columns, n) for part in parts])

    def both(self) -> Callable[[Columns, int], np.ndarray]:
        parts = [self.test()]
        while self.next("and"):
            parts.append(self.test())
        return parts[0] if len(parts) == 1 else lambda columns, n: np.logical_and.reduce([part(columns, n) for part in parts])

    def test(self) -> Callable[[Columns, int], np.ndarray]:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.wrong(f"more than {DEEPEST} brackets within each other. Write it shorter")
        if self.next("not"):
            inner = self.test()
            found: Callable[[Columns, int], np.ndarray] = lambda columns, n: ~inner(columns, n)  # noqa: E731
        elif self.next("("):
            found = self.either()
            self.need(")")
        else:
            found = self.comparison()
        self.depth -= 1
        return found

    def comparison(self) -> Callable[[Columns, int], np.ndarray]:
        name = self.value("the name of a column")
        self.names.add(name)
        negated = self.next("not") is not None
        sign = self.need("in") if negated else self.need("=", "!=", "<", "<=", ">", ">=", "in", "is")
        if sign == "is":
            negated = self.next("not") is not None
            self.need("none")
            return lambda columns, n: np.array([(cell == "") != negated for cell in columns[name]], bool)
        if sign == "in":
            self.need("(")
            members = [self.value("a value")]
            while self.need(",", ")") == ",":
                members.append(self.value("a value"))
            plain, numbers = set(members), {number for member in members if (number := _number(member)) is not None}

            def among(cell: str) -> bool:
                return cell != "" and (cell in plain or _number(cell) in numbers) != negated

            return lambda columns, n: np.array([among(cell) for cell in columns[name]], bool)
        value = self.value("a value")
        wanted = _number(value)
        if sign in ("=", "!="):

            def equal(cell: str) -> bool:
                number = _number(cell) if wanted is not None else None
                return cell != "" and ((number == wanted if number is not None else cell == value) != (sign == "!="))

            return lambda columns, n: np.array([equal(cell) for cell in columns[name]], bool)
        if wanted is None:
            raise self.wrong(f"{shown(value)} is no number; {sign} compares numbers. Use = or in")
        compare, bound = _SIGNS[sign], wanted

        def ordered(cell: str) -> bool:
            if cell == "":
                return False
            number = _number(cell)
            if number is None:
                raise self.wrong(f"the column {shown(name)} holds {shown(cell)}; {sign} compares numbers. Use = or in")
            return compare(number, bound)

        return lambda columns, n: np.array([ordered(cell) for cell in columns[name]], bool)


def _number(text: str) -> float | None:
    if len(text) > 40:
        return None
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
