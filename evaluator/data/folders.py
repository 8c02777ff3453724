"""One split of a data set on disk: ``<split>/images/*.png|jpg`` and ``<split>/labels.csv``, as the official archives lay it out.

Everything is checked before anything is used: every image has exactly one row, every row an image, every label is 0 or 1, and no
link leaves the folder. The canonical order of a split is its file names, sorted by code point; all labels are kept in that order.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import unicodedata
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from evaluator.bounded import BoundsError, Limits, read_json
from evaluator.data.labels import Table, read_table
from evaluator.data.layout import IMAGE_SUFFIXES, IMAGES, LABELS, MAX_IMAGE_BYTES
from evaluator.errors import DataError
from evaluator.files import write_text
from evaluator.machine import cores

CACHE = Limits(size=2**29, depth=6, values=2**25)
"""Of the file of remembered hashes: about a hundred bytes and seven values for each of some million images."""
MOST_IMAGES = 2_000_000
"""Largest number of images of a split: their names and hashes are kept in memory."""
AT_ONCE = 64
"""Images that a thread hashes before it asks for more."""


@dataclass(frozen=True, eq=False)
class Split:
    """One split, read and checked. Compare two by their digests.

    Attributes:
        name: the folder's name, e.g. ``training``.
        folder: where it lies; images are in ``folder / "images"``.
        classes: names of the classes, in the order of the label columns.
        files: file names of the images, sorted: the canonical order.
        labels: (n, k) uint8 of 0 and 1, read-only, rows in canonical order.
        digest: SHA-256 in hex over classes, names, labels and the bytes of the images.
        note: which variant of labels.csv was read.
    """

    name: str
    folder: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: np.ndarray
    digest: str
    note: str

    def __post_init__(self) -> None:
        if self.labels.shape != (len(self.files), len(self.classes)) or self.labels.dtype != np.uint8:
            raise ValueError(
                f"labels are {self.labels.dtype} {self.labels.shape}, not uint8 {(len(self.files), len(self.classes))}"
            )
        if self.labels.max(initial=0) > 1:
            raise ValueError(f"labels hold {self.labels.max()}; every entry is 0 or 1")
        if any(a >= b for a, b in zip(self.files, self.files[1:], strict=False)):
            raise ValueError("the files of a split are sorted and differ from each other")
        if self.labels.flags.writeable:
            kept = self.labels.copy()
            kept.flags.writeable = False
            object.__setattr__(self, "labels", kept)

    def __len__(self) -> int:
        return len(self.files)

    def path(self, index: int) -> Path:
        """Where the image ``index`` of the canonical order lies."""
        return self.folder / IMAGES / self.files[index]


def read_split(
    folder: Path, classes: Sequence[str], *, stat_cache: Path | None = None, besides: Sequence[tuple[str, ...]] = ()
) -> Split:
    """Read and check one split.

    Args:
        folder: the split's folder.
        classes: the classes of the round, in the order of the label vector.
        stat_cache: a file that remembers the hash of every image with its size and times, so that a second call does not read the
            images again. Several splits may share the file. It is a cache: a damaged file is written anew.
        besides: classes of other rounds that labels.csv may hold instead (see ``read_table``); what is not asked for is left out,
            and the note says so.

    Raises:
        DataError: naming file, row and value, what was expected and what to do.
    """
    folder = Path(folder)
    classes = tuple(classes)
    if not classes or len(set(classes)) != len(classes):
        raise ValueError(f"the classes are {classes}; give at least 1 name, and every name once")
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise DataError(f"{folder} {what}; expected a folder with images/ and labels.csv. Make or import the data set first")
    root = folder.resolve()
    entries, left_out = _images(folder, root)
    path = folder / LABELS
    if not path.is_file():
        others = sorted(p.name for p in folder.glob("*.csv"))
        seen = f" (seen: {', '.join(others[:3])}; rename the right file)" if others else ""
        raise DataError(f"{path} does not exist{seen}; expected a table with the labels of the {len(entries)} images")
    _inside(path, root)
    table = read_table(path, classes, besides)
    files = tuple(sorted(entries))
    order, spelling = _matched(path, table, files)
    labels = table.labels[order]
    notes = [table.note, *spelling]
    if left_out:
        notes.append(f"{left_out} other files in {IMAGES}/ left out")
    hashes = _hashes(folder / IMAGES, files, entries, stat_cache)
    return Split(root.name, folder, classes, files, labels, split_digest(classes, files, labels, hashes), "; ".join(notes))


def split_digest(classes: Sequence[str], files: Sequence[str], labels: np.ndarray, hashes: Sequence[bytes]) -> str:
    """SHA-256 in hex of a split's content. ``hashes`` holds the SHA-256 of each image's bytes, in canonical order.

    Names are length-prefixed, so that no two different splits give the same input.
    """
    digest = hashlib.sha256(b"split 1\n")
    for names in (classes, files):
        digest.update(len(names).to_bytes(8, "big"))
        for name in names:
            raw = name.encode()
            digest.update(len(raw).to_bytes(4, "big") + raw)
    digest.update(np.ascontiguousarray(labels, np.uint8).tobytes())
    for value in hashes:
        digest.update(value)
    return digest.hexdigest()


def _inside(path: Path, root: Path) -> None:
    """Refuse a link that leaves ``root``: what it points to is not part of the data set, and may be anything on this machine."""
    if not path.resolve().is_relative_to(root):
        raise DataError(f"{path} is a link to {path.resolve()}, outside {root}; put the file itself there")


def _images(folder: Path, root: Path) -> tuple[dict[str, os.stat_result], int]:
    """Every image's name and state, and how many other files lie beside them."""
    images = folder / IMAGES
    if not images.is_dir():
        raise DataError(f"{images} does not exist or is not a folder; expected the images (*.png, *.jpg) of the split there")
    _inside(images, root)
    entries: dict[str, os.stat_result] = {}
    left_out = 0
    with os.scandir(images) as scan:
        for entry in scan:
            # Names with a leading dot are what file managers leave behind (.DS_Store, ._name.png).
            if entry.name.startswith(".") or not entry.name.lower().endswith(IMAGE_SUFFIXES):
                left_out += 1
                continue
            if entry.is_symlink():
                _inside(images / entry.name, root)
            try:
                entry.name.encode()
                state = entry.stat()
            except UnicodeEncodeError as error:
                raise DataError(f"{images}: the file name {entry.name!r} is not UTF-8; rename the file") from error
            except OSError as error:
                raise DataError(f"{images / entry.name} cannot be read ({error.strerror}); replace or remove it") from error
            if not stat.S_ISREG(state.st_mode):
                raise DataError(f"{images / entry.name} is not a plain file; expected an image")
            if state.st_size > MAX_IMAGE_BYTES:
                raise DataError(
                    f"{images / entry.name} has {state.st_size} bytes; an image has at most {MAX_IMAGE_BYTES}. Shrink or remove it"
                )
            if len(entries) == MOST_IMAGES:
                raise DataError(f"{images} holds more than {MOST_IMAGES} images; make splits of fewer images")
            if not state.st_size:
                raise DataError(f"{images / entry.name} has 0 bytes; expected an image. Copy it again, or remove it with its row")
            entries[entry.name] = state
    if not entries:
        raise DataError(f"{images} holds no images; expected files *.png, *.jpg or *.jpeg")
    return entries, left_out


