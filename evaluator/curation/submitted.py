"""Data sets that came as files: a folder of images, or a table of edits. Nothing of them is run.

A folder holds ``train/<class>/*.png`` and ``val/<class>/*.png`` (or JPEG); what describes it to people may lie at its top, and
hidden folders do not count. A table is one of ``evaluator.data.edits``, whose ``add`` rows name images below its own folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from evaluator.curation.curated import MOST_IMAGE_BYTES, Curated, collected, decoded, pixel_digest
from evaluator.curation.sets import TRAIN, VAL, CurationData
from evaluator.data.edits import ENDINGS, EditTable
from evaluator.data.layout import IMAGE_SUFFIXES
from evaluator.errors import DataError, SubmissionError
from evaluator.submission.source import Source, plain_name
from evaluator.submission.tree import Item as File
from evaluator.submission.tree import Tree
from evaluator.text import name as shown

Kind = Literal["folder", "edits", "class"]


def kind_of(path: Path) -> Kind:
    """What a submission is, by its name and what lies in it: a table of edits, a folder of images, or a class.

    Raises:
        SubmissionError: it is not there.
    """
    if not path.exists():
        raise SubmissionError(
            f"the submission {path} does not exist; give a folder with {TRAIN} and {VAL}, a table of edits (.csv), or a .py file"
        )
    if path.is_file() and path.suffix in ENDINGS:
        return "edits"
    return "folder" if path.is_dir() and ((path / TRAIN).is_dir() or (path / VAL).is_dir()) else "class"


def source_of(path: Path) -> Source:
    """A folder of images or a table as a submission: its name, and the digest over its files (for a table, over what it adds too).

    Raises:
        SubmissionError: a file cannot be read or leaves the folder.
        DataError: the table is not good.
    """
    made = hashlib.sha256()
    if kind_of(path) == "edits":
        table = _table(path)
        for edit in table:
            made.update(repr((edit.id, edit.action, edit.label, edit.split)).encode("utf-8", "surrogatepass"))
        with Tree(path.absolute().parent) as tree:
            for edit in table:
                if edit.file:
                    for part in tree.read(tree.file(tuple(edit.file.split("/")))):
                        made.update(part)
        return Source(path.absolute(), path.stem, made.hexdigest()[:32])
    with Tree(path.absolute()) as tree:
        for file in tree.everything():
            made.update(f"{file.name}\0{file.size}\0".encode("utf-8", "surrogatepass"))
            for part in tree.read(file):
                made.update(part)
    return Source(path.absolute(), plain_name(path), made.hexdigest()[:32])


def read_submitted(path: Path, data: CurationData, most_side: int, most: int = 10_000) -> Curated:
    """The data set that a folder or a table of edits makes.

    Args:
        most_side: longest side of an image; ``most``: images after which reading ends, the rules name the limit.

    Raises:
        DataError: a file is no image, or beyond a bound; a folder is no class; an edit names what there is not.
        SubmissionError: a link leaves the folder, or there are too many files.
    """
    if kind_of(path) == "edits":
        return apply_edits(_table(path), data, most_side, path.absolute().parent)
    with Tree(path.absolute()) as tree:
        return collected(_images(tree, data, most_side, most), set(data.digests.values()))


def apply_edits(table: EditTable, data: CurationData, most_side: int, folder: Path | None) -> Curated:
    """The given data with the edits of a table.

    Given images that are in the label book or the hidden test set are not in it, whatever the table says of them.

    Args:
        folder: in which the table's files lie; None if it may name none.

    Raises:
        DataError, SubmissionError: as ``read_submitted``.
    """
    table.check(data.classes)
    applied = table.apply(data.items, data.items)
    files = {edit.id: edit for edit in applied.added if edit.file}
    if files and folder is None:
        edit = next(iter(files.values()))
        raise DataError(f"{table.source}, line {edit.line}: file is {shown(edit.file)!r}; expected none here. Leave it empty")
    if folder is None or not files:
        pixels: dict[str, np.ndarray] = {}
    else:
        with Tree(folder) as tree:
            pixels = {name: _decoded(tree, tree.file(tuple(edit.file.split("/"))), most_side) for name, edit in files.items()}
    rows = ((item.id, pixels.get(item.id, data.digests.get(item.id, "")), item.label, item.split) for item in applied.items)
    return collected((row for row in rows if row[0] not in data.left_out), set(data.digests.values()))


def _table(path: Path) -> EditTable:
    try:
        return EditTable.read(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected a table of edits. Name another file") from error


def _images(tree: Tree, data: CurationData, most_side: int, most: int) -> Iterator[tuple[str, np.ndarray | str, str, str]]:
    left_out = {data.digests[name] for name in data.left_out}
    files = [file for file in tree.everything() if not file.place[0].startswith(".")]
    if len(files) > most:
        raise DataError(f"{tree.root}: {len(files):,} files; at most {most:,} images are allowed in train and val. Remove some")
    for file in files:
        if len(file.place) != 3 or file.place[0] not in (TRAIN, VAL):
            raise DataError(
                f"{shown(file.name, 200)}: this file is at no place for an image; expected {TRAIN}/<class>/*.png and "
                f"{VAL}/<class>/*.png. Move it away"
            )
        split, label, name = file.place
        if label not in data.classes:
            raise DataError(
                f"{shown(file.name, 200)}: the folder {shown(label)!r} is none of the classes; expected "
                f"{', '.join(data.classes[:20])}. Rename it"
            )
        if not name.lower().endswith(IMAGE_SUFFIXES):
            raise DataError(f"{shown(file.name, 200)}: expected {', '.join(IMAGE_SUFFIXES)}. Remove it")
        pixels = _decoded(tree, file, most_side)
        if pixel_digest(pixels) not in left_out:
            yield file.name, pixels, label, split


def _decoded(tree: Tree, file: File, most_side: int) -> np.ndarray:
    if file.size > MOST_IMAGE_BYTES:
        raise DataError(f"{shown(file.name, 200)} has {file.size:,} bytes; an image has at most {MOST_IMAGE_BYTES:,}. Shrink it")
    return decoded(b"".join(tree.read(file)), shown(file.name, 200), most_side)
