"""What lies in a file, and in the files within it: archives are opened, compressed texts of images unpacked, tables read.

``blobs`` gives the bytes of a file and of everything that can be found in it, one after the other, within bounds. What cannot be
looked into (an encrypted archive, a format that is not known here, too large) is given back as ``Opaque``, so that a check can say
so instead of passing over it.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.bounded import BoundsError, read_bytes
from evaluator.data.members import zip_name
from evaluator.text import one_line

MOST_BYTES = 4 << 30
"""Of one file, and of one file within it."""
MOST_DEPTH = 4
"""Archives within archives."""
PNG, JPEG, NPY, ZIP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"\x93NUMPY", b"PK\x03\x04"
PARQUET = b"PAR1"
UNKNOWN = {
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a rar archive",
    b"\x28\xb5\x2f\xfd": "compressed by zstandard",
    b"\x04\x22\x4d\x18": "compressed by lz4",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
}
"""Formats that hold compressed data and that nothing here reads."""
_CHUNK, _TEXT = "its chunk ", "its text in chunk "
_NO_FILES = ("its names", "its metadata", "its column", _CHUNK, _TEXT)
"""How the names of what is no file of its own begin."""
_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP")


@dataclass(frozen=True)
class Blob:
    """Bytes, and where they lie in words: ``data/a.zip, images/3.png``.

    ``file``: whether they are those of a file, and not e.g. the names in an archive, which may be equal in two that differ.
    ``chunk``: of which chunk of a PNG they are, e.g. ``iCCP``; empty for everything else.
    """

    where: str
    content: bytes
    file: bool = True
    chunk: str = ""


@dataclass(frozen=True)
class Opaque:
    """What could not be looked into, and why."""

    where: str
    why: str


def blobs(path: Path, name: str) -> Iterator[Blob | Opaque]:
    """Everything that a file holds, itself first. ``name``: what it is called."""
    try:
        content = read_bytes(path, MOST_BYTES)
    except (BoundsError, OSError) as error:
        yield Opaque(name, one_line(str(error), 200))
        return
    yield from _within(Blob(name, content), 0)


def _within(blob: Blob, depth: int) -> Iterator[Blob | Opaque]:
    yield blob
    content = blob.content
    for magic, what in UNKNOWN.items():
        if content.startswith(magic):
            yield Opaque(blob.where, f"{what}, which this check cannot open")
            return
    inner = _opened(content)
    if inner is None:
        return
    if depth == MOST_DEPTH:
        yield Opaque(blob.where, f"archives lie within each other more than {MOST_DEPTH} times")
        return
    try:
        for name, member in inner:
            where = f"{blob.where}, {one_line(name, 120)}"
            if member is None:
                yield Opaque(where, f"it is encrypted, or unpacks to more than {MOST_BYTES >> 30} GiB")
            else:
                chunk = name[-4:] if name.startswith((_CHUNK, _TEXT)) else ""
                yield from _within(Blob(where, member, not name.startswith(_NO_FILES), chunk), depth + 1)
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError) as error:
        yield Opaque(blob.where, f"it cannot be read to its end ({one_line(str(error), 120)})")
    except (zipfile.BadZipFile, tarfile.TarError) as error:
        yield Opaque(blob.where, f"it cannot be read to its end ({one_line(str(error), 120)})")


_Members = Iterator[tuple[str, bytes | None]]


def _opened(content: bytes) -> _Members | None:
    """The members of what is no plain file; None if it is one."""
    if content.startswith(ZIP) or (content[-22:-18] == b"PK\x05\x06" and zipfile.is_zipfile(io.BytesIO(content))):
        return _zip(content)
    if content.startswith(b"\x1f\x8b"):
        return _single("unpacked", gzip.GzipFile(fileobj=io.BytesIO(content)))
    if content.startswith(b"BZh"):
        return _single("unpacked", bz2.BZ2File(io.BytesIO(content)))
    if content.startswith(b"\xfd7zXZ\x00"):
        return _single("unpacked", lzma.LZMAFile(io.BytesIO(content)))
    if content[257:262] == b"ustar":
        return _tar(content)
    if content.startswith(PNG):
        return _png(content)
    if content.startswith(PARQUET):
        return _parquet(content)
    return None


def _zip(content: bytes) -> _Members:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        listed = archive.infolist()
        yield "its names and comments", b"\n".join([archive.comment, *(zip_name(i).encode() + b" " + i.comment for i in listed)])
        for info in listed:
            if info.is_dir():
                continue
            if info.flag_bits & 1 or info.file_size > MOST_BYTES:
                yield zip_name(info), None
                continue
            with archive.open(info) as file:
                yield zip_name(info), _bounded(file)


def _tar(content: bytes) -> _Members:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for member in archive:
            yield "its names", f"{member.name} {member.linkname} {member.pax_headers}".encode()
            if member.isfile():
                file = archive.extractfile(member)
                yield member.name, None if file is None or member.size > MOST_BYTES else _bounded(file)


def _single(name: str, file: Any) -> _Members:
    with file:
        yield name, _bounded(file)


def _bounded(file: Any) -> bytes | None:
    content: bytes = file.read(MOST_BYTES + 1)
    return content if len(content) <= MOST_BYTES else None


def _png(content: bytes) -> _Members:
    """The chunks of a PNG that hold texts or metadata, unpacked; and what lies behind its end."""
    place = len(PNG)
    while place + 12 <= len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        body = content[place + 8 : place + 8 + length]
        place += 12 + length
        if kind in _TEXTS:
            yield _CHUNK + kind.decode(), body
            for start in range(len(body)):  # a compressed text begins behind a name of a few characters
                if body[start : start + 1] == b"\x78" and start < 600:
                    unpacker = zlib.decompressobj()
                    try:
                        yield _TEXT + kind.decode(), unpacker.decompress(body[start:], MOST_BYTES)
                        break
                    except zlib.error:
                        continue
        if kind == b"IEND":
            break
    if content[place:]:
        yield "behind its end", content[place:]


def _parquet(content: bytes) -> _Members:
    """The columns of a table of Parquet, as bytes and as text, and its metadata."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ValueError("a table of Parquet needs pyarrow; pip install -r requirements-cleaning.txt") from None
    try:
        table = pyarrow.parquet.read_table(io.BytesIO(content))
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from None
    yield "its metadata", str(table.schema.metadata or {}).encode() + str(table.schema).encode()
    for name in table.column_names:
        values = table.column(name).to_pylist()
        plain = [value for value in values if value is not None]
        if plain and all(isinstance(value, bytes) for value in plain):
            yield from ((f"row {row} of column {name}", value) for row, value in enumerate(values) if value is not None)
            continue
        yield f"its column {name}", "\n".join(" ".join(map(str, v)) if isinstance(v, list) else str(v) for v in values).encode()
        array = np.array(plain) if plain and len({len(v) if isinstance(v, list) else -1 for v in plain}) == 1 else None
        if array is not None and array.dtype.kind in "fiub":
            buffer = io.BytesIO()
            np.save(buffer, array.astype(np.float32) if array.dtype.kind == "f" else array)
            yield f"its column {name} as an array", buffer.getvalue()


