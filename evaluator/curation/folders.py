"""Data sets as folders: written, changed by a table of edits, and taken back.

Within a folder the id of an image is its path, ``train/iv/0017.png``: relabelled, it lies in another folder and has another id. So
a folder that edits were applied to keeps, in its hidden folder ``.edits``, a table with which its images become what they were,
and the files that were dropped.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from evaluator.curation.curated import MOST_IMAGE_BYTES, as_png, decoded
from evaluator.curation.images import LabelledImages
from evaluator.curation.sets import BOOK_FOLDER, TEST_FOLDER, TRAIN, VAL, CurationData
from evaluator.data.edits import Applied, Edit, EditTable, Item
from evaluator.data.layout import IMAGE_SUFFIXES, MAX_SIDE
from evaluator.errors import ConfigurationError, DataError
from evaluator.files import temporary_folder
from evaluator.submission.tree import Item as File
from evaluator.submission.tree import Tree
from evaluator.text import name as shown

EDITS = ".edits"
INVERSE, DROPPED = "inverse.csv", "dropped"
ORACLE = "oracle.csv"


def oracle_edits(data: CurationData) -> EditTable:
    """The edits that give every given image its true label, and drop what shows none of the classes.

    Raises:
        ConfigurationError: the true labels are not known.
    """
    if not data.truth:
        raise ConfigurationError(f"{data.name}: its true labels are not known; the oracle needs embedded data")
    edits = []
    for item in data.items:
        true = data.truth.get(item.id, item.label)
        if true is None:
            edits.append(Edit(item.id, "drop"))
        elif true != item.label:
            edits.append(Edit(item.id, "relabel", true))
    return EditTable(tuple(edits), "the oracle")


def write_data(data: CurationData, folder: Path) -> None:
    """Write a data set as folders: train, val, label_book and test, and ``oracle.csv`` where the true labels are known.

    Raises:
        ConfigurationError: the folder exists, or cannot be written.
    """
    parts = ((TRAIN, data.train), (VAL, data.validation), (BOOK_FOLDER, data.book), (TEST_FOLDER, data.test))
    with _made(folder) as made:
        for split, part in parts:
            for path, content in _files(split, part, data.classes):
                _write(made, path, content)
        if data.truth:
            oracle_edits(data).write(made / ORACLE)
        os.replace(made, folder)


def apply_to_folder(table: EditTable, source: Path, beside: Path, folder: Path) -> Applied:
    """Write a new folder with the images of ``source`` and the edits of a table in it.

    Args:
        source: with ``train`` and ``val``; nothing else of it is taken over. It stays as it is.
        beside: the folder that the table's own files lie in.

    Returns:
        What was done.

    Raises:
        DataError: an edit does not fit the folder, or a file that it adds is no image.
        SubmissionError: a link leaves a folder, or there are too many files.
        ConfigurationError: ``folder`` exists, or cannot be written.
    """
    with Tree(source.absolute()) as tree, Tree(beside.absolute()) as own:
        files = {file.name: file for file in tree.everything() if _is_image(file)}
        if not files:
            raise DataError(
                f"{source}: it holds no images in {TRAIN}/<class> and {VAL}/<class>; expected some. Name another folder"
            )
        items = [Item(file.name, file.place[1], file.place[0]) for file in files.values()]
        table.check(sorted({item.label for item in items} | {edit.label for edit in table if edit.action == "add" and edit.label}))
        applied = table.apply(items)
        added = {edit.id: own.file(tuple(edit.file.split("/"))) for edit in applied.added}
        names = _names(applied.items)
        with _made(folder) as made:
            for item in applied.items:
                content = _checked(own, added[item.id]) if item.id in added else b"".join(tree.read(files[item.id]))
                _write(made, names[item.id], content)
            back = []
            for edit in applied.inverse:
                if edit.action == "add":
                    _write(made, f"{EDITS}/{DROPPED}/{edit.id}", b"".join(tree.read(files[edit.id])))
                    back.append(Edit(edit.id, "add", edit.label, edit.split, f"{DROPPED}/{edit.id}"))
                else:
                    back.append(Edit(names[edit.id], edit.action, edit.label, edit.split))
            (made / EDITS).mkdir(exist_ok=True)
            EditTable(tuple(back)).write(made / EDITS / INVERSE)
            os.replace(made, folder)
    return applied


def take_back(source: Path, folder: Path) -> Applied:
    """Write a new folder with the images of ``source`` as they were before edits were applied to it.

    Raises:
        DataError: it is no folder that ``apply_to_folder`` wrote. As ``apply_to_folder`` besides.
    """
    path = source / EDITS / INVERSE
    if not path.is_file():
        raise DataError(
            f"{source}: it has no {EDITS}/{INVERSE}; expected a folder that `curation apply` wrote. Name another folder"
        )
    return apply_to_folder(EditTable.read(path), source, path.parent, folder)


def _is_image(file: File) -> bool:
    return len(file.place) == 3 and file.place[0] in (TRAIN, VAL) and file.name.lower().endswith(IMAGE_SUFFIXES)


def _names(items: Iterable[Item]) -> Mapping[str, str]:
    """Where every item lies in the new folder: in that of its split and class, under its own name where no other has it."""
    taken: set[str] = set()
    found = {}
    # What stays where it is keeps its name.
    for item in sorted(items, key=lambda item: item.id != _place(item, 1)):
        number = 1
        while (path := _place(item, number)) in taken:
            number += 1
        taken.add(path)
        found[item.id] = path
    return found


def _place(item: Item, number: int) -> str:
    stem, dot, ending = item.id.rpartition("/")[2].rpartition(".")
    more = f"-{number}" if number > 1 else ""
    return f"{item.split}/{item.label}/{stem}{more}{dot}{ending}"


def _checked(tree: Tree, file: File) -> bytes:
    if file.size > MOST_IMAGE_BYTES:
        raise DataError(f"{shown(file.name, 200)} has {file.size:,} bytes; an image has at most {MOST_IMAGE_BYTES:,}. Shrink it")
    content = b"".join(tree.read(file))
    decoded(content, shown(file.name, 200), MAX_SIDE)
    return content


def _files(split: str, part: LabelledImages, classes: tuple[str, ...]) -> Iterable[tuple[str, bytes]]:
    for name, pixels, label in zip(part.ids, part.pixels, part.labels.tolist(), strict=True):
        yield f"{split}/{classes[label]}/{name.rpartition('/')[2]}", as_png(pixels)


@contextmanager
def _made(folder: Path) -> Iterator[Path]:
    """A new hidden folder beside ``folder``, for the block to fill and rename."""
    folder = folder.absolute()
    if folder.exists():
        raise ConfigurationError(f"{folder} exists; expected a new folder. Name another, or remove it")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder.parent, folder.name) as made:
            yield made
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written ({error.strerror}); name another folder") from error


def _write(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
