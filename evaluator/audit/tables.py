"""Tables that somebody else wrote, read within bounds: CSV, Parquet, and the arrays of NumPy files.

CSV is UTF-8 with commas, semicolons or tabs; a byte-order mark and Windows line ends change nothing. A table of Parquet needs
pyarrow. Nothing is unpickled. What is said of a bad value names the file, the line (of Parquet the row) and the value.
"""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.bounded import BoundsError, read_bytes
from evaluator.data.labels import delimiter_of
from evaluator.errors import ConfigurationError
from evaluator.text import one_line

MOST_BYTES = 8 << 30
"""Of a NumPy or Parquet file, and of an array in it."""
MOST_CSV = 1 << 30
MOST_ROWS = 20_000_000
MOST_COLUMNS = 100_000
MOST_DIGITS = 9
"""Of a class in text."""
ENDINGS = (".csv", ".npy", ".npz", ".parquet", ".json")
EXTRA = "requirements-audit.txt"


@dataclass(frozen=True)
class TextTable:
    """A table as texts.

    Attributes:
        path: of the file; ``header``: the names of its columns.
        rows: gives (what messages call the row, its cells), as many cells as there are names; it can be read once.
    """

    path: Path
    header: tuple[str, ...]
    rows: Iterator[tuple[str, list[str]]]

    def column(self, name: str) -> int:
        """The place of a column.

        Raises:
            BoundsError: there is no such column.
        """
        if name not in self.header:
            raise BoundsError(f"{self.path}: the columns are {shown(self.header)}; expected {name!r} among them. Name it so")
        return self.header.index(name)


def text_table(path: Path) -> TextTable:
    """A table of CSV or Parquet as texts; a list in Parquet becomes numbers with commas, a missing value an empty text.

    Raises:
        ConfigurationError: it cannot be read as such a table, or a row has another number of cells than the header.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet_texts(path)
    raw = read_file(path, MOST_CSV)
    delimiter = delimiter_of(io.BytesIO(raw).readline().decode("utf-8-sig", "replace"))
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig", newline=""), delimiter=delimiter, strict=True)

    def lines() -> Iterator[list[str]]:
        try:
            yield from reader
        except csv.Error as error:
            raise BoundsError(f"{path}, line {reader.line_num}: {error}; expected CSV. Mend the line") from None
        except UnicodeDecodeError as error:
            raise BoundsError(f"{path}: byte {error.start} is not UTF-8; expected CSV in UTF-8. Write it as plain text") from None

    every = lines()
    header = tuple(cell.strip() for cell in next(every, []))
    _check_header(path, header)

    def rows() -> Iterator[tuple[str, list[str]]]:
        for number, cells in enumerate(every):
            where = f"{path}, line {reader.line_num}"
            if number >= MOST_ROWS:
                raise BoundsError(f"{path}: more than {MOST_ROWS:,} rows; no more are read. Make it smaller")
            if len(cells) != len(header):
                seen = "the line is blank" if not cells else f"{len(cells)} cells"
                raise BoundsError(f"{where}: {seen}; expected {len(header)}, as in line 1. Remove the line, or complete it")
            yield where, [cell.strip() for cell in cells]

    return TextTable(path, header, rows())


def _check_header(path: Path, header: Sequence[str]) -> None:
    if not header:
        raise BoundsError(f"{path}: the file is empty; expected a line with the names of its columns. Write the table into it")
    if len(header) > MOST_COLUMNS:
        raise BoundsError(f"{path}: {len(header):,} columns; at most {MOST_COLUMNS:,} are read. Make it smaller")
    if len(set(header)) < len(header):
        twice = next(name for number, name in enumerate(header) if name in header[:number])
        raise BoundsError(f"{path}: the column {one_line(twice, 40)!r} stands there twice; expected it once. Remove one")


def _parquet_texts(path: Path) -> TextTable:
    table = parquet(path)
    header = tuple(table.column_names)
    _check_header(path, header)

    def rows() -> Iterator[tuple[str, list[str]]]:
        columns = [column.to_pylist() for column in table.columns]
        for number, values in enumerate(zip(*columns, strict=True)):
            yield f"{path}, row {number}", [_as_text(value) for value in values]

    return TextTable(path, header, rows())


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple)):
        return ",".join(_as_text(member) for member in value) if value else "-1"
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def parquet(path: Path) -> Any:
    """A whole table of Parquet (``pyarrow.Table``).

    Raises:
        ConfigurationError: pyarrow is not installed, or it is no such table.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigurationError(
            f"{path}: a .parquet table needs pyarrow, which is not installed; run `pip install -r {EXTRA}`, or write .csv or .npz"
        ) from None
    _regular(path)
    try:
        file = pyarrow.parquet.ParquetFile(path)
        held = sum(file.metadata.row_group(n).total_byte_size for n in range(file.metadata.num_row_groups))
        if file.metadata.num_rows > MOST_ROWS or held > MOST_BYTES:
            raise BoundsError(
                f"{path}: {file.metadata.num_rows:,} rows, {held:,} bytes; at most {MOST_ROWS:,} rows and {MOST_BYTES:,} are read"
            )
        return file.read().combine_chunks()
    except BoundsError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise BoundsError(
            f"{path}: it cannot be read ({one_line(str(error), 200)}); expected a Parquet table. Write it anew"
        ) from None


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a ``.npz`` file by name, or the array of a ``.npy`` file under the empty name.

    Raises:
        ConfigurationError: it is no such file, or an array holds objects or is too large.
    """
    _regular(path)
    try:
        if path.suffix.lower() == ".npy":
            with open(path, "rb") as file:
                _check_array(path, file, "the array")
            return {"": np.load(path, allow_pickle=False)}
        with np.load(path, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise BoundsError(f"{path}: it is no archive of arrays; expected .npz. Write it with numpy.savez")
            total = 0
            for name in archive.files:
                assert archive.zip is not None
                with archive.zip.open(f"{name}.npy") as member:
                    total += _check_array(path, member, name)
            if total > MOST_BYTES:
                raise BoundsError(f"{path}: {total:,} bytes of arrays; at most {MOST_BYTES:,} are read. Make it smaller")
            return {name: archive[name] for name in archive.files}
    except BoundsError:
        raise
    except Exception as error:  # on a damaged file NumPy's readers fail in a dozen ways, from the tokenizer's to those of zip
        raise BoundsError(
            f"{path}: it cannot be read ({one_line(str(error), 200)}); expected arrays as numpy.save writes them. Write it anew"
        ) from None


def _check_array(path: Path, file: Any, name: str) -> int:
    """The bytes of an array, from its header alone."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    size = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize if shape else dtype.itemsize
    if dtype.hasobject or size > MOST_BYTES:
        raise BoundsError(f"{path}: {name} is {dtype} of shape {shape}; expected plain values of up to {MOST_BYTES:,} bytes")
    return size


