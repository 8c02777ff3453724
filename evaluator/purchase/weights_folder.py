"""The identity of a folder of weights that a submission may read (``--weights-dir``): a hash over the content of its files.

Weights may be gigabytes, so the hash of a file is remembered and counts while size, times, inode and device of the file stay.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from evaluator.errors import WeightsError
from evaluator.files import write_text
from evaluator.plans import Step

REMEMBERED = "weights-hashes.json"
"""Name of the file of remembered hashes in the cache folder."""
Mark = list[int]
"""Size, modification time, change time (both in ns), inode and device of a file."""


def folder_identity(folder: Path, cache: Path, step: Step = lambda what, done, total: None) -> str:
    """The name of a folder, and 16 hexadecimal digits of the SHA-256 over names and contents of its files. Links are followed.

    Args:
        cache: folder in which hashes are remembered; where that cannot be written, the next call hashes again.

    Raises:
        WeightsError: a folder or file cannot be read.
    """
    remembered = _remembered(cache / REMEMBERED)
    digest = hashlib.sha256()
    found: dict[str, list[int | str]] = {}
    files = sorted(_files(folder), key=lambda path: os.fsencode(path))
    for count, path in enumerate(files):
        step("hashing weights", count, len(files))
        try:
            with open(path, "rb") as file:
                mark = _mark(os.fstat(file.fileno()))
                known = remembered.get(str(path), [])
                content = str(known[-1]) if known[:-1] == mark else hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise _unreadable(path, error) from None
        found[str(path)] = [*mark, content]
        name = os.fsencode(path.relative_to(folder))
        digest.update(len(name).to_bytes(4, "big") + name + bytes.fromhex(content))
    others = {name: entry for name, entry in remembered.items() if not Path(name).is_relative_to(folder)}
    if found != {name: entry for name, entry in remembered.items() if name not in others}:
        with contextlib.suppress(OSError, UnicodeEncodeError):
            cache.mkdir(parents=True, exist_ok=True)
            write_text(cache / REMEMBERED, json.dumps({"version": 1, "files": others | found}), durable=False)
    return f"{folder.name}:{digest.hexdigest()[:16]}"


def _files(folder: Path) -> Iterator[Path]:
    """Every regular file below ``folder``. A link to a folder above it is not followed."""
    waiting = [(folder, frozenset[str]())]
    while waiting:
        here, above = waiting.pop()
        real = os.path.realpath(here)
        if real in above:
            continue
        try:
            inner = sorted(here.iterdir())
            for path in inner:
                mode = os.stat(path).st_mode if os.path.exists(path) else 0  # 0: a link to nothing
                if stat.S_ISDIR(mode):
                    waiting.append((path, above | {real}))
                elif stat.S_ISREG(mode):
                    yield path
        except OSError as error:
            raise _unreadable(here, error) from None


def _mark(state: os.stat_result) -> Mark:
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino, state.st_dev]


def _remembered(path: Path) -> dict[str, list[int | str]]:
    """Mark and hash of every file that was hashed before, by path; empty if the file is missing or damaged."""
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {name: entry for name, entry in files.items() if len(entry) == 6 and len(bytes.fromhex(entry[-1])) == 32}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _unreadable(path: Path, error: OSError) -> WeightsError:
    return WeightsError(
        f"--weights-dir: {path} cannot be read ({error.strerror}); give yourself the right to read it, or remove it"
    )
