"""A table of edits: what a person or a tool changes in a labelled data set, one row an item, as CSV or Parquet.

========  ==========================================================================================================
``id``    names the item: a path within the data set, such as ``train/iv/0017.png``, or the number of a row
``action``  ``drop`` leaves the item out; ``relabel`` gives it ``label`` (and moves it to ``split``, where that is filled in);
          ``move`` puts it into ``split``; ``add`` adds an item with ``label`` and ``split``
``label``   the new class, as a word; empty for ``drop`` and ``move``
``split``   the new split, ``train`` or ``val``; empty for ``drop``
``file``    for ``add`` alone: where the new item lies, seen from the folder of the table. Empty: ``id`` names an item of the data
          set as it was given, such as an item that an earlier table dropped
========  ==========================================================================================================

Applied to a list of items, a table gives the new list and the inverse table, which takes everything back. Every item stands in
one row at most, so the order of the rows means nothing. Cells that a spreadsheet would compute (``=...``) are written with an
apostrophe before them, which reading removes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

from evaluator.bounded import BoundsError, read_bytes
from evaluator.data.labels import delimiter_of
from evaluator.errors import DataError
from evaluator.files import write_bytes
from evaluator.text import one_line
from evaluator.words import ending, meant
from evaluator.worker.foreign import MOST_TABLE, table_of

Action = Literal["drop", "relabel", "move", "add"]
ACTIONS: tuple[Action, ...] = get_args(Action)
COLUMNS = ("id", "action", "label", "split", "file")
NEEDED = ("id", "action", "label", "split")
"""Columns that a table must have; ``file`` may be absent."""
SPLITS = ("train", "val")
ENDINGS = (".csv", ".parquet")
MOST_BYTES = 64 * 2**20
MOST_ROWS = 200_000
LONGEST = 400
"""Longest cell, in characters."""
ReadParquet = Callable[[str, bytes, int], tuple[list[str], list[list[str | None]]]]
"""Called with a name for messages, the content of a Parquet file, and the most rows; gives the columns' names, and the rows."""
_TO_COMPUTE = re.compile(r"'*\s*[=+\-@\uff0b\uff0d\uff1d\uff20]")
"""What is written with one apostrophe more: what a spreadsheet computes, and what looks as if it had been written so."""


class Item(NamedTuple):
    """An item of a data set: its name, its class as a word, and the split that it belongs to."""

    id: str
    label: str
    split: str


@dataclass(frozen=True)
class Edit:
    """One row of a table. Empty texts stand for empty cells.

    Attributes:
        line: of the file that it was read from, for messages; 0 where it was not read. It is not compared.

    Raises:
        DataError: a cell makes no sense for the action; the message names the cell and its value.
    """

    id: str
    action: Action
    label: str = ""
    split: str = ""
    file: str = ""
    line: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        for column in COLUMNS:
            _check_cell(column, getattr(self, column))
        if not self.id:
            raise DataError("id is empty; expected the name of an item. Fill it in, or remove the row")
        if why := beyond_folder(self.id):
            raise DataError(f"id is {_quoted(self.id)}, {why}; expected a name within the data set. Correct it")
        if self.action not in ACTIONS:
            raise DataError(
                f"action is {_quoted(self.action)}{_meant_action(self.action)}; expected {_either(ACTIONS)}. Correct it"
            )
        needs = {"drop": (), "relabel": ("label",), "move": ("split",), "add": ("label", "split")}[self.action]
        allows = {"drop": (), "relabel": ("label", "split"), "move": ("split",), "add": ("label", "split", "file")}[self.action]
        for column in ("label", "split", "file"):
            value = getattr(self, column)
            if not value and column in needs:
                raise DataError(f"{column} is empty; {self.action} needs it. Fill it in, or remove the row")
            if value and column not in allows:
                advice = " relabel may change both." if (self.action, column) == ("move", "label") else ""
                raise DataError(f"{column} is {_quoted(value)}; {self.action} has none.{advice} Leave the cell empty")
        if self.file and (why := beyond_folder(self.file)):
            raise DataError(f"file is {_quoted(self.file)}, {why}; expected a path within the table's folder. Correct it")


@dataclass(frozen=True)
class Applied:
    """What a table made of a list of items.

    Attributes:
        items: the new list: what is left in its old order, then what was added, in the order of the table.
        inverse: a table that gives the old items again (what was dropped then stands last).
        added: edits whose item comes from a file of the table's folder, or from the data set as it was given.
        changed: numbers of items by action; an edit that says what is so already counts as none.
    """

    items: tuple[Item, ...]
    inverse: EditTable
    added: tuple[Edit, ...]
    changed: Mapping[str, int]


