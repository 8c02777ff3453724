"""Memory that a training on the CPU frees and takes again, kept by the process meanwhile.

The activations of a step are blocks of up to some ten megabytes. glibc's allocator takes large blocks from the system, gives them
back when they are freed, and the system clears every page anew before it lends it again: at 224 px 19,400 pages per image and a
third or more of a training's processor time. The numbers that are computed stay the same to the bit.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of mallopt(3) and their defaults in glibc.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65_536}
_KEEPING = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0}


def keep_memory() -> bool:
    """Have the process keep what it frees, from now on. Whether it has an allocator that can be told (glibc's)."""
    try:
        told = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    answers = [told(parameter, value) for parameter, value in _KEEPING.items()]
    return answers == [1] * len(answers)


@contextmanager
def kept_memory() -> Iterator[bool]:
    """Keep freed memory in the process inside the ``with``, and give back what is free at its end.

    Yields whether the allocator was told; where it cannot be (musl, macOS), nothing changes.
    """
    kept = keep_memory()
    try:
        yield kept
    finally:
        if kept:
            library = ctypes.CDLL(None)
            for parameter, value in _DEFAULTS.items():
                library.mallopt(parameter, value)
            library.malloc_trim(0)
