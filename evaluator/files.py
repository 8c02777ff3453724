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
import re
import secrets
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

from evaluator.errors import ConfigurationError
from evaluator.text import as_command, say

# Never through a link, and never waiting for the other end of a pipe: a stranger may have put either in a shared folder.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
# The last: NFS locks only what is open for writing, and a folder never is.
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_CAN_REOPEN = sys.platform.startswith("linux")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
"""Seconds between two looks at a lock that another process has; every pause is longer than the one before."""
TOLD_AFTER = 5.0
"""Seconds of waiting for a lock after which it is said what is waited for."""
TEMPORARY = ".tmp"
"""Ending of the hidden name of an unfinished file or folder. The name begins with a dot."""
_TEMPORARY = re.compile(rf"\.(.+)\.[0-9a-f]{{16}}{re.escape(TEMPORARY)}", re.DOTALL)


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
            try:
                lock = hold(path, wait=False)
                break
            except BlockingIOError:  # somebody who may read it was faster, and may keep it locked for ever: another name
                path.rmdir()
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            remove_tree(path)
        os.close(lock)


def remove_temporaries(folder: Path, names: str = "*") -> None:
    """Remove the temporary files and folders of killed processes in ``folder``. ``names``: glob pattern of their final names.

    Only names that this module makes are looked at: ``.<final name>.<16 hexadecimal digits>.tmp``. Files that a running process has
    locked stay, and so do those of another user and those that cannot be removed. Never raises.
    """
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            match = _TEMPORARY.fullmatch(name)
            if match is None or not fnmatchcase(match[1], names):
                continue
            path = Path(folder) / name
            with abandoned(path) as free:
                if free:
                    with contextlib.suppress(OSError):
                        remove_tree(path)


