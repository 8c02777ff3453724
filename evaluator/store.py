"""Where results lie. The only code that knows.

``<root>/cells/<hash>.json`` holds one finished cell, ``<root>/<run>/`` one run over several. Every file is written whole to a
name of its own and then renamed, so that a reader never sees half of one, whenever the writer is killed.
"""

from __future__ import annotations

import csv
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
            probe = root / f".probe-{uuid.uuid4().hex}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise ConfigurationError(
                f"the results folder {root} cannot be written ({error.strerror}); name another with --out"
            ) from None

    def cell_path(self, digest: str) -> Path:
        """Where the cell of that spec lies."""
        return self.root / "cells" / f"{digest}.json"

    def read_cell(self, digest: str) -> dict[str, Any] | None:
        """A stored cell, or None where there is none.

        A file that is cut, or that does not hold this cell whole, is moved aside with a warning and counts as none.
        """
        path = self.cell_path(digest)
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(result, dict) and result.get("cell") == digest and result.keys() >= NEEDED:
                return result
            why = "does not hold this cell"
        except FileNotFoundError:
            return None
        except (ValueError, UnicodeDecodeError):
            why = "is damaged"
        aside = path.with_suffix(".damaged")
        os.replace(path, aside)
        print(f"warning: {path} {why}; it was moved to {aside.name} and the cell is run again", file=sys.stderr)
        return None

    def write_cell(self, result: dict[str, Any]) -> Path:
        """Store a finished cell."""
        return self._write_json(self.cell_path(result["cell"]), result)

    def new_run(self, name: str) -> Path:
        """A folder for a new run: time and name, made unique."""
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "run"
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{plain}"
        for attempt in range(1000):
            folder = self.root / (stem if attempt == 0 else f"{stem}-{attempt}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            (folder / "logs").mkdir()
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


def _write(path: Path, text: str) -> Path:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}); free some room, or name another folder with --out"
        ) from None
    return path
