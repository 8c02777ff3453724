"""A sheet as one HTML file: images with what is known of each, to be looked at, corrected or voted on in a browser, offline.

The page holds its script and its style, and allows no others (a content security policy with their hashes). Everything that
strangers wrote goes into the page as JSON and from there into texts of elements, never into markup. What a person does in the page
is kept in the browser (localStorage) and saved as a CSV file:

- mode ``edits``: ``id,action,label,split`` with the actions ``drop``, ``relabel``, ``move``;
- mode ``votes``: ``id,vote,voter``.

A cell that a spreadsheet would compute has an apostrophe before it, which reading must remove (``evaluator.data.edits`` does).
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from evaluator.errors import ConfigurationError
from evaluator.files import write_text
from evaluator.report.sheet.rows import SheetRow, check_rows, number_names
from evaluator.text import html, name, one_line
from evaluator.words import counted

Mode = Literal["edits", "votes"]
SIDE = 96
"""Largest side of a picture in the page, in pixels."""
MOST_BYTES = 48 * 2**20
"""Of a page. Pictures become smaller, down to ``LEAST_SIDE``, until the page has no more."""
LEAST_SIDE = 24
VOTES = {
    "given": "the given label is right",
    "predicted": "the predicted label is right",
    "both": "both are right",
    "neither": "neither is right",
}
"""The choices of a vote where the caller names none, and what each means."""
MOST_CHOICES = 9


def write_sheet(
    rows: Sequence[SheetRow],
    classes: Sequence[str],
    path: Path,
    mode: Mode = "edits",
    *,
    title: str = "Sheet",
    lead: str = "",
    splits: Sequence[str] = ("train", "val"),
    choices: Mapping[str, str] | None = None,
    side: int = SIDE,
) -> None:
    """Write the page.

    Args:
        rows: in the order in which they are shown first.
        classes: names; the first ten have the keys 1 to 9 and 0.
        path: of the HTML file; its folder exists.
        mode: what a person does with the images: ``edits`` (relabel, drop, move) or ``votes`` (one of ``choices`` for each).
        title, lead: above the images; ``lead`` is a sentence.
        splits: to which images may be moved (mode ``edits``).
        choices: what a vote may be, and what it means (mode ``votes``); 2 to 9, by default ``VOTES``.
        side: largest side of a picture in pixels.

    Raises:
        ConfigurationError: as ``check_rows``; a mode, split or choice that makes no sense; or more pictures than a page can hold.
        OSError: the file cannot be written.
    """
    check_rows(rows, classes)
    votes = dict(VOTES if choices is None else choices)
    if mode not in ("edits", "votes"):
        raise ConfigurationError(f"the mode of the sheet is {mode!r}; expected edits or votes")
    if not 2 <= len(votes) <= MOST_CHOICES or not all(votes):
        raise ConfigurationError(f"the choices of the sheet are {sorted(votes)}; expected 2 to {MOST_CHOICES} names")
    if len(set(splits)) != len(splits) or not all(splits):
        raise ConfigurationError(f"the splits of the sheet are {list(splits)}; expected names that differ")
    numbers = number_names(rows)
    described: dict[str, Any] = {
        "mode": mode,
        "classes": list(classes),
        "splits": list(splits),
        "choices": [[vote, one_line(meaning)] for vote, meaning in votes.items()],
        "numbers": numbers,
        "key": _digest(rows, classes, mode, title),
    }
    pictures = _pictures(rows, side)
    listed = [_row(row, numbers) for row in rows]
    content = json.dumps(described | {"rows": listed, "pictures": pictures}, allow_nan=False, separators=(",", ":"))
    style, script = _file("sheet.css"), _file("sheet.js")
    # ``<`` ends the block of JSON if it is followed by ``/script``; in JSON it may be written in another way.
    filled = {
        "POLICY": f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'",
        "TITLE": html(title),
        "LEAD": html(lead, 600),
        "STYLE": style,
        "DATA": content.replace("<", "\\u003c"),
        "SCRIPT": script,
    }
    first, *parts = _file("sheet.html").split("{{")
    page = [first]
    for part in parts:
        key, rest = part.split("}}", 1)
        page += [filled[key], rest]
    write_text(path, "".join(page))


def _row(row: SheetRow, numbers: Sequence[str]) -> list[Any]:
    """A row as the script reads it. Texts that are only shown are made visible here; the id and the names of classes stay exact."""
    values = [float(f"{row.numbers[key]:.5g}") if math.isfinite(row.numbers.get(key, math.nan)) else None for key in numbers]
    flags = [one_line(flag, 40) for flag in row.flags]
    return [
        row.id,
        name(row.id, 80),
        row.label,
        row.predicted,
        row.split,
        values,
        flags,
        name(row.group, 40),
        one_line(row.note, 300),
    ]


def _pictures(rows: Sequence[SheetRow], side: int) -> list[str]:
    """Data URIs, an empty text for a row without an image; smaller where the page would become too large."""
    while True:
        found = [picture(row.image, side) if row.image is not None else "" for row in rows]
        size = sum(map(len, found))
        if size <= MOST_BYTES:
            return found
        if side <= LEAST_SIDE:
            raise ConfigurationError(
                f"the pictures of {counted(len(rows), 'row')} take {size >> 20} MiB at {side} pixels; a page holds "
                f"{MOST_BYTES >> 20}. Show fewer images"
            )
        side = max(LEAST_SIDE, int(side * 0.9 * math.sqrt(MOST_BYTES / size)))


def picture(pixels: np.ndarray, side: int) -> str:
    """An image as the data URI of a JPEG, no side longer than ``side``."""
    shown = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if shown.ndim == 3 and (shown == shown[..., :1]).all():
        shown = shown[..., 0]
    image = Image.fromarray(np.ascontiguousarray(shown))
    if max(image.size) > side:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=82, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()


def _digest(rows: Sequence[SheetRow], classes: Sequence[str], mode: str, title: str) -> str:
    """Names what the browser keeps: sheets of the same images in the same mode share it, others do not."""
    text = json.dumps([mode, title, list(classes), [[row.id, row.label, row.split] for row in rows]])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _file(file: str) -> str:
    return Path(__file__).with_name(file).read_text(encoding="utf-8")
