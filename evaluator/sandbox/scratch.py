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
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evaluator.files import abandoned, hold
from evaluator.sandbox.cgroup import remove_abandoned_groups

PREFIX = "dck-scratch-"
ROOM = 64 << 20
"""Bytes that must be free. With less, a worker would fail at its first file, and be blamed for our full disk."""
_CAN_REOPEN = sys.platform.startswith("linux")


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


def remove_tree(folder: Path) -> None:
    """Remove a folder whatever a worker has made of it: without rights, nested deeper than a path can name, with odd names.

    Everything is reached from the descriptor of a folder that is open, by a name in it: no path is looked up twice, no link is
    followed, and nothing on another file system is touched. So a process that swaps folders for links meanwhile gains nothing:
    the link is removed. Folders are moved to the top before they are emptied, so that two descriptors are enough at any depth.

    Raises:
        OSError: something in it cannot be removed by this user, or lies on another file system. Everything else is removed.
    """
    parent = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not stat.S_ISDIR(os.stat(folder.name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(folder.name, dir_fd=parent)  # the worker put something else in its place
            return
        top = entered(folder.name, parent, os.fstat(parent).st_dev if not os.path.ismount(folder) else None)
        try:
            trouble = _emptied(top)
        finally:
            os.close(top)
        if trouble is not None:
            raise trouble
        os.rmdir(folder.name, dir_fd=parent)
    except FileNotFoundError:
        return  # the worker has removed it
    finally:
        os.close(parent)


def _emptied(top: int) -> OSError | None:
    """Empty the folder of a descriptor; the first trouble, where there was any."""
    device = os.fstat(top).st_dev
    trouble: OSError | None = None
    left: set[str] = set()
    waiting = True
    while waiting:
        waiting = False
        for name in os.listdir(top):
            if name in left:
                continue
            try:
                if _unlinked(name, top):
                    continue
                waiting = True
                inner = entered(name, top, device)
                try:
                    for below in os.listdir(inner):
                        if not _unlinked(below, inner):
                            # A folder is moved by those who may write to it.
                            os.close(entered(below, inner, device))
                            os.rename(below, secrets.token_hex(16), src_dir_fd=inner, dst_dir_fd=top)
                finally:
                    os.close(inner)
                os.rmdir(name, dir_fd=top)
            except FileNotFoundError:
                continue  # a process removed it meanwhile
            except OSError as error:
                left.add(name)
                trouble = trouble or error
    return trouble


def _unlinked(name: str, folder: int) -> bool:
    """Remove what is no folder, or an empty folder; False for a folder with something in it."""
    if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=folder)
            return True
        return False
    os.unlink(name, dir_fd=folder)
    return True


def entered(name: str, folder: int | None, device: int | None = None) -> int:
    """A descriptor of the folder ``name`` in the folder of a descriptor, whatever rights a worker has taken from it.

    Raises:
        OSError: it is no folder any more, or lies on another device than ``device``.
    """
    if _CAN_REOPEN:
        # Its rights are changed through a descriptor as well: a name could have become that of a link in between.
        held = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
        try:
            _check_device(name, held, device)
            if os.fstat(held).st_mode & 0o700 != 0o700:
                os.chmod(f"/proc/self/fd/{held}", 0o700)
            return os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_DIRECTORY)
        finally:
            os.close(held)
    if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode & 0o700 != 0o700:
        os.chmod(name, 0o700, dir_fd=folder, follow_symlinks=False)
    opened = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        _check_device(name, opened, device)
    except OSError:
        os.close(opened)
        raise
    return opened


def _check_device(name: str, descriptor: int, device: int | None) -> None:
    if device is not None and os.fstat(descriptor).st_dev != device:
        raise OSError(errno.EXDEV, "it lies on another file system", name)
