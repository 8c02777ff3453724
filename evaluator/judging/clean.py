"""What ``judge clean`` removes: what belongs to nobody, and what ``[retention]`` gives up after so many days.

Never removed is what a later rescore, the private part or a board needs: packages of submissions that were accepted, answers and
cells, predictions of submissions that stand on a board, were chosen or still have a job. Every removal goes into the trail,
before it is done: a judge that is killed in between has said too much, and never too little.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from evaluator.files import TEMPORARY, remove_tree, unheld
from evaluator.history import layout
from evaluator.history.inventory import Thing, remove
from evaluator.judging.image_records import in_use, records, remove_image, removing
from evaluator.judging.images import Builder
from evaluator.judging.jobs import DAY, Part
from evaluator.judging.leftovers import leftovers, size_of
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.sandbox.container import sweep
from evaluator.sandbox.engine import Engine
from evaluator.sandbox.scratch import remove_leftovers
from evaluator.submission.image import LABEL

PARTS: tuple[Part, ...] = ("public", "private")


@dataclass(frozen=True)
class Removal:
    """A thing that is to be removed.

    Attributes:
        paths: its files and folders; ``kind``: what it is, ``why``: it may go, both in words; ``bytes``: of all of it.
        submission: whose it is, if it is a submission's.
        unpacked: the SHA-256 of the package, if it is an unpacked package: a job may want that any time.
        image: whether it is the record of an image, which goes with it.
    """

    paths: tuple[Path, ...]
    kind: str
    why: str
    bytes: int
    submission: int | None = None
    unpacked: str = ""
    image: bool = False

    def as_dict(self) -> dict[str, object]:
        """JSON-able."""
        paths = [str(path) for path in self.paths]
        return {"paths": paths, "kind": self.kind, "why": self.why, "bytes": self.bytes, "submission": self.submission}


def removals(place: Place, queue: Queue, shown: Collection[int], now: float) -> list[Removal]:
    """Everything that may be removed.

    Args:
        shown: numbers of the submissions that stand on a board.
    """
    kept = place.rules.retention
    found = [Removal((of.path,), of.kind, "it belongs to nobody", of.bytes) for of in leftovers(place, queue, now)]
    if kept.packages is not None:
        found += _packages(place, queue, now, kept.packages)
    if kept.submissions is not None:
        found += _unpacked(place, queue, now, kept.submissions)
    if kept.logs is not None:
        found += _logs(place, queue, now, kept.logs)
    if kept.predictions is not None:
        found += _predictions(place, queue, shown, now, kept.predictions)
    if kept.images is not None:
        found += _images(place, queue, shown, now, kept.images)
    return found


def clean(place: Place, queue: Queue, chosen: Collection[Removal], now: float, builder: Builder | None = None) -> list[str]:
    """Remove things. Returns a line for each that could not be removed. ``builder``: knows the engine; None for the machine's."""
    failed = []
    for removal in chosen:
        try:
            if removal.unpacked:
                _remove_unpacked(place, queue, removal, now)
                continue
            if removal.image:
                _remove_image(place, queue, removal, now, builder or Builder(place))
                continue
            with queue.change() as db:
                queue.tell(db, now, "removed", removal.submission, detail=_detail(place, removal))
            for path in removal.paths:
                _remove(place, path)
        except OSError as error:
            failed.append(f"{removal.paths[0]} cannot be removed ({error.strerror or error})")
    return failed


def clean_machine(place: Place) -> int:
    """Remove control groups and containers of killed evaluators of this machine. Returns how many there were."""
    count = remove_leftovers()
    if place.rules.sandbox in ("docker", "auto"):
        with contextlib.suppress(OSError):  # no engine here, so no containers of it either
            count += sweep(engine := Engine())
            # Layers of builds whose judge was killed; those of an hour are of builds that run.
            engine.ask("POST", "/images/prune", filters={"dangling": ["true"], "label": [LABEL], "until": ["1h"]})
    return count


def _detail(place: Place, removal: Removal) -> dict[str, object]:
    first = removal.paths[0]
    shown = first.relative_to(place.root) if first.is_relative_to(place.root) else first
    return {"kind": removal.kind, "why": removal.why, "path": str(shown), "files": len(removal.paths), "bytes": removal.bytes}


def _remove(place: Place, path: Path) -> None:
    for part in PARTS:
        results = place.results(part)
        if path.parent == results:  # the folder of a run: only files that the kit writes there
            failed = remove(results, [Thing(path, "run", 0, 0.0)]).failed
            if failed:
                raise OSError(0, failed[0])
            return
    if os.path.lexists(path):
        remove_tree(path)


def _remove_unpacked(place: Place, queue: Queue, removal: Removal, now: float) -> None:
    """Take an unpacked package away from those who may want it in one step: no job can be given meanwhile."""
    folder = removal.paths[0]
    gone = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}{TEMPORARY}")
    with queue.change() as db:
        if _wanted(queue, removal.unpacked) or not folder.is_dir():
            return
        queue.tell(db, now, "removed", removal.submission, detail=_detail(place, removal))
        os.rename(folder, gone)
    remove_tree(gone)


