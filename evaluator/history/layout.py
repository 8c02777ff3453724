"""Names of the files in a folder of results, and how such a folder is recognised.

Everything that removes files asks here whether the kit has made them. A folder of results is recognised by the file ``store.json``
that the kit writes into it, and a folder of kit 0.2 or 0.3, which wrote no such file, by a cell, an answer or a run that reads as
such. A folder of another kind may well have subfolders ``cells``, ``partial`` or ``logs``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from evaluator.files import write_text
from evaluator.secret import FILE as SECRET

MARK = "store.json"
"""The file that marks a folder of results."""
REPLACED = "replaced"
"""Folder below ``cells/`` and ``answers/`` for files that a file of other library versions replaced."""
LOGS = "logs"
"""Folder below a run for what submissions printed."""
ENTRIES = "entries"
"""Folder for who evaluated what."""
_CONTENT = {"store": "results of the data-centric kit"}
_MOST_BYTES = 2**30
_HASH = "[0-9a-f]{32}"

STORED = re.compile(rf"{_HASH}\.json")
"""A cell or an answer, of an older kit, too."""
PREDICTIONS = re.compile(rf"{_HASH}\.npy")
DAMAGED = re.compile(rf"{_HASH}\.damaged")
SET_ASIDE = re.compile(rf"{_HASH}-[0-9a-f]{{8}}\.(?:json|npy)")
"""A file in ``replaced/``."""
PARTIAL = re.compile(rf"(?P<version>[0-9][0-9A-Za-z.+]*)-(?P<cell>{_HASH})-[0-9a-f]{{16}}\.pt")
"""The state of an unfinished training."""
RUN = re.compile(r"[0-9]{8}-[0-9]{6}-[A-Za-z0-9_.-]+")
"""The folder of a run."""
SUMMARY = re.compile(r"(?:result|sweep)\.json")
TABLE = re.compile(r"[a-z_]+\.csv")
REPORT = "report.html"
"""The page of a run."""
LOG = re.compile(r"[A-Za-z0-9_.@-]+\.log")
TEMPORARIES = {
    "cells": ("*.json", "*.npy"),
    "answers": ("*.json",),
    "partial": ("*.pt",),
    ENTRIES: ("*.json",),
    "": ("index.json", MARK, SECRET, "probe"),
}
"""By folder, patterns of the final names that are written there; ``""``: the folder of results itself."""


def write_mark(root: Path) -> None:
    """Mark ``root`` as a folder of results, unless it is marked.

    Raises:
        OSError: the file cannot be written.
    """
    if not os.path.lexists(root / MARK):
        write_text(root / MARK, json.dumps(_CONTENT) + "\n", durable=False)


def is_marked(root: Path) -> bool:
    """Whether ``root`` is marked as a folder of results."""
    content = _members(root / MARK)
    return content is not None and content.get("store") == _CONTENT["store"]


def run_folders(root: Path) -> list[Path]:
    """Folders whose names are those of runs. Links are none. Empty if the folder cannot be listed."""
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        return [Path(entry.path) for entry in entries if RUN.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)]
    return []


def has_summary(run: Path) -> bool:
    """Whether a folder holds the summary of a run, and it reads as such."""
    found = [_members(run / f"{name}.json") for name in ("result", "sweep")]
    return any(content is not None and {"schema", "cells"} <= content.keys() for content in found)


def is_run(run: Path) -> bool:
    """Whether a folder is that of a run, and holds nothing but what the kit writes there.

    A run that was killed has no summary; it has logs alone.
    """
    killed = True
    try:
        with os.scandir(run) as entries:
            for entry in entries:
                if entry.name == LOGS and entry.is_dir(follow_symlinks=False):
                    if not all(LOG.fullmatch(log.name) and log.is_file(follow_symlinks=False) for log in os.scandir(entry.path)):
                        return False
                elif entry.is_file(follow_symlinks=False) and of_run(entry.name):
                    killed = False
                else:
                    return False
    except OSError:  # removed in the meantime, or this user may not list it
        return False
    return RUN.fullmatch(run.name) is not None and (killed or has_summary(run))


def of_run(name: str) -> bool:
    """Whether the kit writes a file of this name into the folder of a run."""
    return name == REPORT or SUMMARY.fullmatch(name) is not None or TABLE.fullmatch(name) is not None


def _members(path: Path) -> dict[str, Any] | None:
    """The members of a JSON object in a regular file, however it came there; None if it is anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
                return None
            content = json.loads(file.read())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