@dataclass(frozen=True)
class EditTable:
    """Edits, every item in one of them at most.

    Attributes:
        source: the file's name for messages; ``unit``: what its rows are counted as. Neither is compared.

    Raises:
        DataError: an item stands in two edits.
    """

    edits: tuple[Edit, ...]
    source: str = field(default="the table of edits", compare=False)
    unit: str = field(default="line", compare=False)

    def __post_init__(self) -> None:
        seen: dict[str, Edit] = {}
        for edit in self.edits:
            if edit.id in seen:
                before = f"in {self.unit} {seen[edit.id].line} already" if seen[edit.id].line else "there twice"
                raise DataError(
                    f"{self._at(edit)}: the id {_quoted(edit.id)} stands {before}; expected one row an item. Remove one row, or "
                    "write relabel with label and split in one row"
                )
            seen[edit.id] = edit

    def __len__(self) -> int:
        return len(self.edits)

    def __iter__(self) -> Iterator[Edit]:
        return iter(self.edits)

    @classmethod
    def read(
        cls,
        path: Path,
        labels: Sequence[str] | None = None,
        splits: Sequence[str] = SPLITS,
        *,
        parquet: ReadParquet | None = None,
    ) -> Self:
        """Read a table from ``.csv`` (UTF-8; with commas, semicolons or tabs) or ``.parquet`` (needs pyarrow).

        Args:
            labels: the classes that there are; None for any. ``splits``: the splits that there are.
            parquet: reads the content of a Parquet file in another process; None reads it in this process.

        Raises:
            DataError: it is no such table; the message names the file, the line and the value.
            OSError: it cannot be read. What ``parquet`` raises goes through.
        """
        path = Path(path)
        if path.suffix not in ENDINGS:
            raise DataError(f"{path}: the name {ending(path.name)}; a table of edits ends in {_either(ENDINGS)}. Name another file")
        rows = _csv_rows(path) if path.suffix == ".csv" else _parquet_rows(path, parquet or _read_here)
        edits: list[Edit] = []
        for line, cells in rows:
            if len(edits) == MOST_ROWS:
                raise DataError(f"{path}, line {line}: more than {MOST_ROWS:,} edits; at most so many are read. Split the table")
            try:
                edits.append(Edit(**cells, line=line))
            except DataError as error:
                raise DataError(f"{path}, line {line}: {error}") from None
        table = cls(tuple(edits), str(path))
        table.check(labels, splits)
        return table

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], source: str = "the table of edits") -> Self:
        """A table of rows in memory, dicts with the columns as keys; what is absent or None is empty.

        Raises:
            DataError: a row is no edit; the message names its place, counted from 1, and the value.
        """
        edits: list[Edit] = []
        for number, row in enumerate(rows, 1):
            if len(edits) == MOST_ROWS:
                raise DataError(f"{source}, row {number}: more than {MOST_ROWS:,} edits; at most so many are taken")
            try:
                edits.append(Edit(**_cells_of(row), line=number))
            except DataError as error:
                raise DataError(f"{source}, row {number}: {error}") from None
        return cls(tuple(edits), source, "row")

    def check(self, labels: Sequence[str] | None, splits: Sequence[str] = SPLITS) -> None:
        """Refuse labels and splits that there are not.

        Raises:
            DataError: naming the file, the line and the value.
        """
        for edit in self.edits:
            if edit.label and labels is not None and edit.label not in labels:
                raise DataError(
                    f"{self._at(edit)}: the label {_quoted(edit.label)} is none of the classes{meant(edit.label, labels)}; "
                    f"expected {_either(labels)}. Correct it"
                )
            if edit.split and edit.split not in splits:
                raise DataError(
                    f"{self._at(edit)}: the split {_quoted(edit.split)} is unknown{meant(edit.split, splits)}; "
                    f"expected {_either(splits)}. Correct it"
                )

    def write(self, path: Path) -> None:
        """Write the table, whole or not at all. A ``.csv`` is what a spreadsheet opens without computing anything.

        Raises:
            DataError: the name has another ending, or pyarrow is needed and not installed.
            OSError: it cannot be written; nothing is changed.
        """
        path = Path(path)
        if path.suffix not in ENDINGS:
            raise DataError(f"{path}: the name {ending(path.name)}; a table of edits ends in {_either(ENDINGS)}. Name another file")
        columns = COLUMNS if any(edit.file for edit in self.edits) else NEEDED
        if path.suffix == ".parquet":
            write_bytes(path, _as_parquet(path, self.edits, columns))
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_guarded(getattr(edit, column)) for column in columns] for edit in self.edits)
        write_bytes(path, text.getvalue().encode())

    def apply(self, items: Iterable[tuple[str, str, str]], given: Iterable[tuple[str, str, str]] | None = None) -> Applied:
        """Apply all edits to a list of items ``(id, label, split)``, ids each once.

        Args:
            given: the data set as it was given, in which an ``add`` without a file finds its item; None for ``items`` itself, in
                which case there is nothing to add without a file.

        Raises:
            DataError: an edit names an item that there is not, or adds an item that is there; the message names file and line.
            ValueError: an id is in ``items`` twice.
        """
        old = [Item(*item) for item in items]
        place = {item.id: number for number, item in enumerate(old)}
        if len(place) != len(old):
            raise ValueError("the items have an id twice; every item has an id of its own")
        origin = set(place) if given is None else {item[0] for item in given}
        new: list[Item | None] = list(old)
        added: list[Edit] = []
        back: list[Edit] = []
        counts: dict[str, int] = dict.fromkeys(ACTIONS, 0)
        for edit in self.edits:
            if edit.action == "add":
                self._check_added(edit, place, origin)
                added.append(edit)
                back.append(Edit(edit.id, "drop"))
                counts["add"] += 1
                continue
            if edit.id not in place:
                raise DataError(
                    f"{self._at(edit)}: there is no item {_quoted(edit.id)}{meant(edit.id, place) if len(place) < 20_000 else ''}; "
                    f"expected an id of the data set ({len(old):,} items). Correct it, or remove the row"
                )
            number = place[edit.id]
            item = old[number]
            if edit.action == "drop":
                new[number] = None
                back.append(Edit(item.id, "add", item.label, item.split))
                counts["drop"] += 1
                continue
            after = item._replace(label=edit.label or item.label, split=edit.split or item.split)
            new[number] = after
            if after != item:
                counts[edit.action] += 1
                back.append(_taken_back(item, after))
        kept = [item for item in new if item is not None] + [Item(edit.id, edit.label, edit.split) for edit in added]
        inverse = EditTable(tuple(back), f"the inverse of {self.source}")
        return Applied(tuple(kept), inverse, tuple(added), counts)

    def _check_added(self, edit: Edit, place: Mapping[str, int], origin: set[str]) -> None:
        if edit.id in place:
            raise DataError(
                f"{self._at(edit)}: the item {_quoted(edit.id)} is there already; add needs a new id. "
                "Write relabel or move to change it"
            )
        if not edit.file and edit.id not in origin:
            raise DataError(
                f"{self._at(edit)}: file is empty, and the data set has no item {_quoted(edit.id)}; expected the file of the new "
                "item, seen from the table's folder. Fill it in"
            )

    def _at(self, edit: Edit) -> str:
        return f"{self.source}, {self.unit} {edit.line}" if edit.line else self.source


