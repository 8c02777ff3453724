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
from .plain import kind_of
from .service import Answer, Track

PICTURE = struct.Struct("!IIIB32s")
"""Before the pixels of an image: its number in the order, height, width, number of channels, SHA-256 over the pixels. With 0
channels a text follows, which says why the file is no image, and no further image comes."""
MOST_FAULT = 1_000
"""Characters of such a text."""
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
        return {"fault": "a .parquet table needs pyarrow, which is not installed; use .csv"}
    try:
        file = parquet.ParquetFile(pyarrow.BufferReader(raw))
        names = [str(name) for name in file.schema_arrow.names]
        rows = file.metadata.num_rows
        held = sum(file.metadata.row_group(number).total_byte_size for number in range(file.metadata.num_row_groups))
        if rows > most_rows or held > MOST_TABLE or len(names) > 100:
            bound = f"at most {most_rows:,} rows and {MOST_TABLE:,} bytes are read. Split the table"
            return {"fault": f"{rows:,} rows, {len(names):,} columns, {held:,} bytes; {bound}"}
        columns = [
            file.read_row_groups(range(file.metadata.num_row_groups), columns=[name]).column(0).to_pylist() for name in names
        ]
    except Exception as error:  # a broken file makes it raise almost anything
        return {"fault": f"it cannot be read ({str(error)[:200]}); expected a Parquet table. Write it anew"}
    size = 0
    for name, column in zip(names, columns, strict=True):
        for number, cell in enumerate(column):
            if cell is not None and not isinstance(cell, str):
                return {"fault": f"line {number + 2}: {name[:60]} is {kind_of(cell)}; expected a text. Write the column as texts"}
            size += 8 + len(cell or "")
            if size > MOST_TABLE:
                return {"fault": f"its cells have more than {MOST_TABLE:,} characters; at most so many are read. Split the table"}
    return {"names": names, "rows": [list(row) for row in zip(*columns, strict=True)]}


TRACK = ForeignTrack
