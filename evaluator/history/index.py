"""Stored cells and answers in short, a row per file, so that ten thousand of them are listed in a moment.

The rows are kept in ``<results>/index.json`` beside size, time and inode of the file that each was read from. The files stay the
truth: a row counts only for the very file that it was read from, every other file is read and checked anew, and the index may be
removed at any time. It carries a checksum as they do: a changed row would be a wrong figure in a table.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.history.checksum import members, sealed
from evaluator.history.store import KINDS, known, sound, write_whole
from evaluator.track import ROW_READS, Tracks, computed_by, row_of

SCHEMA = 3
"""Version of the index; raised when a row changes, so that old ones are made anew."""
INDEX = "index.json"
READ_OF_ANSWER = {"checksum", "spec", "verdict", "phases", "versions"}
"""What rows of answers are made of; everything else of a file is checked, and not parsed."""

Row = dict[str, Any]
"""Few fields of a file; JSON-able."""


@dataclass(frozen=True, eq=False)
class Index:
    """What lies in a folder of results.

    Attributes:
        cells, answers: rows by digest.
        damaged: files that hold no whole cell or answer, and why; a line each.
    """

    cells: dict[str, Row] = field(default_factory=dict)
    answers: dict[str, Row] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()


def _answer_row(content: dict[str, Any]) -> Row:
    return {
        "checksum": content["checksum"],
        "verdict": content["verdict"],
        "phases": len(content["phases"]),
        "versions": computed_by(content["versions"]),
    }


def read_index(root: Path, tracks: Tracks) -> Index:
    """Every stored cell and answer below a folder of results; an empty index where there is no such folder.

    The index is written anew where files came, changed or went. Where it cannot be written, the next call reads them again.
    """
    old = _read_index(root / INDEX)
    damaged: list[str] = []
    new: dict[str, Any] = {"schema": SCHEMA}
    for kind, form in KINDS.items():
        new[form.folder] = _entries(root / form.folder, kind, old.get(form.folder, {}), damaged, tracks)
    if new != old and any(new[form.folder] for form in KINDS.values()):
        with contextlib.suppress(ConfigurationError):  # somebody else's results may be looked at, too
            write_whole(root / INDEX, sealed(new))
    rows = {form.folder: {digest: entry[1] for digest, entry in new[form.folder].items()} for form in KINDS.values()}
    return Index(rows["cells"], rows["answers"], tuple(damaged))


def _read_index(path: Path) -> dict[str, Any]:
    """The index as it lies there; empty where it is missing, of another version or, which is said, damaged."""
    try:
        raw = path.read_bytes()
    except OSError:
        return {}
    texts = members(raw)
    if texts is not None:
        content = {name: json.loads(text) for name, text in texts.items() if name != "checksum"}
        return content if content.get("schema") == SCHEMA else {}
    with contextlib.suppress(ValueError, RecursionError, AttributeError):
        if json.loads(raw).get("schema") != SCHEMA:  # the first version had no checksum
            return {}
    print(f"warning: {path} is damaged; it is made anew from the files that it lists", file=sys.stderr)
    return {}


def _entries(folder: Path, kind: str, old: dict[str, Any], damaged: list[str], tracks: Tracks) -> dict[str, Any]:
    """Mark and row of every file, taken from ``old`` where the mark is the same."""
    reads = ROW_READS.union(*(track.figure_members for track in tracks))
    found: dict[str, Any] = {}
    if not folder.is_dir():
        return found
    with os.scandir(folder) as files:
        listed = sorted((file for file in files if file.name.endswith(".json")), key=lambda file: file.name)
    for file in listed:
        digest = file.name.removesuffix(".json")
        try:
            status = file.stat()
            mark = [status.st_size, status.st_mtime_ns, status.st_ino]
            before = old.get(digest)
            if before is not None and before[0] == mark:
                found[digest] = before
                continue
            raw = Path(file.path).read_bytes()
        except FileNotFoundError:  # another evaluator has just put a new one in its place, or moved it aside
            continue
        if kind == "cell":
            content, why = known(raw, digest, tracks, reads)
        else:
            content, why = sound(raw, kind, digest, READ_OF_ANSWER)
        if content is None:
            damaged.append(f"{file.name} {why}")
            continue
        found[digest] = [mark, _row(content, kind, tracks)]
    return found


def _row(content: dict[str, Any], kind: str, tracks: Tracks) -> Row:
    if kind == "answer":
        return _answer_row(content)
    track = tracks.of(content["spec"])
    assert track is not None  # ``known`` has told
    return row_of(track, content)
