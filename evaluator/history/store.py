"""Where results lie. The only code that knows.

``<root>/cells/<hash>.json`` holds one finished cell, ``<root>/purchases/<hash>.json`` one purchase that cells are trained on,
``<root>/partial/`` the state of trainings that have not ended, ``<root>/<run>/`` one run over several cells. Every file is written
whole to a name of its own and then renamed, so that a reader never sees half of one, whenever the writer is killed; what a killed
writer left is removed by the next one. Cells and purchases carry a checksum over their content (``seal``), so that damage is
noticed that leaves them readable. It guards against accidents: whoever may write to the folder can compute it anew.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import sys
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from evaluator import __version__
from evaluator.errors import ConfigurationError
from evaluator.files import hold, remove_temporaries, write_text
from evaluator.history.checksum import checksum, members, sealed

NEEDED_OF_PURCHASE = {"purchase", "spec", "verdict", "reason", "phases", "seconds", "disagreement", "clock_was_read", "class"}
NEEDED_OF_PURCHASE |= {"guarded", "limited_by", "trace", "ledger", "log"}
"""What a training needs of a purchase."""
PARTIAL_DAYS = 30
"""How long the state of a training that nobody goes on with is kept."""

NEEDED = {"cell", "verdict", "reason", "scored", "fit_to_submit", "metrics", "purchase", "phases", "ledger", "isolation"}
"""What tables and summaries read of a cell; a file without it is damaged."""


def _no_number(name: str) -> Any:
    raise ValueError(f"JSON has no number {name}")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


class Store:
    """Results below one folder.

    Raises:
        ConfigurationError: the folder cannot be written; said before any work is done.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for name in ("cells", "purchases", "partial"):
                (root / name).mkdir(parents=True, exist_ok=True)
            probe = root / f".probe.{uuid.uuid4().hex}.tmp"
            probe.touch()
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"the results folder {root} cannot be written ({error.strerror}); name another with --out"
            ) from None
        for folder in (root, *(path for path in root.iterdir() if path.is_dir())):
            for place in (folder, folder / "logs"):
                remove_temporaries(place)

    def cell_path(self, digest: str) -> Path:
        """Where the cell of that spec lies."""
        return self.root / "cells" / f"{digest}.json"

    def read_cell(self, digest: str) -> dict[str, Any] | None:
        """A stored cell, or None where there is none.

        A file that is cut, changed, or does not hold this cell whole is moved aside with a warning and counts as none.

        Raises:
            ConfigurationError: the file cannot be read, or not be moved aside.
        """
        return self._read(self.cell_path(digest), "cell", "it is run again")

    def write_cell(self, result: dict[str, Any]) -> Path:
        """Store a finished cell. The state of its training is not needed any more."""
        path = self._write_sealed(self.cell_path(result["cell"]), result)
        if result["scored"]:
            self._forget_partials(result["cell"])
        return path

    def purchase_path(self, digest: str) -> Path:
        """Where the purchase of that hash lies."""
        return self.root / "purchases" / f"{digest}.json"

    def read_purchase(self, digest: str) -> dict[str, Any] | None:
        """A stored purchase, or None where there is none; as ``read_cell``."""
        return self._read(self.purchase_path(digest), "purchase", "it does not count")

    def write_purchase(self, content: dict[str, Any]) -> Path:
        """Store a purchase, in the place of one of the same hash."""
        return self._write_sealed(self.purchase_path(content["purchase"]), content)

    @contextlib.contextmanager
    def purchases_held(self) -> Iterator[None]:
        """While the block runs, no other evaluator is in such a block; where the file system knows no locks, it may be."""
        descriptor = None
        with contextlib.suppress(OSError):
            descriptor = hold(self.root / "purchases")
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def partial_path(self, cell: str, purchase: str) -> Path:
        """Where the training of a cell keeps its state.

        ``purchase``, the purchase's checksum, is part of the name: a training never goes on from the state of one on other labels.
        """
        return self.root / "partial" / f"{__version__}-{cell}-{purchase[:16]}.pt"

    def forget_old_partials(self) -> None:
        """Remove states that no training will go on from: of another version, of finished cells, and those left for a month."""
        for path in (self.root / "partial").iterdir():
            with contextlib.suppress(OSError):  # another evaluator may remove it at the same time
                version, _, rest = path.name.partition("-")
                cell = self.cell_path(rest.partition("-")[0])
                age = path.stat().st_mtime
                finished = cell.exists() and cell.stat().st_mtime > age and json.loads(cell.read_bytes()).get("scored")
                if version != __version__ or finished or age < time.time() - PARTIAL_DAYS * 86_400:
                    path.unlink()

    def _forget_partials(self, cell: str) -> None:
        for path in (self.root / "partial").glob(f"*-{cell}-*"):
            with contextlib.suppress(OSError):  # it is in nobody's way
                path.unlink()

    def _read(self, path: Path, kind: str, otherwise: str) -> dict[str, Any] | None:
        aside = path.with_suffix(".damaged")
        try:
            content, why = sound(path.read_bytes(), kind, path.stem)
            if content is not None:
                return content
            os.replace(path, aside)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read ({error.strerror}); remove it, or name another folder with --out"
            ) from None
        print(f"warning: {path} {why}; it was moved to {aside.name} and {otherwise}", file=sys.stderr)
        return None

    def _write_sealed(self, path: Path, content: dict[str, Any]) -> Path:
        # As it will be read: JSON turns tuples into lists and numbers that are keys into texts.
        return write_whole(path, sealed(json.loads(json.dumps(content, allow_nan=False))))

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

    def write_run(self, folder: Path, summary: dict[str, Any], name: str = "result") -> Path:
        """Store the summary of a run as ``result.json``, that of a sweep as ``sweep.json``."""
        return self._write_json(folder / f"{name}.json", summary)

    def write_log(self, folder: Path, name: str, text: str) -> Path:
        """Store what a participant printed in one cell."""
        return write_whole(folder / "logs" / f"{name}.log", text)

    def write_purchases(self, folder: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
        """Store the ledgers of a run as ``purchases.csv``."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
        return write_whole(folder / "purchases.csv", text.getvalue())

    def _write_json(self, path: Path, content: dict[str, Any]) -> Path:
        return write_whole(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_cells(root: Path, only: Collection[str] | None = None) -> Iterator[tuple[Path, dict[str, Any] | None, str]]:
    """Every stored cell below a folder of results, by name of the file, without writing anything.

    Args:
        only: keys that are wanted of a cell; all where None. Few are read several times as fast, and checked all the same.

    Yields:
        (path, cell, ""), or (path, None, what is wrong with the file).

    Raises:
        ConfigurationError: there is no such folder of results, or a file in it cannot be read.
    """
    if not (root / "cells").is_dir():
        raise ConfigurationError(f"{root} holds no results (no folder cells/); name the folder that --out named")
    for path in sorted((root / "cells").glob("*.json")):
        try:
            yield (path, *sound(path.read_bytes(), "cell", path.stem, only))
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read ({error.strerror})") from None


def sound(raw: bytes, kind: str, digest: str, only: Collection[str] | None = None) -> tuple[dict[str, Any] | None, str]:
    """The ``cell`` or ``purchase`` that a file holds, with ``""``; or None, and what is wrong with it.

    Args:
        only: keys that are wanted, among them ``checksum`` where it is; where None, all but that.
    """
    needed = NEEDED if kind == "cell" else NEEDED_OF_PURCHASE
    texts = members(raw)
    if texts is not None and texts.keys() >= needed and texts[kind] == json.dumps(digest).encode():
        with contextlib.suppress(ValueError, RecursionError):  # nothing that the kit wrote; said below
            wanted = texts.keys() - {"checksum"} if only is None else texts.keys() & only
            return {name: _DECODER.decode(texts[name].decode()) for name in texts if name in wanted}, ""
    try:
        content = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return None, "is damaged"
    if not isinstance(content, dict) or content.get(kind) != digest or not content.keys() >= needed:
        return None, f"does not hold this {kind}"
    if "checksum" not in content:
        return None, "carries no checksum (an older kit wrote it)"
    said = content.pop("checksum")
    try:
        right = said == checksum(content)
    except ValueError:  # a number that none is written with
        right = False
    if not right:
        return None, "was changed after it was written"
    return content if only is None else {name: v for name, v in (content | {"checksum": said}).items() if name in only}, ""


def write_whole(path: Path, text: str) -> Path:
    """Write a file of the results folder, whole or not at all.

    Raises:
        ConfigurationError: it cannot be written, or its folder is gone.
    """
    try:
        write_text(path, text)
    except OSError as error:
        if not path.parent.is_dir():
            raise ConfigurationError(f"the folder {path.parent} is gone; leave it alone while an evaluation runs") from None
        raise ConfigurationError(
            f"{path} cannot be written ({error.strerror}); free some room, or name another folder with --out"
        ) from None
    return path
