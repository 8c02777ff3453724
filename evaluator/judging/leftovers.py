"""What killed judges left: files and containers that belong to nobody any more.

A thing belongs to somebody as long as a process has it locked, a submission or a job of the queue names it, or it is younger than
an
hour: a judge of another machine may be at work on it.
"""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluator.files import abandoned
from evaluator.judging.inbox import INCOMING
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.sandbox.scratch import PREFIX

YOUNG = 3_600.0
"""Seconds for which a thing is nobody's leftover."""
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{16}\.tmp", re.DOTALL)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_RUN = re.compile(r"([0-9]+)-[0-9]+(?:\.image)?\.(?:json|log)")


@dataclass(frozen=True)
class Leftover:
    """A file or folder that belongs to nobody. ``kind``: what it was, in words."""

    path: Path
    kind: str
    bytes: int


def leftovers(place: Place, queue: Queue, now: float) -> Iterator[Leftover]:
    """Everything that belongs to nobody, by place. What vanishes meanwhile is left out."""
    known = {row["sha256"] for row in queue.rows("SELECT sha256 FROM submission")}
    jobs = {row["id"] for row in queue.rows("SELECT id FROM job")}
    for path in _old(place.packages, now):
        stem = path.name.removesuffix(".zip")
        if path.name.startswith(INCOMING) or (_DIGEST.fullmatch(stem) and path.suffix == ".zip" and stem not in known):
            yield from _thing(path, "a package that was not taken in")
        elif _TEMPORARY.fullmatch(path.name):
            yield from _unlocked(path, "half a package")
    for path in _old(place.submissions, now):
        if _TEMPORARY.fullmatch(path.name):
            yield from _unlocked(path, "a package, half unpacked")
        elif _DIGEST.fullmatch(path.name) and path.name not in known:
            yield from _thing(path, "an unpacked package that was not taken in")
    for path in _old(place.runs, now):
        match = _RUN.fullmatch(path.name)
        if match is not None and int(match[1]) not in jobs:
            yield from _thing(path, "the run of a job that is gone")
    for path in _old(place.tags, now):
        if path.name.startswith(".tag-"):
            yield from _thing(path, "a tag that was being fetched")
    for path in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        yield from _unlocked(path, "the folder of a worker whose evaluator was killed")


def _old(folder: Path, now: float) -> list[Path]:
    found = []
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    for name in names:
        try:
            status = (folder / name).lstat()
        except OSError:
            continue
        # The later of both times: an unpacked folder carries that of its making.
        if now - max(status.st_mtime, status.st_ctime) > YOUNG:
            found.append(folder / name)
    return found


def _unlocked(path: Path, kind: str) -> Iterator[Leftover]:
    with abandoned(path) as free:
        if free:
            yield from _thing(path, kind)


def _thing(path: Path, kind: str) -> Iterator[Leftover]:
    if os.path.lexists(path):
        yield Leftover(path, kind, size_of(path))


def size_of(path: Path) -> int:
    """Bytes of the files at and below a path; links are not followed. What vanishes meanwhile is not counted."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                continue
    return total
