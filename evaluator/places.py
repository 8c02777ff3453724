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
LONGEST_PATH, LONGEST_NAME = 4_095, 255
"""Bytes of a path, and of a name in it, that file systems take."""


def given_path(text: str) -> Path:
    """A path of the command line, for ``argparse``.

    Raises:
        argparse.ArgumentTypeError: no file can have that path (see ``path_fault``).
    """
    if why := path_fault(text):
        raise argparse.ArgumentTypeError(why)
    return Path(text)


def path_fault(text: str) -> str:
    """Why a text cannot be the path of a file, in words; empty if it can.

    An empty text would be the working folder, which nobody asked for. A name that is not UTF-8 could be opened, but not be written
    into a result.
    """
    if not text.strip():
        return "the path is empty; name a file or a folder (. is the working folder)"
    shown = ascii(text) if len(text) <= 80 else f"{text[:60]!a}... ({len(text)} characters)"
    if "\0" in text:
        return f"the path {shown} holds the character NUL, which no name of a file can hold; name a file or a folder"
    try:
        parts = text.encode().split(b"/")
    except UnicodeEncodeError:
        return f"the path {shown} is not valid UTF-8; rename the file or folder"
    if len(text.encode()) > LONGEST_PATH or max(map(len, parts)) > LONGEST_NAME:
        return f"the path {shown} is longer than a path ({LONGEST_PATH}) or a name in it ({LONGEST_NAME} bytes) can be"
    return ""
