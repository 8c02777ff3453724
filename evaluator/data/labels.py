"""The table ``labels.csv`` of one split: which variant it is, and what it says.

One rule reads every variant: the first column (after an unnamed index column, as pandas writes it) names the image, the others are
one 0/1 column per class, or there is one column that lists the classes of the image. What was read is said in a note, and what
cannot be understood is refused with the file, the row (the header is row 1, as a spreadsheet shows it) and the value.
"""

from __future__ import annotations

import ast
import csv
import difflib
import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluator.bounded import BoundsError, read_bytes
from evaluator.errors import ConfigurationError, DataError

LIST_HEADERS = frozenset({"label", "labels", "class", "classes", "tag", "tags", "damage", "damages", "annotation", "annotations"})
"""Headers, in lower case, of a column that lists the classes of an image."""

MAX_BYTES = 64 * 2**20
"""Largest table: 600,000 rows of the official form."""
MAX_COLUMNS = 1_000
MAX_LINE = 100_000
"""Largest length of a line, in characters."""
MAX_CELLS = 10_000_000
"""Most cells of a table; each takes about sixty bytes of memory while the table is read."""
MAX_LIST = 10_000
"""Longest list of class names in a cell, in characters."""
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
_FALSE = re.compile(r"0+(\.0*)?|false", re.IGNORECASE)
_TRUE = re.compile(r"0*1(\.0*)?|true", re.IGNORECASE)
LONGEST_CLASS = 200
"""Longest name of a class, in characters."""
_SHAPES = "expected a file name column first, then one 0/1 column per class, or one column 'labels' that lists the classes"

_OTHER_CLASSES = "Correct the name; or, where the data have other classes, name a round that has them (--round FILE)"
"""Said where a class is unknown: to rename or remove classes would damage data of one's own."""


@dataclass(frozen=True)
class Table:
    """What a labels.csv says, in the order of its rows.

    Attributes:
        names: file names as written, without folder.
        rows: the row of each name (2 is the first below the header).
        labels: (n, k) uint8, columns in the order of the classes asked for.
        note: the variant that was read.
    """

    names: tuple[str, ...]
    rows: tuple[int, ...]
    labels: np.ndarray
    note: str


def check_classes(names: Sequence[str]) -> None:
    """Check the names of classes: what is refused here could not stand in a table of labels.

    Raises:
        ConfigurationError: there is none, two are alike or equal, or a name cannot be that of a column.
    """
    if not names:
        raise ConfigurationError("there is no class; name one or more")
    seen: dict[str, str] = {}
    for name in names:
        if (
            not name.strip()
            or name != name.strip()
            or not name.isprintable()
            or len(name) > LONGEST_CLASS
            or set(name) & set(",;|")
        ):
            raise ConfigurationError(
                f"the class {name[:80]!r} cannot be a column of a table; write letters, digits and _, at most {LONGEST_CLASS}"
            )
        if class_key(name) in seen:
            if seen[class_key(name)] == name:
                raise ConfigurationError(f"the class {name!r} stands there more than once; name it once")
            raise ConfigurationError(f"the classes {seen[class_key(name)]!r} and {name!r} are alike; give every class another name")
        seen[class_key(name)] = name
    if len(names) > MAX_COLUMNS - 1:
        raise ConfigurationError(f"there are {len(names)} classes; a table has at most {MAX_COLUMNS - 1}")


def delimiter_of(line: str) -> str:
    """What stands between the cells of a table, by its header: a comma, a semicolon (as spreadsheets of many languages write it) or
    a tab, whichever gives the most cells. A comma where the line is no row of CSV: reading the table then says what is wrong.
    """
    try:
        return max(_DELIMITERS, key=lambda delimiter: len(next(csv.reader([line], delimiter=delimiter), [])))
    except csv.Error:
        return ","


