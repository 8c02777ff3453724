"""The checking sheet: which images people look at, and the files that they look at them in.

Suspects are shown among **controls**, images that nothing flags, in an order drawn by seed and without a hint which is which:
people who know that an image is suspect find it suspicious. The votes on the controls say how many wrong labels the suspects miss.

Files: ``sheet.csv`` (what was asked; ``audit votes`` reads it), ``sheet.html`` (the images, to vote in a browser), and
``label-studio.json`` with ``label-studio.xml`` (tasks and configuration for Label Studio).
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluator.audit.tables import arrays, text_table
from evaluator.bounded import BoundsError, read_bytes
from evaluator.data.decoding import decode
from evaluator.data.layout import IMAGE_SUFFIXES, MAX_IMAGE_BYTES
from evaluator.errors import ConfigurationError, DataError
from evaluator.files import write_text
from evaluator.seeds import generator
from evaluator.text import one_line, spreadsheet
from evaluator.words import counted

CHOICES = {
    "given": "the given label is right, the predicted label is not",
    "predicted": "the predicted label is right, the given label is not",
    "both": "both are right",
    "neither": "neither is right",
    "unsure": "I cannot tell",
}
"""What a vote may be, and what it means. The page calls predicted what tables call suggested."""
SIDE = 160
"""Largest side of a picture in the page, in pixels."""
STUDIO = """<View>
  <Image name="image" value="$image" zoom="true"/>
  <Header value="Is the label right?"/>
  <Text name="labels" value="$question"/>
  <Choices name="answer" toName="image" choice="single" required="true">
    <Choice value="given"/>
    <Choice value="predicted"/>
    <Choice value="both"/>
    <Choice value="neither"/>
    <Choice value="unsure"/>
    <Choice value="other"/>
  </Choices>
  <TextArea name="other" toName="image" placeholder="if other: the right classes, with commas between them" rows="1"/>
