"""What a judge has to do and has done, in one file of SQLite: submissions, their jobs, and a trail of everything that happened.

A judge may be killed at any moment, and several may work side by side, so every change is one transaction that is on the disk when
it returns, and a job belongs to a worker only until its lease ends. A worker that lost its job, because it was paused or slow, can
no longer finish it: what it found is not counted, and the worker that has the job now counts once.

A failure of our own (``INFRASTRUCTURE``) is tried again, a bounded number of times and each time later. It burns no quota.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evaluator.errors import ConfigurationError

SCHEMA = 1
"""Version of the tables."""
WAIT = 30.0
"""Seconds that a change waits for another process."""
DAY = 86_400.0
Part = Literal["public", "private"]
State = Literal["waiting", "running", "done", "failed", "cancelled"]

_TABLES = """
CREATE TABLE submission (
  id INTEGER PRIMARY KEY,
  sha256 TEXT NOT NULL,
  participant TEXT NOT NULL,
  name TEXT NOT NULL,
  track TEXT NOT NULL,
  digest TEXT NOT NULL,
  received REAL NOT NULL,
  refused TEXT NOT NULL DEFAULT '',
  chosen INTEGER NOT NULL DEFAULT 0,
  UNIQUE (participant, sha256)
) STRICT;
CREATE INDEX submission_day ON submission (participant, received);
CREATE TABLE job (
  id INTEGER PRIMARY KEY,
  submission INTEGER NOT NULL REFERENCES submission (id),
  part TEXT NOT NULL,
  version INTEGER NOT NULL,
  state TEXT NOT NULL,
  due REAL NOT NULL,
  attempt INTEGER NOT NULL DEFAULT 0,
  worker TEXT NOT NULL DEFAULT '',
  lease REAL NOT NULL DEFAULT 0,
  ended REAL,
  verdict TEXT NOT NULL DEFAULT '',
  result TEXT NOT NULL DEFAULT '',
  UNIQUE (submission, part, version)
) STRICT;
CREATE INDEX job_state ON job (state, due);
CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  at REAL NOT NULL,
  what TEXT NOT NULL,
  submission INTEGER,
  job INTEGER,
  detail TEXT NOT NULL
) STRICT;
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True)
class Quota:
    """How much a participant may send.

    Attributes:
        a_day: submissions a day (UTC) that are judged; those that failed by our fault do not count.
        chosen: submissions that may be judged on the private part at the end.
        attempts: how often a job is tried that fails by our fault.
        pause: seconds before the second try; every further try waits twice as long as the one before.

    Raises:
        ConfigurationError: a number makes no sense.
    """

    a_day: int = 5
    chosen: int = 3
    attempts: int = 3
    pause: float = 60.0

    def __post_init__(self) -> None:
        for name, value, least in (("a_day", self.a_day, 1), ("chosen", self.chosen, 1), ("attempts", self.attempts, 1)):
            if value < least:
                raise ConfigurationError(f"{name} is {value}; expected {least} or more")
        if not 0 <= self.pause < DAY:
            raise ConfigurationError(f"pause is {self.pause:g}; expected 0 or more seconds, less than a day")


@dataclass(frozen=True)
class Sent:
    """A submission as it was received.

    Attributes:
        sha256: of the package; ``digest``: of the files that travel, by which results know it.
        received: seconds since 1970.
    """

    sha256: str
    participant: str
    name: str
    track: str
    digest: str
    received: float


@dataclass(frozen=True)
class Job:
    """What a worker has claimed.

    Attributes:
        attempt: counts from 1; ``lease``: when it ends, unless it is renewed.
    """

    id: int
    submission: int
    sha256: str
    participant: str
    name: str
    track: str
    part: Part
    version: int
    attempt: int
    worker: str
    lease: float


class Lost(Exception):
    """A job belongs to another worker, or to nobody: what was found is not counted."""


