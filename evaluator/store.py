"""Where results lie. The only code that knows.

``<root>/cells/<hash>.json`` holds one finished cell, ``<root>/<run>/`` one run over several. Every file is written whole to a
name of its own and then renamed, so that a reader never sees half of one, whenever the writer is killed; what a killed writer left
is removed by the next one. A cell carries a checksum over its content, so that damage is noticed that leaves it readable.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import re
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.ownership import abandoned, hold

NEEDED = {"cell", "verdict", "reason", "scored", "fit_to_submit", "metrics", "purchase", "phases", "ledger", "isolation"}
"""What tables and summaries read of a cell; a file without it is damaged."""


class Store:
    """Results below one folder.

    Raises:
        ConfigurationError: the folder cannot be written; said before any work is done.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            (root / "cells").mkdir(parents=True, exist_ok=True)
            probe = root / f".probe.{uuid.uuid4().hex}.tmp"
            probe.touch()
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the results folder {root} cannot be written ({error.strerror}); name another with --out"
            ) from None
        for folder in (root, *(path for path in root.iterdir() if path.is_dir())):
            for place in (folder, folder / "logs"):
                _remove_temporaries(place)

    def cell_path(self, digest: str) -> Path:
        """Where the cell of that spec lies."""
        return self.root / "cells" / f"{digest}.json"

    def read_cell(self, digest: str) -> dict[str, Any] | None:
        """A stored cell, or None where there is none.

        A file that is cut, changed, or does not hold this cell whole is moved aside with a warning and counts as none.

        Raises:
            ConfigurationError: the file cannot be read, or not be moved aside.
        """
        path = self.cell_path(digest)
        aside = path.with_suffix(".damaged")
        try:
            result, why = _sound(path.read_bytes(), digest)
            if result is not None:
                return result
            os.replace(path, aside)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read ({error.strerror}); remove it, or name another folder with --out"
            ) from None
        print(f"warning: {path} {why}; it was moved to {aside.name} and the cell is run again", file=sys.stderr)
        return None

    def write_cell(self, result: dict[str, Any]) -> Path:
        """Store a finished cell."""
        # As it will be read: JSON turns tuples into lists and numbers that are keys into texts.
        content = json.loads(json.dumps(result, allow_nan=False))
        return self._write_json(self.cell_path(result["cell"]), content | {"checksum": _checksum(content)})

    def new_run(self, name: str) -> Path:
        """A folder for a new run: time and name, made unique."""
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "run"
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{plain}"
        for attempt in range(1000):
            folder = self.root / (stem if attempt == 0 else f"{stem}-{attempt}")
            try:
                folder.mkdir()
                (folder / "logs").mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise ConfigurationError(
                    f"{folder} cannot be made ({error.strerror}); free some room, or name another folder with --out"
                ) from None
            return folder
        raise ConfigurationError(f"{self.root} holds a thousand runs called {stem}; name another folder with --out")

    def write_run(self, folder: Path, summary: dict[str, Any]) -> Path:
        """Store the summary of a run as ``result.json``."""
        return self._write_json(folder / "result.json", summary)

    def write_log(self, folder: Path, name: str, text: str) -> Path:
        """Store what a participant printed in one cell."""
        return _write(folder / "logs" / f"{name}.log", text)

    def write_purchases(self, folder: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
        """Store the ledgers of a run as ``purchases.csv``."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        return _write(folder / "purchases.csv", text.getvalue())

    def _write_json(self, path: Path, content: dict[str, Any]) -> Path:
        return _write(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def _checksum(result: dict[str, Any]) -> str:
    text = json.dumps(result, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _sound(raw: bytes, digest: str) -> tuple[dict[str, Any] | None, str]:
    """The cell that a file holds; or None, and what is wrong with it."""
    try:
        result = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return None, "is damaged"
    if not isinstance(result, dict) or result.get("cell") != digest or not result.keys() >= NEEDED:
        return None, "does not hold this cell"
    if "checksum" not in result:
        return None, "carries no checksum (an older kit wrote it)"
    try:
        right = result.pop("checksum") == _checksum(result)
    except ValueError:  # a number that no cell is written with
        right = False
    return (result, "") if right else (None, "was changed after it was written")


def _remove_temporaries(folder: Path) -> None:
    """Remove what writers that were killed left; a living one holds its file."""
    for path in folder.glob(".*.tmp"):
        with abandoned(path) as free:
            if free:
                with contextlib.suppress(OSError):
                    path.unlink()


def _write(path: Path, text: str) -> Path:
    while True:
        # In the moment before it is held, another evaluator may take it for a dead one's.
        with contextlib.suppress(FileNotFoundError):
            return _write_once(path, text)
        if not path.parent.is_dir():
            raise ConfigurationError(f"the folder {path.parent} is gone; leave it alone while an evaluation runs")


def _write_once(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            held = hold(temporary)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                os.replace(temporary, path)
            finally:
                os.close(held)
    except FileNotFoundError:
        raise
    except OSError as error:
        with contextlib.suppress(OSError):  # a disk that has become read-only takes no removal either; the next run makes it
            temporary.unlink()
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}); free some room, or name another folder with --out"
        ) from None
    return path
