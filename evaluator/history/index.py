"""The index: a short row for every stored cell and answer, so that ten thousand of them are listed in a few seconds.

The rows are kept in ``<results>/index.json``, each with size, time and inode of the file that it was read from. The cells and
answers themselves decide: a row is used only while its file is unchanged, a changed or new file is read and checked again, and the
index may be removed at any time. The index has a checksum, too, because a changed row would put a wrong figure into a table.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.bounded import RECORD, BoundsError, Limits, parse_json, read_bytes
from evaluator.errors import ConfigurationError
from evaluator.history.checksum import members, sealed
from evaluator.history.reading import KINDS, LARGE, known, sound
from evaluator.history.store import write_whole
from evaluator.machine import computed_by
from evaluator.secret import Secret, folder_secret
from evaluator.text import say
from evaluator.track import ROW_READS, Track, Tracks, row_of

SCHEMA = 9
"""Version of the index; raised when the fields of a row change, so that an old index is rebuilt."""
INDEX = "index.json"
READ_OF_ANSWER = {"checksum", "spec", "verdict", "phases", "versions"}
"""Members of an answer that its row is made of; the rest of the file is checked but not parsed."""

LIMITS = Limits(size=2**30, values=2**26)
"""Of the index: a kilobyte for each of a million cells."""

Row = dict[str, Any]
"""A few fields of a stored file; JSON-able."""


@dataclass(frozen=True, eq=False)
class Index:
    """The rows of a folder of results.

    Attributes:
        cells, answers: rows by digest.
        damaged: files that are not a complete cell or answer, with the reason, one line each.
    """

    cells: dict[str, Row] = field(default_factory=dict)
    answers: dict[str, Row] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()


_TEXT_OR_NONE, _NUMBER_OR_NONE = (str, type(None)), (int, float, type(None))
ANSWER_ROW: dict[str, Any] = {"checksum": str, "verdict": str, "phases": int, "versions": dict}
CELL_ROW: dict[str, Any] = {
    **dict.fromkeys(("track", "submission", "submission_digest", "task", "score_split", "device", "tier", "cell"), str),
    **dict.fromkeys(("profile", "pipeline", "pipeline_digest", "verdict", "reason", "answer", "secret", "condition"), str),
    **dict.fromkeys(("seed", "threads", "scored", "fit", "collapsed", "attempts", "beside_others"), int),
    **dict.fromkeys(("session_seconds", "training_seconds", "items"), _NUMBER_OR_NONE),
    **{"metrics": (dict, type(None)), "predictions": (list, type(None)), "answer_checksum": _TEXT_OR_NONE},
    **{"observation": _TEXT_OR_NONE},
    **{"versions": dict, "figures": dict},
}
"""The fields of the rows, by type: ``row_of`` makes those of cells."""


def _answer_row(content: dict[str, Any]) -> Row:
    return {
        "checksum": content["checksum"],
        "verdict": content["verdict"],
        "phases": len(content["phases"]),
        "versions": computed_by(content["versions"]),
    }


def read_index(root: Path, tracks: Tracks) -> Index:
    """The rows of all stored cells and answers below a folder of results; an empty index if the folder does not exist.

    ``index.json`` is rewritten if files were added, changed or removed. If it cannot be written, the next call reads those files
    again.
    """
    old = _read_index(root / INDEX)
    damaged: list[str] = []
    new: dict[str, Any] = {"schema": SCHEMA}
    for kind, form in KINDS.items():
        new[form.folder] = _entries(root / form.folder, kind, old.get(form.folder, {}), damaged, tracks)
    if new != old and any(new[form.folder] for form in KINDS.values()):
        with contextlib.suppress(ConfigurationError):  # e.g. the results of another user, which may only be read
            write_whole(root / INDEX, sealed(new))
    rows = {form.folder: {digest: entry[1] for digest, entry in new[form.folder].items()} for form in KINDS.values()}
    return Index(rows["cells"], rows["answers"], tuple(damaged))


def secret_of(folder: Path, track: Track, keep: bool = True) -> Secret:
    """The secret of a folder of results, made if there is none; see ``folder_secret``, which says what ``keep`` and errors are."""

    def stored() -> Counter[str]:
        return Counter(row["secret"] for row in read_index(folder, Tracks({track.name: track})).cells.values())

    return folder_secret(folder, stored, keep)


def _read_index(path: Path) -> dict[str, Any]:
    """The stored index; empty if it is missing, of another version, or damaged (then with a warning)."""
    with contextlib.suppress(ValueError, AttributeError):
        try:
            raw = read_bytes(path, LIMITS.size)
        except OSError:
            return {}
        texts = members(raw)
        if texts is not None:
            content = {name: parse_json(text, name, LIMITS) for name, text in texts.items() if name != "checksum"}
            return content if content.get("schema") == SCHEMA and _is_index(content) else {}
        if parse_json(raw, "the index", LIMITS).get("schema") != SCHEMA:  # the first version had no checksum
            return {}
    say(f"warning: {path} is damaged; it is made again from the stored cells and answers")
    return {}


def _is_index(content: dict[str, Any]) -> bool:
    """Whether all rows are of the form in which the kit writes them. The checksum guards against accidents only."""
    entries = [content.get(form.folder) for form in KINDS.values()]
    return all(isinstance(of, dict) and all(map(_is_entry, of.values())) for of in entries)


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[0], list) or not isinstance(entry[1], dict):
        return False
    row = entry[1]
    kinds = CELL_ROW if "cell" in row else ANSWER_ROW
    if row.keys() != kinds.keys() or not all(isinstance(row[name], kind) for name, kind in kinds.items()):
        return False
    if not all(isinstance(value, (int, float)) for value in (row.get("metrics") or {}).values()):
        return False
    known = all(isinstance(value, _NUMBER_OR_NONE) for value in row.get("figures", {}).values())
    return known and not (row.get("scored") and row["metrics"] is None)


def _beyond(row: Row, tracks: Tracks) -> bool:
    """Whether a row of the index has a metric beyond its bounds: the file itself is read again then."""
    track = tracks.known.get(row.get("track", ""))
    return track is not None and bool(track.given_metrics_fault(row["metrics"] or {}))


def _entries(folder: Path, kind: str, old: dict[str, Any], damaged: list[str], tracks: Tracks) -> dict[str, Any]:
    """By digest, the mark (size, time, inode) and the row of every file; taken from ``old`` if the mark is unchanged."""
    reads = ROW_READS.union(*(track.figure_members for track in tracks))
    found: dict[str, Any] = {}
    if not folder.is_dir():
        return found
    try:
        with os.scandir(folder) as files:
            listed = sorted((file for file in files if file.name.endswith(".json")), key=lambda file: file.name)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be listed ({error.strerror}); give yourself the right to read it") from None
    for file in listed:
        digest = file.name.removesuffix(".json")
        try:
            if not file.is_file():  # a folder, a pipe, a link to nothing
                damaged.append(f"{file.name} is not a regular file")
                continue
            status = file.stat()
            mark = [status.st_size, status.st_mtime_ns, status.st_ino]
            before = old.get(digest)
            if before is not None and before[0] == mark and not _beyond(before[1], tracks):
                found[digest] = before
                continue
            raw = read_bytes(Path(file.path), RECORD.size)
        except BoundsError:
            damaged.append(f"{file.name} {LARGE}")
            continue
        except FileNotFoundError:  # another evaluator has just replaced the file or moved it aside
            continue
        except OSError as error:
            damaged.append(f"{file.name} cannot be read ({error.strerror})")
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
    assert track is not None  # known() gives cells of known tracks only
    return row_of(track, content)