class Queue:
    """The file. Every process opens it for itself.

    Args:
        path: is made where it is missing.

    Raises:
        ConfigurationError: it is no such file, or of another version of the kit.
    """

    def __init__(self, path: Path, quota: Quota | None = None) -> None:
        self.path, self.quota = path, quota or Quota()
        try:
            self._db = sqlite3.connect(path, timeout=WAIT, isolation_level=None)
            self._db.row_factory = sqlite3.Row
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")  # what was said to be done is done after a power cut, too
            self._db.execute("PRAGMA foreign_keys = ON")
            self._made()
        except sqlite3.DatabaseError as error:
            raise ConfigurationError(
                f"{path}: it is no queue of a judge ({error}). Name another file, or restore a backup"
            ) from None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _made(self) -> None:
        with self._change() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == 0:
                if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                    raise sqlite3.DatabaseError("its tables are of another program")
                for statement in filter(str.strip, _TABLES.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA}")
            elif version != SCHEMA:
                raise sqlite3.DatabaseError(f"its tables have version {version}, this kit knows {SCHEMA}")

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing. Other writers wait."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    # -- receiving

    def receive(self, sent: Sent, version: int, *, refused: str = "", deadline: float | None = None) -> tuple[int, str]:
        """Take a package in, with a job for its public part. The same package of the same participant is taken once.

        Args:
            version: of the judging code. ``refused``: why it cannot be judged, if that is known already.
            deadline: what is received after it is refused.

        Returns:
            The number of the submission, and why it was refused; empty if it was not.
        """
        with self._change() as db:
            there = db.execute(
                "SELECT id, refused FROM submission WHERE participant = ? AND sha256 = ?", (sent.participant, sent.sha256)
            ).fetchone()
            if there is not None:
                return int(there["id"]), str(there["refused"])
            if not refused and deadline is not None and sent.received > deadline:
                refused = "it came after the deadline"
            if not refused and (used := self._used(db, sent.participant, sent.received)) >= self.quota.a_day:
                refused = (
                    f"{used} submissions were judged today, and {self.quota.a_day} a day are allowed; a new day begins at 0:00 UTC"
                )
            number = db.execute(
                "INSERT INTO submission (sha256, participant, name, track, digest, received, refused) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (sent.sha256, sent.participant, sent.name, sent.track, sent.digest, sent.received, refused),
            ).lastrowid
            assert number is not None
            self._tell(db, sent.received, "refused" if refused else "received", number, detail={"why": refused} if refused else {})
            if not refused:
                self._add(db, number, "public", version, sent.received)
            return number, refused

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

    # -- working

    def claim(self, worker: str, now: float, lease: float) -> Job | None:
        """The next job, which belongs to ``worker`` for ``lease`` seconds; None where nothing is to be done now.

        Participants take turns: whoever has the fewest jobs of today comes first, and of those the job that waits longest. A job
        whose lease has ended is given anew, and fails as ours where that happened too often.
        """
        with self._change() as db:
            self._expire(db, now)
            if self._setting(db, "paused") == "1":
                return None
            start = now - now % DAY
            row = db.execute(
                "SELECT j.id, j.submission, j.part, j.version, j.attempt, s.sha256, s.participant, s.name, s.track FROM job j"
                " JOIN submission s ON s.id = j.submission WHERE j.state = 'waiting' AND j.due <= ?"
                " ORDER BY (SELECT count(*) FROM job o JOIN submission t ON t.id = o.submission WHERE t.participant = s.participant"
                " AND (o.state = 'running' OR o.ended >= ?)), j.due, j.id LIMIT 1",
                (now, start),
            ).fetchone()
            if row is None:
                return None
            db.execute(
                "UPDATE job SET state = 'running', worker = ?, lease = ?, attempt = attempt + 1 WHERE id = ?",
                (worker, now + lease, row["id"]),
            )
            self._tell(db, now, "claimed", row["submission"], row["id"], {"worker": worker, "attempt": row["attempt"] + 1})
            fields = {name: row[name] for name in ("id", "submission", "sha256", "participant", "name", "track", "part", "version")}
            return Job(**fields, attempt=row["attempt"] + 1, worker=worker, lease=now + lease)

    def renew(self, job: Job, now: float, lease: float) -> None:
        """Keep a job.

        Raises:
            Lost: it is no longer this worker's.
        """
        with self._change() as db:
            self._own(db, job)
            db.execute("UPDATE job SET lease = ? WHERE id = ?", (now + lease, job.id))

    def finish(self, job: Job, now: float, verdict: str, result: Mapping[str, Any]) -> None:
        """A job is done, whatever the verdict on the submission. ``result``: JSON-able.

        Raises:
            Lost: it is no longer this worker's; nothing is counted.
        """
        with self._change() as db:
            self._own(db, job)
            db.execute(
                "UPDATE job SET state = 'done', ended = ?, verdict = ?, result = ?, worker = '' WHERE id = ?",
                (now, verdict, json.dumps(result, sort_keys=True), job.id),
            )
            self._tell(db, now, "done", job.submission, job.id, {"verdict": verdict, "attempt": job.attempt})

    def give_back(self, job: Job, now: float, why: str) -> State:
        """A job failed by our fault: it waits for another try, or fails where it was tried often enough.

        Raises:
            Lost: it is no longer this worker's.
        """
        with self._change() as db:
            self._own(db, job)
            return self._ours(db, job.id, job.submission, job.attempt, now, why)

    def _expire(self, db: sqlite3.Connection, now: float) -> None:
        late = db.execute(
            "SELECT id, submission, attempt, worker FROM job WHERE state = 'running' AND lease < ?", (now,)
        ).fetchall()
        for row in late:
            self._ours(
                db, row["id"], row["submission"], row["attempt"], now, f"the worker {row['worker']} said nothing any more", 0.0
            )

    def _ours(
        self, db: sqlite3.Connection, job: int, submission: int, attempt: int, now: float, why: str, pause: float | None = None
    ) -> State:
        state: State = "failed" if attempt >= self.quota.attempts else "waiting"
        wait = self.quota.pause * 2 ** (attempt - 1) if pause is None else pause
        ended = now if state == "failed" else None
        verdict = "INFRASTRUCTURE" if state == "failed" else ""
        db.execute(
            "UPDATE job SET state = ?, due = ?, ended = ?, verdict = ?, worker = '' WHERE id = ?",
            (state, now + wait, ended, verdict, job),
        )
        self._tell(
            db, now, "failed by our fault" if state == "failed" else "given back", submission, job, {"why": why, "attempt": attempt}
        )
        return state

    def _own(self, db: sqlite3.Connection, job: Job) -> None:
        row = db.execute("SELECT state, worker, attempt FROM job WHERE id = ?", (job.id,)).fetchone()
        if row is None or (row["state"], row["worker"], row["attempt"]) != ("running", job.worker, job.attempt):
            raise Lost(f"job {job.id} does not belong to {job.worker} any more")

    # -- the organiser

    def choose(self, participant: str, submissions: list[int], now: float) -> None:
        """Which submissions of a participant are judged on the private part.

        Raises:
            ConfigurationError: too many, or one that was not received from this participant, or was refused.
        """
        if len(set(submissions)) > self.quota.chosen:
            raise ConfigurationError(
                f"{len(set(submissions))} submissions are chosen; {self.quota.chosen} are allowed. Choose fewer"
            )
        with self._change() as db:
            rows = db.execute("SELECT id FROM submission WHERE participant = ? AND refused = ''", (participant,)).fetchall()
            own = {row["id"] for row in rows}
            for number in submissions:
                if number not in own:
                    raise ConfigurationError(f"submission {number} is none of {participant} that was judged. Choose others")
            db.execute("UPDATE submission SET chosen = 0 WHERE participant = ?", (participant,))
            db.executemany("UPDATE submission SET chosen = 1 WHERE id = ?", [(number,) for number in set(submissions)])
            self._tell(db, now, "chosen", detail={"participant": participant, "submissions": sorted(set(submissions))})

    def open_private(self, version: int, now: float) -> int:
        """Add a job on the private part for every chosen submission that has none yet. Returns how many were added."""
        with self._change() as db:
            rows = db.execute("SELECT id FROM submission WHERE chosen = 1 AND refused = '' ORDER BY id").fetchall()
            return sum(self._add(db, row["id"], "private", version, now) for row in rows)

    def rescore(self, version: int, now: float) -> int:
        """Add a job under another version of the judging code for everything that is done. Returns how many were added."""
        with self._change() as db:
            rows = db.execute(
                "SELECT DISTINCT submission, part FROM job WHERE state = 'done' AND version <> ?", (version,)
            ).fetchall()
            return sum(self._add(db, row["submission"], row["part"], version, now) for row in rows)

    def pause(self, on: bool, now: float) -> None:
        """Give no more jobs, or give them again. Jobs that run go on."""
        with self._change() as db:
            db.execute("INSERT OR REPLACE INTO setting VALUES ('paused', ?)", ("1" if on else "0",))
            self._tell(db, now, "paused" if on else "resumed")

    @property
    def paused(self) -> bool:
        """Whether no jobs are given."""
        return self._setting(self._db, "paused") == "1"

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

    def events(self, after: int = 0) -> list[dict[str, Any]]:
        """The trail: everything that happened, oldest first. ``after``: the number of the last event that is known already."""
        rows = self._db.execute("SELECT * FROM event WHERE id > ? ORDER BY id", (after,)).fetchall()
        return [dict(row) | {"detail": json.loads(row["detail"])} for row in rows]

    def backup(self, path: Path) -> None:
        """Write a copy of the file as it is now, while others work on it."""
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
        self._tell(db, now, "queued", submission, found.lastrowid, {"part": part, "version": version})
        return True

    @staticmethod
    def _setting(db: sqlite3.Connection, name: str) -> str:
        row = db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
        return "" if row is None else str(row["value"])

    @staticmethod
    def _tell(
        db: sqlite3.Connection,
        at: float,
        what: str,
        submission: int | None = None,
        job: int | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        db.execute(
            "INSERT INTO event (at, what, submission, job, detail) VALUES (?, ?, ?, ?, ?)",
            (at, what, submission, job, json.dumps(detail or {}, sort_keys=True)),
        )