def texts(path: Path, array: np.ndarray, name: str) -> list[str]:
    """The texts of an array of texts or numbers (n,); bytes are UTF-8.

    Raises:
        BoundsError: it is no such array, or a value is no text.
    """
    if array.dtype.kind not in "USbiuf" or array.ndim != 1:
        raise BoundsError(f"{path}: {name} is {array.dtype} of shape {array.shape}; expected texts (n,). Correct it")
    if array.dtype.kind == "U" and array.size and array.dtype.itemsize:
        codes = np.ascontiguousarray(array).view(np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if (codes > 0x10FFFF).any():  # a damaged file; NumPy would fail on it without words
            raise BoundsError(f"{path}: {name} holds a character that does not exist; expected texts. Write it anew")
    try:
        return [value.decode() if isinstance(value, bytes) else str(value) for value in array.tolist()]
    except UnicodeDecodeError:
        raise BoundsError(f"{path}: {name} holds bytes that are not UTF-8; expected texts. Write it anew") from None


def read_file(path: Path, most: int) -> bytes:
    """The bytes of a file of at most so many.

    Raises:
        ConfigurationError: it is not there, cannot be read, or is larger.
    """
    try:
        return read_bytes(path, most)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such file; expected one. Name another") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be read ({error.strerror}); expected a file. Name another") from None


def _regular(path: Path) -> None:
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigurationError(f"{path}: it cannot be read ({error.strerror}); expected a file. Name another") from None
    if not stat.S_ISREG(found.st_mode):
        raise BoundsError(f"{path}: it is no regular file; expected a file. Name another")
    if found.st_size > MOST_BYTES:
        raise BoundsError(f"{path}: {found.st_size:,} bytes; at most {MOST_BYTES:,} are read. Make it smaller")


def whole_number(text: str) -> int | None:
    """The number 0 or more that a text is, in digits; None if it is not."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None


def shown(names: Sequence[str]) -> str:
    """Names of columns or arrays for a message."""
    return one_line(", ".join(repr(name) for name in names[:8]) + (", ..." if len(names) > 8 else ""), 200)