def beyond_folder(path: str) -> str:
    """Why a relative path with ``/`` is none within its folder, in words; empty if it is."""
    if path.startswith("/") or re.match(r"[A-Za-z]:", path):
        return "which is no relative path"
    if "\\" in path:
        return "which has a backslash"
    if any(part in ("", ".", "..") for part in path.split("/")):
        return "which leaves the folder or has an empty part"
    return ""


def _check_cell(column: str, value: Any) -> None:
    if not isinstance(value, str):
        raise DataError(f"{column} is {one_line(repr(value), 60)}; expected a text. Correct it")
    if len(value) > LONGEST:
        raise DataError(f"{column} has {len(value):,} characters ({_quoted(value)}); at most {LONGEST} are read. Shorten it")
    if value != value.strip() or not value.isprintable():
        raise DataError(
            f"{column} is {_quoted(value)}; expected a text in one line, without control characters or blanks around it. Correct it"
        )


def _cells_of(row: Any) -> dict[str, Any]:
    if not isinstance(row, Mapping):
        raise DataError(f"it is a {type(row).__name__}; expected a dict with the keys {', '.join(NEEDED)}")
    if unknown := [key for key in row if key not in COLUMNS]:
        raise DataError(f"the key {one_line(repr(unknown[0]), 60)} is unknown; expected {', '.join(COLUMNS)}. Remove it")
    if missing := [key for key in ("id", "action") if key not in row]:
        raise DataError(f"it has no {missing[0]!r}; expected the keys {', '.join(NEEDED)}. Add it")
    return {key: "" if row.get(key) is None else row[key] for key in COLUMNS}


