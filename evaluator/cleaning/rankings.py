"""Rankings as files: which training labels an expert should check, worst first.

A file ``{data_id}_{method}.txt`` holds one 0-based row index a line; ``time_{data_id}_{method}.txt`` beside it holds the seconds
that the method took, and what else it says. That is the layout of DataPerf's open division. A table of edits lies beside them as
``{data_id}_{method}.csv`` (``edit_tables``).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from evaluator.bounded import BoundsError, read_bytes
from evaluator.errors import ConfigurationError
from evaluator.text import one_line

MOST_BYTES = 16 << 20
TIME = "time_"
RANKING, TABLE = ".txt", ".csv"
DIGITS = 12
ALIKE = 0.8
"""How alike a name must be to that of a task to be taken for a slip of the hand (``difflib``)."""

Key = tuple[str, str]
"""Task and method."""


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
    """A file or a task that is not judged. ``method``: whose it is, empty if of nobody; ``why``: with file, line and value."""

    method: str
    why: str


@dataclass(frozen=True)
class Listed:
    """The files in a folder of submissions, by task and method.

    Attributes:
        rankings, tables, times: their files.
        lost: files that belong to no task: their names are not those of a ranking, a table of edits or a time.
    """

    rankings: dict[Key, Path] = field(default_factory=dict)
    tables: dict[Key, Path] = field(default_factory=dict)
    times: dict[Key, Path] = field(default_factory=dict)
    lost: tuple[Refused, ...] = ()


def listed(folder: Path, tasks: Collection[str]) -> Listed:
    """What lies in a folder of submissions. Hidden files, and files whose names are like none of these, are left alone.

    Args:
        tasks: names of all tasks. A file belongs to the task with the longest name that its own begins with.

    Raises:
        ConfigurationError: there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder; expected files TASK_METHOD.txt in it. Name another")
    found = Listed()
    lost: list[Refused] = []
    for path in sorted(path for path in folder.iterdir() if not path.name.startswith(".")):
        stem, suffix = _parts(path.name)
        timed = stem.startswith(TIME) and _owner(stem, tasks) is None
        body = stem.removeprefix(TIME) if timed else stem
        owner = _owner(body, tasks)
        method = "" if owner is None else body[len(owner) + 1 :]
        where = found.times if timed else {RANKING: found.rankings, TABLE: found.tables}.get(suffix)
        if owner is not None and method and where is not None and (not timed or suffix == RANKING):
            where[owner, method] = path
        elif why := _lost(path.name, owner, method, tasks):
            lost.append(Refused("", f"{path}: {why}"))
    for key, path in found.times.items():
        if key not in found.rankings and key not in found.tables:
            near = get_close_matches(key[1], [method for task, method in (*found.rankings, *found.tables) if task == key[0]], 1)
            hint = f"; did you mean {TIME}{key[0]}_{near[0]}{RANKING}?" if near else ". Remove it, or hand in the ranking"
            lost.append(Refused("", f"{path}: a time without the ranking {key[0]}_{key[1]}{RANKING} beside it{hint}"))
    return Listed(found.rankings, found.tables, found.times, tuple(lost))


def _parts(name: str) -> tuple[str, str]:
    """A file's name without its ending, and the ending with its dot: letters alone, for ``0.2_mine`` is part of a name."""
    stem, dot, ending = name.rpartition(".")
    return (stem, dot + ending) if stem and ending.isascii() and ending.isalpha() else (name, "")


def _owner(body: str, tasks: Collection[str]) -> str | None:
    """The task whose name a file's begins with; of several the longest."""
    return max((task for task in tasks if body.startswith(f"{task}_")), key=len, default=None)