def _images(place: Place, queue: Queue, shown: Collection[int], now: float, days: float) -> Iterator[Removal]:
    if not place.images.is_dir():
        return
    needed = _needed(queue, shown)
    for file, record in records(place.images):
        if record.used < now - days * DAY and not needed & set(record.packages):
            why = f"no job asked for it for {days:g} days; it is built again where it is needed"
            yield Removal((file,), "image", why, record.bytes, image=True)


def _needed(queue: Queue, shown: Collection[int]) -> set[str]:
    """Packages of submissions that a board shows, that were chosen, or that have a job."""
    rows = queue.rows(
        "SELECT s.id, s.sha256, s.chosen, EXISTS (SELECT 1 FROM job j WHERE j.submission = s.id AND j.state IN"
        " ('waiting', 'running')) AS busy FROM submission s"
    )
    return {row["sha256"] for row in rows if row["chosen"] or row["busy"] or row["id"] in shown}


def _remove_image(place: Place, queue: Queue, removal: Removal, now: float, builder: Builder) -> None:
    """Remove an image, unless a job of it was begun since it was looked at."""
    with removing(removal.paths[0]) as record:
        if record is None or any(_wanted(queue, package) for package in record.packages):
            return
        engine = builder.connected()
        if in_use(engine, record):
            raise OSError(0, "a container uses its image")
        with queue.change() as db:
            queue.tell(db, now, "removed", removal.submission, detail=_detail(place, removal) | {"image": record.image})
        remove_image(engine, record)
        removal.paths[0].unlink(missing_ok=True)


def _wanted(queue: Queue, digest: str) -> bool:
    """Whether a job of a package waits or runs."""
    return bool(
        queue.rows(
            "SELECT 1 FROM job j JOIN submission s ON s.id = j.submission WHERE s.sha256 = ? AND j.state IN ('waiting', 'running')"
            " LIMIT 1",
            digest,
        )
    )


def _packages(place: Place, queue: Queue, now: float, days: float) -> Iterator[Removal]:
    rows = queue.rows(
        "SELECT sha256, max(received) AS last, min(id) AS id FROM submission GROUP BY sha256"
        " HAVING min(refused) <> '' AND last < ?",
        now - days * DAY,
    )
    for row in rows:
        path = place.packages / f"{row['sha256']}.zip"
        if path.is_file():
            yield Removal((path,), "package", f"it was refused more than {days:g} days ago", size_of(path), row["id"])


def _unpacked(place: Place, queue: Queue, now: float, days: float) -> Iterator[Removal]:
    rows = queue.rows(
        "SELECT s.sha256, min(s.id) AS id, max(max(s.received, coalesce(j.ended, 0))) AS last FROM submission s"
        " LEFT JOIN job j ON j.submission = s.id GROUP BY s.sha256 HAVING last < ?",
        now - days * DAY,
    )
    for row in rows:
        folder = place.submissions / row["sha256"]
        whole = (place.packages / f"{row['sha256']}.zip").is_file()
        if whole and folder.is_dir() and not _wanted(queue, row["sha256"]):
            why = f"nothing was judged of it for {days:g} days; it is unpacked again where it is needed"
            yield Removal((folder,), "unpacked package", why, size_of(folder), row["id"], row["sha256"])


def _logs(place: Place, queue: Queue, now: float, days: float) -> Iterator[Removal]:
    running = {row["id"] for row in queue.rows("SELECT id FROM job WHERE state = 'running'")}
    why = f"it is more than {days:g} days old"
    for path in sorted(place.runs.iterdir()):
        number = path.name.partition("-")[0]
        if number.isdigit() and int(number) not in running and _older(path, now, days):
            yield Removal((path,), "log of an attempt", why, size_of(path))
    for part in PARTS:
        results = place.results(part)
        if not layout.is_marked(results):
            continue
        for folder in layout.run_folders(results):
            with unheld(folder) as free:
                if free and layout.is_run(folder) and _older(folder, now, days):
                    yield Removal((folder,), "summary and logs of a run", why, size_of(folder))


def _older(path: Path, now: float, days: float) -> bool:
    try:
        return path.lstat().st_mtime < now - days * DAY
    except OSError:
        return False


def _predictions(place: Place, queue: Queue, shown: Collection[int], now: float, days: float) -> Iterator[Removal]:
    """Predictions of submissions that nobody looks at. Cells of equal files are shared: they stay while one of them is needed."""
    for part in PARTS:
        rows = queue.results(part)
        busy = {row["submission"] for row in queue.rows("SELECT submission FROM job WHERE state IN ('waiting', 'running')")}
        needed: set[str] = set()
        free: dict[int, set[str]] = {}
        for row in rows:
            cells = {str(cell["cell"]) for cell in (row["result"] or {}).get("cells", [])}
            keeps = row["submission"] in shown or row["chosen"] or row["submission"] in busy or row["ended"] >= now - days * DAY
            if keeps:
                needed |= cells
            else:
                free.setdefault(row["submission"], set()).update(cells)
        taken: set[str] = set()
        for submission, cells in sorted(free.items()):
            names = sorted(cells - needed - taken)
            taken |= set(names)
            files = tuple(path for name in names if (path := place.results(part) / "cells" / f"{name}.npy").is_file())
            if files:
                why = f"nobody looked at it for {days:g} days: it is on no board and was not chosen"
                yield Removal(files, "predictions", why, sum(map(size_of, files)), submission)
