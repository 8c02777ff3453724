"""Default folders, the same for every command, whatever folder it is called from; and paths on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The folder of the checkout."""
DATA = ROOT / "data"
"""Data sets, and the cache of decoded images."""
RESULTS = ROOT / "results"
"""Results of runs."""


def given_path(text: str) -> Path:
    """A path of the command line, for ``argparse``. An empty text would be the working folder, which nobody asked for.

    Raises:
        argparse.ArgumentTypeError: the text is empty.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty; name a file or a folder (. is the working folder)")
    return Path(text)