def named_classes(path: Path) -> tuple[str, ...]:
    """The names that stand in a table where classes stand, each once: of its columns, or in its one column of lists.

    Raises:
        DataError: it is no table.
    """
    header, body, _ = _rows(path, _text(path)[0])
    first = _name_column(path, header, {})
    columns = [name for name in header[first + 1 :] if name]
    if len(columns) == 1 and columns[0].casefold() in LIST_HEADERS:
        place = header.index(columns[0], first + 1)
        columns = [item for number, row in body for item in _items(path, number, row[place])]
    return tuple(dict.fromkeys(columns))


def read_table(path: Path, classes: tuple[str, ...], besides: Sequence[tuple[str, ...]] = ()) -> Table:
    """Read ``path``.

    Args:
        besides: classes of other rounds, each with all of ``classes`` and more. Where the columns are exactly those of one of them,
            what is not asked for is left out, and the note says so. Some of its columns are a mistake: the table is of no round.

    Raises:
        DataError: not UTF-8, not a table, no rows, a column or class that is neither asked for nor in ``besides``, a class without
            a column, or a cell that is not 0 or 1.
    """
    text, spelling = _text(path)
    header, body, delimiter = _rows(path, text)
    notes = [f"{_DELIMITERS[delimiter]} separated"] if delimiter != "," else []
    notes += spelling
    # A case-folded spelling of two classes would make the columns ambiguous; such a round is a mistake of the caller's.
    known = {class_key(c): c for c in (*sorted({name for others in besides for name in others}), *classes)}
    first = _name_column(path, header, known)
    if first:
        notes.append("an unnamed index column left out")
    columns = header[first + 1 :]
    while columns and not columns[-1]:
        # A delimiter at the end of every line; a value below it would be a label without a class.
        place = first + len(columns)
        for number, row in body:
            if row[place].strip():
                raise DataError(
                    f"{path}, row {number}: {row[place]!r} was found in a column without a header; name the column or remove it"
                )
        columns.pop()
        notes.append("an empty last column left out")
    if len(columns) == 1 and columns[0].casefold() in LIST_HEADERS and class_key(columns[0]) not in known:
        labels = _from_lists(path, body, first + 1, classes, known, notes)
        notes.insert(0, "one label-list column")
    else:
        places = _class_columns(path, columns, classes, known, notes, first + 1)
        labels = _from_columns(path, body, classes, places)
        notes.insert(0, f"columns: {header[first] or 'file name'} + {len(classes)} classes")
        _check_round(path, {known[class_key(column)] for column in columns}, classes, besides)
    names = tuple(_file_name(path, number, row[first]) for number, row in body)
    if any("/" in row[first] or "\\" in row[first] for _, row in body):
        notes.append("names with a folder before them")
    return Table(names, tuple(number for number, _ in body), labels, "; ".join(notes))


def _text(path: Path) -> tuple[str, list[str]]:
    try:
        raw = read_bytes(path, MAX_BYTES)
    except BoundsError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check that it exists and may be read") from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        bad = raw[error.start : error.start + 4]
        raise DataError(f"{path}, row {row}: {bad!r} is not UTF-8; save the table as CSV in UTF-8") from error
    if "\0" in text:
        row = text.count("\n", 0, text.index("\0")) + 1
        raise DataError(f"{path}, row {row}: a zero byte; this is not a CSV file in UTF-8, save it as one")
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE:
            raise DataError(f"{path}, row {number}: {len(line)} characters; at most {MAX_LINE} are read. Correct this row")
    notes = ["byte-order mark"] if raw.startswith(b"\xef\xbb\xbf") else []
    return text, notes


