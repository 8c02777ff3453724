"""Folders too deep for a path or a recursion."""

from __future__ import annotations

import os
from pathlib import Path


def nest(folder: Path, depth: int) -> None:
    """Folders in folders, by steps that are each short."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("inner", dir_fd=here)
        below = os.open("inner", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)
