"""Images decoded once: one uint8 array per split and size, mapped read-only by every cell.

The array lies in an ``.npy`` file that may be mapped into an untrusted process: its rows are in an order drawn once per machine
from the operating system's randomness, so that a row number says nothing that could be prepared beforehand. Which row holds which
image is said by a file of its own beside it (``.rows.json``, mode 0600), which only the evaluator reads. That file is written last
and makes a cache whole: without it there is no cache, whatever else lies in the folder.
"""

from __future__ import annotations

import io
import operator
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from evaluator.data.arrays import ArrayFile, map_npy
from evaluator.data.decoding import decode_split
from evaluator.data.folders import Split, split_digest
from evaluator.data.layout import MAX_SIDE
from evaluator.errors import DataError

VERSION = 1
"""Part of every cache's name; raised when the decoding changes, so that a file of the older decoding is never read."""

_HEADER = 128
"""Bytes before the array in an ``.npy`` file of up to four dimensions."""


@dataclass(frozen=True, eq=False)
class CachedImages:
    """The decoded images of one split.

    Attributes:
        path: the ``.npy`` file, uint8 (n, size, size, 3) in C order, read-only. Safe to map into an untrusted process.
        rows: (n,) int64, read-only: ``rows[i]`` is the row of the canonical image ``i``. Not for the worker.
        size: side in pixels.
        resize: how images that were not square became square; see ``decoding.decode``.
        embeddings: a file of float32 (n, d) whose rows are those of ``path``, for the worker; None where the rules give none.
    """

    path: Path
    rows: np.ndarray
    size: int
    embeddings: Path | None = None
    resize: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def named(self, digest: str) -> str:
        """The name of these pixels, of the digest of their split: what is computed of them is kept under it."""
        return f"{digest}-{self.resize}" if self.resize else digest

    def open(self) -> np.memmap:
        """Map the file read-only: uint8 (n, size, size, 3), in the order of the file's rows."""
        return map_npy(self.path, np.uint8, 4)

    def gather(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Copy out images by canonical index: uint8 (m, size, size, 3).

        Raises:
            IndexError: an index is below 0 or not below ``len(self)``.
        """
        wanted = np.asarray(indices)
        if wanted.size == 0:
            wanted = wanted.astype(np.int64)
        if wanted.ndim != 1 or wanted.dtype.kind not in "iu":
            raise IndexError(f"indices are {wanted.dtype} with {wanted.ndim} dimensions; expected a flat list of integers")
        bad = wanted[(wanted < 0) | (wanted >= len(self))]
        if bad.size:
            raise IndexError(f"image {bad[0]} was asked for; the split has the images 0 to {len(self) - 1}")
        return np.take(self.open(), self.rows[wanted], axis=0)


def cache_images(
    split: Split,
    size: int,
    folder: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    verify: bool = False,
    resize: str = "",
) -> CachedImages:
    """Return the decoded images of ``split`` at ``size`` x ``size`` pixels, from ``folder`` if they are there.

    Args:
        split: what to decode; its digest names the cache, so changed images never meet an old cache.
        size: side in pixels.
        folder: where caches lie; made if absent.
        workers: processes to decode with; by default one per core. Small splits are decoded in this process.
        progress: called with (images done, images in all).
        verify: also compare the whole file with the checksum taken when it was written. Without it, header, shape, length and the
            rows are checked, which costs nothing.
        resize: as in ``decoding.decode``; part of the cache's name.

    A cache that fails its check is named on stderr and built anew. Several evaluators may call this at once: one builds, the others
    wait and read.

    Raises:
        DataError: an image cannot be decoded, is not square, differs in size from the others or changed since the split was read;
            or the disk is full.
    """
    size = operator.index(size)
    if not 1 <= size <= MAX_SIDE:
        raise ValueError(f"size is {size}; expected 1 to {MAX_SIDE} pixels")
    if not len(split):
        raise DataError(f"{split.folder} holds no images to decode")
    store = _store(split, size, folder, resize)
    try:
        return store.files.obtained(lambda: store.read(verify), lambda: store.build(workers, progress))
    except OSError as error:
        raise DataError(
            f"the image cache in {folder} cannot be written or read ({error}); free some space, or name another folder with --cache"
        ) from error


def stored_images(split: Split, size: int, folder: Path, resize: str = "") -> CachedImages | None:
    """The decoded images of ``split`` if they are in ``folder``, as ``cache_images`` left them; else None. Nothing is decoded."""
    try:
        return _store(split, size, folder, resize).read(verify=False)[0]
    except OSError:
        return None


def _store(split: Split, size: int, folder: Path, resize: str) -> _Store:
    key = f"{split.digest[:24]}-{size}px{resize and '-' + resize}-v{VERSION}"
    return _Store(ArrayFile(Path(folder), key, ".rows.json", "images", "image cache"), split, size, resize)


@dataclass(frozen=True)
class _Store:
    """The cache of one split at one size."""

    files: ArrayFile
    split: Split
    size: int
    resize: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (len(self.split), self.size, self.size, 3)

    @property
    def bytes(self) -> int:
        return _HEADER + int(np.prod(self.shape))

    def read(self, verify: bool) -> tuple[CachedImages | None, str]:
        """The cache if it is there and sound; else None and why (empty: there is none)."""
        content, damage = self.files.content()
        if content is None:
            return None, damage
        if (content.get("digest"), content.get("size")) != (self.split.digest, self.size):
            return None, "it belongs to other images"
        rows = content.get("rows")
        if not isinstance(rows, list) or not all(type(row) is int for row in rows) or sorted(rows) != list(range(len(self.split))):
            return None, "its list of rows is not an order of the images"
        path, damage = self.files.path(content, verify=False)
        if path is None:
            return None, damage
        if (length := path.stat().st_size) != self.bytes:
            return None, f"{path.name} has {length} bytes, expected {self.bytes}"
        with open(path, "rb") as file:
            if file.read(_HEADER) != _header(self.shape):
                return None, f"the header of {path.name} is not that of uint8 {self.shape}"
        if verify:
            path, damage = self.files.path(content, verify=True)
            if path is None:
                return None, damage
        return CachedImages(path, _frozen(rows), self.size, resize=self.resize), ""

    def build(self, workers: int | None, progress: Callable[[int, int], None] | None) -> CachedImages:
        """Decode everything, then publish it."""
        split, folder = self.split, self.files.folder
        rows = list(range(len(split)))
        secrets.SystemRandom().shuffle(rows)
        free = shutil.disk_usage(folder).free
        if free < self.bytes:
            raise DataError(
                f"the image cache needs {self.bytes} bytes in {folder}, {free} are free; free some space, or name another folder "
                "with --cache"
            )

        def fill(file: BinaryIO) -> dict[str, Any]:
            file.write(_header(self.shape))
            file.flush()
            stride = self.size * self.size * 3
            places = [_HEADER + row * stride for row in rows]
            hashes = decode_split(split, self.size, Path(file.name), places, workers, progress, self.resize)
            if split_digest(split.classes, split.files, split.labels, hashes) != split.digest:
                raise DataError(f"images in {split.folder} changed while they were read; leave them alone and start again")
            return {"digest": split.digest, "size": self.size, "rows": rows}

        return CachedImages(self.files.publish(fill, permissions=0o444), _frozen(rows), self.size, resize=self.resize)


def _frozen(rows: list[int]) -> np.ndarray:
    array = np.asarray(rows, np.int64)
    array.flags.writeable = False
    return array


def _header(shape: tuple[int, ...]) -> bytes:
    """The first bytes of the ``.npy`` file (NumPy's format 1.0)."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": tuple(shape)})
    raw = buffer.getvalue()
    if len(raw) != _HEADER:
        raise AssertionError(f"an .npy header of {len(raw)} bytes; this version of NumPy pads otherwise than {_HEADER}")
    return raw
