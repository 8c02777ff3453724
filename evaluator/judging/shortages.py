"""What a machine lacks for a while: room on a disk, a file that another process holds. A judge waits for it and goes on.

A file that is damaged is another matter: waiting mends nothing, so the judge ends and says what to do.
"""

from __future__ import annotations

import errno
import sqlite3

_OF_THE_QUEUE = {
    sqlite3.SQLITE_FULL: "the disk has no room for the queue. Free some, or run judge clean",
    sqlite3.SQLITE_BUSY: "another process keeps the queue locked. End it, if it is no judge",
    sqlite3.SQLITE_LOCKED: "another process keeps the queue locked. End it, if it is no judge",
    sqlite3.SQLITE_IOERR: "the queue's file cannot be read or written. Free some room, and check the disk",
}
_OF_FILES = {
    errno.ENOSPC: "no room is left on the disk. Free some, or run judge clean",
    errno.EDQUOT: "the judge's quota of the disk is used up. Free some, or run judge clean",
    errno.EIO: "the disk does not read or write. Check it",
}
_BROKEN = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def shortage(error: BaseException) -> str:
    """What is waited for after an error, in words; empty where waiting does not help."""
    if isinstance(error, sqlite3.OperationalError):
        return _OF_THE_QUEUE.get(_code(error), "")
    if isinstance(error, OSError):
        return _OF_FILES.get(error.errno or 0, "")
    return ""


def broken(error: sqlite3.Error) -> bool:
    """Whether the file of the queue is damaged."""
    return _code(error) in _BROKEN


def _code(error: sqlite3.Error) -> int:
    """What SQLite calls an error, without the detail that its extended codes add; 0 where it is none of SQLite's own."""
    return (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
