"""How every command ends: its exit status, and one line for what a person can mend."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable

from evaluator.errors import KitError, TrainingError
from evaluator.text import say

_OF_THE_MACHINE = {
    errno.ENOSPC: "free some space, or name another folder",
    errno.EDQUOT: "free some space, or name another folder",
    errno.EROFS: "name a folder that can be written: --out for results, --cache for data and caches",
    errno.EACCES: "make it readable and writable for this user, or name another",
    errno.EPERM: "make it readable and writable for this user, or name another",
    errno.EIO: "check the disk, or name another folder",
    errno.ENAMETOOLONG: "name a shorter path",
    errno.ELOOP: "mend the links, or name another",
}
"""Faults of files and disks that are no faults of the kit's code, and what to do."""


def status_of(run: Callable[[], int], interrupted: str = "interrupted") -> int:
    """Run a command, and say in one line what a person can mend.

    Args:
        interrupted: what to say after Ctrl-C.

    Returns:
        The exit status: that of ``run``; 1 if a training failed; 2 for something that the user can mend; 130 after Ctrl-C.
    """
    try:
        status = run()
        sys.stdout.flush()  # a pipe that nobody reads is found here, and not at the very end
        return status
    except KitError as error:
        say(f"error: {error}")
        return 2
    except TrainingError as error:
        say(f"error: the training failed: {error}")
        return 1
    except BrokenPipeError:  # `... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno not in _OF_THE_MACHINE:
            raise
        say(f"error: {error.filename or 'a file'}: {error.strerror}; {_OF_THE_MACHINE[error.errno]}")
        return 2
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