def _rows(path: Path, text: str) -> tuple[list[str], list[tuple[int, list[str]]], str]:
    """The header, the rows below it with their numbers (blank rows left out), and the delimiter."""
    start = next((line for line in io.StringIO(text, newline=None) if line.strip()), None)
    if start is None:
        raise DataError(f"{path} is empty; {_SHAPES}")
    delimiter = delimiter_of(start)
    cells = text.count(delimiter)
    if cells > MAX_CELLS:
        raise DataError(f"{path} has {cells} cells or more; a table of labels has at most {MAX_CELLS}. Split the data set")
    table: list[tuple[int, list[str]]] = []
    for number, row in _parsed(path, text, delimiter):
        if not any(cell.strip() for cell in row):
            continue
        if table and len(row) != len(table[0][1]):
            raise DataError(
                f"{path}, row {number}: {len(row)} cells ({delimiter.join(row)[:80]!r}), the header has {len(table[0][1])}; "
                "give every row one cell per column"
            )
        if len(row) > MAX_COLUMNS:
            raise DataError(f"{path}, row {number}: {len(row)} columns; a table of labels has at most {MAX_COLUMNS}")
        table.append((number, row))
    if not table:
        raise DataError(f"{path} is empty but for {start.strip()[:80]!r}; {_SHAPES}")
    header = [cell.strip() for cell in table[0][1]]
    if len(table) == 1:
        raise DataError(f"{path} has a header ({', '.join(header)[:80]}) and no rows; expected one row per image")
    return header, table[1:], delimiter


