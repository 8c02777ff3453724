"""Stored cells and purchases in short, a row per file, so that ten thousand of them are listed in a moment.

The rows are kept in ``<results>/index.json`` beside size, time and inode of the file that each was read from. The files stay the
truth: a row counts only for the very file that it was read from, every other file is read and checked anew, and the index may be
removed at any time. It carries a checksum as they do (``seal``): a changed row would be a wrong figure in a table.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.history.checksum import members, sealed
from evaluator.history.store import sound, write_whole
from evaluator.scoring.metrics import METRICS

SCHEMA = 2
"""Version of the index; raised when a row changes, so that old ones are made anew."""
INDEX = "index.json"
FIELDS = ("submission", "submission_digest", "pair", "seed", "score_split", "label_quality", "device", "threads", "tier")
"""Fields of a spec that a row holds as they are."""
READ = {
    "cell": {"cell", "spec", "verdict", "reason", "scored", "metrics", "purchase", "phases", "training"},
    "purchase": {"checksum", "spec", "verdict", "phases", "seconds"},
}
"""What rows are made of; everything else of a file is checked, and not parsed."""

Row = dict[str, Any]
"""Few fields of a file; JSON-able."""


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What lies in a folder of results.

    Attributes:
        cells, purchases: rows by digest.
        damaged: files that hold no whole cell or purchase, and why; a line each.
    """

    cells: dict[str, Row] = field(default_factory=dict)
    purchases: dict[str, Row] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()


def cell_row(cell: dict[str, Any]) -> Row:
    """The row of a cell, read or just made."""
    spec, purchase, training = cell["spec"], cell["purchase"], cell["training"] or {}
    metrics = cell["metrics"]
    return {name: spec[name] for name in FIELDS} | {
        "cell": cell["cell"],
        "profile": spec["profile"]["name"],
        "pipeline": spec["pipeline"]["name"],
        "pipeline_digest": pipeline_digest(spec["pipeline"]),
        "verdict": cell["verdict"],
        "reason": cell["reason"],
        "scored": cell["scored"],
        "metrics": None if metrics is None else {name: metrics[name] for name in METRICS},
        "purchase": purchase["file"],
        "purchase_checksum": purchase.get("checksum"),
        "bought": purchase["bought"],
        "budget": purchase["budget"],
        "purchase_seconds": purchase["seconds"],
        "session_seconds": sum(phase["seconds"] for phase in cell["phases"]),
        "clock_was_read": purchase.get("clock_was_read"),
        "training_seconds": training.get("seconds"),
        "items": training.get("n_items"),
    }


def pipeline_digest(pipeline: dict[str, Any]) -> str:
    """Tells a pipeline from another of the same name."""
    return hashlib.sha256(json.dumps(pipeline, sort_keys=True).encode()).hexdigest()[:16]


def _purchase_row(content: dict[str, Any]) -> Row:
    return {
        "checksum": content["checksum"],
        "verdict": content["verdict"],
        "phases": len(content["phases"]),
        "submission_digest": content["spec"]["submission_digest"],
        "profile": content["spec"]["profile"]["name"],
        "pair": content["spec"]["pair"],
        "seconds": content["seconds"],
    }


def read_catalogue(root: Path) -> Catalogue:
    """Every stored cell and purchase below a folder of results; an empty catalogue where there is no such folder.

    The index is written anew where files came, changed or went. Where it cannot be written, the next call reads them again.
    """
    old = _read_index(root / INDEX)
    damaged: list[str] = []
    new: dict[str, Any] = {"schema": SCHEMA}
    for kind in ("cell", "purchase"):
        new[f"{kind}s"] = _entries(root / f"{kind}s", kind, old.get(f"{kind}s", {}), damaged)
    if new != old and any(new[kind] for kind in ("cells", "purchases")):
        with contextlib.suppress(ConfigurationError):  # somebody else's results may be looked at, too
            write_whole(root / INDEX, sealed(new))
    rows = {kind: {digest: entry[1] for digest, entry in new[kind].items()} for kind in ("cells", "purchases")}
    return Catalogue(rows["cells"], rows["purchases"], tuple(damaged))


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


def _entries(folder: Path, kind: str, known: dict[str, Any], damaged: list[str]) -> dict[str, Any]:
    """Mark and row of every file, taken from ``known`` where the mark is the same."""
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
            before = known.get(digest)
            if before is not None and before[0] == mark:
                found[digest] = before
                continue
            raw = Path(file.path).read_bytes()
        except FileNotFoundError:  # another evaluator has just put a new one in its place, or moved it aside
            continue
        content, why = sound(raw, kind, digest, READ[kind])
        if content is None:
            damaged.append(f"{file.name} {why}")
            continue
        row = cell_row(content) if kind == "cell" else _purchase_row(content)
        found[digest] = [mark, row]
    return found