def _lost(name: str, owner: str | None, method: str, tasks: Collection[str]) -> str:
    """Why a file belongs to no task and what was probably meant; empty if nobody would take it for a ranking."""
    stem, suffix = _parts(name)
    ending = suffix.lower().removeprefix(".")
    wanted = f"expected {TIME if name.lower().startswith(TIME) else ''}TASK_METHOD{RANKING}"
    if owner is not None and not method:
        return f"its name has no method after the task; {wanted}. Rename it"
    if owner is not None:
        right = "csv" if ending == "csv" and not name.startswith(TIME) else "txt"
        return f"its name {f'ends in {suffix}' if suffix else 'has no ending'}; {wanted}; did you mean {stem}.{right}?"
    time = TIME if stem.lower().startswith(TIME) else ""
    meant = next(_alike(stem[len(time) :], tasks), "")
    if not meant and ending not in ("txt", "csv"):
        return ""
    hint = f"did you mean {time}{meant}.{'csv' if ending == 'csv' else 'txt'}?" if meant else "Rename it"
    return f"its name begins with no task; {wanted}. {hint[0].upper()}{hint[1:]}"


def _alike(stem: str, tasks: Collection[str]) -> Iterator[str]:
    """The stems that a misspelt one was probably meant for, the likeliest first."""
    for task in sorted(tasks, key=len, reverse=True):  # another character between task and method, or none
        if stem.lower().startswith(task.lower()) and (rest := stem[len(task) :].lstrip("-_. ")):
            yield f"{task}_{rest}"
    cuts = [at for at, letter in enumerate(stem) if letter == "_"]
    for cut in reversed(cuts):
        if stem[cut + 1 :]:
            yield from (f"{near}{stem[cut:]}" for near in get_close_matches(stem[:cut], list(tasks), 1, ALIKE))


def read_rankings(folder: Path, task: str, rows: int, *, strict: bool) -> tuple[list[Ranking], list[Refused]]:
    """The rankings of one task in a folder, by the names of their methods. A bad file is refused and never stops the others.

    Args:
        folder: with files ``{task}_{method}.txt``.
        rows: of the training set.
        strict: whether a ranking must name every row once; else it may be short and repeat rows, as in the original.

    Raises:
        ConfigurationError: there is no such folder, or no ranking of the task in it.
    """
    files = listed(folder, [task])
    if not files.rankings:
        raise ConfigurationError(f"{folder}: it holds no file {task}_METHOD.txt; expected one for every method. Put them there")
    taken: list[Ranking] = []
    refused: list[Refused] = []
    for key, path in files.rankings.items():
        try:
            seconds = read_seconds(files.times[key]) if key in files.times else None
            taken.append(Ranking(key[1], read_ranking(path, rows, strict=strict), seconds))
        except (ConfigurationError, OSError) as error:
            refused.append(Refused(key[1], str(error)))
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
    seen: dict[int, int] = {}
    found = []
    for number, line in enumerate(lines, 1):
        index = _index(line, f"{path}, line {number}", rows, first=number == 1)
        if strict and index in seen:
            raise BoundsError(
                f"{path}, line {number}: row {index} stands in line {seen[index]} already; expected every row once. Remove one"
            )
        if number > rows:  # of a strict ranking the line above says which row stands there twice
            raise BoundsError(
                f"{path}, line {number}: {len(lines):,} lines for {rows:,} training rows; expected at most {rows:,}. Correct it"
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
    except (OSError, ValueError, IndexError, BoundsError):
        return None
    return seconds if math.isfinite(seconds) and 0 <= seconds <= 1e9 else None


def _index(line: str, where: str, rows: int, *, first: bool) -> int:
    word = line.strip(" \t\r")
    if not word:
        raise BoundsError(f"{where}: the line is blank; expected a row index. Remove the line")
    if not (word.isascii() and word.removeprefix("-").isdigit()) or len(word) > DIGITS:
        header = first and word.isascii() and word.replace("_", "").replace(" ", "").isalpha()
        advice = "A ranking has no header: remove the line" if header else "Correct the line"
        raise BoundsError(f"{where}: {one_line(repr(word), 40)}; expected a row index, a whole number in digits. {advice}")
    index = int(word)
    if not 0 <= index < rows:
        raise BoundsError(f"{where}: row {index}; expected 0 to {rows - 1}. Count the rows from 0")
    return index
