"""Default folders, the same for every command, whatever folder it is called from; and paths on the command line."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from evaluator.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[1]
"""The folder of the checkout."""
DATA = ROOT / "data"
"""Data sets, and the cache of decoded images."""
RESULTS = ROOT / "results"
"""Results of runs."""
CACHE_VARIABLE = "DCK_CACHE"
"""The environment variable that says what ``--cache`` says."""
CACHE_HELP = "folder for data that are made and for caches (default: data/, else ~/.cache/dck; or DCK_CACHE)"
LONGEST_PATH, LONGEST_NAME = 4_095, 255
"""Bytes of a path, and of a name in it, that file systems take."""


def data_place(given: Path | None = None) -> Path:
    """The folder for data sets that are made and for caches: of ``--cache``, else of ``DCK_CACHE``, else ``data/`` of the checkout.

    Where the checkout cannot be written (a read-only file system, an installation of another user), it is ``dck`` in the user's
    folder of caches.

    Raises:
        ConfigurationError: ``DCK_CACHE`` is no path.
    """
    if given is not None:
        return given.expanduser().absolute()
    if text := os.environ.get(CACHE_VARIABLE):
        if why := path_fault(text):
            raise ConfigurationError(f"{CACHE_VARIABLE}: {why}")
        return Path(text).expanduser().absolute()
    if os.access(DATA if DATA.is_dir() else ROOT, os.W_OK | os.X_OK):
        return DATA
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home).absolute() / "dck"


def data_also(place: Path) -> tuple[Path, ...]:
    """Where data sets lie beside those of ``place``: in ``data/`` of the checkout, which may be read though not written."""
    return () if place == DATA else (DATA,)


def data_set_place(name: str, given: Path | None = None) -> Path:
    """Where the data set of a name lies, or is to be made: in ``data_place``, or in ``data/`` of a checkout that has it already."""
    place = data_place(given) / name
    return place if place.is_dir() or not (DATA / name).is_dir() else DATA / name


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
        try:
            os.fsencode(text).decode()
        except UnicodeError:
            return f"the path {shown} is not valid UTF-8; rename the file or folder"
        reads = sys.getfilesystemencoding()
        return f"the path {shown} has characters that Python reads as {reads} here; set PYTHONUTF8=1, or LC_ALL=C.UTF-8"
    if len(text.encode()) > LONGEST_PATH or max(map(len, parts)) > LONGEST_NAME:
        return f"the path {shown} is longer than a path ({LONGEST_PATH}) or a name in it ({LONGEST_NAME} bytes) can be"
    return ""
