"""What is stored in a folder of results, with sizes and dates, and how to remove what is no longer needed."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import ConfigurationError
from evaluator.history.index import Index, read_index
from evaluator.history.store import REPLACED
from evaluator.secret import FILE
from evaluator.track import Tracks

DAY = 86_400
KINDS = ("cell", "answer", "partial training", "run", "damaged", "replaced", "answers of an older kit", "index", "secret", "other")
"""Kinds of things in a folder of results."""


@dataclass(frozen=True)
class Thing:
    """A file of results, or the folder of a run.

    Attributes:
        kind: one of ``KINDS``; ``size``: bytes, for a cell including its predictions.
        changed: time of the last change, seconds since the epoch.
        scored: whether the cell has a score; None if the file is not a readable cell.
    """

    path: Path
    kind: str
    size: int
    changed: float
    scored: bool | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are removed together."""
        return (self.path, self.path.with_suffix(".npy")) if self.kind == "cell" else (self.path,)


@dataclass(frozen=True)
class Choice:
    """What to remove. A file that no attribute selects stays.

    Attributes:
        partial: states of unfinished trainings; ``failed``: cells without a score.
        damaged: files that were moved aside because they are damaged; ``replaced``: cells that newer cells replaced.
        older_than: days; selects everything but index and secret that has not changed for so long. None: age selects nothing.

    Raises:
        ConfigurationError: nothing is selected, or ``older_than`` is below 0.
    """

    partial: bool = False
    failed: bool = False
    damaged: bool = False
    replaced: bool = False
    older_than: float | None = None

    def __post_init__(self) -> None:
        if self.older_than is not None and not self.older_than >= 0:
            raise ConfigurationError(f"--older-than is {self.older_than}; it must be 0 days or more")
        if self.older_than is None and not (self.partial or self.failed or self.damaged or self.replaced):
            raise ConfigurationError(
                "nothing to remove was named; name --partial, --failed, --damaged, --replaced or --older-than DAYS"
            )

    def takes(self, thing: Thing, now: float) -> bool:
        """Whether ``thing`` is to be removed. ``now``: seconds since the epoch."""
        if thing.kind in ("index", "secret", "other"):
            return False
        kinds = {"partial training": self.partial, "damaged": self.damaged, "replaced": self.replaced}
        named = kinds.get(thing.kind, False) or (self.failed and thing.scored is False)
        old = self.older_than is not None and thing.changed < now - self.older_than * DAY
        return named or old


def inventory(root: Path, tracks: Tracks) -> tuple[list[Thing], Index]:
    """Everything below a folder of results, sorted by kind and name, and the index of its cells and answers.

    Raises:
        ConfigurationError: the folder does not exist.
    """
    if not root.is_dir():
        raise ConfigurationError(f"the results folder {root} does not exist; name the folder that --out named")
    index = read_index(root, tracks)
    old = frozenset(name for track in tracks for name in track.old_folders)
    found = [thing for thing in _things(root, index, old) if thing is not None]
    return sorted(found, key=lambda thing: (KINDS.index(thing.kind), thing.path.name)), index


def remove(things: list[Thing]) -> list[str]:
    """Remove files and folders of runs; links are removed, never followed. Returns one line for everything that stayed."""
    failed = []
    for thing in things:
        for path in thing.paths:
            try:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                failed.append(f"{path} cannot be removed ({error.strerror})")
    return failed


def _things(root: Path, index: Index, old: frozenset[str]) -> Iterator[Thing | None]:
    for path in _entries(root):
        if path.name in ("cells", "answers", "partial") and path.is_dir():
            for inner in _entries(path):
                yield from _inner(path.name, inner, index)
        elif path.name in old:
            yield _thing(path, "answers of an older kit")
        elif path.is_dir() and not path.is_symlink():
            run = any((path / name).exists() for name in ("result.json", "sweep.json", "logs"))
            yield _thing(path, "run" if run else "other")
        else:
            yield _thing(path, {"index.json": "index", FILE: "secret"}.get(path.name, "other"))


def _inner(folder: str, path: Path, index: Index) -> Iterator[Thing | None]:
    if path.name == REPLACED and path.is_dir():
        for old in _entries(path):
            yield _thing(old, "replaced")
    elif path.suffix == ".damaged":
        yield _thing(path, "damaged")
    elif folder == "partial":
        yield _thing(path, "partial training")
    elif path.suffix == ".json":
        row = index.cells.get(path.stem) if folder == "cells" else None
        readable = folder != "cells" or row is not None
        yield _thing(path, folder.removesuffix("s") if readable else "other", None if row is None else row["scored"])
    elif path.suffix != ".npy" or not path.with_suffix(".json").exists():
        yield _thing(path, "other")


def _entries(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):  # removed in the meantime, or this user may not list it
        return [Path(entry.path) for entry in os.scandir(folder)]
    return []


def _thing(path: Path, kind: str, scored: bool | None = None) -> Thing | None:
    try:
        status = path.lstat()
    except OSError:  # removed in the meantime
        return None
    size = _size_below(path) if path.is_dir() and not path.is_symlink() else status.st_size
    if kind == "cell":
        with contextlib.suppress(OSError):
            size += path.with_suffix(".npy").lstat().st_size
    return Thing(path, kind, size, status.st_mtime, scored)


def _size_below(folder: Path) -> int:
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(path, name)).st_size
    return total


def age(seconds: float, now: float | None = None) -> str:
    """The time from ``seconds`` (since the epoch) until ``now``, in words: ``3 h``, ``12 days``."""
    passed = max(0.0, (time.time() if now is None else now) - seconds)
    if passed < 2 * 3_600:
        return f"{passed / 60:.0f} min"
    return f"{passed / 3_600:.0f} h" if passed < 2 * DAY else f"{passed / DAY:.0f} days"


def amount(size: int) -> str:
    """A number of bytes in words: ``12 kB``, ``3.4 MB``."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 10 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
