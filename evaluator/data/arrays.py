"""One array kept on disk for several processes: a ``.npy`` file, the index that names it, and a lock for the process that makes it.

The index is written last and makes the array whole: without it there is no array, whatever else lies in the folder. Each array gets
a file name of its own, so a process that has mapped an older file keeps it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np

from evaluator.bounded import BoundsError, Limits, read_json
from evaluator.files import lock_aloud, remove_temporaries, replaced
from evaluator.text import say

T = TypeVar("T")

INDEX = Limits(size=2**27, values=2**22)
"""Of an index: it holds a number for each image."""
_HEADER = 4096
"""Largest header of a ``.npy`` file, in bytes; those of the kit have 128."""


@dataclass(frozen=True)
class ArrayFile:
    """The files of one array.

    Attributes:
        folder: where they lie.
        key: begins every file name; another content has another key.
        suffix: of the index, e.g. ``.rows.json``.
        entry: the member of the index that names the array's file.
        what: the content in messages, e.g. ``image cache``.
    """

    folder: Path
    key: str
    suffix: str
    entry: str
    what: str

    @property
    def index(self) -> Path:
        """The JSON file that names the array's file and holds its SHA-256."""
        return self.folder / f"{self.key}{self.suffix}"

    def obtained(self, read: Callable[[], tuple[T | None, str]], make: Callable[[], T]) -> T:
        """What ``read`` returns or, when that is None, what ``make`` returns. Of several processes one makes and the others wait.

        Args:
            read: the content if it is sound, else None and what is damaged (empty: nothing has been made).
            make: publishes the content and returns it; called under the lock, in a folder without the files of older attempts.

        Raises:
            OSError: the folder cannot be read or written; and whatever ``read`` and ``make`` raise.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        content, _ = read()
        if content is not None:
            return content
        with self._locked():
            # Another process may have made it while this one waited.
            content, damage = read()
            if content is not None:
                return content
            if damage:
                say(f"warning: the {self.what} {self.index} is damaged ({damage}); it is made anew")
            self._clear()
            return make()

    def content(self) -> tuple[dict[str, Any] | None, str]:
        """The index, or None and what is wrong with it (empty: there is none).

        Raises:
            OSError: it cannot be read.
        """
        try:
            content = read_json(self.index, INDEX)
        except FileNotFoundError:
            return None, ""
        except BoundsError:
            return None, "its index is not JSON"
        return (content, "") if isinstance(content, dict) else (None, "its index is not a JSON object")

    def path(self, content: dict[str, Any], *, verify: bool) -> tuple[Path | None, str]:
        """The array's file, or None and what is wrong with it.

        Args:
            content: the index.
            verify: compare all bytes with the checksum that was taken when they were written.

        Raises:
            OSError: the file cannot be read.
        """
        name = content.get(self.entry)
        if not isinstance(name, str) or Path(name).name != name:
            return None, "its index names no file"
        path = self.folder / name
        try:
            if verify and _sha256(path) != content.get("sha256"):
                return None, f"the bytes of {name} are not those that were written"
            path.stat()
        except FileNotFoundError:
            return None, f"{name} is missing"
        return path, ""

    def publish(self, fill: Callable[[BinaryIO], dict[str, Any]], *, permissions: int) -> Path:
        """Write the array, then the index, and return the array's path. Only from ``make``.

        Args:
            fill: writes the array to the open file, or by the file's ``name``, and returns further members of the index.
            permissions: of the array's file when it is whole; the index and unfinished files are readable by their owner alone.

        Raises:
            OSError: the disk is full or cannot be written.
        """
        path = self.folder / f"{self.key}-{secrets.token_hex(6)}.npy"
        try:
            with replaced(self.index, permissions=0o600) as index:
                with replaced(path, "wb", permissions=0o600) as array:
                    content = fill(array)
                    array.flush()
                    checksum = _sha256(Path(array.name))
                    os.fchmod(array.fileno(), permissions)
                json.dump({**content, self.entry: path.name, "sha256": checksum}, index)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of makers. The kernel releases it when its holder dies, so a killed maker blocks nobody."""
        path = self.folder / f"{self.key}.lock"
        # Several users may share a cache, so others may open the file, and lock it.
        with open(path, "a") as file:
            lock_aloud(file.fileno(), path)
            yield

    def _clear(self) -> None:
        """Remove a damaged array and what a killed maker left. Only under the lock."""
        self.index.unlink(missing_ok=True)
        for path in self.folder.glob(f"{self.key}-*.npy"):
            path.unlink(missing_ok=True)
        remove_temporaries(self.folder, f"{self.key}[-.]*")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def map_npy(path: os.PathLike[str], dtype: type, dimensions: int) -> np.memmap:
    """Map a ``.npy`` file read-only.

    The header is read within bounds and must describe what is expected: nothing is unpickled, and no memory is taken for a shape
    that the file does not hold.

    Args:
        dtype: of the numbers; ``dimensions``: of the array. It is in C order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is another file; the message names it.
    """
    try:
        with open(path, "rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"version {version} of the format")
            shape, fortran, kind = np.lib.format.read_array_header_1_0(file, max_header_size=_HEADER)
            start, length = file.tell(), os.fstat(file.fileno()).st_size
    except OSError:
        raise
    except Exception as error:  # the header is an expression: a hostile one makes the parser raise nearly anything
        raise ValueError(f"{os.fspath(path)} is not a .npy file that the kit writes ({str(error)[:200]})") from None
    good = kind == dtype and not fortran and len(shape) == dimensions and all(type(n) is int and n >= 0 for n in shape)
    if not good or start + kind.itemsize * math.prod(shape) != length:
        raise ValueError(
            f"{os.fspath(path)} has {length} bytes and says {kind} {str(shape)[:80]}; expected {np.dtype(dtype)} with {dimensions} "
            "dimensions, as many bytes as its shape says"
        )
    return np.memmap(path, kind, "r", start, shape)
