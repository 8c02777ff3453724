"""A folder that a worker may write. It is removed afterwards, whatever was done to it and even if the evaluator is killed.

A killed evaluator can clean nothing. Its workers end with it (their guards see to that); ``remove_leftovers`` removes the rest, and
ends whatever of a worker had escaped its guard but not its control group. What another evaluator still needs is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evaluator.files import abandoned, hold
from evaluator.sandbox.cgroup import remove_abandoned_groups

PREFIX = "dck-scratch-"
ROOM = 64 << 20
"""Bytes that must be free. With less, a worker would fail at its first file, and be blamed for our full disk."""
DEEP = 1024
"""Length of a path above which a folder is moved before it is emptied: the longer a path, the slower every step."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder for one session.

    Raises:
        OSError: it cannot be made, or too little is free around it.
    """
    folder, held = _new_folder()
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(held)


def remove_leftovers() -> int:
    """Remove control groups and scratch folders that belong to no living evaluator, and return their number.

    Called before the first worker is started.
    """
    # Groups first: a process that still lived could write into a folder while that is removed.
    return remove_abandoned_groups() + remove_abandoned_folders()


def remove_abandoned_folders() -> int:
    """Remove the folders of evaluators that were killed, and return their number."""
    count = 0
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with abandoned(folder) as free:
            if free:
                _remove(folder)
                count += 1
    return count


def _new_folder() -> tuple[Path, int]:
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < ROOM:
        room = f"a worker's folder needs {ROOM >> 20} MiB, {free >> 20} MiB are free; free some, or set TMPDIR to another folder"
        raise OSError(errno.ENOSPC, room, tempfile.gettempdir())
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        # Before it is marked, another evaluator may take it for abandoned and remove it.
        with contextlib.suppress(FileNotFoundError):
            return folder, hold(folder)


def _remove(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        # The worker put something else in its place, or nothing.
        folder.unlink(missing_ok=True)
        return
    remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder whatever a worker has made of it: without rights, or nested deeper than a path, or a recursion, can go.

    What lies deep is moved to the top before it is emptied. Links are removed, never followed. Nobody may write to the folder
    meanwhile.

    Raises:
        OSError: something in it cannot be removed by this user.
    """
    stack = [str(folder)]
    while stack:
        place = stack[-1]
        _open(place)
        inner = []
        with os.scandir(place) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.path)
                else:
                    os.unlink(entry.path)
        for path in inner:
            if len(path) > DEEP:
                _open(path)  # a folder is moved by those who may write to it
                moved = os.path.join(folder, secrets.token_hex(16))
                os.rename(path, moved)
                path = moved
            stack.append(path)
        if not inner:
            os.rmdir(place)
            stack.pop()


def _open(folder: str) -> None:
    # A worker may take its own rights to a folder away; then its content could be neither listed nor removed.
    if os.lstat(folder).st_mode & 0o700 != 0o700:
        os.chmod(folder, 0o700)
