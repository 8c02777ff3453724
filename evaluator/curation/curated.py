"""A data set as it is handed in and stored: a list of (name, source, label, split), and the pixels of what is new in it.

The source of an image is the digest of its decoded pixels. An image of the given data set is stored by its digest alone; a new
image is stored as a PNG beside the list. Any tool can write such an answer: the judge sees nothing else of a submission.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from evaluator.data.edits import SPLITS, Edit, beyond_folder
from evaluator.errors import DataError
from evaluator.text import name as shown
from evaluator.worker.pictures import NoImageError, without_colour
from evaluator.worker.pictures import decoded as decode

MOST_ROWS = 20_000
"""Rows that are read of a stored answer; the rules allow fewer."""
MOST_NEW_BYTES = 40 * 2**20
"""Bytes of all new images of a data set together, as PNG."""
MOST_IMAGE_BYTES = 8 * 2**20
"""Bytes of a new image, as PNG."""
MOST_PIXELS = 2**29
"""Bytes of the pixels of all new images together: flat images of megabytes of pixels make files of kilobytes."""


class Row(NamedTuple):
    """An image of a data set: its name, the digest of its pixels, its class as a word, and its split."""

    id: str
    source: str
    label: str
    split: str


@dataclass(frozen=True, eq=False)
class Curated:
    """A data set. ``new``: the PNG of every source that is not in the given data, by digest."""

    rows: tuple[Row, ...]
    new: Mapping[str, bytes]

    def content(self) -> dict[str, Any]:
        """JSON-able, as an answer stores it."""
        return {
            "images": [list(row) for row in self.rows],
            "new": {digest: base64.b64encode(png).decode() for digest, png in sorted(self.new.items())},
        }

    @classmethod
    def of(cls, content: Any) -> Curated:
        """The inverse of ``content``, with every value checked but the pixels.

        Raises:
            DataError: it is no data set; the message says where.
        """
        if not isinstance(content, dict):
            raise DataError("it is no object; expected images and new")
        images, new = content.get("images"), content.get("new", {})
        if not isinstance(images, list) or not isinstance(new, dict) or len(images) > MOST_ROWS or len(new) > MOST_ROWS:
            raise DataError(f"images or new is no list or object, or has more than {MOST_ROWS:,} members")
        rows = []
        for number, row in enumerate(images):
            if not isinstance(row, list) or len(row) != 4 or not all(isinstance(cell, str) for cell in row):
                raise DataError(f"images[{number}] is no list of four texts; expected id, source, label and split")
            found = Row(*row)
            if why := _row_fault(found):
                raise DataError(f"images[{number}]: {why}")
            rows.append(found)
        if len({row.id for row in rows}) != len(rows):
            raise DataError("images names an id twice; expected each once")
        decoded: dict[str, bytes] = {}
        for digest, text in new.items():
            if not is_digest(digest) or not isinstance(text, str) or len(text) > 2 * MOST_IMAGE_BYTES:
                raise DataError("new has a member that is no image under the digest of its pixels")
            try:
                decoded[digest] = base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                raise DataError(f"new[{digest[:12]}] is not base64; expected a PNG") from None
        if sum(map(len, decoded.values())) > MOST_NEW_BYTES:
            raise DataError(f"its new images have more than {MOST_NEW_BYTES:,} bytes")
        return cls(tuple(rows), decoded)

    def pixels(self, most_side: int) -> dict[str, np.ndarray]:
        """The decoded pixels of the new images, by digest.

        Raises:
            DataError: a new image is none, is too large, or its pixels have another digest than it is stored under.
        """
        found: dict[str, np.ndarray] = {}
        size = 0
        for digest, png in self.new.items():
            pixels = decoded(png, f"the new image {digest[:12]}", most_side)
            size += pixels.size
            if size > MOST_PIXELS:
                raise DataError(f"the new images have more than {MOST_PIXELS:,} bytes of pixels; expected at most so many")
            if pixel_digest(pixels) != digest:
                raise DataError(f"the new image {digest[:12]} has other pixels than its digest says")
            found[digest] = pixels
        return found


def _row_fault(row: Row) -> str:
    if not is_digest(row.source):
        return f"source is {shown(row.source)!r}; expected the SHA-256 of the image's pixels"
    if row.split not in SPLITS:
        return f"split is {shown(row.split)!r}; expected train or val"
    if not row.label:
        return "label is empty"
    try:
        Edit(row.id, "relabel", row.label)
    except DataError as error:
        return str(error)
    return ""


def is_digest(text: Any) -> bool:
    """Whether a value is a SHA-256 in hex."""
    return isinstance(text, str) and len(text) == 64 and set(text) <= set("0123456789abcdef")


def pixel_digest(pixels: np.ndarray) -> str:
    """SHA-256 (hex) over the decoded pixels, uint8 (h, w) or (h, w, 3), and their shape.

    Two files of different format, compression or metadata have equal digests if they show the same. A colour image without colour
    is to be given as (h, w), as ``images.read_image`` does.
    """
    made = hashlib.sha256(f"pixels {pixels.shape}\n".encode())
    made.update(np.ascontiguousarray(pixels).tobytes())
    return made.hexdigest()


def decoded(raw: bytes, name: str, most_side: int) -> np.ndarray:
    """The pixels of a PNG or JPEG, uint8 (h, w) or (h, w, 3), decoded in this process. Its size is looked at before it is unpacked.

    For images that the kit wrote, and for a person's own. Those of a stranger are decoded elsewhere
    (``evaluator.sandbox.foreign``).

    Raises:
        DataError: it is no image, has too many bytes or pixels, or is cut short; the message begins with ``name``.
    """
    if len(raw) > MOST_IMAGE_BYTES:
        raise DataError(f"{name} has {len(raw):,} bytes; an image has at most {MOST_IMAGE_BYTES:,}. Shrink it")
    try:
        pixels, _ = decode(raw, any_shape=True, most_side=most_side)
    except NoImageError as error:
        raise DataError(f"{name} {error}") from error
    return without_colour(pixels)


def as_png(pixels: np.ndarray) -> bytes:
    """The PNG of an image, uint8 (h, w) or (h, w, 3). It holds the pixels exactly."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def collected(rows: Iterable[tuple[str, np.ndarray | str, str, str]], given: Sequence[str] | set[str]) -> Curated:
    """A data set from names, pixels (or the digest of a given image), labels and splits.

    Args:
        given: digests of the given images, which are stored by digest alone.

    Raises:
        DataError: a name leaves the folder, or the new images have too many bytes together.
    """
    known = set(given)
    found: list[Row] = []
    new: dict[str, bytes] = {}
    size = unpacked = 0
    for name, image, label, split in rows:
        digest = image if isinstance(image, str) else pixel_digest(image)
        if digest not in known and digest not in new:
            assert not isinstance(image, str)
            new[digest] = as_png(image)
            size, unpacked = size + len(new[digest]), unpacked + image.size
            if unpacked > MOST_PIXELS:
                raise DataError(
                    f"{shown(name)}: with it the new images have more than {MOST_PIXELS:,} bytes of pixels; expected at most so "
                    "many. Add fewer or smaller images"
                )
            if size > MOST_NEW_BYTES:
                raise DataError(
                    f"{shown(name)}: with it the new images have more than {MOST_NEW_BYTES:,} bytes as PNG; expected at most so "
                    "many. Add fewer or smaller images"
                )
        if why := beyond_folder(name):
            raise DataError(f"{shown(name)}: a name {why}; expected a path within the data set. Rename it")
        found.append(Row(name, digest, label, split))
    return Curated(tuple(found), new)
