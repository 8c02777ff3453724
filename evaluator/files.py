"""Tells what a running process still needs from what a killed one left behind.

The mark is an advisory lock on the file or folder itself. The kernel takes it back when its holder dies, however it dies, and it
holds between containers that share a folder, where process numbers mean nothing. Forked children share their parent's marks until
they start another program. Where a file system knows no locks, nothing is ever taken for abandoned.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Never through a link, and never waiting for the other end of a pipe: a stranger may have put either in a shared folder.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_UNKNOWN = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def hold(path: Path) -> int:
    """Mark ``path``, which this process has just made, as needed until the descriptor that comes back is closed.

    Raises:
        FileNotFoundError: it was taken for abandoned and removed before it was marked; make another.
        OSError: it cannot be opened.
    """
    descriptor = os.open(path, _FLAGS)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _UNKNOWN:
                raise
        if not os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def abandoned(path: Path) -> Iterator[bool]:
    """Whether ``path`` is this user's and no living process needs it. While the block runs, nobody else can mark it."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError:
        # Gone already, or not ours to open.
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
