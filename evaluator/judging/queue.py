"""What a judge has to do and has done, in one file of SQLite: submissions, their jobs, and a trail of everything that happened.

A judge may be killed at any moment, and several may work side by side, so every change is one transaction that is on the disk when
it returns, and a job belongs to a worker only until its lease ends. A worker that lost its job, because it was paused or slow, can
no longer finish it: what it found is not counted, and the worker that has the job now counts once.

A failure of our own (``INFRASTRUCTURE``) is tried again, a bounded number of times and each time later. It burns no quota.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.judging import tables, trail
from evaluator.judging.jobs import DAY, Admit, Admitted, Giving, Held, Job, Lost, Part, Quota, Sent, State
from evaluator.judging.shortages import shortage

__all__ = ["DAY", "Job", "Lost", "Part", "Queue", "Quota", "Sent", "State"]
WAIT = 30.0
"""Seconds that a change waits for another process."""


class NothingSent(ConfigurationError):
    """There is no submission of that participant that was accepted."""


class Queue:
    """The file. Every process opens it for itself.

    Args:
        path: is made where it is missing, and its owner alone may read it; a file of an earlier version of the kit is brought to
            this, in place.
        who: acts, for the trail: a judge by its name, or a person.

    Attributes:
        held: why the last ``claim`` gave nothing although a job waits: what ``admit`` said; else empty.

    Raises:
        ConfigurationError: it is no such file, of another version of the kit, or cannot be opened now.
    """

    def __init__(self, path: Path, quota: Quota | None = None, who: str = "") -> None:
        self.path, self.quota, self.who = path, quota or Quota(), who
        self.held = ""
        _keep_private(path)
        try:
            self._db = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # what was said to be done is done after a power cut, too
            self._db.execute("PRAGMA foreign_keys = ON")
            with self.change() as db:
                tables.make(db)
        except sqlite3.DatabaseError as error:
            if why := shortage(error):
                raise ConfigurationError(f"{path}: the queue cannot be opened now ({error}): {why}, and try again") from None
            raise ConfigurationError(
                f"{path}: it is no queue of a judge ({error}). Name another file, or restore a backup"
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing. Other writers wait."""
        # All of it within: an interrupt, or a disk that is full when it is committed, must not leave a transaction open.
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # the first error is the one to tell
                if self._db.in_transaction:  # SQLite ends it by itself after some errors
                    self._db.execute("ROLLBACK")
            raise

    def wait_at_most(self, seconds: float) -> None:
        """Wait no longer for other processes than that, from now on."""
        self._db.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")

    # -- receiving

    def receive(self, sent: Sent, version: int, *, refused: str = "", deadline: float | None = None) -> tuple[int, str]:
        """Take a package in, with a job for its public part. The same package of the same participant is taken once.

        A package that was refused is looked at anew when it is sent again: a new day has begun, or what it needs is there now. One
        whose judging failed by our fault is judged again.

        Args:
            version: of the judging code. ``refused``: why it cannot be judged, if that is known already.
            deadline: what is received after it is refused.

        Returns:
            The number of the submission, and why it was refused; empty if it was not.
        """
        with self.change() as db:
            there = db.execute(
                "SELECT id, refused FROM submission WHERE participant = ? AND sha256 = ?", (sent.participant, sent.sha256)
            ).fetchone()
            failed = None if there is None or there["refused"] else self._failed(db, there["id"])
            if there is not None and not there["refused"] and failed is None:
                return int(there["id"]), ""
            refused = refused or self._not_now(db, sent, deadline)
            if there is None:
                number = db.execute(
                    "INSERT INTO submission (sha256, participant, name, track, digest, received, refused)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (sent.sha256, sent.participant, sent.name, sent.track, sent.digest, sent.received, refused),
                ).lastrowid
                assert number is not None
            elif refused:
                return int(there["id"]), refused
            else:
                number = int(there["id"])
                db.execute(
                    "UPDATE submission SET name = ?, track = ?, digest = ?, received = ?, refused = '' WHERE id = ?",
                    (sent.name, sent.track, sent.digest, sent.received, number),
                )
            detail = {"participant": sent.participant, "sha256": sent.sha256} | ({"why": refused} if refused else {})
            self.tell(db, sent.received, "refused" if refused else "received", number, detail=detail)
            if failed is not None:
                self._again(db, number, failed, sent.received)
            elif not refused:
                self._add(db, number, "public", version, sent.received)
            return number, refused

    def _not_now(self, db: sqlite3.Connection, sent: Sent, deadline: float | None) -> str:
        """Why nothing is taken from a participant at that time, or empty."""
        if deadline is not None and sent.received > deadline:
            return "it came after the deadline"
        if (used := self._used(db, sent.participant, sent.received)) >= self.quota.a_day:
            return f"{used} submissions were judged today, and {self.quota.a_day} a day are allowed; a new day begins at 0:00 UTC"
        return ""

    @staticmethod
    def _failed(db: sqlite3.Connection, submission: int) -> sqlite3.Row | None:
        """The newest job of a submission's public part, if it failed by our fault."""
        row = db.execute(
            "SELECT id, state FROM job WHERE submission = ? AND part = 'public' ORDER BY version DESC LIMIT 1", (submission,)
        ).fetchone()
        return row if row is not None and row["state"] == "failed" else None

    def _again(self, db: sqlite3.Connection, submission: int, job: sqlite3.Row, now: float) -> None:
        """Give a job that failed by our fault all its tries anew."""
        db.execute(
            "UPDATE job SET state = 'waiting', due = ?, ended = NULL, verdict = '', told = 0, spared = attempt WHERE id = ?",
            (now, job["id"]),
        )
        self.tell(db, now, "queued", submission, job["id"], {"why": "it had failed by our fault, and was sent again"})

    def used(self, participant: str, now: float) -> int:
        """How many submissions of today (UTC) count against a participant's quota."""
        return self._used(self._db, participant, now)

    def _used(self, db: sqlite3.Connection, participant: str, now: float) -> int:
        start = now - now % DAY
        (count,) = db.execute(
            "SELECT count(*) FROM submission s WHERE participant = ? AND refused = '' AND received >= ? AND received < ?"
            " AND NOT EXISTS (SELECT 1 FROM job j WHERE j.submission = s.id AND j.part = 'public' AND j.state = 'failed')",
            (participant, start, start + DAY),
        ).fetchone()
        return int(count)

    def refused(self, participant: str, now: float) -> int:
        """How many packages of a participant were refused today (UTC)."""
        start = now - now % DAY
        query = "SELECT count(*) AS n FROM submission WHERE participant = ? AND refused <> '' AND received >= ? AND received < ?"
        (row,) = self.rows(query, participant, start, start + DAY)
        return int(row["n"])

    # -- working

    def claim(self, worker: str, now: float, lease: float, node: str = "", admit: Admit | None = None) -> Job | None:
        """The next job, which belongs to ``worker`` for ``lease`` seconds; None where nothing is to be done now.

        Participants take turns: whoever has the fewest jobs of today comes first, and of those the job that waits longest. A job
        whose lease has ended is given anew, and fails as ours where that happened too often.

        The clock may have been ahead and be right again. So a job that is due later than after the longest pause is due now, and a
        lease that ends later than one that is taken now is cut to that: who has the job has the time to renew it.

        Args:
            node: the machine that runs it. ``admit``: whether that machine has room for it; it is asked within the transaction, so
                that two judges of one machine never both take the last room.
        """
        self.held = ""
        with self.change() as db:
            db.execute("UPDATE job SET lease = ? WHERE state = 'running' AND lease > ?", (now + lease, now + lease))
            self._expire(db, now)
            if self.giving:
                return None
            start = now - now % DAY
            row = db.execute(
                "WITH today AS (SELECT t.participant, count(*) AS n FROM job o JOIN submission t ON t.id = o.submission"
                " WHERE o.state = 'running' OR o.ended >= ? GROUP BY t.participant)"
                " SELECT j.id, j.submission, j.part, j.version, j.attempt, s.sha256, s.participant, s.name, s.track FROM job j"
                " JOIN submission s ON s.id = j.submission LEFT JOIN today ON today.participant = s.participant"
                " WHERE j.state = 'waiting' AND (j.due <= ? OR j.due > ?) ORDER BY coalesce(today.n, 0), j.due, j.id LIMIT 1",
                (start, now, now + self.quota.longest),
            ).fetchone()
            if row is None:
                return None
            room = Admitted() if admit is None else admit(self._running(db, node), row["part"])
            if room.why:
                self.held = room.why
                return None
            attempt = row["attempt"] + 1
            db.execute(
                "UPDATE job SET state = 'running', worker = ?, lease = ?, attempt = ?, node = ?, began = ?, memory = ?, used = 0"
                " WHERE id = ?",
                (worker, now + lease, attempt, node, now, room.memory, row["id"]),
            )
            self.tell(db, now, "claimed", row["submission"], row["id"], {"worker": worker, "attempt": attempt})
            fields = {name: row[name] for name in ("id", "submission", "sha256", "participant", "name", "track", "part", "version")}
            return Job(**fields, attempt=attempt, worker=worker, lease=now + lease)

    def next_due(self, now: float) -> float | None:
        """When the next of the jobs that wait is due, by the rule of ``claim``; None where none waits."""
        due = [row["due"] for row in self.rows("SELECT due FROM job WHERE state = 'waiting'")]
        return min((at if at <= now + self.quota.longest else now for at in due), default=None)

    @staticmethod
    def _running(db: sqlite3.Connection, node: str) -> list[Held]:
        rows = db.execute("SELECT id, part, memory, used FROM job WHERE state = 'running' AND node = ?", (node,)).fetchall()
        return [Held(**dict(row)) for row in rows]

    def renew(self, job: Job, now: float, lease: float, used: int = 0) -> None:
        """Keep a job. ``used``: bytes of memory that it has now.

        Raises:
            Lost: it is no longer this worker's.
        """
        with self.change() as db:
            self._own(db, job)
            db.execute("UPDATE job SET lease = ?, used = ?, peak = max(peak, ?) WHERE id = ?", (now + lease, used, used, job.id))

    def finish(self, job: Job, now: float, verdict: str, result: Mapping[str, Any], how: Mapping[str, Any] | None = None) -> None:
        """A job is done, whatever the verdict on the submission. ``result``: JSON-able; ``how``: of the run, for the trail.

        Raises:
            Lost: it is no longer this worker's; nothing is counted.
        """
        text = json.dumps(result, sort_keys=True)
        with self.change() as db:
            self._own(db, job)
            db.execute(
                "UPDATE job SET state = 'done', ended = ?, verdict = ?, result = ?, worker = '' WHERE id = ?",
                (now, verdict, text, job.id),
            )
            said = {"verdict": verdict, "attempt": job.attempt, "result": trail.result_digest(text)} | dict(how or {})
            self.tell(db, now, "done", job.submission, job.id, said)

    def give_back(self, job: Job, now: float, why: str) -> State:
        """A job failed by our fault: it waits for another try, or fails where it was tried often enough.

        Raises:
            Lost: it is no longer this worker's.
        """
        with self.change() as db:
            self._own(db, job)
            return self._ours(db, job.id, job.submission, job.attempt, now, why)

    def stop(self, job: Job, now: float, why: str) -> None:
        """A judge that ends gives a job back. It waits for the next judge, and the try does not count.

        Raises:
            Lost: it is no longer this worker's.
        """
        with self.change() as db:
            self._own(db, job)
            self._spared(db, job.id, job.submission, job.attempt, now, why)

    def stop_all(self, db: sqlite3.Connection, worker: str, now: float, why: str) -> None:
        """The same for every job that a judge still has, within a transaction of ``change``."""
        for row in db.execute(
            "SELECT id, submission, attempt FROM job WHERE state = 'running' AND worker = ? ORDER BY id", (worker,)
        ).fetchall():
            self._spared(db, row["id"], row["submission"], row["attempt"], now, why)

    def _spared(self, db: sqlite3.Connection, job: int, submission: int, attempt: int, now: float, why: str) -> None:
        db.execute(
            "UPDATE job SET state = 'waiting', due = ?, worker = '', node = '', spared = spared + 1 WHERE id = ?", (now, job)
        )
        self.tell(db, now, "stopped", submission, job, {"why": why, "attempt": attempt})

    def expire(self, worker: str, now: float) -> int:
        """End the leases of a worker that is known to be dead. Returns how many jobs it had."""
        with self.change() as db:
            return self._given_up(db, now, "worker = ?", worker, "died")

    def told(self, job: int) -> None:
        """What goes back of a job that ended was written."""
        with self.change() as db:
            db.execute("UPDATE job SET told = 1 WHERE id = ?", (job,))

    def untold(self) -> list[tuple[Job, str]]:
        """Jobs that ended and of which nothing went back: their judge was killed in between. With each its state."""
        rows = self.rows(
            "SELECT j.id, j.submission, s.sha256, s.participant, s.name, s.track, j.part, j.version, j.attempt, j.worker, j.lease,"
            " j.state FROM job j JOIN submission s ON s.id = j.submission WHERE j.told = 0 AND j.state IN ('done', 'failed')"
            " ORDER BY j.id"
        )
        return [(Job(**{name: value for name, value in row.items() if name != "state"}), row["state"]) for row in rows]

    def _expire(self, db: sqlite3.Connection, now: float) -> None:
        self._given_up(db, now, "lease < ?", now, "said nothing any more")

    def _given_up(self, db: sqlite3.Connection, now: float, condition: str, value: object, said: str) -> int:
        late = db.execute(
            f"SELECT id, submission, attempt, worker FROM job WHERE state = 'running' AND {condition}", (value,)
        ).fetchall()
        for row in late:
            self._ours(db, row["id"], row["submission"], row["attempt"], now, f"the worker {row['worker']} {said}", 0.0)
        return len(late)

    def _ours(
        self, db: sqlite3.Connection, job: int, submission: int, attempt: int, now: float, why: str, pause: float | None = None
    ) -> State:
        (spared,) = db.execute("SELECT spared FROM job WHERE id = ?", (job,)).fetchone()
        tries = attempt - spared
        state: State = "failed" if tries >= self.quota.attempts else "waiting"
        wait = self.quota.wait(tries) if pause is None else pause
        ended = now if state == "failed" else None
        verdict = "INFRASTRUCTURE" if state == "failed" else ""
        db.execute(
            "UPDATE job SET state = ?, due = ?, ended = ?, verdict = ?, worker = '', node = '' WHERE id = ?",
            (state, now + wait, ended, verdict, job),
        )
        self.tell(
            db, now, "failed by our fault" if state == "failed" else "given back", submission, job, {"why": why, "attempt": attempt}
        )
        return state

    def _own(self, db: sqlite3.Connection, job: Job) -> None:
        row = db.execute("SELECT state, worker, attempt FROM job WHERE id = ?", (job.id,)).fetchone()
        if row is None or (row["state"], row["worker"], row["attempt"]) != ("running", job.worker, job.attempt):
            raise Lost(f"job {job.id} does not belong to {job.worker} any more")

    # -- the organiser

    def choose(self, participant: str, submissions: Sequence[int], now: float, why: str = "") -> None:
        """Which submissions of a participant are judged on the private part. ``why``: for the trail.

        Raises:
            ConfigurationError: too many, or one that was not received from this participant, or was refused.
            NothingSent: there is nothing of this participant.
        """
        if len(set(submissions)) > self.quota.chosen:
            raise ConfigurationError(
                f"{len(set(submissions))} submissions are chosen; {self.quota.chosen} are allowed. Choose fewer"
            )
        with self.change() as db:
            rows = db.execute("SELECT id FROM submission WHERE participant = ? AND refused = ''", (participant,)).fetchall()
            own = {row["id"] for row in rows}
            if not own:  # this goes back to the participant, who is told of no other
                raise NothingSent(f"{participant} has no submission that was accepted. Send a package first")
            for number in submissions:
                if number not in own:
                    raise ConfigurationError(f"submission {number} is none of {participant} that was judged. Choose others")
            db.execute("UPDATE submission SET chosen = 0 WHERE participant = ?", (participant,))
            db.executemany("UPDATE submission SET chosen = 1 WHERE id = ?", [(number,) for number in set(submissions)])
            detail = {"participant": participant, "submissions": sorted(set(submissions))} | ({"why": why} if why else {})
            self.tell(db, now, "chosen", detail=detail)

    def participants(self, most: int = 10) -> list[str]:
        """Who sent something that was accepted, for an organiser: the first ``most`` by name."""
        query = "SELECT DISTINCT participant FROM submission WHERE refused = '' ORDER BY participant LIMIT ?"
        return [row["participant"] for row in self._db.execute(query, (most,))]

    def chosen(self) -> dict[str, list[int]]:
        """The submissions that were chosen, by participant."""
        found: dict[str, list[int]] = {}
        for row in self._db.execute("SELECT id, participant FROM submission WHERE chosen = 1 ORDER BY id"):
            found.setdefault(row["participant"], []).append(row["id"])
        return found

    def open_private(self, version: int, now: float) -> int:
        """Add a job on the private part for every chosen submission that has none yet. Returns how many were added."""
        with self.change() as db:
            rows = db.execute("SELECT id FROM submission WHERE chosen = 1 AND refused = '' ORDER BY id").fetchall()
            db.execute("INSERT OR REPLACE INTO setting VALUES ('private', '1')")
            return sum(self._add(db, row["id"], "private", version, now) for row in rows)

    @property
    def private_opened(self) -> bool:
        """Whether the private part was begun; participants choose no more."""
        return bool(self._setting(self._db, "private"))

    def rescore(self, version: int, now: float) -> int:
        """Add a job under another version of the judging code for everything that is done, or failed by our fault.

        Returns:
            How many were added.
        """
        with self.change() as db:
            rows = db.execute(
                "SELECT DISTINCT submission, part FROM job WHERE state IN ('done', 'failed') AND version <> ?", (version,)
            ).fetchall()
            return sum(self._add(db, row["submission"], row["part"], version, now) for row in rows)

    def pause(self, giving: Giving | bool, now: float) -> None:
        """Give no more jobs (True), or give them again (False); ``"drain"``: give none, and let every judge end after what it
        runs."""
        value = giving if isinstance(giving, str) else "1" if giving else ""
        with self.change() as db:
            db.execute("INSERT OR REPLACE INTO setting VALUES ('paused', ?)", (value,))
            self.tell(db, now, {"": "resumed", "1": "paused", "drain": "drained"}[value])

    @property
    def giving(self) -> Giving:
        """Whether jobs are given."""
        found = self._setting(self._db, "paused")
        return "drain" if found == "drain" else "1" if found not in ("", "0") else ""

    @property
    def paused(self) -> bool:
        """Whether no jobs are given."""
        return self.giving != ""

    def show_private(self, shown: bool, now: float) -> None:
        """Have every board that a judge writes show the private part, or not."""
        if shown != self.shows_private:
            with self.change() as db:
                db.execute("INSERT OR REPLACE INTO setting VALUES ('private shown', ?)", ("1" if shown else "",))
                self.tell(db, now, "the board shows the private part" if shown else "the board shows the public part alone")

    @property
    def shows_private(self) -> bool:
        """Whether boards show the private part."""
        return self._setting(self._db, "private shown") == "1"

    def counts(self) -> dict[str, int]:
        """Number of jobs by state."""
        return {row["state"]: row["n"] for row in self._db.execute("SELECT state, count(*) AS n FROM job GROUP BY state")}

    def results(self, part: Part) -> list[dict[str, Any]]:
        """Every finished job of a part with its submission, by submission and version. ``result`` is what ``finish`` was given."""
        rows = self._db.execute(
            "SELECT s.id AS submission, s.participant, s.name, s.track, s.digest, s.sha256, s.received, s.chosen, j.version,"
            " j.verdict, j.state, j.ended, j.result FROM job j JOIN submission s ON s.id = j.submission WHERE j.part = ?"
            " AND j.state IN ('done', 'failed') ORDER BY s.id, j.version",
            (part,),
        ).fetchall()
        return [dict(row) | {"result": json.loads(row["result"] or "null")} for row in rows]

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """The rows of a question that changes nothing, by the names of its columns."""
        return [dict(row) for row in self._db.execute(query, values).fetchall()]

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """The trail: everything that happened, oldest first. ``after``: the number of the last event that is known already."""
        return trail.events(self._db, after)

    def check(self, noted: Sequence[str] = ()) -> trail.Checked:
        """Whether the trail and what it speaks of are as they were; see ``trail.check``."""
        self._db.execute("BEGIN")  # one picture of all tables, while others go on
        try:
            return trail.check(self._db, noted)
        finally:
            self._db.execute("COMMIT")

    def backup(self, path: Path) -> None:
        """Write a copy of the file as it is now, while others work on it."""
        _keep_private(path)
        with closing(sqlite3.connect(path)) as copy:
            self._db.backup(copy)

    # -- helpers

    def _add(self, db: sqlite3.Connection, submission: int, part: Part, version: int, now: float) -> bool:
        found = db.execute(
            "INSERT OR IGNORE INTO job (submission, part, version, state, due) VALUES (?, ?, ?, 'waiting', ?)",
            (submission, part, version, now),
        )
        if not found.rowcount:
            return False
        self.tell(db, now, "queued", submission, found.lastrowid, {"part": part, "version": version})
        return True

    @staticmethod
    def _setting(db: sqlite3.Connection, name: str) -> str:
        row = db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row["value"])

    def tell(
        self,
        db: sqlite3.Connection,
        at: float,
        what: str,
        submission: int | None = None,
        job: int | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Add to the trail, within a transaction of ``change``."""
        trail.tell(db, at, what, self.who, submission, job, detail)


def _keep_private(path: Path) -> None:
    """Make the file, if it is missing, so that its owner alone may read it, and take the rights of others on what is there.

    It holds every result, those of the private part, too; and who may read the file beside it that SQLite keeps its locks in
    (``-shm``) can hold up every writer. SQLite gives the files beside it the rights of the file itself.
    """
    if str(path) == ":memory:":
        return
    # What cannot be made or changed, because of rights or a disk that is read only, SQLite names when it opens the file.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(OSError):
            if file.stat().st_mode & 0o077:
                file.chmod(0o600)