def remove_tree(folder: Path) -> None:
    """Remove a folder whatever was made of it: without rights, nested deeper than a path can name, with odd names. Or a file.

    Everything is reached from the descriptor of a folder that is open, by a name in it: no path is looked up twice, no link is
    followed, and nothing on another file system is touched. So a process that swaps folders for links meanwhile gains nothing:
    the link is removed. Folders are moved to the top before they are emptied, so that two descriptors are enough at any depth.

    Raises:
        OSError: something in it cannot be removed by this user, or lies on another file system. Everything else is removed.
    """
    parent = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not stat.S_ISDIR(os.stat(folder.name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(folder.name, dir_fd=parent)  # something else was put in its place
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
        return  # another process has removed it
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
    """A descriptor of the folder ``name`` in the folder of a descriptor, whatever rights were taken from it.

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


def hold(path: Path, *, shared: bool = False, wait: bool = True) -> int:
    """Lock ``path``, so that no other process removes it as abandoned. Waits for a process that has it locked.

    Args:
        path: a file or folder that this process has just made or uses; not a link.
        shared: let other processes hold it ``shared``, too.
        wait: for a process that has it locked. Whoever may read a file may lock it, too, and keep it locked.

    Returns:
        A descriptor; closing it releases the lock.

    Raises:
        FileNotFoundError: another process removed the path before it was locked; make a new one.
        BlockingIOError: another process has it locked, and ``wait`` is False.
        OSError: the path cannot be opened.
    """

    def locked(descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise

    return _held(path, locked)


def lock_file(folder: str, name: str) -> int:
    """A descriptor of a file that is there to be locked, the same for all processes of this user on this machine.

    It lies in this machine's folder for temporary files; containers share it if they share that folder.

    Args:
        folder: begins the name of the folder that holds it. ``name``: of the file.

    Raises:
        ConfigurationError: something that is not this user's has the folder's name. OSError: it cannot be made.
    """
    place = Path(tempfile.gettempdir()) / f"{folder}-{os.geteuid()}"
    place.mkdir(mode=0o700, exist_ok=True)
    status = place.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise ConfigurationError(f"{place} is no folder of this user; processes side by side keep their locks there. Remove it")
    return os.open(place / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def lock(descriptor: int, how: int) -> None:
    """Lock an open file (``fcntl.LOCK_EX`` and the like); on a file system without locks nothing happens.

    Raises:
        BlockingIOError: another process has it, and ``how`` says not to wait.
    """
    try:
        fcntl.flock(descriptor, how)
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise


def lock_aloud(descriptor: int, path: Path, *, shared: bool = False) -> None:
    """Lock an open file or folder, and say on stderr what is waited for if that takes long.

    Whoever may open a file for reading can lock it, and nobody is told. So this never waits in the kernel without a word, and an
    interrupt ends the waiting. On a file system without locks nothing is locked.

    Args:
        path: of what is open, for the message.
        shared: let other processes hold it ``shared``, too.
    """
    how = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB
    began, pause, told = time.monotonic(), _FIRST_PAUSE, False
    while True:
        try:
            fcntl.flock(descriptor, how)
            return
        except BlockingIOError:
            pass  # another process has it: the next look comes after a pause
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return
            raise
        if not told and time.monotonic() - began >= TOLD_AFTER:
            told = True
            say(_waiting(descriptor, path))
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)


def hold_aloud(path: Path, *, shared: bool = False) -> int:
    """As ``hold``, for what other users of the machine may open: it says what is waited for (see ``lock_aloud``).

    Returns:
        A descriptor; closing it releases the lock.

    Raises:
        FileNotFoundError: another process removed the path before it was locked. OSError: the path cannot be opened.
    """
    return _held(path, lambda descriptor: lock_aloud(descriptor, path, shared=shared))


def _held(path: Path, locked: Callable[[int], None]) -> int:
    """Open and lock a path, and make sure that it is still there under its name."""
    descriptor = os.open(path, _FLAGS)
    try:
        locked(descriptor)
        if not os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def alone_by(path: Path) -> Iterator[None]:
    """No other process runs such a block with the same ``path``, a lock file that only its owner can open; it is made and stays.

    Nobody else can lock it as long as nobody else may write to its folder. Waiting is as in ``lock_aloud``.

    Raises:
        OSError: the file cannot be made or opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        if os.geteuid() == 0:
            # Root must not shut out the user to whom the folder belongs.
            owner = os.stat(path.parent)
            with contextlib.suppress(OSError):
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        lock_aloud(descriptor, path)
        yield
    finally:
        os.close(descriptor)


def _waiting(descriptor: int, path: Path) -> str:
    """What is waited for, in a sentence that says how to find out who has the lock."""
    found = _lockers(os.fstat(descriptor))
    who = f"process {', '.join(found)}" if found else "another process"
    return (
        f"waiting: {path} is locked by {who}; this command goes on when the lock is released. To see who has it open: "
        f"`{as_command('fuser', '-v', path)}` or `{as_command('lsof', path)}`, as root for processes of other users"
    )


def _lockers(status: os.stat_result) -> list[str]:
    """Numbers and names of the processes that have a file locked, as Linux tells them; empty where it does not."""
    there = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    found = []
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            row = line.split()
            # Those that wait, too, have an arrow in the second column. A number below 1 is that of a process in another room.
            if len(row) > 5 and row[1] == "FLOCK" and row[5] == there and int(row[4]) > 0:
                name = ""
                with contextlib.suppress(OSError):
                    name = Path(f"/proc/{row[4]}/comm").read_text(errors="replace").strip()
                found.append(f"{row[4]} ({name})" if name else row[4])
    return found


@contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Whether ``path`` belongs to this user and no process has it locked. While the block runs, no other process can lock it."""
    with _locked(path) as descriptor:
        yield descriptor is not None and os.fstat(descriptor).st_uid == os.geteuid()


@contextmanager
def unheld(path: Path) -> Iterator[bool]:
    """Whether no process has ``path`` locked, whoever it belongs to. While the block runs, no other process can lock it.

    False, too, if this cannot be told: the path is a link, this process may not open it, or the file system has no locks.
    """
    with _locked(path) as descriptor:
        yield descriptor is not None


@contextmanager
def _locked(path: Path) -> Iterator[int | None]:
    """A descriptor that has ``path`` locked; None if another process has it locked, or if it cannot be opened or locked."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        # Another process removed it, or this process may not open it.
        yield None
        return
    try:
        locked = False
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        yield descriptor if locked else None
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
            lock = hold(temporary, wait=False)
            break
        except BlockingIOError:  # somebody who may read it was faster, and may keep it locked for ever: another name
            os.close(descriptor)
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
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
