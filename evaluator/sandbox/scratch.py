"""A folder that a worker may write. It is removed afterwards, whatever was done to it and even if the evaluator is killed.

A killed evaluator can clean nothing. Its workers end with it (their guards see to that); ``remove_leftovers`` removes the rest, and
ends whatever of a worker had escaped its guard but not its control group. What another evaluator still needs is left alone.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evaluator.files import abandoned, hold, remove_tree
from evaluator.sandbox.cgroup import remove_abandoned_groups

PREFIX = "dck-scratch-"
ROOM = 64 << 20
"""Bytes that must be free. With less, a worker would fail at its first file, and be blamed for our full disk."""


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
                count += not os.path.lexists(folder)
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
    """Remove what a worker left. Never raises: what stays is named in a warning, and holds nobody up."""
    try:
        remove_tree(folder)
    except OSError as error:
        print(f"warning: {folder} of a worker that has ended cannot be removed ({error}); remove it by hand", file=sys.stderr)