def _quoted(value: str) -> str:
    return one_line(repr(value), 80)


def _meant_action(text: str) -> str:
    other = {"remove": "drop", "delete": "drop", "fix": "relabel", "change": "relabel"}.get(text.casefold())
    return meant(text.casefold(), ACTIONS) if other is None else f"; did you mean {other!r}?"


def _taken_back(item: Item, after: Item) -> Edit:
    split = item.split if after.split != item.split else ""
    if after.label == item.label:
        return Edit(item.id, "move", split=split)
    return Edit(item.id, "relabel", item.label, split)


def _either(names: Iterable[str]) -> str:
    listed = [str(name) for name in names]
    if len(listed) > 12:
        listed = [*listed[:10], "..."]
    return ", ".join(listed[:-1]) + (f" or {listed[-1]}" if len(listed) > 1 else listed[0])


def _guarded(value: str) -> str:
    return f"'{value}" if _TO_COMPUTE.match(value) else value


def _unguarded(value: str) -> str:
    return value[1:] if value.startswith("'") and _TO_COMPUTE.match(value) else value


def _header(path: Path, names: Sequence[str]) -> None:
    for column in names:
        if column not in COLUMNS:
            raise DataError(
                f"{path}, line 1: the column {_quoted(column)} is unknown{meant(column, COLUMNS)}; expected {', '.join(COLUMNS)}. "
                "Remove it"
            )
        if names.count(column) > 1:
            raise DataError(f"{path}, line 1: the column {column!r} stands there twice; expected it once. Remove one")
    if missing := [column for column in NEEDED if column not in names]:
        raise DataError(f"{path}, line 1: there is no column {missing[0]!r}; expected {', '.join(COLUMNS)}. Add it")


def _csv_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The cells of every row of a CSV with its line, a header in line 1."""
    try:
        text = read_bytes(path, MOST_BYTES).decode("utf-8-sig")
    except BoundsError as error:
        raise DataError(str(error)) from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start} is not UTF-8; expected a table as text. Save it as CSV in UTF-8") from None
    head = text[:1_000].splitlines()
    if not head or not head[0].strip():
        raise DataError(f"{path}, line 1: it is empty; expected the header {','.join(NEEDED)}. Write it")
    delimiter = delimiter_of(head[0])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names: list[str] = []
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{path}, line {line}: {error}; expected a row of a CSV table. Correct the quotes") from None
        if row is None:
            return
        if not names:
            names = [cell.strip().casefold() for cell in row]
            _header(path, names)
        elif any(cell.strip() for cell in row):
            if len(row) != len(names):
                raise DataError(
                    f"{path}, line {line}: {len(row)} cells; expected {len(names)}, as the header has. Add or remove {delimiter!r}"
                )
            yield line, dict(zip(names, (_unguarded(cell.strip()) for cell in row), strict=True))


def _parquet_rows(path: Path, parquet: ReadParquet) -> Iterator[tuple[int, dict[str, Any]]]:
    """The cells of every row of a Parquet table; row 1 counts as line 2, as in a CSV."""
    try:
        raw = read_bytes(path, MOST_TABLE)
    except BoundsError as error:
        raise DataError(str(error)) from None
    names, rows = parquet(str(path), raw, MOST_ROWS)
    _header(path, names)
    for number, row in enumerate(rows):
        yield number + 2, {name: "" if cell is None else cell for name, cell in zip(names, row, strict=True)}


def _read_here(name: str, raw: bytes, most_rows: int) -> tuple[list[str], list[list[str | None]]]:
    """Read a Parquet table in this process: for one's own files. ``ReadParquet``."""
    found = table_of(raw, most_rows)
    if "fault" in found:
        raise DataError(f"{name}: {found['fault']}")
    return found["names"], found["rows"]


def _as_parquet(path: Path, edits: Sequence[Edit], columns: Sequence[str]) -> bytes:
    arrow, parquet = _pyarrow(path)
    sink = io.BytesIO()
    text = arrow.string()
    table = arrow.table({name: arrow.array([getattr(edit, name) for edit in edits], text) for name in columns})
    parquet.write_table(table, sink)
    return sink.getvalue()


def _pyarrow(path: Path) -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(
            f"{path}: a .parquet table needs pyarrow, which is not installed; run `pip install -r requirements-tables.txt`, "
            "or use .csv"
        ) from None
    return pyarrow, pyarrow.parquet
