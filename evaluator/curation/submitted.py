"""Data sets that came as files: a folder of images, or a table of edits. Nothing of them is run.

What a large library decodes (images, Parquet) is decoded in a worker, and not in this process (``evaluator.sandbox.foreign``).

A folder holds ``train/<class>/*.png`` and ``val/<class>/*.png`` (or JPEG). What else lies in it says nothing (``set_aside``), but
an image at no place for an image is refused, because somebody may have meant it to count. A table is one of
``evaluator.data.edits``, whose ``add`` rows name images below its own folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from evaluator.curation.curated import MOST_IMAGE_BYTES, Curated, collected, pixel_digest
from evaluator.curation.sets import BOOK_FOLDER, TEST_FOLDER, TRAIN, VAL, CurationData
from evaluator.data.edits import ENDINGS, EditTable
from evaluator.data.layout import IMAGE_SUFFIXES
from evaluator.errors import DataError, SubmissionError
from evaluator.sandbox.foreign import MOST_SIDE, ForeignFiles
from evaluator.submission.source import Source, plain_name
from evaluator.submission.tree import Item as File
from evaluator.submission.tree import Tree
from evaluator.text import name as shown

GIVEN_TO_ALL = (BOOK_FOLDER, TEST_FOLDER)
"""Folders that lie beside ``train`` and ``val`` where the given data do; nobody hands them in."""
Kind = Literal["folder", "edits", "class"]
Progress = Callable[[float], None]


def _no_progress(share: float) -> None:
    """Nobody looks."""


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


def needs_worker(path: Path) -> bool:
    """Whether reading a submission decodes files, or runs it: all but a table of edits in CSV that adds nothing.

    Raises:
        SubmissionError, DataError: as ``source_of``.
    """
    if kind_of(path) != "edits" or path.suffix != ".csv":
        return True
    return any(edit.file for edit in _table(path, None))


def source_of(path: Path, foreign: ForeignFiles) -> Source:
    """A folder of images or a table as a submission: its name, and the digest over its files (for a table, over what it adds too).

    Args:
        foreign: reads a table in Parquet.

    Raises:
        SubmissionError: a file cannot be read or leaves the folder.
        DataError: the table is not good.
    """
    made = hashlib.sha256()
    if kind_of(path) == "edits":
        table = _table(path, foreign)
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


def longest_side(data: CurationData, most_side: int) -> int:
    """Pixels of the longest side that is decoded: that of a new image, or of a given image, which may be handed in again."""
    return min(MOST_SIDE, max(most_side, *(max(pixels.shape[:2]) for pixels in data.given.pixels)))


def read_submitted(
    path: Path,
    data: CurationData,
    foreign: ForeignFiles,
    most: int = 10_000,
    most_side: int = 1_024,
    progress: Progress = _no_progress,
) -> Curated:
    """The data set that a folder or a table of edits makes.

    Args:
        foreign: decodes its files; made for ``longest_side`` pixels.
        most: images after which reading ends, the rules name the limit. ``most_side``: longest side of a new image.
        progress: called with the share of the images that are decoded.

    Raises:
        DataError: a file is no image, or beyond a bound; a folder is no class; an edit names what there is not.
        SubmissionError: a link leaves the folder, there are too many files, or the worker ended at a file.
    """
    if kind_of(path) == "edits":
        return apply_edits(_table(path, foreign), data, foreign, path.absolute().parent, most_side, progress)
    with Tree(path.absolute()) as tree:
        return collected(_images(tree, data, foreign, most, most_side, progress), set(data.digests.values()))


def apply_edits(
    table: EditTable,
    data: CurationData,
    foreign: ForeignFiles | None = None,
    folder: Path | None = None,
    most_side: int = 1_024,
    progress: Progress = _no_progress,
) -> Curated:
    """The given data with the edits of a table.

    Given images that are in the label book or the hidden test set are not in it, whatever the table says of them.

    Args:
        foreign: decodes the files that the table adds, and ``folder``: that they lie in; None if it may add none.

    Raises:
        DataError, SubmissionError: as ``read_submitted``.
    """
    table.check(data.classes)
    applied = table.apply(data.items, data.items)
    added = [edit for edit in applied.added if edit.file]
    pixels: dict[str, np.ndarray] = {}
    if added and (foreign is None or folder is None):
        raise DataError(
            f"{table.source}, line {added[0].line}: file is {shown(added[0].file)!r}; expected none here. Leave it empty"
        )
    if added and foreign is not None and folder is not None:
        with Tree(folder) as tree:
            files = [tree.file(tuple(edit.file.split("/"))) for edit in added]
            found = _decoded(tree, files, foreign, progress)
            given = set(data.digests.values())
            for edit, file, image in zip(added, files, found, strict=True):
                _check_side(file, image, pixel_digest(image) in given, most_side)
                pixels[edit.id] = image
    rows = ((item.id, pixels.get(item.id, data.digests.get(item.id, "")), item.label, item.split) for item in applied.items)
    return collected((row for row in rows if row[0] not in data.left_out), set(data.digests.values()))


def _table(path: Path, foreign: ForeignFiles | None) -> EditTable:
    try:
        return EditTable.read(path, parquet=None if foreign is None else foreign.table)
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected a table of edits. Name another file") from error


def set_aside(name: str) -> bool:
    """Whether a file of a folder, by its path with slashes, is no part of the data set: hidden, no image, or given to all."""
    top = name.split("/")[0]
    return top.startswith(".") or (top not in (TRAIN, VAL) and (top in GIVEN_TO_ALL or not name.lower().endswith(IMAGE_SUFFIXES)))


def _images(
    tree: Tree, data: CurationData, foreign: ForeignFiles, most: int, most_side: int, progress: Progress
) -> Iterator[tuple[str, np.ndarray | str, str, str]]:
    left_out, given = {data.digests[name] for name in data.left_out}, set(data.digests.values())
    files = [file for file in tree.everything() if not set_aside(file.name)]
    if len(files) > most:
        raise DataError(f"{tree.root}: {len(files):,} files; at most {most:,} images are allowed in train and val. Remove some")
    for file in files:  # all of them, before anything is decoded
        _check_place(file, data.classes)
    for file, pixels in zip(files, _decoded(tree, files, foreign, progress), strict=True):
        split, label, _ = file.place
        digest = pixel_digest(pixels)
        _check_side(file, pixels, digest in given, most_side)
        if digest not in left_out:
            yield file.name, pixels, label, split


def _check_place(file: File, classes: Sequence[str]) -> None:
    if len(file.place) != 3 or file.place[0] not in (TRAIN, VAL):
        raise DataError(
            f"{shown(file.name, 200)}: this file is at no place for an image; expected {TRAIN}/<class>/*.png and "
            f"{VAL}/<class>/*.png. Move it away"
        )
    _, label, name = file.place
    if label not in classes:
        raise DataError(
            f"{shown(file.name, 200)}: the folder {shown(label)!r} is none of the classes; expected "
            f"{', '.join(classes[:20])}. Rename it"
        )
    if not name.lower().endswith(IMAGE_SUFFIXES):
        raise DataError(f"{shown(file.name, 200)}: expected {', '.join(IMAGE_SUFFIXES)}. Remove it")


def _check_side(file: File, pixels: np.ndarray, given: bool, most_side: int) -> None:
    height, width = pixels.shape[:2]
    if not given and max(height, width) > most_side:
        raise DataError(
            f"{shown(file.name, 200)} has {width} x {height} pixels; the longest side allowed of a new image is {most_side}. "
            "Shrink the image"
        )


def _decoded(tree: Tree, files: Sequence[File], foreign: ForeignFiles, progress: Progress) -> Iterator[np.ndarray]:
    """The pixels of files in their order, read and decoded some at a time."""
    for number, pixels in enumerate(foreign.pictures(_contents(tree, files)), 1):
        if number % 64 == 0:
            progress(number / len(files))
        yield pixels


def _contents(tree: Tree, files: Iterable[File]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        name = shown(file.name, 200)
        if file.size > MOST_IMAGE_BYTES:  # before it is read
            raise DataError(f"{name} has {file.size:,} bytes; an image has at most {MOST_IMAGE_BYTES:,}. Shrink it")
        yield name, b"".join(tree.read(file))