def _matched(path: Path, table: Table, files: tuple[str, ...]) -> tuple[list[int], list[str]]:
    """For each image its place in the table, and notes on how names differed: without extension, in another form of Unicode."""
    exact = set(files)
    stems: dict[str, list[str]] = {}
    for file in files:
        stems.setdefault(os.path.splitext(file)[0], []).append(file)
    composed: dict[str, list[str]] = {}
    place: dict[str, int] = {}
    notes: dict[str, None] = {}
    for index, (name, row) in enumerate(zip(table.names, table.rows, strict=True)):
        file = name
        if name not in exact:
            how = "names without extension"
            candidates = stems.get(name, [])
            if not candidates:
                how = "names in another form of Unicode"
                composed = composed or _composed(files)
                candidates = composed.get(unicodedata.normalize("NFC", name), [])
                if len(candidates) > 1:
                    raise DataError(
                        f"{path}, row {row}: {name!r} may be {' or '.join(map(ascii, candidates))}, which differ in their form of "
                        "Unicode or in their extension; expected a name that one image has. Rename the images, or write it so"
                    )
            if not candidates:
                raise DataError(
                    f"{path}, row {row}: no image {name!r} in {IMAGES}/; add the image or remove the row "
                    f"({len(table.names)} rows, {len(files)} images)"
                )
            if len(candidates) > 1:
                raise DataError(f"{path}, row {row}: {name!r} may be {' or '.join(candidates)}; write the name with its extension")
            file = candidates[0]
            notes[how] = None
        if file in place:
            raise DataError(
                f"{path}, row {row}: {name!r} has a row already (row {table.rows[place[file]]}); keep one row per image"
            )
        place[file] = index
    missing = [file for file in files if file not in place]
    if missing:
        raise DataError(
            f"{path}: no row for the image {missing[0]!r} ({len(missing)} of {len(files)} images have none); "
            "add a row for each, or remove the images"
        )
    return [place[file] for file in files], list(notes)


