"""The curation track in the worker: one phase, which says what is changed in a labelled set of images."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from .images import map_bytes, opened
from .indices import as_index
from .phases import InvalidOutput, NotRun
from .plain import kind_of
from .service import Answer, Track

ALIASES: dict[str, tuple[str, ...]] = {
    "dataset": ("dataset", "data", "images"),
    "label_book": ("label_book", "book"),
    "time_available": ("time_available", "compute_budget"),
}
COLUMNS = ("id", "action", "label", "split")
IMAGE = "image"
"""Key of the pixels in a row that adds an image."""
MOST_ROWS = 20_000
MOST_PIXELS = 48 << 20
"""Bytes of the pixels of all added images together."""
MOST_TEXT = 12 << 20
"""Bytes of all rows together, without pixels."""
LENGTH = struct.Struct("!I")


class CurationDataset(Sequence):
    """Images of any shape with their labels: a sequence of ``{"id", "image", "label", "split"}``.

    ``image`` is a read-only uint8 array (h, w), or (h, w, 3) where there is colour; ``label`` is a class as a word; ``split`` is
    ``train`` or ``val``, empty in a label book.

    Attributes:
        classes: as words; ``ids``, ``splits``: of all images.
        labels: int64 (n,), places in ``classes``.
    """

    def __init__(self, pixels: np.ndarray, table: np.ndarray, ids: Sequence[str], classes: Sequence[str], splits: Sequence[str]):
        self._pixels, self._table = pixels, table
        self.ids, self.classes, self.splits = tuple(ids), tuple(classes), tuple(splits)
        self.labels = table[:, 4].astype(np.int64)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> Any:
        number = as_index(index + len(self) if isinstance(index, int) and index < 0 else index, len(self))
        return {
            "id": self.ids[number],
            "image": self.image(number),
            "label": self.classes[int(self._table[number, 4])],
            "split": self.splits[number],
        }

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[number] for number in range(len(self)))

    def image(self, index: int) -> np.ndarray:
        """Image ``index``: read-only uint8 (h, w) or (h, w, 3), straight from the mapped file."""
        start, height, width, channels = (int(value) for value in self._table[index, :4])
        found = self._pixels[start : start + height * width * channels]
        return found.reshape(height, width) if channels == 1 else found.reshape(height, width, channels)

    @property
    def images(self) -> list[np.ndarray]:
        """All images; none is copied."""
        return [self.image(number) for number in range(len(self))]

    def pil(self, index: int) -> Any:
        """Image ``index`` as a ``PIL.Image.Image``."""
        from PIL import Image

        return Image.fromarray(self.image(index))

    def resized(self, side: int) -> np.ndarray:
        """All images in gray, stretched to a square by the mean over areas: a new float32 array (n, side, side), 0 to 1."""
        from PIL import Image

        made = np.empty((len(self), side, side), np.float32)
        for number in range(len(self)):
            gray = self.pil(number).convert("L").resize((side, side), Image.Resampling.BOX)
            made[number] = np.asarray(gray, np.float32) / 255
        return made


class CurationTrack(Track):
    """One phase: ``curate``."""

    hooks = ("curate",)
    marker = "curate"
    interface = "run"
    base = "CurationRun"
    aliases = ALIASES
    offers: ClassVar = {"curate": ("dataset", "label_book")}

    def curate(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> Answer:
        """Call the hook with the data and the label book; the answer holds the rows that it returned."""
        dataset, book = (self._mapped(order, name) for name in ("dataset", "label_book"))
        try:
            returned = self.service.call("curate", order, dataset=dataset, label_book=book)
        except NotRun as error:
            raise InvalidOutput(str(error)) from None
        rows, added, payload = packed(returned)
        return {"t": "done", "rows": rows, "added": added, "clock": self.service.clock_was_read}, payload

    @staticmethod
    def _mapped(order: dict[str, Any], name: str) -> CurationDataset:
        with opened(order[f"{name}_names"]) as file:
            names = json.loads(file.read())
        with opened(order[f"{name}_table"]) as file:
            table = np.frombuffer(file.read(), np.int64).reshape(-1, 5)
        return CurationDataset(map_bytes(order[f"{name}_pixels"]), table, names["ids"], names["classes"], names["splits"])


def packed(value: Any) -> tuple[int, int, bytes]:
    """What ``curate`` returned, as bytes: the length of a JSON text, the text (rows as lists), the pixels of added images.

    A row of the text has the four columns of a table of edits; that of an added image has its height, width and number of channels
    besides.

    Returns:
        Numbers of rows and of added images, and the bytes.

    Raises:
        InvalidOutput: it is no list of edits, or too large.
    """
    wanted = f"a list of dicts with the keys {', '.join(COLUMNS)} was expected, and {IMAGE} in a row that adds an image"
    rows: list[list[Any]] = []
    pixels: list[bytes] = []
    size = 0
    for number, row in enumerate(_rows(value, wanted), 1):
        if number > MOST_ROWS:
            raise InvalidOutput(f"curate returned more than {MOST_ROWS:,} rows; at most so many are read")
        if not isinstance(row, Mapping):
            raise InvalidOutput(f"row {number} of what curate returned is {kind_of(row)}; {wanted}")
        if unknown := [key for key in row if key not in (*COLUMNS, IMAGE)]:
            raise InvalidOutput(f"row {number} has the key {str(unknown[0])[:60]!r}; {wanted}")
        cells: list[Any] = []
        for column in COLUMNS:
            cell = row.get(column)
            cell = "" if cell is None else cell
            if not isinstance(cell, str):
                hint = ". Write dataset.classes[label]" if column == "label" and isinstance(cell, (int, np.integer)) else ""
                raise InvalidOutput(f"{column} of row {number} is {kind_of(cell)}; a text was expected{hint}")
            cells.append(str(cell)[:1_000])
        image = row.get(IMAGE)
        if image is not None:
            array = pixels_of(image, number)
            size += array.size
            if size > MOST_PIXELS:
                raise InvalidOutput(f"the added images up to row {number} have more than {MOST_PIXELS:,} bytes of pixels")
            pixels.append(array.tobytes())
            cells += [*array.shape[:2], 1 if array.ndim == 2 else 3]
        rows.append(cells)
    text = json.dumps(rows).encode()
    if len(text) > MOST_TEXT:
        raise InvalidOutput(
            f"the rows that curate returned have {len(text):,} bytes without pixels; at most {MOST_TEXT:,} are read"
        )
    return len(rows), len(pixels), b"".join((LENGTH.pack(len(text)), text, *pixels))


def _rows(value: Any, wanted: str) -> Any:
    if value is None:
        raise InvalidOutput(f"curate returned nothing; {wanted}. Return [] to change nothing")
    if hasattr(value, "to_dict") and hasattr(value, "columns"):  # a data frame
        value = value.to_dict("records")
    if not isinstance(value, (list, tuple)):
        raise InvalidOutput(f"curate returned {kind_of(value)}; {wanted}")
    return value


def pixels_of(image: Any, number: int) -> np.ndarray:
    """An added image as a C-ordered uint8 array (h, w) or (h, w, 3).

    Taken are arrays, tensors and PIL images of whole numbers from 0 to 255.

    Raises:
        InvalidOutput: it is something else.
    """
    wanted = "an image of uint8, (h, w) or (h, w, 3), was expected"
    try:
        if hasattr(image, "detach"):
            image = image.detach().cpu().numpy()
        if hasattr(image, "getbands") and getattr(image, "mode", "") not in ("L", "RGB"):
            image = image.convert("RGB" if len(image.getbands()) > 2 else "L")
        array = np.asarray(image)
    except Exception as error:
        raise InvalidOutput(f"the image of row {number} is {kind_of(image)} that cannot be read ({error}); {wanted}") from error
    if array.dtype.kind in "iu" and array.dtype != np.uint8 and array.size and array.min() >= 0 and array.max() <= 255:
        array = array.astype(np.uint8)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype != np.uint8 or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)) or not array.size:
        raise InvalidOutput(f"the image of row {number} is {array.dtype} of shape {array.shape}; {wanted}")
    if array.size > MOST_PIXELS:  # a view may stand for more than there is memory
        raise InvalidOutput(
            f"the image of row {number} has {array.size:,} bytes of pixels; at most {MOST_PIXELS:,} are read in all"
        )
    return np.ascontiguousarray(array)


TRACK = CurationTrack
