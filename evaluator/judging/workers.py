"""The judges that work in a folder: who they are, when they were seen last, and which of them are dead.

A judge of this machine whose process is gone is known to be dead at once, and its jobs are given to others; of a judge of another
machine only the end of a lease tells. A process is known by boot, process namespace, number and the time at which it began, so that
neither a number that is used again nor a container with processes of its own is taken for somebody else.
"""

from __future__ import annotations

import os
import secrets
import socket
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from evaluator.judging.jobs import DAY
from evaluator.judging.queue import Queue
from evaluator.sandbox.container import owner


@dataclass(frozen=True)
class Worker:
    """A judge.

    Attributes:
        name: unlike any other's; ``node``: its machine; ``space``: boot and process namespace; ``born``: when the process began.
        started, seen: seconds since 1970; ``says``: why it begins no job, or empty.
    """

    name: str
    node: str
    space: str
    pid: int
    born: str
    started: float
    seen: float
    says: str = ""

    @classmethod
    def this(cls, now: float) -> Worker:
        """This process."""
        node, (space, pid, born) = socket.gethostname(), _here()
        return cls(f"{node}:{pid}:{secrets.token_hex(4)}", node, space, pid, born, now, now)

    def gone(self) -> bool:
        """Whether its process is known to have ended; False where that cannot be seen from here."""
        return self.near() and _born(self.pid) != self.born

    def near(self) -> bool:
        """Whether its process, and that it ended, can be seen from here."""
        return self.space == _here()[0]


def _here() -> tuple[str, int, str]:
    boot, space, pid, born = owner().split("/")
    return f"{boot}/{space}", int(pid), born


def _born(pid: int) -> str:
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except (OSError, ValueError):
        return ""
    return "" if state == "Z" else rest[18]  # a dead process that nobody has waited for


def arrive(queue: Queue, worker: Worker) -> None:
    """A judge begins."""
    with queue.change() as db:
        db.execute(
            "INSERT INTO worker (name, node, space, pid, born, started, seen, says) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (worker.name, worker.node, worker.space, worker.pid, worker.born, worker.started, worker.seen, worker.says),
        )
        queue.tell(db, worker.started, "judge began", detail={"worker": worker.name})


def sign(queue: Queue, name: str, now: float, says: str) -> None:
    """A judge lives. ``says``: why it begins no job; a change of it goes into the trail."""
    with queue.change() as db:
        before = db.execute("SELECT says FROM worker WHERE name = ?", (name,)).fetchone()
        db.execute("UPDATE worker SET seen = ?, says = ? WHERE name = ?", (now, says, name))
        if before is not None and before["says"] != says:
            queue.tell(db, now, "waits" if says else "goes on", detail={"worker": name} | ({"why": says} if says else {}))


def leave(queue: Queue, name: str, now: float) -> None:
    """A judge ended. What it still has is given back with it, and that counts as no try: nobody would look for it any more."""
    with queue.change() as db:
        queue.stop_all(db, name, now, "the judge was stopped")
        _forget(queue, db, name, now, "judge ended")


def _forget(queue: Queue, db: sqlite3.Connection, name: str, now: float, what: str) -> None:
    if db.execute("DELETE FROM worker WHERE name = ?", (name,)).rowcount:
        queue.tell(db, now, what, detail={"worker": name})


def bury(queue: Queue, now: float) -> list[str]:
    """Give the jobs of judges whose process is gone to others at once. Returns their names.

    A judge of which it cannot be told from here whether it lives, e.g. of another machine, counts as gone when it was not seen for
    a day: its leases ended long ago. Of the others the process tells, whatever the clock says: it may jump.
    """
    dead = [worker.name for worker in workers(queue) if (worker.gone() if worker.near() else now - worker.seen > DAY)]
    for name in dead:
        queue.expire(name, now)
        with queue.change() as db:
            _forget(queue, db, name, now, "judge died")
    return dead


def workers(queue: Queue) -> list[Worker]:
    """Every judge that began and did not say that it ended, the oldest first."""
    return [Worker(**row) for row in queue.rows("SELECT * FROM worker ORDER BY started, name")]


def person() -> str:
    """Who acts at the command line, for the trail: user and machine."""
    import getpass

    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name, in a container
        user = f"user {os.geteuid()}"
    return f"{user}@{socket.gethostname()}"
