"""What a sheet shows of an image: a row, as a person reads it in a table and as the page draws it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from evaluator.errors import ConfigurationError
from evaluator.files import write_text
from evaluator.text import spreadsheet
from evaluator.words import counted

MOST_ROWS = 100_000
"""Rows of a sheet. A page of more is of no use to a person; choose the rows that matter."""
MOST_CLASSES = 1_000


@dataclass(frozen=True, eq=False)
class SheetRow:
    """An image of a sheet.

    Attributes:
        id: by which a saved table names it; every row has its own.
        image: uint8 (h, w), (h, w, 1) or (h, w, 3); None shows no picture.
        label: the given label, ``predicted``: a model's; names of classes, several joined by ``;``. Empty: none.
        split: e.g. ``train``; empty: none.
        numbers: figures by their names, e.g. ``loss``, ``quality``; the page sorts by them. NaN: not known.
        flags: what checks found, e.g. ``dark``, ``label issue``; the page filters by them.
        group: images of one group (e.g. with equal pixels) have the same text; empty: in none.
        note: a sentence for the person who looks at it.
    """

    id: str
    image: np.ndarray | None = None
    label: str = ""
    predicted: str = ""
    split: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    group: str = ""
    note: str = ""


def check_rows(rows: Sequence[SheetRow], classes: Sequence[str]) -> None:
    """Refuse what no sheet can be made of.

    Raises:
        ConfigurationError: no row or too many, two rows of one id, no class or two of one name, an image that is no uint8 picture.
    """
    if not 1 <= len(rows) <= MOST_ROWS:
        raise ConfigurationError(
            f"the sheet has {counted(len(rows), 'row')}; expected 1 to {MOST_ROWS:,}. Choose the images that it shows"
        )
    if not 1 <= len(classes) <= MOST_CLASSES or len(set(classes)) != len(classes) or not all(classes):
        raise ConfigurationError(
            f"the classes of the sheet are {counted(len(classes), 'name')}; expected 1 to {MOST_CLASSES:,} that differ"
        )
    seen: set[str] = set()
    for row in rows:
        if not row.id or row.id in seen:
            raise ConfigurationError(f"the sheet has two rows with the id {row.id!r}, or an empty id; every image has its own")
        seen.add(row.id)
        image = row.image
        if image is not None and (
            image.dtype != np.uint8
            or image.ndim not in (2, 3)
            or 0 in image.shape
            or (image.ndim == 3 and image.shape[2] not in (1, 3))
        ):
            raise ConfigurationError(
                f"the image of {row.id!r} is {image.dtype} {image.shape}; expected uint8 (h, w), (h, w, 1) or (h, w, 3)"
            )


def number_names(rows: Sequence[SheetRow]) -> list[str]:
    """The names of all numbers, in the order of their first appearance."""
    return list(dict.fromkeys(name for row in rows for name in row.numbers))


def write_sheet_csv(rows: Sequence[SheetRow], classes: Sequence[str], path: Path) -> None:
    """Write the rows as a table: ``id, label, predicted, split``, the numbers, ``flags`` (joined by ``;``), ``group``, ``note``.

    The table is for people and spreadsheets: a text that a spreadsheet would compute has an apostrophe before it.

    Raises:
        ConfigurationError: as ``check_rows``.
        OSError: the file cannot be written.
    """
    check_rows(rows, classes)
    names = number_names(rows)
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(spreadsheet(name) for name in ("id", "label", "predicted", "split", *names, "flags", "group", "note"))
    for row in rows:
        numbers = (_figure(row.numbers.get(name, math.nan)) for name in names)
        texts = (spreadsheet(text) for text in (";".join(row.flags), row.group, row.note))
        table.writerow([*(spreadsheet(text) for text in (row.id, row.label, row.predicted, row.split)), *numbers, *texts])
    write_text(path, out.getvalue())


def _figure(value: float) -> str:
    return "" if not math.isfinite(value) else f"{float(value):.6g}"
