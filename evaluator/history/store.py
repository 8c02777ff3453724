"""The folder of results.

``<root>/cells/<hash>.json`` is one finished cell and ``<root>/cells/<hash>.npy`` its predictions, ``<root>/answers/<hash>.json``
one answer that cells are judged on, ``<root>/partial/`` the states of unfinished trainings, ``<root>/<run>/`` one run over several
cells; ``layout`` has the names. A running evaluation holds the folder of its run, and the root together with others. Every file is
written whole or not at all, even if its writer is killed; the next writer removes what a killed writer left.
Cells and answers have a checksum, so that a changed value is noticed in a file that can still be read. The checksum guards against
accidents, not against forgery: anybody who may write to the folder can compute a new checksum.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import hashlib
import io
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from evaluator import __version__
from evaluator.bounded import RECORD, BoundsError, read_bytes, read_json
from evaluator.errors import ConfigurationError
from evaluator.files import hold_aloud, remove_temporaries, write_bytes
from evaluator.history import layout
from evaluator.history.checksum import sealed
from evaluator.history.predictions import as_npy
from evaluator.history.reading import LARGE, sound
from evaluator.history.validity import fault
from evaluator.machine import computed_by
from evaluator.records import Answer, CellResult, PredictionsRow
from evaluator.text import json_text, say, spreadsheet, visible_lines
from evaluator.track import Judged

PARTIAL_DAYS = 30
"""Days for which the state of an unfinished training is kept if no run resumes it."""
LIVE_CAP = 1 << 20
"""Characters of a log that are written while a submission runs."""


class Store:
    """Results below one folder.

    Raises:
        ConfigurationError: the folder cannot be written; raised before any work is done.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            for name in ("cells", "answers", "partial"):
                (root / name).mkdir(parents=True, exist_ok=True)
            probe = root / f".probe.{secrets.token_hex(8)}.tmp"
            probe.touch()
            probe.unlink(missing_ok=True)
            layout.write_mark(root)
        except OSError as error:
            if root.is_symlink() and not root.exists():
                raise ConfigurationError(
                    f"the results folder {root} is a link to {root.readlink()}, which does not exist; make that folder, or name "
                    "another with --out"
                ) from None
            raise ConfigurationError(
                f"the results folder {root} cannot be written ({error.strerror}: {error.filename}); name another with --out"
            ) from None
        self._remove_temporaries()

    def _remove_temporaries(self) -> None:
        """Remove what killed writers left: in the store's own folders, not through links, and only names that are written there."""
        for name, patterns in layout.TEMPORARIES.items():
            folder = self.root / name
            if name == "" or not folder.is_symlink():
                for pattern in patterns:
                    remove_temporaries(folder, pattern)
        for run in layout.run_folders(self.root):
            for pattern in ("*.json", "*.csv", "*.html"):
                remove_temporaries(run, pattern)
            if not (run / layout.LOGS).is_symlink():
                remove_temporaries(run / layout.LOGS, "*.log")

    def cell_path(self, digest: str) -> Path:
        """The file of the cell whose spec has that hash."""
        return self.root / "cells" / f"{digest}.json"

    def read_cell(self, digest: str) -> dict[str, Any] | None:
        """A stored cell; None if there is none.

        A file that is cut short, was changed, or is not this cell is moved aside with a warning, and None is returned.

        Raises:
            ConfigurationError: the file cannot be read or cannot be moved aside.
        """
        return self._read(self.cell_path(digest), "cell", "it is run again")

    def write_cell(self, judged: Judged) -> CellResult:
        """Store a finished cell and its predictions, and remove the state of its training.

        A stored cell of the same hash that other library versions computed is moved to ``cells/replaced/`` first. What was stored
        before, failed or scored, is counted in ``attempts``: running a cell again does not make an earlier result unseen.

        Returns:
            The result as it was stored.

        Raises:
            ConfigurationError: a file cannot be written.
            ValueError: a number that JSON does not have (NaN, infinity); no file was changed.
        """
        result, predictions = judged.result, None
        path = self.cell_path(result.spec.digest())
        if judged.predictions is not None:
            predictions = as_npy(judged.predictions)
            sha256, shape = hashlib.sha256(predictions).hexdigest(), list(judged.predictions.shape)
            result = replace(result, predictions=PredictionsRow(file=f"{path.stem}.npy", sha256=sha256, shape=shape))
        result = self._counted(path, result)
        text = _as_stored(result.as_dict())
        self._set_aside(path, "cell", result.versions)
        if predictions is not None:
            write_whole(path.with_suffix(".npy"), predictions)
        write_whole(path, text)
        if predictions is None:
            with contextlib.suppress(OSError):  # predictions of an earlier cell of this hash
                path.with_suffix(".npy").unlink(missing_ok=True)
        if result.scored:
            self._forget_partials(path.stem)
        return result

    def _counted(self, path: Path, result: CellResult) -> CellResult:
        """A result with the attempts before it, if a sound cell is stored in its place."""
        with contextlib.suppress(
            OSError, BoundsError, msgspec.ValidationError, KeyError, TypeError, AttributeError
        ):  # damaged, or none
            wanted = {"verdict", "scored", "metrics", "versions", "attempts"}
            stored, _ = sound(read_bytes(path, RECORD.size), "cell", path.stem, wanted)
            if stored is not None:
                return result.after(stored)
        return result

    def _set_aside(self, path: Path, kind: str, versions: Mapping[str, str]) -> None:
        """Move a stored file that other library versions made out of the way, with its predictions."""
        try:
            raw = read_bytes(path, RECORD.size)
        except (OSError, BoundsError):
            return
        stored, _ = sound(raw, kind, path.stem, {"versions", "scored"})
        if stored is None or stored.get("scored") is False or computed_by(stored["versions"]) == computed_by(versions):
            return
        mark = hashlib.sha256(raw).hexdigest()[:8]
        folder = path.parent / layout.REPLACED
        try:
            folder.mkdir(exist_ok=True)
            for old in (path.with_suffix(".npy"), path):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(old, folder / f"{path.stem}-{mark}{old.suffix}")
        except OSError as error:
            raise _unwritable(folder, error) from None

    def answer_path(self, digest: str) -> Path:
        """The file of the answer of that hash."""
        return self.root / "answers" / f"{digest}.json"

    def read_answer(self, digest: str) -> dict[str, Any] | None:
        """A stored answer; None if there is none. Damaged files are treated as in ``read_cell``."""
        return self._read(self.answer_path(digest), "answer", "it does not count")

    def write_answer(self, answer: Answer) -> Path:
        """Store an answer. It replaces a stored answer of the same hash; what other library versions made is set aside."""
        path, content = self.answer_path(answer.digest), answer.as_dict()
        text = _as_stored(content)
        self._set_aside(path, "answer", content["versions"])
        return write_whole(path, text)

    @contextlib.contextmanager
    def answers_held(self) -> Iterator[None]:
        """A lock: while the block runs, no other evaluator runs such a block. On a file system without locks nothing is locked."""
        descriptor = None
        with contextlib.suppress(OSError):
            descriptor = hold_aloud(self.root / "answers")
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def partial_path(self, cell: str, answer: str) -> Path:
        """The file in which the training of a cell keeps its state.

        ``answer``, the answer's checksum, is part of the name, so that a training never resumes from the state of a training on
        another answer.
        """
        return self.root / "partial" / f"{__version__}-{cell}-{answer[:16]}.pt"

    def forget_old_partials(self) -> None:
        """Remove states that no training will resume: of other kit versions, of finished cells, and those older than a month.

        Never raises. A cell that cannot be read is set aside with a warning, as by ``read_cell``; its state stays.
        """
        for path, version, cell in self._partials():
            with contextlib.suppress(OSError, ConfigurationError):  # another evaluator may remove it at the same time
                age = path.lstat().st_mtime
                old = version != __version__ or age < time.time() - PARTIAL_DAYS * 86_400
                if old or self._finished_since(cell, age):
                    path.unlink()

    def _finished_since(self, cell: str, then: float) -> bool:
        path = self.cell_path(cell)
        return path.exists() and path.stat().st_mtime > then and (self.read_cell(cell) or {}).get("scored") is True

    def _forget_partials(self, cell: str) -> None:
        for path, _, of in self._partials():
            if of == cell:
                with contextlib.suppress(OSError):  # a state that stays does no harm
                    path.unlink()

    def _partials(self) -> list[tuple[Path, str, str]]:
        """The states of unfinished trainings: path, version of the kit, and cell. Nothing else in their folder counts."""
        folder = self.root / "partial"
        names: list[str] = []
        with contextlib.suppress(OSError):
            names = [] if folder.is_symlink() else sorted(os.listdir(folder))
        matches = [(name, layout.PARTIAL.fullmatch(name)) for name in names]
        return [(folder / name, match["version"], match["cell"]) for name, match in matches if match is not None]

    def _read(self, path: Path, kind: str, otherwise: str) -> dict[str, Any] | None:
        aside = path.with_suffix(".damaged")
        try:
            if path.exists() and not path.is_file():
                raise OSError(errno.EINVAL, "it is not a regular file")
            try:
                content, why = sound(read_bytes(path, RECORD.size), kind, path.stem)
            except BoundsError:
                content, why = None, LARGE
            if content is not None and kind == "cell":
                why = fault(content, path.stem)
            if content is not None and not why:
                return content
            os.replace(path, aside)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigurationError(
                f"{path} cannot be read ({error.strerror}); remove it, or name another folder with --out"
            ) from None
        say(f"warning: {path} {why}; it was moved to {aside.name} and {otherwise}")
        return None

    def set_damaged(self, path: Path, why: str) -> None:
        """Move a stored cell or answer aside that cannot be used, with a warning."""
        with contextlib.suppress(OSError):  # it stays, and is named again by the next run
            os.replace(path, path.with_suffix(".damaged"))
        say(f"warning: {path}: {why}; it was moved to {path.stem}.damaged and does not count")

    def new_run(self, name: str) -> Path:
        """Make the folder of a new run. Its name is the time and ``name``, made unique."""
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "run"
        stem = f"{time.strftime('%Y%m%d-%H%M%S')}-{plain}"
        for attempt in range(1000):
            folder = self.root / (stem if attempt == 0 else f"{stem}-{attempt}")
            try:
                folder.mkdir()
                (folder / layout.LOGS).mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                raise ConfigurationError(
                    f"{folder} cannot be made ({error.strerror}); free some room, or name another folder with --out"
                ) from None
            return folder
        raise ConfigurationError(f"1,000 runs named {stem} already exist in {self.root}; choose another folder with --out")

    @contextlib.contextmanager
    def running(self, name: str) -> Iterator[Path]:
        """The folder of a new run. While the block runs, nothing that it may need is removed by ``inventory``.

        Raises:
            ConfigurationError: the folder cannot be made.
        """
        with contextlib.ExitStack() as held:
            try:
                held.callback(os.close, hold_aloud(self.root.resolve(), shared=True))
                folder = self.new_run(name)
                held.callback(os.close, hold_aloud(folder))
            except OSError as error:
                raise _unwritable(self.root, error) from None
            yield folder

    def write_run(self, folder: Path, summary: dict[str, Any], name: str = "result") -> Path:
        """Store the summary of a run: ``result.json``, or ``sweep.json`` with the name ``sweep``."""
        return self._write_json(folder / f"{name}.json", summary)

    def write_log(self, folder: Path, name: str, text: str) -> Path:
        """Store what the submission printed in one cell, with escapes for what would steer a terminal that shows the file."""
        return write_whole(folder / layout.LOGS / f"{name}.log", visible_lines(text))

    def live_log(self, folder: Path, name: str) -> Callable[[str], None]:
        """Adds texts to the log of one cell while the submission runs; ``write_log`` replaces it by the whole at the end.

        It takes ``LIVE_CAP`` characters and drops the rest: the end of what a submission prints is in the whole.
        """
        path, written = folder / layout.LOGS / f"{name}.log", 0

        def add(text: str) -> None:
            nonlocal written
            if text and written < LIVE_CAP:
                text = text[: LIVE_CAP - written]
                path.parent.mkdir(parents=True, exist_ok=True)
                with open(path, "a" if written else "w", encoding="utf-8") as file:
                    file.write(visible_lines(text))
                written += len(text)

        return add

    def write_table(self, folder: Path, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
        """Store a table of a run as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(map(spreadsheet, header))
        writer.writerows(map(spreadsheet, row) for row in rows)
        return write_whole(folder / name, text.getvalue())

    def _write_json(self, path: Path, content: dict[str, Any]) -> Path:
        return write_whole(path, json_text(content, indent=1, allow_nan=False) + "\n")


def _is_scored(path: Path) -> bool:
    try:
        content = read_json(path)
    except (OSError, BoundsError):
        return False
    return isinstance(content, dict) and content.get("scored") is True


def _unwritable(path: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(f"{path} cannot be written ({error.strerror}); free some room, or name another folder with --out")


def _as_stored(content: dict[str, Any]) -> str:
    # The checksum must fit what a reader gets: JSON turns tuples into lists, and keys that are numbers into strings.
    return sealed(json.loads(json.dumps(content, allow_nan=False)))


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file of the results folder, whole or not at all.

    Raises:
        ConfigurationError: the file cannot be written, or its folder was removed.
    """
    try:
        write_bytes(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        if not path.parent.is_dir():
            raise ConfigurationError(f"the folder {path.parent} is gone; do not remove it while an evaluation runs") from None
        raise _unwritable(path, error) from None
    return path
