"""Labelled images of any shape, in memory and in folders ``<class>/*.png``."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluator import text
from evaluator.bounded import BoundsError, read_bytes
from evaluator.data.decoding import decode
from evaluator.data.layout import IMAGE_SUFFIXES, MAX_SIDE
from evaluator.errors import ConfigurationError, DataError
from evaluator.worker.pictures import without_colour

NUMERALS = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
"""The classes of the competition, in the order of their values."""
MOST_IMAGES = 200_000
"""Of one folder or one set: all are held in memory."""
MOST_CLASSES = 1_000
MOST_BYTES = 8 * 2**20
"""Of an image's file."""
MOST_PIXELS = 2**31
"""Of all images of a set together, in bytes."""


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with their labels. Compare two by their digests.

    Attributes:
        ids: a name for every image, each once.
        pixels: uint8 (h, w) for grayscale or (h, w, 3) for RGB, sides of 1 to 8,192. Read-only.
        labels: int64 (n,), numbers of classes from 0 on. Read-only.

    Raises:
        DataError: the three do not fit each other, or a value is not usable.
    """

    ids: tuple[str, ...]
    pixels: tuple[np.ndarray, ...]
    labels: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.labels.shape != (n,) or len(self.pixels) != n or n > MOST_IMAGES:
            raise DataError(
                f"a set of images: {n} ids, {len(self.pixels)} images and labels of shape {self.labels.shape}; "
                f"expected one of each for every image, and at most {MOST_IMAGES:,} images"
            )
        if self.labels.dtype != np.int64 or self.labels.min(initial=0) < 0:
            raise DataError(
                f"a set of images: labels of {self.labels.dtype}, the lowest {self.labels.min(initial=0)}; "
                "expected int64 of 0 or more"
            )
        if len(set(self.ids)) != n:
            twice = next(name for number, name in enumerate(self.ids) if name in self.ids[:number])
            raise DataError(f"a set of images: the id {text.name(twice)} is there twice; expected each once. Rename one")
        for name, image in zip(self.ids, self.pixels, strict=True):
            fits = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
            if image.dtype != np.uint8 or not fits or not 1 <= min(image.shape[:2]) <= max(image.shape[:2]) <= MAX_SIDE:
                raise DataError(
                    f"image {text.name(name)}: {image.dtype} of shape {image.shape}; expected uint8 (h, w) or (h, w, 3) with "
                    f"sides of 1 to {MAX_SIDE}"
                )
        labels = self.labels.view()
        labels.flags.writeable = False
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "pixels", tuple(_read_only(image) for image in self.pixels))

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def classes(self) -> int:
        """The highest label plus 1, 0 of an empty set."""
        return int(self.labels.max(initial=-1)) + 1

    def take(self, rows: Sequence[int] | np.ndarray) -> LabelledImages:
        """The images of these rows (whole numbers, or a mask bool (n,)), in this order. The pixels are shared.

        Raises:
            DataError: a row is asked for twice.
            IndexError: there is no such row.
        """
        chosen = np.asarray(rows)
        chosen = np.flatnonzero(chosen) if chosen.dtype == bool and len(chosen) == len(self) else chosen.astype(np.int64)
        order = chosen.tolist()
        return LabelledImages(
            tuple(self.ids[row] for row in order), tuple(self.pixels[row] for row in order), self.labels[chosen].copy()
        )

    def digest(self) -> str:
        """SHA-256 (hex) over ids, labels and pixels in their order."""
        made = hashlib.sha256()
        for name, image, label in zip(self.ids, self.pixels, self.labels.tolist(), strict=True):
            made.update(f"{len(name)}:{name}:{label}:{image.shape}".encode("utf-8", "surrogatepass"))
            made.update(image.tobytes())
        return made.hexdigest()


def joined(parts: Iterable[LabelledImages]) -> LabelledImages:
    """Several sets as one, in their order.

    Raises:
        DataError: an id is in two of them.
    """
    found = list(parts)
    labels = np.concatenate([part.labels for part in found]) if found else np.empty(0, np.int64)
    return LabelledImages(
        tuple(name for part in found for name in part.ids), tuple(image for part in found for image in part.pixels), labels
    )


def class_names(folder: Path) -> tuple[str, ...]:
    """The classes of a folder: names of its folders, sorted; if all are Roman numerals from i to x, in the order of their values.

    Raises:
        DataError: no such folder, or no class in it.
    """
    found = sorted(entry.name for entry in _entries(folder) if entry.is_dir() and not entry.name.startswith("."))
    if not found or len(found) > MOST_CLASSES:
        raise DataError(
            f"{folder} holds {len(found)} folders; expected one for each class, at most {MOST_CLASSES}, with its images in it"
        )
    return tuple(sorted(found, key=NUMERALS.index)) if set(found) <= set(NUMERALS) else tuple(found)


def read_images(folder: Path, classes: Sequence[str] | None = None, *, prefix: str = "") -> LabelledImages:
    """Read ``<folder>/<class>/*.png`` (or .jpg, .jpeg).

    Grayscale images become (h, w); so do colour images whose three channels are equal, which a model cannot tell from them.

    Args:
        folder: that holds the classes' folders. A class without a folder has no images.
        classes: their names; the label of an image is the place of its class. Default: ``class_names``.
        prefix: an id is ``<prefix><class>/<file>``, e.g. ``train/iv/t_iv_12.png`` with the prefix ``train/``.

    Returns:
        Images by class, then by name.

    Raises:
        DataError: no such folder, a folder that is no class, a file that is no image or larger than ``MOST_BYTES``, more than
            ``MOST_IMAGES`` images, or more pixels than ``MOST_PIXELS``; the message names it.
    """
    folder = Path(folder)
    names = tuple(classes) if classes is not None else class_names(folder)
    if not names or len(set(names)) != len(names) or len(names) > MOST_CLASSES:
        raise ConfigurationError(f"the classes are {text.one_line(names)}; expected 1 to {MOST_CLASSES} names, each once")
    there = {entry.name for entry in _entries(folder) if entry.is_dir() and not entry.name.startswith(".")}
    if strangers := sorted(there - set(names)):
        raise DataError(
            f"{folder} holds the folder {text.name(strangers[0])}; expected folders of the classes {', '.join(names)}. "
            "Rename it, or move it away"
        )
    found: list[tuple[str, np.ndarray, int]] = []
    pixels = 0
    for label, name in enumerate(names):
        for path in _images(folder / name) if name in there else ():
            if len(found) == MOST_IMAGES:
                raise DataError(f"{folder} holds more than {MOST_IMAGES:,} images; expected at most as many. Take fewer")
            image = read_image(path)
            pixels += image.size
            if pixels > MOST_PIXELS:
                raise DataError(
                    f"{path}: the images up to here have more than {MOST_PIXELS:,} bytes of pixels. Take smaller or fewer images"
                )
            found.append((f"{prefix}{name}/{path.name}", image, label))
    return LabelledImages(
        tuple(name for name, _, _ in found),
        tuple(image for _, image, _ in found),
        np.array([label for _, _, label in found], np.int64),
    )


def read_image(path: Path) -> np.ndarray:
    """The pixels of a PNG or JPEG: uint8 (h, w) if it has no colour, else (h, w, 3). Transparency is dropped, as TensorFlow does.

    Raises:
        DataError: it cannot be read, is larger than ``MOST_BYTES``, or is no whole image; the message names it.
    """
    try:
        raw = read_bytes(path, MOST_BYTES)
    except BoundsError as error:
        raise DataError(str(error)) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected an image. Copy it again, or remove it") from None
    image, _ = decode(raw, str(path), None, any_shape=True)
    return without_colour(image)


def _images(folder: Path) -> list[Path]:
    return sorted(
        (
            folder / entry.name
            for entry in _entries(folder)
            if entry.name.lower().endswith(IMAGE_SUFFIXES) and not entry.name.startswith(".")
        ),
        key=lambda path: path.name,
    )


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(f"{folder} cannot be read ({error.strerror}); expected a folder with a folder for each class") from None


def _read_only(image: np.ndarray) -> np.ndarray:
    view = image.view()
    view.flags.writeable = False
    return view
