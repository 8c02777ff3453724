"""Labels, ids, classes and metadata from files: a benchmark, checked before any work begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from evaluator.audit.benchmark import Benchmark, IdsError, doubles, ids_message, stem, stems_hint
from evaluator.audit.predictions import THRESHOLD
from evaluator.audit.tables import MOST_CSV, arrays, read_file, shown, text_table, texts, whole_number
from evaluator.bounded import BoundsError, Limits, parse_json
from evaluator.errors import ConfigurationError
from evaluator.text import one_line
from evaluator.words import meant

LISTS = Limits(size=MOST_CSV, depth=4, values=50_000_000)
"""Of a JSON file of ids or label sets."""
MOST_CLASSES = 1_000_000
MOST_TABLE = 2 << 30
"""Entries of a table of images by classes."""
_SEPARATORS = frozenset(",;")
"""What stands between the classes of a cell."""
LABEL_COLUMNS = ("label", "labels", "originalLabel")


@dataclass(frozen=True)
class Reading:
    """How files are read.

    Attributes:
        ids: of the images of arrays that have none, in the order of the arrays; None if no file says so.
        stems: whether ids are paths of which only the file's name without its ending counts.
        classes: names of the classes; None if they are to be counted.
        multi: whether an image may have any number of labels.
        threshold: of scores, where it may.
    """

    ids: tuple[str, ...] | None = None
    stems: bool = False
    classes: tuple[str, ...] | None = None
    multi: bool = False
    threshold: float = THRESHOLD

    @cached_property
    def class_index(self) -> Mapping[str, int]:
        """The number of each class's name."""
        return {name: number for number, name in enumerate(self.classes or ())}

    def key(self, text: str) -> str:
        """The id that a text of a file stands for."""
        return stem(text) if self.stems else text

    def keys(self, texts: Sequence[str], where: str) -> tuple[str, ...]:
        """The ids of a file.

        Raises:
            BoundsError: an id is empty.
        """
        made = tuple(self.key(text) for text in texts) if self.stems else tuple(texts)
        if "" in made:
            raise BoundsError(f"{where}: id {made.index('') + 1} of {len(made):,} is empty; expected a text. Correct it")
        return made

    def ids_of(self, rows: int, where: str) -> tuple[str, ...]:
        """The ids of an array without ids of its own.

        Raises:
            ConfigurationError: no file says which they are, or it names another number.
        """
        if self.ids is None:
            raise ConfigurationError(f"{where}: the array has no ids; expected --ids FILE, which names its rows. Give it")
        if len(self.ids) != rows:
            raise BoundsError(
                f"{where}: {rows:,} rows, and --ids names {len(self.ids):,} images; expected the same number. Correct one"
            )
        return self.ids

    def label(self, text: str, where: str) -> int:
        """The class that a cell holds: its number or its name.

        Raises:
            BoundsError: it is neither.
        """
        number = whole_number(text)
        if number is None:
            number = self.class_index.get(text)
        if number is None:
            likely = self.classes and len(text) < 200 and not text.lstrip("+-").isdigit()
            near = meant(text, self.class_index) if likely else ""
            if self.classes:
                advice = f"expected the number of a class, or a name of --classes. Correct it{near}"
                if any(_SEPARATORS & set(name) for name in self.classes):
                    advice += "" if near else "."
                    advice += " Among several labels, write a class whose name holds a comma or a semicolon by its number"
            else:
                advice = "expected the number of a class, 0 or more. Correct it, or name the classes with --classes FILE"
            raise BoundsError(f"{where}: {one_line(repr(text), 60)}; {advice}")
        if number >= (len(self.classes) if self.classes else MOST_CLASSES):
            most = len(self.classes) if self.classes else MOST_CLASSES
            raise BoundsError(f"{where}: class {number}; expected 0 to {most - 1}. Correct it, or --classes")
        return number

    def label_set(self, text: str, where: str) -> tuple[int, ...]:
        """The classes that a cell holds: the name of a class, or numbers or names with commas between them; ``-1`` for no label.

        Raises:
            BoundsError: it holds something else, or a class twice.
        """
        whole = self.class_index.get(text.strip())
        if whole is not None and whole_number(text.strip()) is None:
            return (whole,)  # a name may hold a comma
        inner = text.strip().removeprefix("[").removesuffix("]").replace(";", ",")
        words = [word.strip() for word in inner.split(",")]
        if words == ["-1"] or (text.strip() == "[]"):
            return ()
        if "-1" in words:
            raise BoundsError(f"{where}: '-1' stands beside other labels; expected it alone, where no label fits. Correct it")
        found = [self.label(word, where) for word in words]
        if len(set(found)) < len(found):
            twice = next(label for label in found if found.count(label) > 1)
            raise BoundsError(f"{where}: label {twice} stands there twice; expected each label once. Remove one")
        return tuple(sorted(found))


