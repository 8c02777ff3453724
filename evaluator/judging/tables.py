"""The tables of the queue's file, and how a file of an earlier version of the kit becomes one of this version, in place.

A migration is one transaction: a judge that is killed in the middle of it leaves the old file. Stop the judges of an older kit
before: they know nothing of what was added, and end with an error at their next change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from evaluator.judging.trail import NONE, digest

SCHEMA = 2
"""Version of the tables. 1: before nodes, workers, tags and the chain of the trail."""

_EVENT = """
CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  at REAL NOT NULL,
  what TEXT NOT NULL,
  who TEXT NOT NULL,
  submission INTEGER,
  job INTEGER,
  detail TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT
"""
_WORKER = """
CREATE TABLE worker (
  name TEXT PRIMARY KEY,
  node TEXT NOT NULL,
  space TEXT NOT NULL,
  pid INTEGER NOT NULL,
  born TEXT NOT NULL,
  started REAL NOT NULL,
  seen REAL NOT NULL,
  says TEXT NOT NULL DEFAULT ''
) STRICT
"""
_TAG = """
CREATE TABLE tag (
  participant TEXT NOT NULL,
  name TEXT NOT NULL,
  object TEXT NOT NULL,
  seen REAL NOT NULL,
  moved TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (participant, name)
) STRICT
"""
_TABLES = (
    """
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
) STRICT
""",
    "CREATE INDEX submission_day ON submission (participant, received)",
    """
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
  spared INTEGER NOT NULL DEFAULT 0,
  node TEXT NOT NULL DEFAULT '',
  began REAL,
  memory INTEGER NOT NULL DEFAULT 0,
  used INTEGER NOT NULL DEFAULT 0,
  peak INTEGER NOT NULL DEFAULT 0,
  told INTEGER NOT NULL DEFAULT 0,
  UNIQUE (submission, part, version)
) STRICT
""",
    "CREATE INDEX job_state ON job (state, due)",
    _EVENT,
    _WORKER,
    _TAG,
    "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
)
_ADDED_TO_JOBS = (
    "spared INTEGER NOT NULL DEFAULT 0",
    "node TEXT NOT NULL DEFAULT ''",
    "began REAL",
    "memory INTEGER NOT NULL DEFAULT 0",
    "used INTEGER NOT NULL DEFAULT 0",
    "peak INTEGER NOT NULL DEFAULT 0",
    "told INTEGER NOT NULL DEFAULT 1",  # an older kit told everybody
)


def make(db: sqlite3.Connection) -> None:
    """Make the tables where there are none, and bring those of an earlier version to this; within the caller's transaction.

    Raises:
        sqlite3.DatabaseError: the file is another program's, or of a later version of the kit.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA:
        return
    if version == 0:
        if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.DatabaseError("its tables are of another program")
        for statement in _TABLES:
            db.execute(statement)
    elif version > SCHEMA or version not in _STEPS:
        raise sqlite3.DatabaseError(f"its tables have version {version}, this kit knows {SCHEMA}")
    else:
        for step in range(version, SCHEMA):
            _STEPS[step](db)
    db.execute(f"PRAGMA user_version = {SCHEMA}")


def _from_1(db: sqlite3.Connection) -> None:
    for column in _ADDED_TO_JOBS:
        db.execute(f"ALTER TABLE job ADD COLUMN {column}")
    db.execute("ALTER TABLE event RENAME TO event_1")
    db.execute(_EVENT)
    before = NONE
    # Numbers stay: a reader that asked for what came after event 17 goes on from there.
    for row in db.execute("SELECT id, at, what, submission, job, detail FROM event_1 ORDER BY id").fetchall():
        before = digest((row[0], row[1], row[2], "", row[3], row[4], row[5]), before)
        db.execute("INSERT INTO event VALUES (?, ?, ?, '', ?, ?, ?, ?)", (*tuple(row), before))
    db.execute("DROP TABLE event_1")
    db.execute(_WORKER)
    db.execute(_TAG)


_STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _from_1}
