"""What is stored in a folder of results, with sizes and dates, and how to remove what is no longer needed."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evaluator.errors import ConfigurationError
from evaluator.files import unheld
from evaluator.history import layout
from evaluator.history.index import INDEX, Index, read_index
from evaluator.secret import FILE
from evaluator.track import Tracks

DAY = 86_400
KINDS = (
    "cell",
    "answer",
    "entry",
    "partial training",
    "run",
    "damaged",
    "replaced",
    "answers of an older kit",
    "index",
    "secret",
    "other",
)
"""Kinds of things in a folder of results."""


@dataclass(frozen=True)
class Thing:
    """A file of results, or the folder of a run.

    Attributes:
        kind: one of ``KINDS``; ``other`` is what the kit did not make, a link, or what lies on another file system.
        size: bytes, for a cell including its predictions.
        changed: time of the last change, seconds since the epoch.
        scored: whether the cell has a score; None if the file is not a readable cell.
    """

    path: Path
    kind: str
    size: int
    changed: float
    scored: bool | None = None


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


@dataclass(frozen=True)
class Selection:
    """What a choice takes of a folder of results.

    Attributes:
        chosen: to be removed; ``in_use``: would be, but a running evaluation holds it.
        foreign: number of files and folders that the kit did not make.
    """

    chosen: tuple[Thing, ...]
    in_use: tuple[Thing, ...]
    foreign: int


READ_BY_RUNS = frozenset({"cell", "answer", "partial training"})
"""Kinds that a running evaluation may read at any time; it holds the folder of results meanwhile."""


def inventory(root: Path, tracks: Tracks, *, only_ours: bool = False) -> tuple[list[Thing], Index]:
    """Everything below a folder of results, sorted by kind and name, and the index of its cells and answers.

    Args:
        only_ours: refuse a folder that is not recognised as a folder of results (see ``layout``).

    Raises:
        ConfigurationError: the folder does not exist, or is refused.
    """
    if not root.is_dir():
        raise ConfigurationError(f"the results folder {root} does not exist; name the folder that --out named")
    index = read_index(root, tracks)
    if only_ours and not _is_recognised(root, index):
        raise ConfigurationError(
            f"--out: {root} is not a folder of results: it has no file {layout.MARK} of this kit, and no cell, answer or run in it "
            "can be read. Name the folder that --out of an evaluation named; nothing was removed"
        )
    old = frozenset(name for track in tracks for name in track.old_folders)
    found = [thing for thing in _things(root, index, old) if thing is not None]
    return sorted(found, key=lambda thing: (KINDS.index(thing.kind), thing.path.name)), index


def _is_recognised(root: Path, index: Index) -> bool:
    return layout.is_marked(root) or bool(index.cells or index.answers) or any(map(layout.has_summary, layout.run_folders(root)))


def select(things: Sequence[Thing], choice: Choice, now: float, *, idle: bool) -> Selection:
    """What ``choice`` takes.

    Args:
        now: seconds since the epoch.
        idle: whether no evaluation runs on the folder of results. If one may, what it reads and its own folder are in use.
    """
    taken = [thing for thing in things if choice.takes(thing, now)]
    used = {thing.path for thing in taken if (not idle and thing.kind in READ_BY_RUNS) or (thing.kind == "run" and _is_held(thing))}
    return Selection(
        tuple(thing for thing in taken if thing.path not in used),
        tuple(thing for thing in taken if thing.path in used),
        sum(thing.kind == "other" for thing in things),
    )


def _is_held(thing: Thing) -> bool:
    with unheld(thing.path) as free:
        return not free


@dataclass
class Removed:
    """What was removed: ``things`` that are gone whole, their ``size`` and that of parts of others, in bytes.

    ``failed`` has a line for everything that stayed. What somebody else removed in the meantime is in neither.
    """

    things: int = 0
    size: int = 0
    failed: list[str] = field(default_factory=list)


def remove(root: Path, things: Sequence[Thing]) -> Removed:
    """Remove things of a folder of results.

    Every folder is opened by its name in a folder that is open, never through a link and never on another file system. Of the
    folder of a run, only files that the kit writes there are removed; if anything else is in it, it stays.
    """
    removed = Removed()
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        device = os.fstat(top).st_dev
        for thing in things:
            try:
                with _opened(thing.path.relative_to(root).parent.parts, top, device) as folder:
                    if thing.kind == "run":
                        _remove_run(thing.path.name, folder, device, removed)
                        continue
                    there = _unlink(thing.path.name, folder, removed)
                    if thing.kind == "cell":
                        _unlink(thing.path.with_suffix(".npy").name, folder, removed)
                    removed.things += there
            except OSError as error:
                removed.failed.append(f"{thing.path} cannot be removed ({error.strerror})")
    finally:
        os.close(top)
    return removed


@contextlib.contextmanager
def _opened(parts: Sequence[str], top: int, device: int) -> Iterator[int]:
    """The folder that ``parts`` lead to from the folder of a descriptor.

    Raises:
        OSError: a part is no folder, or a link, or lies on another device.
    """
    here = os.dup(top)
    try:
        for part in parts:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=here)
            os.close(here)
            here = inner
            if os.fstat(here).st_dev != device:
                raise OSError(errno.EXDEV, "it lies on another file system")
        yield here
    finally:
        os.close(here)


def _unlink(name: str, folder: int, removed: Removed) -> bool:
    """Remove a regular file, and count its size. Returns False if it is not there."""
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file any more")
        os.unlink(name, dir_fd=folder)
        removed.size += status.st_size
        return True
    return False


def _remove_run(name: str, folder: int, device: int, removed: Removed) -> None:
    with _opened((name,), folder, device) as run:
        with contextlib.suppress(FileNotFoundError):
            with _opened((layout.LOGS,), run, device) as logs:
                for log in filter(layout.LOG.fullmatch, os.listdir(logs)):
                    _unlink(log, logs, removed)
            os.rmdir(layout.LOGS, dir_fd=run)
        for file in os.listdir(run):
            if layout.of_run(file):
                _unlink(file, run, removed)
    os.rmdir(name, dir_fd=folder)
    removed.things += 1


def _things(root: Path, index: Index, old: frozenset[str]) -> Iterator[Thing | None]:
    device = root.stat().st_dev
    for path in _entries(root):
        if path.name in ("cells", "answers", "partial", layout.ENTRIES, *old) and _is_own_folder(path, device):
            for inner in _entries(path):
                if inner.name == layout.REPLACED and path.name in ("cells", "answers") and _is_own_folder(inner, device):
                    for aside in _entries(inner):
                        yield _file(aside, "replaced" if layout.SET_ASIDE.fullmatch(aside.name) else "other")
                else:
                    yield _inner(path.name, inner, index)
        elif path.name == INDEX:
            yield _file(path, "index")
        elif path.name == FILE:
            yield _file(path, "secret")
        elif path.name != layout.MARK or path.is_dir():
            yield _thing(path, "run" if _is_own_folder(path, device) and layout.is_run(path) else "other")


def _inner(folder: str, path: Path, index: Index) -> Thing | None:
    """What a file in a folder of files is; None for the predictions of a cell, which belong to that cell."""
    if folder == "partial":
        return _file(path, "partial training" if layout.PARTIAL.fullmatch(path.name) else "other")
    if folder == layout.ENTRIES:
        return _file(path, "entry" if layout.STORED.fullmatch(path.name) else "other")
    if folder not in ("cells", "answers"):
        return _file(path, "answers of an older kit" if layout.STORED.fullmatch(path.name) else "other")
    if layout.DAMAGED.fullmatch(path.name):
        return _file(path, "damaged")
    if folder == "cells" and layout.PREDICTIONS.fullmatch(path.name) and path.with_suffix(".json").exists():
        return None
    row = (index.cells if folder == "cells" else index.answers).get(path.stem) if layout.STORED.fullmatch(path.name) else None
    if row is None:
        return _thing(path, "other")
    return _file(path, folder.removesuffix("s"), row["scored"] if folder == "cells" else None)


def _is_own_folder(path: Path, device: int) -> bool:
    """Whether a path is a folder, not a link to one, and on the file system of the folder of results."""
    try:
        status = path.lstat()
    except OSError:  # removed in the meantime
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_dev == device


def _entries(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):  # removed in the meantime, or this user may not list it
        return [Path(entry.path) for entry in os.scandir(folder)]
    return []


def _file(path: Path, kind: str, scored: bool | None = None) -> Thing | None:
    """A thing that must be a regular file: the kit makes no links and no pipes."""
    try:
        regular = stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return None
    return _thing(path, kind, scored) if regular else _thing(path, "other")


def _thing(path: Path, kind: str, scored: bool | None = None) -> Thing | None:
    try:
        status = path.lstat()
    except OSError:  # removed in the meantime
        return None
    size = _size_below(path) if stat.S_ISDIR(status.st_mode) else status.st_size
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