def _composed(files: tuple[str, ...]) -> dict[str, list[str]]:
    """Images by their names with composed characters (NFC), with and without extension: a Mac writes an o with two dots as two
    characters, most other programs as one."""
    found: dict[str, list[str]] = {}
    for file in files:
        for text in (file, os.path.splitext(file)[0]):
            found.setdefault(unicodedata.normalize("NFC", text), []).append(file)
    return found


def _hashes(images: Path, files: tuple[str, ...], states: dict[str, os.stat_result], stat_cache: Path | None) -> list[bytes]:
    """SHA-256 of each image. A remembered hash counts while size, modification time and change time are what they were.

    The change time is there because a copy that keeps modification times can put other bytes of the same size in place.
    """
    remembered = _remembered(stat_cache)
    key = str(images.resolve())
    known = remembered.get(key, {})

    def sign(name: str) -> list[int]:
        state = states[name]
        return [state.st_size, state.st_mtime_ns, state.st_ctime_ns]

    def kept(name: str) -> bool:
        entry = known.get(name)
        return (
            isinstance(entry, list)
            and len(entry) == 4
            and entry[:3] == sign(name)
            and isinstance(entry[3], str)
            and len(entry[3]) == 64
        )

    def hashed(names: Sequence[str]) -> list[str]:
        return [_hash(images / name) for name in names]

    changed = [name for name in files if not kept(name)]
    # In parts: a task of its own for every image would cost as much as a small image's hash, and its record is kept to the end.
    parts = [changed[start : start + AT_ONCE] for start in range(0, len(changed), AT_ONCE)]
    with ThreadPoolExecutor(min(8, cores())) as pool:
        found = dict(zip(changed, chain.from_iterable(pool.map(hashed, parts)), strict=True))
    values = [found[name] if name in found else known[name][3] for name in files]
    fresh = {name: [*sign(name), text] for name, text in zip(files, values, strict=True)}
    if stat_cache is not None and fresh != known:
        _write(Path(stat_cache), {**remembered, key: fresh})
    try:
        return [bytes.fromhex(text) for text in values]
    except ValueError as error:
        raise DataError(f"{stat_cache} holds a value that is not a SHA-256; remove the file") from error


def _hash(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); replace it or remove it with its row") from error


def _remembered(stat_cache: Path | None) -> dict[str, dict[str, list]]:
    if stat_cache is None:
        return {}
    try:
        content = read_json(Path(stat_cache), CACHE)
    except (OSError, BoundsError):
        return {}  # absent or damaged: everything is hashed again and the file written anew
    if not isinstance(content, dict) or content.get("version") != 1 or not isinstance(content.get("folders"), dict):
        return {}
    return {key: value for key, value in content["folders"].items() if isinstance(value, dict)}


def _write(stat_cache: Path, folders: dict[str, dict[str, list]]) -> None:
    with suppress(OSError):  # where it cannot be kept (read-only, full), the next call hashes again
        stat_cache.parent.mkdir(parents=True, exist_ok=True)
        write_text(stat_cache, json.dumps({"version": 1, "folders": folders}), durable=False)
