"""Reads files that came without any code, in a worker: pictures, and tables in a format that a large library parses.

Such a file is a stranger's as much as a submission's code is: what decodes it may have a flaw. So it is decoded where code of
strangers runs, and arrays and texts of bounded size go back. The files come in the binary part of an order, one behind the other.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any, ClassVar

import numpy as np

from .pictures import NoImageError, decoded, without_colour
from .service import Answer, Track

PICTURE = struct.Struct("!IIIB32s")
"""Before the pixels of an image: its number in the order, height, width, number of channels, SHA-256 over the pixels. With 0
channels a text follows, which says why the file is no image, and no further image comes."""
MOST_FAULT = 1_000
"""Characters of such a text."""
INSTALL = "run `pip install -r requirements-tables.txt`, or use .csv"
MOST_TABLE = 32 << 20
"""Bytes of a table as JSON, and of its columns as the file holds them."""


class ForeignTrack(Track):
    """Two phases: ``pictures`` and ``table``. No submission is imported: the hooks are the kit's own."""

    hooks = ("pictures", "table")
    marker = "pictures"
    interface = ""
    base = ""
    aliases: ClassVar = {}
    submitted = False

    def pictures(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> Answer:
        """Decode files whose ``sizes`` the order lists; every image goes back in a message of its own, as soon as it is there."""
        raw, place = arrays["files"].tobytes(), 0
        for number, size in enumerate(order["sizes"]):
            try:
                found, _ = decoded(raw[place : place + size], any_shape=True, most_side=order["most_side"])
            except NoImageError as error:
                text = str(error)[:MOST_FAULT].encode("utf-8", "replace")
                self.service.channel.send({"t": "part"}, PICTURE.pack(number, 0, 0, 0, bytes(32)) + text)
                break
            pixels = without_colour(found)
            body = pixels.tobytes()
            head = PICTURE.pack(number, *pixels.shape[:2], 1 if pixels.ndim == 2 else 3, hashlib.sha256(body).digest())
            self.service.channel.send({"t": "part"}, head + body)
            place += size
        return {"t": "done"}, b""

    def table(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> Answer:
        """Read a Parquet table of texts. The answer's binary part is JSON: ``names`` and ``rows``, or ``fault``."""
        told = table_of(arrays["files"].tobytes()[: order["sizes"][0]], order["most_rows"])
        return {"t": "done"}, json.dumps(told, ensure_ascii=False).encode()


def table_of(raw: bytes, most_rows: int) -> dict[str, Any]:
    """The names and rows of a Parquet table of texts, None for empty cells; ``fault`` alone where it is none."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return {"fault": f"a .parquet table needs pyarrow, which is not installed; {INSTALL}"}
    try:
        return _texts_of(pyarrow, parquet, raw, most_rows)
    except Exception as error:  # a broken file makes it raise almost anything
        return {"fault": f"it cannot be read ({str(error)[:200]}); expected a Parquet table. Write it anew"}


def _texts_of(arrow: Any, parquet: Any, raw: bytes, most_rows: int) -> dict[str, Any]:
    # What the footer says of rows and bytes is checked, and not believed: it may be wrong, and a text of a dictionary counts there
    # once, however many cells have it. So cells are counted by the dictionary before a text is made of each.
    schema = parquet.read_schema(arrow.BufferReader(raw))
    names = [str(name) for name in schema.names]
    if len(names) > 100:
        return {"fault": f"{len(names):,} columns; at most 100 are read. Leave out those that nothing reads"}
    for field in schema:
        kind = field.type.value_type if arrow.types.is_dictionary(field.type) else field.type
        if not (arrow.types.is_string(kind) or arrow.types.is_large_string(kind) or arrow.types.is_null(kind)):
            return {"fault": f"{field.name[:60]} is of the type {str(kind)[:60]}; expected a text. Write the column as texts"}
    file = parquet.ParquetFile(arrow.BufferReader(raw), read_dictionary=names)
    rows = file.metadata.num_rows
    held = sum(file.metadata.row_group(number).total_byte_size for number in range(file.metadata.num_row_groups))
    if rows > most_rows or held > MOST_TABLE:
        return {
            "fault": f"{rows:,} rows, {held:,} bytes; at most {most_rows:,} rows and {MOST_TABLE:,} bytes are read. Split the table"
        }
    columns: list[list[str | None]] = []
    size = 0
    for name in names:
        column: list[str | None] = []
        for chunk in file.read_row_groups(range(file.metadata.num_row_groups), columns=[name]).column(0).chunks:
            if arrow.types.is_null(chunk.type):
                column += [None] * len(chunk)
                continue
            texts = chunk.dictionary.to_pylist()
            places = chunk.indices.to_pylist()
            size += 8 * len(places) + sum(len(texts[place] or "") for place in places if place is not None)
            if size > MOST_TABLE:
                return {"fault": f"its cells have more than {MOST_TABLE:,} characters; at most so many are read. Split the table"}
            column += [None if place is None else texts[place] for place in places]
        columns.append(column)
        if len(column) != rows:
            return {"fault": f"it says that it has {rows:,} rows, and its column {name[:60]} has {len(column):,}. Write it anew"}
    return {"names": names, "rows": [list(row) for row in zip(*columns, strict=True)]}


TRACK = ForeignTrack
