"""Images decoded once: one uint8 array per split and size, mapped read-only by every cell.

The array lies in an ``.npy`` file that may be mapped into an untrusted process: its rows are in an order drawn once per machine
from the operating system's randomness, so that a row number says nothing that could be prepared beforehand. Which row holds which
image stands in a file of its own beside it (``.rows.json``, mode 0600), which only the evaluator reads. That file is written last
and makes a cache whole: without it there is no cache, whatever else lies in the folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import operator
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evaluator.data.decoding import MAX_SIDE, decode_split
from evaluator.data.folders import Split, split_digest
from evaluator.errors import DataError

VERSION = 1
"""Part of every cache's name; raised when the decoding changes, so that old files are never read as new ones."""

_HEADER = 128
"""Bytes before the array in an ``.npy`` file of up to four dimensions."""


@dataclass(frozen=True, eq=False)
class CachedImages:
    """The decoded images of one split.

    Attributes:
        path: the ``.npy`` file, uint8 (n, size, size, 3) in C order, read-only. Safe to map into an untrusted process.
        rows: (n,) int64, read-only: ``rows[i]`` is the row of the canonical image ``i``. Not for the worker.
        size: side in pixels.
        embeddings: a file of float32 (n, d) whose rows are those of ``path``, for the worker; None where the rules give none.
    """

    path: Path
    rows: np.ndarray
    size: int
    embeddings: Path | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def open(self) -> np.memmap:
        """Map the file read-only: uint8 (n, size, size, 3), in the order of the file's rows."""
        return np.load(self.path, mmap_mode="r", allow_pickle=False)

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
    folder = Path(folder)
    store = _Store(folder, f"{split.digest[:24]}-{size}px-v{VERSION}", len(split), size, split.digest)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        cached, _ = store.read(verify)
        if cached is not None:
            return cached
        with store.locked():
            # Another evaluator may have built it while this one waited.
            cached, reason = store.read(verify)
            if cached is not None:
                return cached
            if reason:
                print(f"warning: the image cache {store.index} is damaged ({reason}); it is built anew", file=sys.stderr)
            store.clear()
            return store.build(split, workers, progress)
    except OSError as error:
        raise DataError(
            f"the image cache in {folder} cannot be written or read ({error}); free some space or give another folder"
        ) from error


@dataclass(frozen=True)
class _Store:
    """The files of one cache: the index (which is the cache), the array it names, and a lock for builders."""

    folder: Path
    key: str
    count: int
    size: int
    digest: str

    @property
    def index(self) -> Path:
        return self.folder / f"{self.key}.rows.json"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (self.count, self.size, self.size, 3)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of builders. The kernel lets go of it when the holder dies, so a killed builder blocks nobody."""
        with open(self.folder / f"{self.key}.lock", "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def clear(self) -> None:
        """Remove what a damaged cache or a killed builder left. Only under the lock. Processes that map a file keep it."""
        self.index.unlink(missing_ok=True)
        for pattern in (f"{self.key}-*.npy", f".{self.key}-*.partial"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)

    def read(self, verify: bool) -> tuple[CachedImages | None, str]:
        """The cache if it is there and sound; else None and why (empty: there is none)."""
        try:
            content = json.loads(self.index.read_text("utf-8"))
        except FileNotFoundError:
            return None, ""
        except ValueError:
            return None, "its list of rows is not JSON"
        if not isinstance(content, dict) or (content.get("digest"), content.get("size")) != (self.digest, self.size):
            return None, "it belongs to other images"
        name, rows = content.get("images"), content.get("rows")
        if not isinstance(rows, list) or not all(type(row) is int for row in rows) or sorted(rows) != list(range(self.count)):
            return None, "its list of rows is not an order of the images"
        if not isinstance(name, str) or Path(name).name != name:
            return None, "it names no file of images"
        path = self.folder / name
        try:
            with open(path, "rb") as file:
                found = os.fstat(file.fileno()).st_size
                if found != _HEADER + int(np.prod(self.shape)):
                    return None, f"{name} has {found} bytes, expected {_HEADER + int(np.prod(self.shape))}"
                if file.read(_HEADER) != _header(self.shape):
                    return None, f"the header of {name} is not that of uint8 {self.shape}"
                if verify:
                    file.seek(0)
                    if hashlib.file_digest(file, "sha256").hexdigest() != content.get("sha256"):
                        return None, f"the bytes of {name} are not those that were written"
        except FileNotFoundError:
            return None, f"{name} is missing"
        return CachedImages(path, _frozen(rows), self.size), ""

    def build(self, split: Split, workers: int | None, progress: Callable[[int, int], None] | None) -> CachedImages:
        """Decode everything, then publish: array first, index last. Only under the lock."""
        rows = list(range(self.count))
        secrets.SystemRandom().shuffle(rows)
        total = _HEADER + int(np.prod(self.shape))
        free = shutil.disk_usage(self.folder).free
        if free < total:
            raise DataError(
                f"the image cache needs {total} bytes in {self.folder}, {free} are free; free some space or give another folder"
            )
        path = self.folder / f"{self.key}-{secrets.token_hex(6)}.npy"
        partial = self.folder / f".{path.name}.partial"
        draft = self.folder / f".{self.key}-{secrets.token_hex(6)}.partial"
        try:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                os.pwrite(descriptor, _header(self.shape), 0)
            finally:
                os.close(descriptor)
            stride = self.size * self.size * 3
            hashes = decode_split(split, self.size, partial, [_HEADER + row * stride for row in rows], workers, progress)
            if split_digest(split.classes, split.files, split.labels, hashes) != split.digest:
                raise DataError(f"images in {split.folder} changed while they were read; leave them alone and start again")
            with open(partial, "rb") as file:
                checksum = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            os.chmod(partial, 0o444)
            content = {"digest": self.digest, "size": self.size, "images": path.name, "sha256": checksum, "rows": rows}
            with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
            os.replace(draft, self.index)
        finally:
            partial.unlink(missing_ok=True)
            draft.unlink(missing_ok=True)
        return CachedImages(path, _frozen(rows), self.size)


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
