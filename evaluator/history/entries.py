"""Who evaluated what: a record for every submission that was evaluated into a folder of results.

A cell is named by what decides it, and whose submission it is decides nothing. So cells are shared: two people whose files are
equal have the same cells, and nothing is computed twice. That they are two people stands beside the cells, in
``entries/<hash>.json``: a file for each owner, label, name and content, with the folder that it lay in and the times of its first
and its last evaluation. Tables of stored cells have a row for each entry, so nobody's row vanishes. Cells without an entry (of an
older kit, or copied alone) have a row by the name in their spec.

What an entry says comes from the submission's own manifest and from whoever started the evaluation: it is a claim. It is bounded
and harmless to show.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Self

import msgspec

from evaluator.bounded import SMALL, BoundsError, parse_json, read_bytes
from evaluator.errors import ConfigurationError
from evaluator.fields import SCHEMA, doc
from evaluator.history.checksum import members, sealed
from evaluator.history.layout import ENTRIES
from evaluator.history.store import write_whole
from evaluator.specs import digest_of
from evaluator.text import one_line

LABEL_WIDTH, OWNER_WIDTH, FOLDER_WIDTH = 80, 120, 1_000
"""Largest widths of the texts of an entry, in cells of a terminal; longer texts are cut."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A submission as it was evaluated into a folder of results: whose, under which label, from where and when."""

    owner: Annotated[str, doc("team, or authors, as the submission's `aicrowd.json` names them; empty if it names nobody")] = ""
    label: Annotated[str, doc("what tables call the submission: the text of `--label`, or the name of its folder or file")]
    name: Annotated[str, doc("plain name of its folder or file")]
    digest: Annotated[str, doc("hash over its files, as in `spec.submission_digest` of its cells")]
    folder: Annotated[str, doc("where it lay when it was evaluated last")] = ""
    first: Annotated[str, doc("when it was evaluated first: UTC, e.g. `2026-11-26T21:17:40Z`")] = ""
    last: Annotated[str, doc("when an evaluation of it began last")] = ""

    @property
    def key(self) -> str:
        """Hash over owner, label and content: the name of the file."""
        return digest_of({"owner": self.owner, "label": self.label, "name": self.name, "digest": self.digest})

    def as_dict(self) -> dict[str, Any]:
        """The content of the file, JSON-able."""
        return {"schema": SCHEMA, "entry": self.key} | {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Self:
        """The inverse of ``as_dict``; every text is made harmless and cut to its width.

        Raises:
            msgspec.ValidationError: a member is missing or no text.
        """
        found = msgspec.convert({name: value for name, value in stored.items() if name not in ("schema", "entry")}, cls)
        return found.bounded()

    def bounded(self) -> Self:
        """The same with every text harmless and cut to its width. Applied twice it gives the same as once."""
        widths = {"owner": OWNER_WIDTH, "label": LABEL_WIDTH, "folder": FOLDER_WIDTH}
        return replace(self, **{f.name: one_line(getattr(self, f.name), widths.get(f.name, LABEL_WIDTH)) for f in fields(self)})


def moment(seconds: float | None = None) -> str:
    """A time as entries write it, in UTC. ``seconds``: since the epoch; None for now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def place_text(path: Path) -> str:
    """A path as entries write it."""
    return one_line(os.path.abspath(path), FOLDER_WIDTH)


def write_entries(root: Path, entries: Iterable[Entry]) -> None:
    """Store entries below a folder of results. The first time of an entry that is stored already is kept.

    Raises:
        ConfigurationError: the folder cannot be written.
    """
    folder = root / ENTRIES
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be made ({error.strerror}); remove what lies there, or name another folder with --out"
        ) from None
    for entry in entries:
        path = folder / f"{entry.key}.json"
        before, _ = _read(path)
        entry = entry if before is None else replace(entry, first=min(before.first or entry.first, entry.first))
        write_whole(path, sealed(entry.as_dict()))


def read_entries(root: Path) -> tuple[list[Entry], list[str]]:
    """The entries of a folder of results, and a line for every file that is no entry. Nothing is written, and nothing raised."""
    found, damaged = [], []
    try:
        names = sorted(name for name in os.listdir(root / ENTRIES) if name.endswith(".json"))
    except OSError:
        return [], []
    for name in names:
        entry, why = _read(root / ENTRIES / name)
        if entry is None:
            damaged.append(f"{ENTRIES}/{name} {why}")
        else:
            found.append(entry)
    return found, damaged


def _read(path: Path) -> tuple[Entry | None, str]:
    """The entry in a file, or None and what is wrong with the file."""
    try:
        raw = read_bytes(path, SMALL.size)
        texts = members(raw)
        if texts is None:
            return None, "was changed after it was written"
        content = {name: parse_json(text, name, SMALL) for name, text in texts.items() if name != "checksum"}
        entry = Entry.from_dict(content)
    except OSError as error:
        return None, f"cannot be read ({error.strerror})"
    except BoundsError:
        return None, "is no entry: it is damaged"
    except (msgspec.ValidationError, ValueError) as error:
        return None, f"is no entry ({one_line(error, 100)})"
    if content.get("entry") != path.stem:
        return None, "does not hold this entry"
    return entry, ""
