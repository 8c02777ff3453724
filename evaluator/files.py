"""Files that are written whole or not at all, and locks that tell files in use from files that a killed process left.

A file or folder is first written under a hidden name (``.<name>.<random>.tmp``) and then renamed once to its final name, so a
reader never sees half of it, even if the writer is killed. While a writer runs, it has an advisory lock on the hidden file or
folder. The kernel releases the lock when the writer ends, in whatever way, and the lock works between containers that share a
folder, where process numbers mean nothing. Forked children share their parent's locks until they start another program. On a file
system without locks, no file counts as abandoned.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

# Never through a link, and never waiting for the other end of a pipe: a stranger may have put either in a shared folder.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
TEMPORARY = ".tmp"
"""Ending of the hidden name of an unfinished file or folder. The name begins with a dot."""


@overload
def replaced(
    path: Path, mode: Literal["w"] = "w", *, durable: bool = True, permissions: int = 0o666
) -> AbstractContextManager[TextIO]: ...


@overload
def replaced(
    path: Path, mode: Literal["wb"], *, durable: bool = True, permissions: int = 0o666
) -> AbstractContextManager[BinaryIO]: ...


@contextmanager
def replaced(path: Path, mode: Literal["w", "wb"] = "w", *, durable: bool = True, permissions: int = 0o666) -> Iterator[Any]:
    """A new file that replaces ``path`` when the block ends. If the block raises, the new file is removed and ``path`` stays.

    Args:
        path: the file to write or to replace; its folder exists.
        mode: ``"w"`` for text (UTF-8, line ends as written) or ``"wb"`` for bytes.
        durable: wait until the file, and the rename where the platform allows it, are on the disk.
        permissions: of the file, less the umask.

    Yields:
        The open file. Its ``name`` is the path of the hidden temporary file, for code that must open it by name.

    Raises:
        FileNotFoundError: the folder does not exist.
        OSError: the file cannot be written or renamed (full disk, no permission, ``path`` is a folder); ``path`` is unchanged.
    """
    path = Path(path)
    file, lock = _temporary_file(path, mode, permissions)
    try:
        yield file
        file.flush()
        if durable:
            os.fsync(file.fileno())
        file.close()
        os.replace(file.name, path)
    except BaseException:
        with contextlib.suppress(OSError):  # a file that could not be written cannot be flushed either
            file.close()
        with contextlib.suppress(OSError):  # on a disk that became read-only it cannot be removed either
            os.unlink(file.name)
        raise
    finally:
        os.close(lock)
    if durable:
        _sync_folder(path.parent)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write ``text`` to ``path`` in UTF-8, whole or not at all. A file at ``path`` is replaced.

    Raises:
        OSError: as ``replaced``.
    """
    with replaced(path, durable=durable) as file:
        file.write(text)


def write_bytes(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write ``content`` to ``path``, whole or not at all. A file at ``path`` is replaced.

    Raises:
        OSError: as ``replaced``.
    """
    with replaced(path, "wb", durable=durable) as file:
        file.write(content)


def write_new(path: Path, content: bytes, *, permissions: int = 0o666) -> bool:
    """Write ``content`` to ``path``, whole or not at all, unless there is something at ``path``. Of several writers one succeeds.

    Args:
        permissions: of the file, less the umask.

    Returns:
        Whether this call wrote the file; False if ``path`` existed.

    Raises:
        OSError: the file cannot be written; there is no file at ``path``.
    """
    path = Path(path)
    file, lock = _temporary_file(path, "wb", permissions)
    try:
        with file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        made = _linked(file.name, path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(file.name)
        os.close(lock)
    _sync_folder(path.parent)
    return made


def _linked(temporary: str, path: Path) -> bool:
    """Give a file its final name unless that name is taken; False if it is."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without hard links: a lock on the folder stands between two writers.
        folder = hold(path.parent)
        try:
            if os.path.lexists(path):
                return False
            os.replace(temporary, path)
        finally:
            os.close(folder)
    return True


@contextmanager
def temporary_folder(parent: Path, name: str) -> Iterator[Path]:
    """A new hidden folder in ``parent``, for the block to fill and rename. If it was not renamed, it is removed at the end.

    Hidden folders of killed processes for the same ``name`` are removed first.

    Raises:
        OSError: the folder cannot be made.
    """
    parent = Path(parent)
    remove_temporaries(parent, glob.escape(name))
    while True:
        path = parent / _temporary_name(name)
        path.mkdir()
        with contextlib.suppress(FileNotFoundError):  # another process removed it before it was locked
            lock = hold(path)
            break
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def remove_temporaries(folder: Path, names: str = "*") -> None:
    """Remove the temporary files and folders of killed processes in ``folder``. ``names``: glob pattern of their final names.

    Files that a running process has locked stay, and so do those of another user and those that cannot be removed. Never raises.
    """
    with contextlib.suppress(OSError):
        for path in list(folder.glob(_temporary_name(names, "*"))):
            with abandoned(path) as free:
                if free and path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                elif free:
                    with contextlib.suppress(OSError):
                        path.unlink()


def hold(path: Path) -> int:
    """Lock ``path``, which this process has just made, so that no other process removes it as abandoned.

    Returns:
        A descriptor; closing it releases the lock.

    Raises:
        FileNotFoundError: another process removed the path before it was locked; make a new one.
        OSError: the path cannot be opened.
    """
    descriptor = os.open(path, _FLAGS)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        if not os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Whether ``path`` belongs to this user and no process has it locked. While the block runs, no other process can lock it."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        # Another process removed it, or this process may not open it.
        yield False
        return
    try:
        free = False
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = os.fstat(descriptor).st_uid == os.geteuid()
        yield free
    finally:
        os.close(descriptor)


def _temporary_name(name: str, token: str = "") -> str:
    return f".{name}.{token or secrets.token_hex(8)}{TEMPORARY}"


def _temporary_file(path: Path, mode: str, permissions: int) -> tuple[IO, int]:
    """A new hidden file beside ``path``, open, and the descriptor of its lock."""
    while True:
        temporary = path.with_name(_temporary_name(path.name))
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, permissions)
        try:
            lock = hold(temporary)
            break
        except FileNotFoundError:  # another process removed it before it was locked
            os.close(descriptor)
        except BaseException:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    # Opened by its name, so that ``file.name`` is the path; the opener returns the descriptor that made the file.
    if mode == "wb":
        return open(str(temporary), "wb", opener=lambda *_: descriptor), lock
    return open(str(temporary), "w", encoding="utf-8", newline="", opener=lambda *_: descriptor), lock


def _sync_folder(folder: Path) -> None:
    # If a folder cannot be synchronised, a crash of the machine may bring back the old file; that file is whole, too.
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
