"""What stored cells and answers hold, if they are whole, unchanged and understood; else why not. Nothing is written."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.bounded import RECORD, BoundsError, NotJsonError, parse_json, read_bytes
from evaluator.errors import ConfigurationError
from evaluator.history.checksum import members
from evaluator.history.validity import fault
from evaluator.specs import checksum
from evaluator.track import Tracks


@dataclass(frozen=True)
class Kind:
    """A kind of stored file: its folder, and the members that it must have; a file without them is damaged."""

    folder: str
    needed: frozenset[str]


_OLD = frozenset({"cell", "spec", "verdict", "reason", "scored", "fit_to_submit", "metrics", "phases", "isolation", "versions"})
"""Members that cells of every schema have."""
KINDS = {
    "cell": Kind("cells", _OLD | {"schema", "answer"}),
    "answer": Kind("answers", frozenset({"schema", "answer", "spec", "verdict", "phases", "log", "versions"})),
}


LARGE = f"has more than {RECORD.size} bytes; no cell and no answer is as large"


def require_results(root: Path) -> None:
    """Check that a folder is a folder of results.

    Raises:
        ConfigurationError: it does not exist, or no run has written to it.
    """
    if not os.path.isdir(root):
        raise ConfigurationError(f"the results folder {root} does not exist; name the folder that --out named")
    if not os.path.isdir(root / "cells"):
        raise ConfigurationError(f"the folder {root} holds no results (no folder cells/); name the folder that --out named")


def read_cells(
    root: Path, tracks: Tracks, only: Collection[str] | None = None
) -> Iterator[tuple[Path, dict[str, Any] | None, str]]:
    """Every stored cell below a folder of results, sorted by file name, upgraded to the current schema. Nothing is written.

    Args:
        tracks: the known tracks; a cell of any other track cannot be read.
        only: members that are wanted of a cell; None for all. A few members are read several times as fast as all of them, and the
            checksum is verified all the same.

    Yields:
        (path, cell, ""), or (path, None, what is wrong with the file).

    Raises:
        ConfigurationError: ``root`` is not a folder of results, or a file in it cannot be read.
    """
    require_results(root)
    for path in sorted((root / "cells").glob("*.json")):
        if not path.is_file():  # a folder, a pipe, a link to nothing
            yield path, None, "is not a regular file"
            continue
        try:
            yield (path, *known(read_bytes(path, RECORD.size), path.stem, tracks, only))
        except BoundsError:
            yield path, None, LARGE
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read ({error.strerror})") from None


def known(raw: bytes, digest: str, tracks: Tracks, only: Collection[str] | None) -> tuple[dict[str, Any] | None, str]:
    """The cell of a file as ``sound`` gives it, upgraded to the current schema, and ``""``; or None, and why it cannot be read."""
    old = frozenset().union(*(track.old_members for track in tracks))
    cell, why = sound(raw, "cell", digest, None if only is None else {*only, "schema", "spec", *old})
    if cell is None:
        return None, why
    track = tracks.of(cell["spec"]) if isinstance(cell["spec"], dict) else None
    if track is None and not isinstance(cell["spec"], dict):
        return None, "holds no spec"
    if track is None:
        return None, f"is of the track {cell['spec'].get('track')!r}, which is not known here"
    try:
        if cell["schema"] == 1:
            cell = track.upgraded(cell)
        why = fault(cell, digest) or track.fault(cell, only)
        if not why and track.figure_members <= cell.keys():
            track.figures(cell)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        why = f"is not understood ({type(error).__name__}: {str(error)[:80]})"
    if why:
        return None, why
    return (cell if only is None else {name: cell.get(name) for name in only}), ""


def sound(raw: bytes, kind: str, digest: str, only: Collection[str] | None = None) -> tuple[dict[str, Any] | None, str]:
    """The content of a file of ``kind`` (``cell`` or ``answer``) if its checksum fits, and ``""``; or None, and what is wrong.

    Args:
        raw: the bytes of the file.
        digest: the hash that the content must name as its own.
        only: members that are wanted; ``checksum`` may be one of them. None: all but the checksum.
    """
    texts = members(raw)
    if texts is not None and _whole(texts.keys(), kind) and texts[kind] == json.dumps(digest).encode():
        wanted = texts.keys() - {"checksum"} if only is None else texts.keys() & only
        try:
            return {name: parse_json(texts[name], name) for name in texts if name in wanted}, ""
        except NotJsonError:
            return None, "is damaged"
        except BoundsError as error:  # the kit did not write this
            return None, f"is damaged: {error}"
    try:
        content = parse_json(raw, "the file")
    except NotJsonError:
        return None, "is damaged"
    except BoundsError as error:
        return None, f"is damaged: {error}"
    if not isinstance(content, dict) or content.get(kind) != digest or not _whole(content.keys(), kind):
        return None, f"does not hold this {kind}"
    if "checksum" not in content:
        return None, "carries no checksum (an older kit wrote it)"
    said = content.pop("checksum")
    try:
        right = said == checksum(content)
    except ValueError:  # NaN or infinity, which the kit never writes
        right = False
    if not right:
        return None, "was changed after it was written"
    return content if only is None else {name: v for name, v in (content | {"checksum": said}).items() if name in only}, ""


def _whole(names: Collection[str], kind: str) -> bool:
    needed = KINDS[kind].needed
    if kind == "cell" and "answer" not in names:
        needed = _OLD  # schema 1; its track upgrades it
    return needed <= set(names)
