"""Files that a worker gets when it needs them: by descriptor, readable, and not to be changed through it.

A descriptor of a file is more than its content: whoever owns the file may change its mode through any descriptor and open it again
to write. So a worker of the evaluator's own user gets descriptors that were opened through a mount of their own, which is
read-only. Root makes such a mount itself. Everybody else has it made in a user namespace, by this module run as a script inside
bubblewrap: ``python -I -S readonly.py SOCKET PATH...``, standard library only.

Sources: open_tree(2), mount_setattr(2); both from Linux 5.12 on.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
import socket
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

MOST_OPEN = 65_536
"""Open files that the evaluator's limit is raised to."""
_OPEN_TREE, _MOUNT_SETATTR = 428, 442
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_OPEN_TREE_CLONE, _MOUNT_ATTR_RDONLY = 1, 1


@dataclass(frozen=True)
class Content:
    """A file that a message brings along: it has no name, and lies in memory."""

    data: bytes


class Opener:
    """Opens files for workers, once for all; every worker then gets a descriptor with an offset and locks of its own.

    Args:
        program: bubblewrap; needed where we are not root.
    """

    def __init__(self, program: str | None = None) -> None:
        self._program = program
        self._held: dict[tuple[str, int, int, int, int], int] = {}

    def opened(self, file: Path | Content) -> int:
        """A new descriptor for one worker; the caller closes it.

        Raises:
            OSError: the file cannot be opened, or no read-only mount can be made here.
        """
        if isinstance(file, Content):
            return sealed(file.data)
        path = os.path.abspath(file)
        state = os.stat(path)
        # A file that was replaced by another of the same name is opened anew.
        key = (path, state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns)
        if key not in self._held:
            self._held[key] = read_only(path) if os.geteuid() == 0 else _through(self._program, path)
        return os.open(f"/proc/self/fd/{self._held[key]}", os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        for descriptor in self._held.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)


def allow_descriptors() -> None:
    """Raise this process's limit of open files as far as it may, up to ``MOST_OPEN``; ``guard.limit_descriptors`` says why."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def sealed(data: bytes) -> int:
    """A descriptor of a file in memory that holds ``data``, which nobody can change any more; the caller closes it."""
    if not hasattr(os, "memfd_create"):
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            return os.dup(file.fileno())
    descriptor = os.memfd_create("given", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


def read_only(path: str) -> int:
    """A descriptor of the file at ``path``, opened through a read-only mount that has no place in any folder.

    Raises:
        OSError: we may not mount, the kernel is older than 5.12, or the file cannot be opened.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    tree = libc.syscall(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | os.O_CLOEXEC)
    if tree < 0:
        raise OSError(ctypes.get_errno(), f"open_tree: {os.strerror(ctypes.get_errno())}", path)
    try:
        attributes = struct.pack("QQQQ", _MOUNT_ATTR_RDONLY, 0, 0, 0)
        if libc.syscall(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, len(attributes)):
            raise OSError(ctypes.get_errno(), f"mount_setattr: {os.strerror(ctypes.get_errno())}", path)
        return os.open(f"/proc/self/fd/{tree}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(tree)


def _through(program: str | None, path: str) -> int:
    """The same by a helper in a user namespace, in which an ordinary user may mount."""
    if program is None:
        raise OSError("files can be given to a worker of the same user only with bubblewrap; on Debian: apt-get install bubblewrap")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        namespace = [program, "--unshare-user", "--cap-add", "CAP_SYS_ADMIN", "--bind", "/", "/", "--"]
        script = [sys.executable, "-I", "-S", os.path.abspath(__file__), str(theirs.fileno()), path]
        done = subprocess.run([*namespace, *script], pass_fds=(theirs.fileno(),), capture_output=True, check=False, timeout=60)
        theirs.close()
        _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
    if not descriptors:
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise OSError(f"{path}: it cannot be opened through a read-only mount ({said or 'the helper said nothing'})")
    return descriptors[0]


def main() -> None:
    """Open the files that the command line names, and send their descriptors."""
    with socket.socket(fileno=int(sys.argv[1])) as line:
        socket.send_fds(line, [b"x"], [read_only(path) for path in sys.argv[2:]])


if __name__ == "__main__":
    main()