def _parsed(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    number = 0
    try:
        for number, row in enumerate(reader, start=1):
            yield number, row
    except csv.Error as error:
        raise DataError(f"{path}, row {number + 1}: not CSV ({error}); check the quotation marks of this row") from error


def class_key(name: str) -> str:
    """The same for every spelling of a class."""
    return re.sub(r"[\s\-]+", "_", name.strip()).casefold()


def _name_column(path: Path, header: list[str], known: dict[str, str]) -> int:
    """The place of the file name column: 0, or 1 behind an unnamed index column."""

    def is_label(text: str) -> bool:
        return class_key(text) in known or text.casefold() in LIST_HEADERS

    unnamed = not header[0] or re.fullmatch(r"Unnamed: \d+", header[0])
    place = 1 if unnamed and len(header) > 1 and header[1] and not is_label(header[1]) else 0
    if class_key(header[place]) in known:
        raise DataError(f"{path}, row 1: the first column is the class {header[place]!r}; {_SHAPES}")
    if all(_FALSE.fullmatch(cell) or _TRUE.fullmatch(cell) for cell in header[place + 1 :]) and len(header) > place + 1:
        raise DataError(
            f"{path}, row 1: {header[place]!r} and numbers were found where the header belongs; add a header row, {_SHAPES}"
        )
    return place


def _class_columns(
    path: Path, columns: list[str], classes: tuple[str, ...], known: dict[str, str], notes: list[str], offset: int
) -> list[int]:
    """The place of each class in a row. Extra classes are left out with a note."""
    found: dict[str, int] = {}
    respelled = False
    for place, column in enumerate(columns, start=offset):
        name = known.get(class_key(column))
        if name is None:
            near = difflib.get_close_matches(class_key(column), known, n=1)
            hint = f" (did you mean {known[near[0]]!r}?)" if near else ""
            raise DataError(
                f"{path}, row 1: the column {column!r} is no class of this round{hint}; expected the classes {', '.join(classes)}. "
                f"{_OTHER_CLASSES}"
            )
        if name in found:
            raise DataError(f"{path}, row 1: the class {name!r} has two columns; keep one of them")
        found[name] = place
        respelled |= column != name
    missing = [name for name in classes if name not in found]
    if missing:
        raise DataError(
            f"{path}, row 1: no column for the class {missing[0]!r}; seen: {', '.join(columns) or 'no class columns'}. "
            f"Expected one 0/1 column for each of {', '.join(classes)}"
        )
    left_out = [name for name in found if name not in classes]
    if left_out:
        notes.append(f"classes of another round left out: {', '.join(left_out)}")
    places = [found[name] for name in classes]
    if places != sorted(places):
        notes.append("class columns in another order")
    if respelled:
        notes.append("class names in another spelling")
    return places


def _check_round(path: Path, found: set[str], classes: tuple[str, ...], besides: Sequence[tuple[str, ...]]) -> None:
    """Refuse a table that has some of another round's classes, and not all of them."""
    if found == set(classes) or any(found == set(others) for others in besides):
        return
    nearest = min(besides, key=lambda others: len(set(others) ^ found))
    missing = ", ".join(repr(name) for name in nearest if name not in found)
    more = ", ".join(repr(name) for name in nearest if name in found and name not in classes)
    raise DataError(
        f"{path}, row 1: the columns hold {more} besides the {len(classes)} classes that are read, but not {missing}; a table has "
        f"the classes of one round. Add the missing column, remove the other, or name the classes (--classes, --round)"
    )


def _from_columns(path: Path, body: list[tuple[int, list[str]]], classes: tuple[str, ...], places: list[int]) -> np.ndarray:
    labels = np.zeros((len(body), len(classes)), np.uint8)
    for index, (number, row) in enumerate(body):
        for column, place in enumerate(places):
            cell = row[place].strip()
            if _TRUE.fullmatch(cell):
                labels[index, column] = 1
            elif not _FALSE.fullmatch(cell):
                seen = repr(cell) if cell else "an empty cell"
                raise DataError(
                    f"{path}, row {number}: {seen} for the class {classes[column]!r}; expected 0 or 1. Correct it, or remove "
                    "the image with its row"
                )
    return labels


def _from_lists(
    path: Path, body: list[tuple[int, list[str]]], place: int, classes: tuple[str, ...], known: dict[str, str], notes: list[str]
) -> np.ndarray:
    labels = np.zeros((len(body), len(classes)), np.uint8)
    column = {name: index for index, name in enumerate(classes)}
    left_out: set[str] = set()
    for index, (number, row) in enumerate(body):
        for item in _items(path, number, row[place]):
            name = known.get(class_key(item))
            if name is None:
                near = difflib.get_close_matches(class_key(item), known, n=1)
                hint = f" (did you mean {known[near[0]]!r}?)" if near else ""
                raise DataError(
                    f"{path}, row {number}: unknown class {item!r}{hint}; expected any of {', '.join(classes)}. {_OTHER_CLASSES}"
                )
            if name in column:
                labels[index, column[name]] = 1
            else:
                left_out.add(name)
    if left_out:
        notes.append(f"classes of another round left out: {', '.join(sorted(left_out))}")
    return labels


def _items(path: Path, number: int, cell: str) -> list[str]:
    """The class names in a cell such as ``["a", "b"]``, ``['a', 'b']``, ``a b`` or ``a|b``; an empty cell lists none."""
    cell = cell.strip()
    if not cell.startswith("["):
        return [item for item in re.split(r"[\s|,;]+", cell) if item]
    if len(cell) > MAX_LIST:
        raise DataError(f"{path}, row {number}: a list of {len(cell)} characters; expected at most {MAX_LIST}")
    items: object = None
    for read in (json.loads, ast.literal_eval):
        try:
            items = read(cell)
            break
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue  # the other notation is tried, and what neither reads is refused below
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise DataError(
            f'{path}, row {number}: {cell[:80]!r} is not a list of class names; write ["scratch_small", ...] or names with spaces'
        )
    return items


def _file_name(path: Path, number: int, cell: str) -> str:
    parts = cell.strip().replace("\\", "/").split("/")
    if not parts[-1] or parts[-1] in (".", ".."):
        raise DataError(f"{path}, row {number}: {cell!r} is not a file name; expected the name of an image in images/")
    folders = [part for part in parts[:-1] if part != "."]
    if folders and folders[-1] != "images":
        raise DataError(f"{path}, row {number}: {cell!r} lies outside images/; write the file name alone")
    return parts[-1]