def read_ids(path: Path, how: Reading | None = None) -> tuple[str, ...]:
    """Ids from a file: a line each, a JSON list of texts, or a ``.npy`` array of texts.

    Raises:
        ConfigurationError: it is none of these, or names an id twice.
    """
    how = how or Reading()
    ending = path.suffix.lower()
    if ending == ".npy":
        found = texts(path, arrays(path)[""], "the array")
    elif ending == ".json":
        value = parse_json(read_file(path, LISTS.size), str(path), LISTS)
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise BoundsError(f"{path}: it holds something else than a list of texts; expected the ids. Write them as a list")
        found = value
    else:
        try:
            lines = read_file(path, MOST_CSV).decode("utf-8-sig").split("\n")
        except UnicodeDecodeError as error:
            raise BoundsError(f"{path}: byte {error.start} is not UTF-8; expected an id a line. Write it as plain text") from None
        found = [line.strip() for line in (lines[:-1] if lines[-1].strip() == "" else lines)]
    if not found:
        raise BoundsError(f"{path}: it names no id; expected those of the images. Write them into it")
    ids = how.keys(found, str(path))
    if repeated := doubles(ids):
        raise IdsError(ids_message(str(path), doubled=repeated))
    return ids


def read_classes(text: str) -> tuple[str, ...]:
    """Names of classes: of a number N ``0`` to N - 1, else a line each of the file of that name.

    Raises:
        ConfigurationError: the file cannot be read, or names a class twice.
    """
    number = whole_number(text)
    if number is not None:
        if not 1 <= number <= MOST_CLASSES:
            raise ConfigurationError(f"--classes is {number}; expected 1 to {MOST_CLASSES}, or a file of names")
        return tuple(str(name) for name in range(number))
    return read_ids(Path(text))


def read_benchmark(path: Path, how: Reading, revision: str = "", metadata: Sequence[Path] = ()) -> Benchmark:
    """The labels as given, from CSV or Parquet (``id``, ``label`` or ``originalLabel``, further columns), ``.npz`` (``ids``,
    ``labels``) or ``.npy`` (with ``--ids``).

    Args:
        metadata: tables with ``id`` and further columns, which must name every image.

    Raises:
        ConfigurationError: a file is not what it should be; the message names the file, the line and the value.
    """
    ids, labels, columns = _label_arrays(path, how) if path.suffix.lower() in (".npy", ".npz") else _label_table(path, how)
    if repeated := doubles(ids):
        raise IdsError(ids_message(str(path), doubled=repeated))
    if how.ids is not None and set(how.ids) != set(ids):
        named, had = set(how.ids), set(ids)
        absent, unknown = [id_ for id_ in how.ids if id_ not in had], [id_ for id_ in ids if id_ not in named]
        raise IdsError(ids_message(f"{path}, against --ids", missing=absent, unknown=unknown, hint=stems_hint(unknown, how.ids)))
    classes = how.classes
    if classes is None:
        classes = tuple(map(str, range(labels.shape[1] if labels.ndim == 2 else int(labels.max()) + 1)))
    benchmark = Benchmark(ids, labels, classes, revision, columns)
    further = dict(columns)
    for file in metadata:
        for name, values in _metadata(file, how, benchmark).items():
            if name in further:
                raise BoundsError(
                    f"{file}: the column {one_line(name, 40)!r} is known from another file; expected a new one. Rename it"
                )
            further[name] = values
    return Benchmark(ids, labels, classes, revision, further) if metadata else benchmark


def _label_table(path: Path, how: Reading) -> tuple[tuple[str, ...], np.ndarray, dict[str, tuple[str, ...]]]:
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ConfigurationError(f"{path}: expected .csv, .parquet, .npz or .npy. Name another file")
    table = text_table(path)
    at = table.column("id")
    named = [name for name in LABEL_COLUMNS if name in table.header]
    if len(named) != 1:
        raise BoundsError(
            f"{path}: the columns are {shown(table.header)}; expected one of {shown(LABEL_COLUMNS)} among them. Name it so"
        )
    label_at = table.header.index(named[0])
    keys, rows = [], []
    labels: list[tuple[int, ...]] = []
    for where, cells in table.rows:
        keys.append(cells[at])
        labels.append(how.label_set(cells[label_at], where) if how.multi else (how.label(cells[label_at], where),))
        rows.append(cells)
    if not rows:
        raise BoundsError(f"{path}: it has no row; expected a row for each image. Write them into it")
    ids = how.keys(keys, str(path))
    columns = {
        name: tuple(row[place] for row in rows) for place, name in enumerate(table.header) if place not in (at, label_at) and name
    }
    if how.multi:
        classes = len(how.classes) if how.classes else 1 + max((max(members, default=0) for members in labels), default=0)
        _check_size(path, len(ids), classes)
        array = np.zeros((len(ids), classes), bool)
        for row, members in enumerate(labels):
            array[row, list(members)] = True
        return ids, array, columns
    return ids, np.array([label for (label,) in labels], np.int64), columns


