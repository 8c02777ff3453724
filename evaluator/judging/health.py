"""How a judge is: its machine, what its folder takes of the disk, how long people wait, and who works.

Everything is read and nothing is changed, so it can be asked at any time, also while judges work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evaluator.judging.images import EngineState, builder_of
from evaluator.judging.inbox import waiting
from evaluator.judging.leftovers import Leftover, leftovers, size_of
from evaluator.judging.place import Place
from evaluator.judging.queue import DAY, Queue
from evaluator.judging.resources import GIB, free_disk, lack_of_disk
from evaluator.judging.work import LEASE
from evaluator.judging.workers import Worker, workers
from evaluator.machine import Load, load
from evaluator.words import counted

HOUR = 3_600.0
PARTS = ("inbox", "outbox", "packages", "submissions", "results/public", "results/private", "runs", "tags", "site", "queue.db")
"""Of a judge's folder."""


@dataclass(frozen=True)
class Working:
    """A judge that began. ``alive``: whether it is seen to live; ``jobs``: that it has."""

    worker: Worker
    alive: bool
    jobs: int


@dataclass(frozen=True)
class Health:
    """What was seen.

    Attributes:
        name: of the competition; ``giving``: whether jobs are given, as ``Queue.giving``.
        inbox: packages that wait to be taken in; ``jobs``: number by state.
        oldest: seconds for which the job has waited that waits longest; None where none waits.
        last_hour, last_day: jobs that were done in that time; ``job_seconds``: median duration of a job of the last day, or None.
        free, sizes: bytes of the disk, and bytes of each of ``PARTS`` that is there.
        lack: why nothing is begun for lack of disk, or empty.
        dead: jobs whose judge is dead or says nothing any more; they are given anew.
        builder: the engine that images are built with, of this machine; None where none are.
    """

    name: str
    giving: str
    inbox: int
    jobs: Mapping[str, int]
    oldest: float | None
    last_hour: int
    last_day: int
    job_seconds: float | None
    load: Load
    free: int
    sizes: Mapping[str, int]
    lack: str
    judges: tuple[Working, ...]
    dead: int
    left: tuple[Leftover, ...]
    builder: EngineState | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able. Times are in seconds, sizes in bytes."""
        return {
            "name": self.name,
            "inbox": self.inbox,
            "paused": self.giving != "",
            "drained": self.giving == "drain",
            "jobs": dict(self.jobs),
            "oldest_wait": self.oldest,
            "done_last_hour": self.last_hour,
            "done_last_day": self.last_day,
            "job_seconds": self.job_seconds,
            "cores": self.load.cores,
            "cores_busy": self.load.running,
            "free_memory": self.load.free_memory,
            "free_bytes": self.free,
            "sizes": dict(self.sizes),
            "lacks_disk": self.lack,
            "judges": [
                {"name": of.worker.name, "alive": of.alive, "seen": of.worker.seen, "jobs": of.jobs, "says": of.worker.says}
                for of in self.judges
            ],
            "dead_leases": self.dead,
            "leftovers": [{"path": str(of.path), "kind": of.kind, "bytes": of.bytes} for of in self.left],
            "builder": None if self.builder is None else self.builder.as_dict(),
        }

    def rows(self) -> list[tuple[str, str]]:
        """Label and text of each line of a table."""
        jobs = ", ".join(f"{count} {state}" for state, count in sorted(self.jobs.items())) or "none yet"
        waits = "nobody waits" if self.oldest is None else f"the oldest waits {span(self.oldest)}"
        each = "" if self.job_seconds is None else f", {span(self.job_seconds)} each (median)"
        said = {"": "jobs are given", "1": "paused: no jobs are given", "drain": "drained: judges end after what they run"}
        memory = "unknown" if self.load.free_memory is None else f"{self.load.free_memory / GIB:.1f} GiB free"
        busy = "unknown" if self.load.running is None else f"{self.load.running:.1f} of {self.load.cores} busy"
        parts = ", ".join(f"{name} {size_text(size)}" for name, size in self.sizes.items() if size)
        found = [
            ("state", said[self.giving]),
            ("inbox", counted(self.inbox, "package")),
            ("jobs", jobs),
            ("wait", waits),
            ("done", f"{self.last_hour} in the last hour, {self.last_day} in the last day{each}"),
            ("cores", busy),
            ("memory", memory),
            ("disk", f"{self.free / GIB:.1f} GiB free" + (f"; {self.lack}" if self.lack else "")),
            ("folder", f"{size_text(sum(self.sizes.values()))}: {parts}" if parts else "empty"),
        ]
        if self.builder is not None:
            there = f"{counted(self.builder.images, 'image')} of submissions, {size_text(self.builder.bytes)}; the engine answers"
            found.append(("images", self.builder.why or there))
        for of in self.judges:
            state = (
                f"{counted(of.jobs, 'job')}" if of.alive else f"dead, or cut off; its {counted(of.jobs, 'job')} will be given anew"
            )
            found.append(("judge", f"{of.worker.name}: {state}{f'; waits: {of.worker.says}' if of.worker.says else ''}"))
        if not self.judges:
            found.append(("judge", "none works here"))
        if self.dead:
            found.append(("leases", f"{counted(self.dead, 'job')} of dead judges"))
        if self.left:
            size = size_text(sum(of.bytes for of in self.left))
            found.append(
                ("left over", f"{counted(len(self.left), 'thing')} that belong to nobody, {size}; `judge clean` shows them")
            )
        return found


def health(place: Place, queue: Queue, now: float, measured: Load | None = None) -> Health:
    """How the judge of a folder is. ``measured``: the load of the machine, None to measure it (a fifth of a second)."""
    jobs = queue.rows("SELECT worker, count(*) AS n FROM job WHERE state = 'running' GROUP BY worker")
    held = {row["worker"]: row["n"] for row in jobs}
    judges = tuple(Working(of, alive(of, now), held.pop(of.name, 0)) for of in workers(queue))
    (late,) = queue.rows("SELECT count(*) AS n FROM job WHERE state = 'running' AND lease < ?", now)
    builder = builder_of(place)
    (oldest,) = queue.rows("SELECT min(due) AS due FROM job WHERE state = 'waiting' AND due <= ?", now)
    done = queue.rows("SELECT ended, began FROM job WHERE state = 'done' AND ended >= ? ORDER BY ended", now - DAY)
    # A job whose end lies before its beginning, because the clock was set back meanwhile, says nothing of how long jobs take.
    spans = sorted(row["ended"] - row["began"] for row in done if row["began"] is not None and row["ended"] >= row["began"])
    return Health(
        name=place.rules.name,
        giving=queue.giving,
        inbox=len(waiting(place, now)),
        jobs=queue.counts(),
        oldest=None if oldest["due"] is None else max(0.0, now - oldest["due"]),
        last_hour=sum(row["ended"] >= now - HOUR for row in done),
        last_day=len(done),
        job_seconds=spans[len(spans) // 2] if spans else None,
        load=measured or load(),
        free=free_disk(place.root),
        sizes={name: size for name in PARTS if (size := size_of((place.root / name).resolve())) or (place.root / name).exists()},
        lack=lack_of_disk(place.root, place.rules.resources),
        judges=judges,
        dead=max(late["n"], sum(of.jobs for of in judges if not of.alive)),
        left=tuple(leftovers(place, queue, now)),
        builder=None if builder is None else builder.state(),
    )


def alive(worker: Worker, now: float) -> bool:
    """Whether a judge is seen to live."""
    return not worker.gone() and now - worker.seen < LEASE


def size_text(size: float) -> str:
    """Bytes for a person, e.g. ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def span(seconds: float) -> str:
    """A duration for a person, e.g. ``2 h 5 min``."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{minutes // (24 * 60)} days"
