"""Ctrl-C while a program still imports its modules. This module itself is imported at once: it needs nothing."""

from __future__ import annotations

import os
import sys
from types import TracebackType


def end_quietly() -> None:
    """From now on, an interrupt that nothing catches ends the program with one line and status 130, without a traceback."""
    sys.excepthook = _ended


def handled(status: int) -> int:
    """The exit status of a program; one that was interrupted (130) ends here.

    An interrupt that comes in code that was made from text, e.g. by ``dataclass``, is noted by CPython: it would end the process by
    the signal, although the interrupt was caught.
    """
    if status == 130:
        _end()
    return status


def _ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    sys.stderr.write("interrupted\n")
    _end()


def _end() -> None:
    import contextlib

    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a pipe that nobody reads any more
            stream.flush()
    os._exit(130)