def _check_size(path: Path, images: int, classes: int) -> None:
    if images * classes > MOST_TABLE:
        raise BoundsError(
            f"{path}: {images:,} images by {classes:,} classes; at most {MOST_TABLE:,} entries are read. Make it smaller"
        )


def _label_arrays(path: Path, how: Reading) -> tuple[tuple[str, ...], np.ndarray, dict[str, tuple[str, ...]]]:
    found = arrays(path)
    labels = found.get("labels", found.get(""))
    if labels is None:
        raise BoundsError(f"{path}: the arrays are {shown(list(found))}; expected 'labels', and 'ids'. Name them so")
    ids = ids_of_arrays(path, found, len(labels) if labels.ndim else 0, how)
    labels = label_array(path, labels, ids, how)
    columns = {
        name: tuple(texts(path, array, one_line(repr(name), 40)))
        for name, array in found.items()
        if name not in ("labels", "ids", "") and array.ndim == 1 and len(array) == len(ids) and array.dtype.kind in "USbiuf"
    }
    return ids, labels, columns


def ids_of_arrays(path: Path, found: Mapping[str, np.ndarray], rows: int, how: Reading) -> tuple[str, ...]:
    """The ids of arrays: their own (``ids``), else those of ``--ids``.

    Raises:
        ConfigurationError: there are none, another number, or no texts.
    """
    own = found.get("ids")
    if own is None:
        return how.ids_of(rows, str(path))
    own_texts = texts(path, own, "ids")
    if len(own) != rows:
        raise BoundsError(f"{path}: {len(own):,} ids and {rows:,} rows; expected the same number. Correct one")
    return how.keys(own_texts, str(path))


def label_array(path: Path, labels: np.ndarray, ids: Sequence[str], how: Reading) -> np.ndarray:
    """An array of labels, checked: int64 (n,), or bool (n, classes) where an image may have any number.

    Raises:
        BoundsError: another shape or type, or a value that is no class; the message names the id and the value.
    """
    most = len(how.classes) if how.classes else MOST_CLASSES
    if not len(ids):
        raise BoundsError(f"{path}: it has no row; expected a row for each image. Write them into it")
    if how.multi:
        if labels.ndim != 2 or labels.dtype.kind not in "biuf" or not 0 < labels.shape[1] <= most:
            raise BoundsError(
                f"{path}: labels are {labels.dtype} of shape {labels.shape}; expected 0 and 1, images by classes. Correct it"
            )
        if (bad := np.argwhere((labels != 0) & (labels != 1))).size:
            row, column = bad[0]
            raise BoundsError(
                f"{path}, {one_line(ids[row], 60)}: label {column} is {labels[row, column]}; expected 0 or 1. Correct it"
            )
        return labels.astype(bool)
    if labels.ndim != 1 or labels.dtype.kind not in "iuf":
        raise BoundsError(
            f"{path}: labels are {labels.dtype} of shape {labels.shape}; expected whole numbers (n,). Correct it, or add "
            f"--multi-label "
            "if an image may have several labels"
        )
    odd = ~np.isfinite(labels) | (labels != np.floor(labels)) | (labels < 0) | (labels >= most)
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        raise BoundsError(f"{path}, {one_line(ids[row], 60)}: label {labels[row]}; expected 0 to {most - 1}. Correct it")
    return labels.astype(np.int64)


def _metadata(path: Path, how: Reading, benchmark: Benchmark) -> dict[str, tuple[str, ...]]:
    table = text_table(path)
    at = table.column("id")
    rows = [cells for _, cells in table.rows]
    ids = how.keys([cells[at] for cells in rows], str(path))
    places = benchmark.places(ids, str(path), all_of_them=True)
    order = np.argsort(places)
    return {
        name: tuple(rows[row][place] for row in order.tolist()) for place, name in enumerate(table.header) if place != at and name
    }