</View>
"""
"""The configuration of a Label Studio project."""


@dataclass(frozen=True)
class Asked:
    """A question of a sheet.

    Attributes:
        id: of the image; ``given``, ``suggested``: its label, and another, as files have them (``3``, ``3,5``, ``-1``).
        given_name, suggested_name: the same in words.
    """

    id: str
    given: str
    suggested: str
    given_name: str
    suggested_name: str


def read_suspects(path: Path) -> tuple[list[Asked], int]:
    """The table that ``audit suspects`` wrote: a question for each image, the most suspect first, and how many are flagged.

    Raises:
        ConfigurationError: it is another table.
    """
    table = text_table(path)
    places = [table.column(name) for name in ("id", "given", "suggested", "given_name", "suggested_name")]
    flag = table.column("flagged")
    asked: list[Asked] = []
    flagged = 0
    for where, cells in table.rows:
        if cells[flag] not in ("0", "1"):
            raise BoundsError(
                f"{where}: flagged is {one_line(cells[flag], 40)!r}; expected 0 or 1. Name the table of `audit suspects`"
            )
        if cells[flag] == "1" and flagged < len(asked):
            raise BoundsError(
                f"{where}: a suspect stands below an image that is none; expected suspects first. Do not sort the table"
            )
        flagged += cells[flag] == "1"
        asked.append(Asked(*(cells[place] for place in places)))
    return asked, flagged


def chosen(asked: Sequence[Asked], flagged: int, *, most: int | None, controls: int, root: int) -> list[Asked]:
    """The questions of a sheet in the order in which they are shown.

    Args:
        flagged: the first so many are suspects. ``most``: of them that are shown, the most suspect; None: all.
        controls: images that are not suspects, drawn at random.
        root: seed of the draw and of the order.

    Raises:
        ConfigurationError: nothing would be shown, or a number makes no sense.
    """
    if controls < 0 or (most is not None and most < 0):
        raise ConfigurationError(f"--most is {most}, --controls {controls}; expected 0 or more")
    suspects = list(asked[: flagged if most is None else min(most, flagged)])
    others = asked[flagged:]
    rng = generator(root, "audit", "sheet")
    drawn = rng.permutation(len(others))[:controls].tolist()
    shown = suspects + [others[place] for place in drawn]
    if not shown:
        raise ConfigurationError(
            "the sheet would be empty: there is no suspect and no control. Ask for --controls, or check nothing"
        )
    return [shown[place] for place in rng.permutation(len(shown)).tolist()]


@dataclass(frozen=True)
class Pictures:
    """Where the images of a sheet are: files below a folder by id, or arrays uint8 (h, w) or (h, w, 3) by id."""

    files: Mapping[str, Path]
    arrays: Mapping[str, np.ndarray]
    folder: Path = Path()

    def of(self, name: str) -> np.ndarray | None:
        """The pixels of an image, no side longer than ``SIDE``; None where there is no picture of this id."""
        if name in self.arrays:
            return self.arrays[name]
        path = self.files.get(name)
        if path is None:
            return None
        return decode(read_bytes(path, MAX_IMAGE_BYTES), str(path), SIDE, "pad")[0]

    def lacking(self, names: Sequence[str]) -> list[str]:
        """Ids that have no picture."""
        return [name for name in names if name not in self.files and name not in self.arrays]


def find_pictures(place: Path) -> Pictures:
    """The pictures of a folder, or of an ``.npz`` file with ``ids`` and ``images``.

    In a folder an image is called by its path there, or by its file's name, with or without the ending.

    Raises:
        ConfigurationError: there is no such folder or file, or the arrays are no pictures.
    """
    if place.is_dir():
        return Pictures(_files(place), {}, place)
    if place.suffix.lower() != ".npz":
        raise ConfigurationError(f"--images: {place} is no folder and no .npz file; expected images. Name them")
    found = arrays(place)
    images, ids = found.get("images"), found.get("ids")
    good = (
        images is not None and images.dtype == np.uint8 and (images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3)))
    )
    if images is None or ids is None or not good or len(images) != len(ids):
        raise BoundsError(f"{place}: expected ids, and images uint8 (n, h, w) or (n, h, w, 3). Write them so")
    return Pictures({}, dict(zip(map(str, ids.astype(str)), images, strict=True)))


def _files(folder: Path) -> dict[str, Path]:
    """Files by every name that stands for one of them alone."""
    found: dict[str, Path | None] = {}
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in names:
            path = Path(root) / name
            if path.suffix.lower() not in IMAGE_SUFFIXES or name.startswith("."):
                continue
            inside = path.relative_to(folder)
            for key in {str(inside), str(inside.with_suffix("")), name, path.stem}:
                found[key] = path if key not in found else None
    return {key: path for key, path in found.items() if path is not None}


def write_sheets(
    asked: Sequence[Asked], classes: Sequence[str], out: Path, pictures: Pictures | None, *, title: str, prefix: str = ""
) -> list[Path]:
    """Write the files of a sheet.

    Args:
        out: folder; made where it is missing.
        pictures: None writes no page.
        prefix: stands before the path of an image in its folder in the tasks of Label Studio, e.g. ``/data/local-files/?d=``.

    Returns:
        The files.

    Raises:
        DataError: an image has no picture, or it cannot be decoded. OSError: a file cannot be written.
    """
    if pictures is not None and (lacking := pictures.lacking([row.id for row in asked])):
        raise DataError(
            f"--images: {counted(len(lacking), 'image')} of the sheet {'has' if len(lacking) == 1 else 'have'} no picture "
            f"({', '.join(one_line(name, 60) for name in lacking[:8])}); expected files called by the ids. Name the right folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    page, table, tasks, config = (out / name for name in ("sheet.html", "sheet.csv", "label-studio.json", "label-studio.xml"))
    written = [table, tasks, config]
    if pictures is not None:  # first, since an image may turn out to be broken
        _write_page(asked, classes, page, pictures, title)
        written.insert(0, page)
    write_text(table, _table(asked))
    write_text(tasks, json.dumps([_task(row, pictures, prefix) for row in asked], indent=1) + "\n")
    write_text(config, STUDIO)
    return written


def _table(asked: Sequence[Asked]) -> str:
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(("id", "given", "suggested", "given_name", "suggested_name", "voter", "answer"))
    for row in asked:
        table.writerow((row.id, row.given, row.suggested, spreadsheet(row.given_name), spreadsheet(row.suggested_name), "", ""))
    return out.getvalue()


def _task(row: Asked, pictures: Pictures | None, prefix: str) -> dict[str, object]:
    path = pictures.files.get(row.id) if pictures is not None else None
    inside = row.id if pictures is None or path is None else path.relative_to(pictures.folder).as_posix()
    question = f"given: {one_line(row.given_name, 200)}  |  predicted: {one_line(row.suggested_name, 200)}"
    shown = {"image": f"{prefix}{inside}", "question": question}
    return {"data": {"id": row.id, "given": row.given, "suggested": row.suggested} | shown}


def _write_page(asked: Sequence[Asked], classes: Sequence[str], path: Path, pictures: Pictures, title: str) -> None:
    from evaluator.report.sheet.page import write_sheet
    from evaluator.report.sheet.rows import SheetRow

    rows = [SheetRow(row.id, pictures.of(row.id), row.given_name, row.suggested_name) for row in asked]
    lead = (
        "Is the given label right? Vote on every image, write your name, and save. The order says nothing, and not all are suspect."
    )
    write_sheet(rows, classes, path, "votes", title=title, lead=lead, choices=CHOICES, side=SIDE)
