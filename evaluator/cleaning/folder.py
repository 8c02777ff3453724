"""Tasks in the layout of DataPerf: tables of embeddings, and a table of true labels.

``embeddings/{id}_train_{noise}_{n}.parquet``, ``{id}_val_{n}.parquet`` and ``{id}_test_{n}.parquet`` have the columns ``filename``,
``encoding`` (a list of numbers) and ``label``; ``dataset_{id}_train.csv`` in a folder beside them has ``ImageID`` and ``hv_label``,
what a human verified. The same columns may lie in ``.npz`` files instead, which need no pyarrow: ``filename`` as text, ``encoding``
float32 or float64 (n, width), ``label`` integers (n,), or (n, classes) of 0 and 1.

Beyond the original, ``hv_label`` may be ``removed`` where an expert takes the row out, ``unknown`` where nobody said anything, and
numbers with spaces between them where rows have several labels.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.bounded import BoundsError, read_bytes
from evaluator.cleaning.tasks import MOST_CLASSES, MOST_ROWS, MOST_WIDTH, CleaningTask, Kind, Part
from evaluator.data.labels import delimiter_of
from evaluator.errors import ConfigurationError
from evaluator.text import one_line
from evaluator.words import meant

TRAIN = re.compile(r"(?P<id>.+)_train_(?P<noise>[^_]+)_(?P<n>[0-9]+)\.(?P<kind>parquet|npz)", re.DOTALL)
MOST_BYTES = 8 << 30
MOST_CSV = 128 << 20
COLUMNS = ("filename", "encoding", "label")
REMOVED, UNKNOWN = "removed", "unknown"
"""In the place of a true label: the row is taken out; nobody said anything."""


@dataclass(frozen=True, eq=False)
class _Columns:
    """A table of embeddings. ``encoding``: float32 (n, width); ``label``: int64 (n,) or (n, classes)."""

    path: Path
    filename: tuple[str, ...]
    encoding: np.ndarray
    label: np.ndarray


def task_names(embeddings: Path) -> list[str]:
    """The data ids in a folder of embeddings: those that have a training table.

    Raises:
        ConfigurationError: there is no such folder, or no training table in it.
    """
    return sorted(_training_tables(embeddings))


def read_task(name: str, embeddings: Path, groundtruth: Path) -> CleaningTask:
    """The task of a data id.

    Raises:
        ConfigurationError: a table is missing, or does not hold what it should; the message names the file, row and value.
    """
    tables = _training_tables(embeddings)
    if name not in tables:
        raise ConfigurationError(
            f"{embeddings}: there is no table {name}_train_NOISE_ROWS.parquet{meant(name, tables)}; expected one. Name another task"
        )
    train = _read(_one_of(tables[name]))
    validation, test = (_read(_only(embeddings, name, split)) for split in ("val", "test"))
    expert = groundtruth / f"dataset_{name}_train.csv"
    said = read_true_labels(expert, train.filename, train.label)
    true = said.true
    most = max(int(table.label.max()) for table in (train, validation, test))
    if (bad := np.argwhere(true > most)).size:  # a slip of the hand would make a class of its own, and another model
        named, wrong = one_line(repr(train.filename[bad[0][0]]), 80), true[tuple(bad[0])]
        raise BoundsError(f"{expert}: hv_label of {named} is {wrong}; expected 0 to {most}, as in the tables. Correct it")
    kind, classes = _kind([train.label, true, validation.label, test.label])
    parts = (Part(table.encoding, table.label) for table in (train, validation, test))
    first, second, third = parts
    return CleaningTask(name, kind, classes, first, true, second, third, train.filename, said.removed, said.known)


@dataclass(frozen=True, eq=False)
class Said:
    """What a table of true labels says of the training rows; fields as of ``CleaningTask``."""

    true: np.ndarray
    removed: np.ndarray | None
    known: np.ndarray | None


def read_true_labels(path: Path, names: Sequence[str], given: np.ndarray) -> Said:
    """The human-verified labels in a table, in the order of ``names``: int64, of the shape of ``given``.

    Raises:
        ConfigurationError: the table is missing, names a row twice or not at all, or holds something else than a label.
    """
    try:
        text = read_bytes(path, MOST_CSV).decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: the file is missing; expected the columns ImageID, hv_label. Put it there") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: it cannot be read ({error}); expected CSV in UTF-8. Mend it") from None
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter_of(text.partition("\n")[0]))
    found: dict[str, Any] = {}
    try:
        header = [cell.strip() for cell in next(reader, [])]
        if "ImageID" not in header or "hv_label" not in header:
            raise BoundsError(
                f"{path}, line 1: {one_line(repr(header), 80)}; expected the columns ImageID and hv_label. Name them so"
            )
        at, label_at = header.index("ImageID"), header.index("hv_label")
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if len(cells) <= max(at, label_at):
                raise BoundsError(f"{where}: {len(cells)} cells; expected {len(header)}. Remove the line, or complete it")
            if cells[at] in found:
                raise BoundsError(f"{where}: the row {one_line(cells[at], 40)!r} stands there twice; expected it once. Remove one")
            found[cells[at]] = _label(cells[label_at], where, given.ndim == 2)
    except csv.Error as error:
        raise BoundsError(f"{path}, line {reader.line_num}: {error}; expected CSV. Mend the line") from None
    if absent := [name for name in names if name not in found]:
        raise BoundsError(
            f"{path}: it has no line for {len(absent):,} of {len(names):,} training rows, first {one_line(absent[0], 40)!r}; "
            "expected every row of the training table. Add them"
        )
    words = np.array([found[name] if isinstance(found[name], str) else "" for name in names])
    removed, known = words == REMOVED, words != UNKNOWN
    try:
        own = [given[row] if words[row] else found[name] for row, name in enumerate(names)]
        true = np.array(own, np.int64)
    except ValueError:
        true = np.zeros(0, np.int64)
    if true.shape != given.shape:
        raise BoundsError(
            f"{path}: labels of shape {true.shape}; expected {given.shape}, as in the training table. Correct the labels"
        )
    return Said(true, removed if removed.any() else None, None if known.all() else known)


def _training_tables(embeddings: Path) -> dict[str, list[Path]]:
    if not embeddings.is_dir():
        raise ConfigurationError(
            f"{embeddings}: there is no such folder; expected tables ID_train_NOISE_ROWS.parquet in it. Name another"
        )
    tables: dict[str, list[Path]] = {}
    for path in sorted(embeddings.iterdir()):
        if made := TRAIN.fullmatch(path.name):
            tables.setdefault(made["id"], []).append(path)
    if not tables:
        raise ConfigurationError(
            f"{embeddings}: it holds no table ID_train_NOISE_ROWS.parquet (or .npz); expected one. Put it there"
        )
    return tables


def _only(embeddings: Path, name: str, split: str) -> Path:
    wanted = re.compile(rf"{re.escape(name)}_{split}_[0-9]+\.(parquet|npz)")
    found = [path for path in sorted(embeddings.iterdir()) if wanted.fullmatch(path.name)]
    if not found:
        raise ConfigurationError(
            f"{embeddings}: there is no table {name}_{split}_ROWS.parquet (or .npz); expected one. Put it there"
        )
    return _one_of(found)


def _one_of(paths: list[Path]) -> Path:
    """The only table, or of one table in two formats the first; else it is not clear which is meant."""
    if len({path.stem for path in paths}) > 1:
        names = ", ".join(path.name for path in paths)
        raise ConfigurationError(f"{paths[0].parent}: it holds {names}; expected one table. Move the others elsewhere")
    return paths[-1]


def _read(path: Path) -> _Columns:
    rows = re.search(r"_([0-9]+)\.[a-z]+$", path.name)
    made = _read_npz(path) if path.suffix == ".npz" else _read_parquet(path)
    if rows is not None and int(rows[1]) != len(made.filename):
        raise BoundsError(
            f"{path}: it has {len(made.filename):,} rows, and its name says {rows[1]}; expected the same. Correct one"
        )
    repeated = [name for name, times in Counter(made.filename).items() if times > 1]
    if repeated:
        raise BoundsError(f"{path}: the file name {one_line(repeated[0], 40)!r} stands there twice; expected it once. Remove one")
    if (bad := np.argwhere(~np.isfinite(made.encoding))).size:
        row, column = bad[0]
        raise BoundsError(
            f"{path}, row {row}: number {column} of its encoding is {made.encoding[row, column]} as float32; expected a finite one"
        )
    return made


def _read_npz(path: Path) -> _Columns:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BoundsError(f"{path}: {path.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read. Make it smaller")
        if not zipfile.is_zipfile(path):  # numpy would advise to load it as pickled objects
            raise BoundsError(f"{path}: it is no zip file, or a part of one; expected a NumPy archive. Write it anew")
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in COLUMNS if name not in archive.files]
            if missing:
                raise BoundsError(f"{path}: it has no array {missing[0]!r}; expected {', '.join(COLUMNS)}. Add it")
            arrays = [_member(path, archive, name) for name in COLUMNS]
    except BoundsError:
        raise
    except (OSError, ValueError, zipfile.BadZipFile, KeyError, EOFError, NotImplementedError) as error:
        raise BoundsError(
            f"{path}: it cannot be read ({one_line(str(error), 200)}); expected a NumPy archive. Write it anew"
        ) from None
    names, encoding, label = arrays
    if names.dtype.kind not in "US" or names.ndim != 1:
        raise BoundsError(f"{path}: filename is {names.dtype} of shape {names.shape}; expected texts (n,). Correct it")
    return _columns(path, tuple(map(str, names.astype(str))), encoding, label)


def _member(path: Path, archive: Any, name: str) -> np.ndarray:
    """An array, whose size is read from its header before its values are."""
    with archive.zip.open(f"{name}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    size = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize if shape else dtype.itemsize
    if dtype.hasobject or size > MOST_BYTES:
        raise BoundsError(f"{path}: {name} is {dtype} of shape {shape}; expected plain values of up to {MOST_BYTES:,} bytes")
    return archive[name]


def _read_parquet(path: Path) -> _Columns:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigurationError(
            f"{path}: a .parquet table needs pyarrow, which is not installed; run `pip install -r requirements-cleaning.txt`, "
            "or write .npz"
        ) from None
    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = set(file.schema_arrow.names)
        if missing := [name for name in COLUMNS if name not in names]:
            raise BoundsError(f"{path}: it has no column {missing[0]!r}; expected {', '.join(COLUMNS)}. Add it")
        held = sum(file.metadata.row_group(n).total_byte_size for n in range(file.metadata.num_row_groups))
        if file.metadata.num_rows > MOST_ROWS or held > MOST_BYTES:
            raise BoundsError(
                f"{path}: {file.metadata.num_rows:,} rows, {held:,} bytes; at most {MOST_ROWS:,} rows and {MOST_BYTES:,} are read"
            )
        table = file.read(columns=list(COLUMNS)).combine_chunks()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        if isinstance(error, ConfigurationError):
            raise
        raise BoundsError(
            f"{path}: it cannot be read ({one_line(str(error), 200)}); expected a Parquet table. Write it anew"
        ) from None
    filename = table.column("filename").to_pylist()
    if (bad := next((row for row, name in enumerate(filename) if not isinstance(name, str)), None)) is not None:
        raise BoundsError(f"{path}, row {bad}: filename is {one_line(repr(filename[bad]), 40)}; expected a text")
    encoding = _lists(path, table.column("encoding").to_pylist() if table.num_rows == 0 else table.column("encoding"), "encoding")
    column = table.column("label")
    if (
        pyarrow.types.is_list(column.type)
        or pyarrow.types.is_large_list(column.type)
        or pyarrow.types.is_fixed_size_list(column.type)
    ):
        label = _lists(path, column, "label")
    else:
        if column.null_count:
            row = next(row for row, value in enumerate(column.to_pylist()) if value is None)
            raise BoundsError(f"{path}, row {row}: label is missing; expected a whole number")
        label = column.to_numpy()
    return _columns(path, tuple(filename), encoding, label)


def _lists(path: Path, column: Any, name: str) -> np.ndarray:
    """A column of lists of equal length: (n, length)."""
    import pyarrow.compute

    if not hasattr(column, "type"):
        return np.zeros((0, 1), np.float32)
    if column.null_count:
        row = next(row for row, value in enumerate(column.to_pylist()) if value is None)
        raise BoundsError(f"{path}, row {row}: {name} is missing; expected a list of numbers")
    lengths = pyarrow.compute.list_value_length(column).to_numpy()
    if len(set(lengths.tolist())) > 1:
        row = int(np.flatnonzero(lengths != lengths[0])[0])
        raise BoundsError(f"{path}, row {row}: {name} has {lengths[row]} numbers; expected {lengths[0]}, as in row 0")
    flat = pyarrow.compute.list_flatten(column)
    if flat.null_count:
        at = next(number for number, value in enumerate(flat.to_pylist()) if value is None)
        raise BoundsError(f"{path}, row {at // int(lengths[0])}: a number of {name} is missing; expected {lengths[0]} numbers")
    return np.array(flat.to_numpy()).reshape(len(lengths), -1)  # a copy, for what Arrow gives cannot be written


def _columns(path: Path, filename: tuple[str, ...], encoding: np.ndarray, label: np.ndarray) -> _Columns:
    if encoding.dtype.kind not in "f" or encoding.ndim != 2 or not 0 < encoding.shape[1] <= MOST_WIDTH:
        raise BoundsError(
            f"{path}: encoding is {encoding.dtype} of shape {encoding.shape}; expected float32 or float64, rows x width. Correct it"
        )
    if label.dtype.kind == "f" and np.isfinite(label).all() and (label == label.round()).all():
        label = label.astype(np.int64)
    if label.dtype.kind not in "biu" or label.ndim not in (1, 2) or (label.ndim == 2 and label.shape[1] > MOST_CLASSES):
        raise BoundsError(
            f"{path}: label is {label.dtype} of shape {label.shape}; expected whole numbers (n,) or (n, classes). Correct it"
        )
    if not len(filename):
        raise BoundsError(f"{path}: it has no rows; expected one or more. Write it anew")
    if not len(filename) == len(encoding) == len(label):
        raise BoundsError(
            f"{path}: {len(filename)} file names, {len(encoding)} encodings, {len(label)} labels; expected the same number"
        )
    if (bad := np.argwhere((label < 0) | (label >= MOST_CLASSES))).size:
        raise BoundsError(f"{path}, row {bad[0][0]}: label is {label[tuple(bad[0])]}; expected 0 to {MOST_CLASSES - 1}")
    with np.errstate(over="ignore"):  # what is too large for float32 is refused with its row
        rows = np.ascontiguousarray(encoding, np.float32)
    return _Columns(path, filename, rows, label.astype(np.int64))


def _kind(labels: Sequence[np.ndarray]) -> tuple[Kind, int]:
    if labels[0].ndim == 2:
        return "multilabel", labels[0].shape[1]
    classes = 1 + max(int(array.max()) for array in labels)
    return ("binary", 2) if classes <= 2 else ("multiclass", classes)


def _label(cell: str, where: str, many: bool) -> Any:
    if cell.strip() in (REMOVED, UNKNOWN):
        return cell.strip()
    words = cell.split() if many else [cell.strip()]
    if not words or any(not (word.isascii() and word.isdigit()) or len(word) > 6 for word in words):
        raise BoundsError(
            f"{where}: hv_label is {one_line(repr(cell), 40)}; expected a whole number, 0 or more (or {REMOVED}, {UNKNOWN}). "
            "Correct it"
        )
    return [int(word) for word in words] if many else int(words[0])
