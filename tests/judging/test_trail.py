"""The trail is a chain in which a change of the past is found; a queue's file of an earlier kit is brought to this, in place."""

import csv
import io
import json
import sqlite3

import pytest

from evaluator.cli.main import main
from evaluator.judging import trail
from evaluator.judging.queue import Queue, Quota, Sent

NOON = 1_728_043_200.0
SCHEMA_1 = """
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


@pytest.fixture
def queue(tmp_path):
    """A queue in which everything happened that can happen."""
    made = Queue(tmp_path / "queue.db", Quota(a_day=9, attempts=2, pause=0), who="ana@host")
    for number in range(4):
        made.receive(Sent(f"{number:064}", "fox", "mine", "purchase", "d", NOON + number), 1, refused="bad" if number == 3 else "")
    made.finish(made.claim("a", NOON + 10, 60), NOON + 11, "OK", {"cells": [], "score": 0.5})
    made.give_back(made.claim("a", NOON + 12, 60), NOON + 12, "no space")
    made.stop(made.claim("a", NOON + 13, 60), NOON + 14, "the judge was stopped")
    made.give_back(made.claim("a", NOON + 14, 60), NOON + 14, "no space")
    made.claim("b", NOON + 15, 60)
    made.pause(True, NOON + 16)
    made.choose("fox", [1], NOON + 17, why="by the organiser")
    made.open_private(1, NOON + 18)
    yield made
    made.close()


def change(queue, *statements) -> trail.Checked:
    with queue.change() as db:
        for statement in statements:
            db.execute(statement)
    return queue.check()


def test_every_change_of_state_is_told_with_who_when_and_why(queue):
    told = queue.events()
    whats = ["received", "queued"] * 3 + ["refused", "claimed", "done", "claimed", "given back", "claimed", "stopped", "claimed"]
    assert [event["what"] for event in told] == [*whats, "failed by our fault", "claimed", "paused", "chosen", "queued"]
    assert {event["who"] for event in told} == {"ana@host"}
    assert told[0]["participant"] == "fox"
    assert [event["detail"]["why"] for event in told if "why" in event["detail"]] == [
        *("bad", "no space", "the judge was stopped", "no space", "by the organiser"),
    ]
    assert queue.events(after=told[-2]["id"]) == told[-1:]


def test_an_untouched_trail_is_whole(queue):
    found = queue.check()
    assert (found.faults, found.events, found.head) == ((), len(queue.events()), queue.events()[-1]["hash"])
    assert queue.check([event["hash"] for event in queue.events()]).faults == ()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE event SET at = at - 1 WHERE id = 5", "event 5"),
        ("UPDATE event SET who = 'eve' WHERE id = 5", "event 5"),
        ("UPDATE event SET detail = '{}' WHERE id = 9", "event 9"),
        ("DELETE FROM event WHERE id = 6", "6 was expected"),
        ("UPDATE event SET hash = upper(hash) WHERE id = 3", "event 3"),
        ("UPDATE job SET result = replace(result, '0.5', '0.9') WHERE id = 1", "job 1: its result"),
        ("UPDATE job SET state = 'done' WHERE id = 2", "job 2: its state is done, and by the trail failed"),
        ("DELETE FROM job WHERE id = 3", "job 3: the trail speaks of it"),
        ("DELETE FROM event WHERE id = (SELECT max(id) FROM event WHERE job IS NOT NULL)", "by the trail"),
    ],
)
def test_every_change_of_the_past_is_found(queue, statement, said):
    found = change(queue, statement)
    assert any(said in fault for fault in found.faults), found.faults


def test_a_chain_that_was_computed_anew_has_another_head(queue):
    noted = queue.check().head
    with queue.change() as db:  # what everybody can do who may write to the file
        rows = [tuple(row) for row in db.execute("SELECT * FROM event ORDER BY id")]
        before = trail.NONE
        for row in rows:
            event = (*row[:3], "nobody" if row[0] == 4 else row[3], *row[4:-1])
            before = trail.digest(event, before)
            db.execute("UPDATE event SET who = ?, hash = ? WHERE id = ?", (event[3], before, row[0]))
    assert queue.check().faults == ()
    assert "is not in the chain" in queue.check([noted]).faults[0]


def test_the_export_is_a_table_that_computes_nothing(queue):
    queue.receive(Sent("f" * 64, "=cmd|' /C calc'!A0", "mine", "purchase", "d", NOON), 1, refused='"a",\nb')
    rows = list(csv.DictReader(io.StringIO(trail.as_csv(queue.events()))))
    assert tuple(rows[0]) == trail.COLUMNS
    assert len(rows) == len(queue.events())
    assert (rows[0]["at"], rows[0]["what"], rows[0]["who"]) == (trail.moment(NOON), "received", "ana@host")
    assert rows[-1]["participant"].startswith("'=")
    assert json.loads(rows[8]["detail"])["verdict"] == "OK"
    assert "\n" not in rows[-1]["why"]


def old_file(path) -> None:
    """A queue's file as the kit before made it, with jobs in every state."""
    db = sqlite3.connect(path)
    db.executescript(SCHEMA_1)
    db.execute("PRAGMA user_version = 1")
    for number in (1, 2, 3):
        values = (number, f"{number:064}", "fox", "mine", "purchase", "d", NOON + number, "", number == 1)
        db.execute("INSERT INTO submission VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    job = "INSERT INTO job VALUES (?, ?, 'public', 1, ?, ?, ?, ?, ?, ?, ?, ?)"
    db.execute(job, (1, 1, "done", NOON, 1, "", 0, NOON + 9, "OK", '{"cells": [], "score": 0.5}'))
    db.execute(job, (2, 2, "running", NOON, 2, "old", NOON + 60, None, "", ""))
    db.execute(job, (3, 3, "waiting", NOON, 0, "", 0, None, "", ""))
    told = [
        ("received", 1, None),
        ("queued", 1, 1),
        ("received", 2, None),
        ("queued", 2, 2),
        ("received", 3, None),
        ("queued", 3, 3),
    ]
    told += [("claimed", 1, 1), ("done", 1, 1), ("claimed", 2, 2), ("given back", 2, 2), ("claimed", 2, 2)]
    for what, submission, number in told:
        event = (NOON, what, submission, number, '{"attempt": 1}')
        db.execute("INSERT INTO event (at, what, submission, job, detail) VALUES (?, ?, ?, ?, ?)", event)
    db.execute("INSERT INTO setting VALUES ('paused', '0')")
    db.commit()
    db.close()


def test_a_file_of_schema_1_goes_on_where_it_stood(tmp_path):
    old_file(tmp_path / "queue.db")
    queue = Queue(tmp_path / "queue.db")
    assert queue.counts() == {"done": 1, "running": 1, "waiting": 1}
    assert [(event["id"], event["what"]) for event in queue.events()][-1] == (11, "claimed")
    assert [event["who"] for event in queue.events()] == [""] * 11
    assert queue.check().faults == ()
    assert queue.results("public")[0]["result"] == {"cells": [], "score": 0.5}
    assert queue.chosen() == {"fox": [1]}
    assert not queue.paused
    job = queue.claim("new", NOON + 61, 60)
    queue.finish(job, NOON + 62, "OK", {})
    dead = queue.claim("new", NOON + 63, 60)
    assert (job.id, dead.id, dead.attempt) == (3, 2, 3), "what a dead judge of the old kit had"
    queue.finish(dead, NOON + 64, "OK", {})
    assert queue.check().faults == ()
    queue.close()
    again = Queue(tmp_path / "queue.db")
    assert again.check().events == 16
    again.close()


def test_a_migration_that_is_interrupted_leaves_the_old_file(tmp_path, monkeypatch):
    old_file(tmp_path / "queue.db")
    monkeypatch.setattr("evaluator.judging.tables._TAG", "CREATE TABLE this is no SQL")
    with pytest.raises(Exception, match="no queue of a judge"):
        Queue(tmp_path / "queue.db")
    db = sqlite3.connect(tmp_path / "queue.db")
    assert db.execute("PRAGMA user_version").fetchone() == (1,)
    assert db.execute("SELECT count(*) FROM event").fetchone() == (11,)
    assert "who" not in [row[1] for row in db.execute("PRAGMA table_info(event)")]
    db.close()


def test_the_verb_says_whether_the_past_is_unchanged(tmp_path, capsys):
    root = tmp_path / "judge"
    root.mkdir()
    (root / "judge.toml").write_text('name = "x"\n')
    (root / "public.toml").write_text("")
    queue = Queue(root / "queue.db")
    queue.receive(Sent("a" * 64, "fox", "mine", "purchase", "d", NOON), 1)
    head = queue.check().head
    assert main(["judge", "trail", str(root), "--check", "--head", head]) == 0
    assert f"2 events, unchanged; head {head}" in capsys.readouterr().out
    assert main(["judge", "trail", str(root), "--csv"]) == 0
    assert capsys.readouterr().out.startswith("id,at,what,who,participant")
    change(queue, "UPDATE event SET detail = '{}' WHERE id = 1")
    queue.close()
    assert main(["judge", "trail", str(root), "--check"]) == 1
    assert "compare it with a backup" in capsys.readouterr().out
    assert main(["judge", "trail", str(root), "--check", "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["faults"]) == 1
