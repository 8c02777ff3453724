"""Rankings as files: which training labels an expert should check, worst first.

A file ``{data_id}_{method}.txt`` holds one 0-based row index a line; ``time_{data_id}_{method}.txt`` beside it holds the seconds
that the method took, and what else it says. That is the layout of DataPerf's open division.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from evaluator.bounded import BoundsError, read_bytes
from evaluator.errors import ConfigurationError
from evaluator.text import one_line

MOST_BYTES = 16 << 20
TIME = "time_"
DIGITS = 12


@dataclass(frozen=True)
class Ranking:
    """A ranking of one task by one method.

    Attributes:
        method: its name; ``indices``: of training rows, worst first.
        seconds: that the method says it took; None if it does not.
    """

    method: str
    indices: tuple[int, ...]
    seconds: float | None = None


@dataclass(frozen=True)
class Refused:
    """A file that is no ranking. ``why``: with its name, the line and what was seen there."""

    method: str
    why: str


def read_rankings(folder: Path, task: str, rows: int, *, strict: bool) -> tuple[list[Ranking], list[Refused]]:
    """The rankings of a task in a folder, by the names of their methods. A bad file is refused and never stops the others.

    Args:
        folder: with files ``{task}_{method}.txt``.
        rows: of the training set.
        strict: whether a ranking must name every row once; else it may be short and repeat rows, as in the original.

    Raises:
        ConfigurationError: there is no such folder, or no ranking of the task in it.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder; expected files {task}_METHOD.txt in it. Name another")
    names = sorted(path.name for path in folder.iterdir() if path.name.startswith(f"{task}_") and path.name.endswith(".txt"))
    if not names:
        raise ConfigurationError(f"{folder}: it holds no file {task}_METHOD.txt; expected one for every method. Put them there")
    taken: list[Ranking] = []
    refused: list[Refused] = []
    for name in names:
        method = name.removeprefix(f"{task}_").removesuffix(".txt")
        try:
            seconds = read_seconds(folder / f"{TIME}{name}")
            taken.append(Ranking(method, read_ranking(folder / name, rows, strict=strict), seconds))
        except (ConfigurationError, OSError) as error:
            refused.append(Refused(method, str(error)))
    return taken, refused


def read_ranking(path: Path, rows: int, *, strict: bool) -> tuple[int, ...]:
    """The indices in a file. A byte-order mark and Windows line ends change nothing; a last line end is optional.

    Raises:
        ConfigurationError: it is no ranking of so many rows; the message names the file, the line and the value.
        OSError: it cannot be read.
    """
    try:
        text = read_bytes(path, MOST_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BoundsError(
            f"{path}: byte {error.start} is not UTF-8; expected one row index a line. Write it as plain text"
        ) from None
    lines = text.split("\n")
    if lines[-1].strip(" \t\r") == "":
        lines.pop()
    if not lines:
        raise BoundsError(f"{path}: the file is empty; expected one row index a line. Write the ranking into it")
    if len(lines) > rows:
        raise BoundsError(
            f"{path}: {len(lines):,} lines for {rows:,} training rows; expected {_expected(rows, strict)}. Correct it"
        )
    seen: dict[int, int] = {}
    found = []
    for number, line in enumerate(lines, 1):
        index = _index(line, f"{path}, line {number}", rows)
        if strict and index in seen:
            raise BoundsError(
                f"{path}, line {number}: row {index} stands in line {seen[index]} already; expected every row once. Remove one"
            )
        seen.setdefault(index, number)
        found.append(index)
    if strict and len(found) < rows:
        absent = next(row for row in range(rows) if row not in seen)
        raise BoundsError(
            f"{path}: {len(found):,} lines for {rows:,} training rows, and row {absent} is not among them; expected every row "
            "once. Add the missing rows, the least suspect last"
        )
    return tuple(found)


def read_seconds(path: Path) -> float | None:
    """The seconds of a method: the first number of its file; None if there is no file, or no duration in it.

    They are what the method says of itself, so that they are shown and decide nothing.
    """
    try:
        words = read_bytes(path, 1 << 16).decode("utf-8-sig").split()
        seconds = float(words[0])
    except (OSError, ValueError, IndexError):
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds <= 1e9 else None


def _index(line: str, where: str, rows: int) -> int:
    word = line.strip(" \t\r")
    if not word:
        raise BoundsError(f"{where}: the line is blank; expected a row index. Remove the line")
    if not (word.isascii() and word.removeprefix("-").isdigit()) or len(word) > DIGITS:
        raise BoundsError(f"{where}: {one_line(repr(word), 40)}; expected a row index, a whole number in digits. Correct the line")
    index = int(word)
    if not 0 <= index < rows:
        raise BoundsError(f"{where}: row {index}; expected 0 to {rows - 1}. Count the rows from 0")
    return index


def _expected(rows: int, strict: bool) -> str:
    return f"each of the {rows:,} rows once" if strict else f"at most {rows:,}"