def headers(content: bytes) -> Iterator[tuple[int, int]]:
    """Where bytes lie that say how a picture is stored and not what it shows, as start and end, in order.

    Those are all of a JPEG but its scans (the tables of quantisation and of Huffman codes are equal in all files of an encoder and
    a quality), and all of a PNG but its rows of pixels (a colour profile is equal in all files of a camera or a program). Pictures
    within other bytes, e.g. in an archive without compression, have them too. The end of a table of Parquet, which describes its
    columns, is equal in tables of one program.
    """
    end = 0
    for found in _PICTURE.finditer(content):
        if found.start() >= end:
            for start, end in (_jpeg_headers if found[0] == JPEG else _png_headers)(content, found.start()):
                yield start, end
    if content.startswith(PARQUET) and content.endswith(PARQUET):
        yield max(end, len(content) - 8 - int.from_bytes(content[-8:-4], "little")), len(content)


_PICTURE = re.compile(re.escape(PNG) + b"|" + re.escape(JPEG))
_SCAN_ENDS = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""A marker that ends the scan of a JPEG: neither a stuffed byte nor a restart."""


def _jpeg_headers(content: bytes, place: int) -> Iterator[tuple[int, int]]:
    start, place = place, place + 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xD9:
            break
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD7:  # a filling byte, or a marker without a segment
            place += 1 if marker == 0xFF else 2
            continue
        place = min(len(content), place + 2 + int.from_bytes(content[place + 2 : place + 4], "big"))
        if marker == 0xDA:
            yield start, place
            scan = _SCAN_ENDS.search(content, place)
            start = place = scan.start() if scan else len(content)
    if place > start:
        yield start, place


def _png_headers(content: bytes, place: int) -> Iterator[tuple[int, int]]:
    start, place, kind = place, place + len(PNG), b""
    while place + 12 <= len(content) and kind != b"IEND":
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        if kind in (b"IDAT", b"fdAT"):
            yield start, place + 8
            start = min(len(content), place + 8 + length)
        place += 12 + length
    if min(place, len(content)) > start:
        yield start, min(place, len(content))
