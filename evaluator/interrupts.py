"""Ctrl-C while a program still imports its modules, and SIGTERM, which ends a command as Ctrl-C does: with its table.

This module itself is imported at once: it needs nothing.
"""

from __future__ import annotations

import os
import sys
from types import FrameType, TracebackType

NEEDED = frozenset(
    {
        *("PIL", "huggingface_hub", "jinja2", "markupsafe", "msgspec", "numpy", "packaging", "rich", "safetensors", "scipy"),
        *("sklearn", "threadpoolctl", "timm", "torch", "torchvision", "tqdm"),
    }
)
"""Packages that the kit imports wherever it runs, by their modules. Without its environment one of them is what fails first."""
INTERRUPTED, TERMINATED = 130, 143
_status = INTERRUPTED


def end_quietly() -> None:
    """From now on, an interrupt that nothing catches ends the program with one line and status 130, without a traceback.

    SIGTERM is an interrupt, too; its status is 143. A second SIGTERM ends the program at once.
    """
    sys.excepthook = _ended
    import signal

    def terminate(number: int, frame: FrameType | None) -> None:
        global _status
        _status = TERMINATED
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, terminate)


def handled(status: int) -> int:
    """The exit status of a program; one that was interrupted (130) ends here.

    An interrupt that comes in code that was made from text, e.g. by ``dataclass``, is noted by CPython: it would end the process by
    the signal, although the interrupt was caught.
    """
    if status == INTERRUPTED:
        _end()
    return status


def _ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    missing = getattr(error, "name", None) if issubclass(kind, ModuleNotFoundError) else None
    if missing and missing.partition(".")[0] in NEEDED:
        sys.stderr.write(
            f"error: the package {missing.partition('.')[0]} is not installed for {sys.executable}; the kit needs it. Activate the "
            "kit's environment (`. .venv/bin/activate`), or make it: `make environment`\n"
        )
        return
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
    os._exit(_status)
