"""Handwritten roman numerals with real mistakes in their labels: the images of the Data-Centric AI Competition of 2021, and one
person's cleaning of them.

They are read from a folder, or from a tar archive that is never unpacked, with ``raw/{train,val}/<class>/*.png`` (as given),
``hand_cleaned/{train,val}/<class>/*.png`` (as cleaned) and ``label_book/<class>/*.png`` (examples that the organisers gave).

Images are the same if their decoded pixels are. Equal raw images count once, so that no image is both trained and tested on. What
an expert says of a raw image is where its pixels lie in ``hand_cleaned``: under the same class (the label is right), under another
class (the label is corrected), or nowhere (the image is taken out: it shows no numeral, or one that nobody can tell). Validation
and test rows are raw images that were not taken out, with the class that they were cleaned to. Images of the label book are left
out of everything: ``hand_cleaned/train`` holds all of them.

Embeddings are the first principal components of histograms of oriented gradients of the image cut to its ink. With 800 clean
training rows a logistic regression on such histograms is right on 0.70 of 1,000 others, and on 0.50 with the frozen features of
painted sheets, whose network knows nothing else.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from evaluator.bounded import BoundsError, read_bytes
from evaluator.cleaning.frozen import components
from evaluator.cleaning.tasks import CleaningTask, Part
from evaluator.errors import ConfigurationError, DataError
from evaluator.seeds import generator

TASK = "roman-numerals"
CLASSES = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
ARCHIVE = "roman-numerals.tar.gz"
PLACE = re.compile(rf"(?:.*/)?(raw|hand_cleaned|label_book)/(?:(?:train|val)/)?({'|'.join(CLASSES)})/[^/]+\.png")
"""Where an image lies; what lies elsewhere is not read."""
MOST_IMAGES, MOST_IMAGE_BYTES, MOST_ARCHIVE_BYTES = 100_000, 4 << 20, 1 << 30
SIDE, CELL, ORIENTATIONS = 64, 8, 8
"""Pixels of an image that is cut to its ink; of a cell in which gradients are counted; and bins of their directions."""
DARK = 128
"""Grey values below it are ink."""
VERSION = 1
"""Of reading and drawing. Raise it when a task of a seed changes."""


@dataclass(frozen=True, eq=False)
class Numerals:
    """The raw images, each once.

    Attributes:
        rows: embeddings, float32 (n, width), in the order of their paths.
        names: paths of the images; ``given``, ``true``: classes, int64 (n,); ``removed``: bool (n,), taken out by the expert. Their
            true class is the given one and means nothing.
        digest: SHA-256 (hex) of all that was read.
        raw: number of raw images, and of those of them that were kept, relabelled and removed; ``copies``: raw images whose pixels
            are those of another; ``book``: images of the label book among the raw images, left out; ``unclear``: images with two
            classes in ``hand_cleaned`` or in ``raw``, left out.
    """

    rows: np.ndarray
    names: tuple[str, ...]
    given: np.ndarray
    true: np.ndarray
    removed: np.ndarray
    digest: str
    raw: dict[str, int]
    copies: int
    book: int
    unclear: int

    def drawn(self, root: int, seed: int, train: int, validation: int, test: int) -> CleaningTask:
        """The task of a seed. All seeds draw from the same images.

        Args:
            root: that every draw follows from; ``seed``: number of the repetition.
            train, validation, test: rows.

        Raises:
            ConfigurationError: there are too few images.
        """
        order = generator(root, seed, "cleaning", TASK, "rows").permutation(len(self.names))
        first, rest = order[:train], order[train:]
        rest = rest[~self.removed[rest]]
        if len(rest) < validation + test:
            raise ConfigurationError(
                f"{TASK}: {len(self.names):,} different images, {len(rest):,} of them left beside {train:,} to clean; expected "
                f"{validation + test:,}. Lower the sizes of the profile"
            )
        second, third = rest[:validation], rest[validation : validation + test]
        parts = components(
            Part(self.rows[first], self.given[first]),
            Part(self.rows[second], self.true[second]),
            Part(self.rows[third], self.true[third]),
        )
        ids = tuple(self.names[number] for number in first)
        return CleaningTask(
            TASK, "multiclass", len(CLASSES), parts[0], self.true[first], parts[1], parts[2], ids, removed=self.removed[first]
        )

    def task_digest(self) -> str:
        """SHA-256 (hex) of what decides the tasks of a root and seed."""
        return hashlib.sha256(f"{VERSION} {self.digest}".encode()).hexdigest()


@lru_cache(maxsize=2)
def read_numerals(place: Path) -> Numerals:
    """The images of a folder or an archive, read once per process.

    Args:
        place: a folder with ``raw`` and ``hand_cleaned``, or with ``roman-numerals.tar.gz``, or a tar or zip archive.

    Raises:
        ConfigurationError: there is no such place, or it holds no such images.
        DataError: the archive or an image is damaged, or not what it should be; the message names it.
    """
    source = _source(place)
    raw: dict[str, list[tuple[str, int]]] = {}  # by pixels
    cleaned: dict[str, set[int]] = {}
    book: set[str] = set()
    pictures: dict[str, np.ndarray] = {}
    made = hashlib.sha256()
    for path, content in sorted(_files(source)):
        part, label = _placed(path)
        pixels, image = _decoded(content, f"{source}, {path}")
        made.update(f"{path} {pixels}\n".encode())
        if part == "raw":
            raw.setdefault(pixels, []).append((path, label))
            pictures[pixels] = cut_to_ink(image)
        elif part == "hand_cleaned":
            cleaned.setdefault(pixels, set()).add(label)
        else:
            book.add(pixels)
    for what, there in (("raw", raw), ("hand_cleaned", cleaned)):
        if not there:
            raise ConfigurationError(
                f"{source}: it holds no {what}/{{train,val}}/<class>/*.png; expected both. Name another with --data"
            )
    return _once(raw, cleaned, book, pictures, made.hexdigest())


def _once(
    raw: dict[str, list[tuple[str, int]]],
    cleaned: dict[str, set[int]],
    book: set[str],
    pictures: dict[str, np.ndarray],
    digest: str,
) -> Numerals:
    """Every raw image once, with what the expert says of it."""
    verdicts: Counter[str] = Counter()
    chosen: list[tuple[str, str, int, int, bool]] = []
    left = Counter[str]()
    for pixels, places in raw.items():
        labels, said = {label for _, label in places}, cleaned.get(pixels, set())
        for _, label in places:
            verdicts["removed" if not said else "kept" if label in said else "relabelled"] += 1
        if pixels in book:
            left["book"] += len(places)
        elif len(labels) > 1 or len(said) > 1:
            left["unclear"] += len(places)
        else:
            (given,) = labels
            chosen.append((places[0][0], pixels, given, next(iter(said), given), not said))
            left["copies"] += len(places) - 1
    chosen.sort()
    return Numerals(
        rows=gradients(np.stack([pictures[pixels] for _, pixels, *_ in chosen])),
        names=tuple(path for path, *_ in chosen),
        given=np.array([given for *_, given, _, _ in chosen], np.int64),
        true=np.array([true for *_, true, _ in chosen], np.int64),
        removed=np.array([gone for *_, gone in chosen], bool),
        digest=digest,
        raw=dict(sorted(verdicts.items())),
        copies=left["copies"],
        book=left["book"],
        unclear=left["unclear"],
    )


def _source(place: Path) -> Path:
    if place.is_dir():
        if (place / "raw").is_dir() and (place / "hand_cleaned").is_dir():
            return place
        if (place / ARCHIVE).is_file():
            return place / ARCHIVE
        raise ConfigurationError(
            f"{place}: it holds neither raw and hand_cleaned nor {ARCHIVE}; expected them. Name another with --data"
        )
    if not place.is_file():
        raise ConfigurationError(
            f"{place}: there is no such folder or archive; expected the roman numerals. Name another with --data"
        )
    return place


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    """The images of interest: path, and bytes. Nothing is written anywhere."""
    found = _in_folder(source) if source.is_dir() else _in_archive(source)
    for number, file in enumerate(found):
        if number >= MOST_IMAGES:
            raise DataError(f"{source}: more than {MOST_IMAGES:,} images; no more are read. Make it smaller")
        yield file


def _in_folder(source: Path) -> Iterator[tuple[str, bytes]]:
    for here, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            path = Path(here, name)
            below = path.relative_to(source).as_posix()
            if PLACE.fullmatch(below):
                try:
                    yield below, read_bytes(path, MOST_IMAGE_BYTES)
                except (OSError, BoundsError) as error:
                    raise DataError(f"{path}: it cannot be read ({error}); expected a PNG. Replace it") from None


def _in_archive(source: Path) -> Iterator[tuple[str, bytes]]:
    from evaluator.data.members import tar_members, zip_members

    def bound(inflated: int) -> None:
        if inflated > MOST_ARCHIVE_BYTES:
            raise DataError(f"{source}: it unpacks to more than {MOST_ARCHIVE_BYTES:,} bytes; no more are read. Make it smaller")

    try:
        with open(source, "rb") as file:
            members = zip_members if file.read(4) == b"PK\3\4" else tar_members
        used = 0
        for name, stream, _ in members(source, bound):
            path = PurePosixPath(name)
            if stream is None or not PLACE.fullmatch(name) or ".." in path.parts or path.name.startswith("."):
                continue
            content = stream.read(MOST_IMAGE_BYTES + 1)
            if len(content) > MOST_IMAGE_BYTES:
                raise DataError(
                    f"{source}, member {name[:200]!r}: more than {MOST_IMAGE_BYTES:,} bytes; expected a small PNG. Shrink it"
                )
            bound(used := used + len(content))
            yield name, content
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{source}: it is damaged or no archive ({type(error).__name__}: {error}); download it again") from None


def _placed(path: str) -> tuple[str, int]:
    made = PLACE.fullmatch(path)
    assert made is not None
    return made[1], CLASSES.index(made[2])


def _decoded(content: bytes, name: str) -> tuple[str, np.ndarray]:
    """A digest of the pixels, and the image in grey, uint8 (height, width)."""
    from evaluator.data.decoding import decode

    square, (width, height) = decode(content, name, None, "pad")
    side = len(square)
    top, left = (side - height) // 2, (side - width) // 2
    image = square[top : top + height, left : left + width]
    grey = np.ascontiguousarray(image[..., 1])
    kept = grey if (image == grey[..., None]).all() else np.ascontiguousarray(image)
    return hashlib.sha256(f"{kept.shape}".encode() + kept.tobytes()).hexdigest(), grey


def cut_to_ink(image: np.ndarray) -> np.ndarray:
    """The smallest square around all ink of a grey image, with a white margin: uint8 (SIDE, SIDE). Without ink the whole image."""
    dark = image < DARK
    down, across = (np.flatnonzero(dark.any(axis=axis)) for axis in (1, 0))
    if down.size:
        image = image[down[0] : down[-1] + 1, across[0] : across[-1] + 1]
    height, width = image.shape
    side = int(max(height, width) * 1.15) + 2
    square = np.full((side, side), 255, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = image
    return np.asarray(Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def gradients(images: np.ndarray) -> np.ndarray:
    """Histograms of oriented gradients (Dalal and Triggs 2005), without normalisation of blocks, their square roots.

    Args:
        images: uint8 (n, SIDE, SIDE).

    Returns:
        float32 (n, cells * cells * ORIENTATIONS).
    """
    grey = images.astype(np.float32) / 255
    down, across = np.zeros_like(grey), np.zeros_like(grey)
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    strength = np.hypot(across, down)
    direction = np.minimum((np.arctan2(down, across) % np.pi / np.pi * ORIENTATIONS).astype(int), ORIENTATIONS - 1)
    cells = SIDE // CELL
    found = [
        (strength * (direction == bin_)).reshape(len(grey), cells, CELL, cells, CELL).sum(axis=(2, 4))
        for bin_ in range(ORIENTATIONS)
    ]
    return np.sqrt(np.stack(found, axis=-1).reshape(len(grey), -1)).astype(np.float32)
