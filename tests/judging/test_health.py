"""How a judge is can be seen at any time; what is removed belonged to nobody or is needed by nobody, and the trail names it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evaluator.cli.main import main
from evaluator.errors import ConfigurationError
from evaluator.files import hold
from evaluator.history import layout
from evaluator.judging import clean as cleaning
from evaluator.judging import leftovers as left
from evaluator.judging.clean import clean, removals
from evaluator.judging.health import health, span
from evaluator.judging.place import Place
from evaluator.judging.queue import DAY, Queue, Sent
from evaluator.judging.workers import Worker, arrive, sign
from evaluator.machine import Load

QUIET = Load(0.5, 8 << 30, 4)
NOW = time.time()


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A judge's folder, with scratch folders of its own."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(left.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    return made(tmp_path)


def made(tmp_path: Path, retention: str = "") -> Place:
    root = tmp_path / "judge"
    root.mkdir(exist_ok=True)
    rules = 'name = "Labels"\nsandbox = "process"\nprivate = "private.toml"\n[resources]\ndisk = 0\n'
    (root / "judge.toml").write_text(rules + retention)
    for part in ("public", "private"):
        (root / f"{part}.toml").write_text("")
    place = Place.of(root)
    place.results("private").mkdir(exist_ok=True)
    return place


@pytest.fixture
def queue(place):
    opened = Queue(place.queue, place.rules.quota, who="ana@host")
    yield opened
    opened.close()


def send(place, queue, number: int, days: float = 0.0, refused: str = "", participant: str = "fox") -> str:
    """A submission that was received so long ago, with its package, unpacked; its digest."""
    digest = f"{number:064x}"
    at = NOW - days * DAY
    queue.receive(Sent(digest, participant, "mine", "purchase", "d", at), 1, refused=refused)
    (place.packages / f"{digest}.zip").write_bytes(b"PK" + b"x" * 98)
    (place.submissions / digest / "mine").mkdir(parents=True)
    (place.submissions / digest / "mine" / "run.py").write_text("x" * 50)
    return digest


def judge(place, queue, days: float, cells: tuple[str, ...] = ()) -> int:
    """Judge what waits longest, so long ago, with predictions of these cells; the number of the submission."""
    at = NOW - days * DAY
    job = queue.claim("w", NOW, 60)
    queue.finish(job, at, "OK", {"cells": [{"cell": cell} for cell in cells]})
    folder = place.results(job.part) / "cells"
    folder.mkdir(exist_ok=True)
    for cell in cells:
        (folder / f"{cell}.npy").write_bytes(b"p" * 10)
        (folder / f"{cell}.json").write_text("{}")
    return job.submission


def aged(path: Path, days: float = 1.0) -> Path:
    os.utime(path, (NOW - days * DAY,) * 2, follow_symlinks=False)
    return path


@pytest.fixture
def later():
    """A time at which whatever the test made is no longer young."""
    return NOW + 2 * left.YOUNG


def kinds(place, queue, now, shown=()) -> list[tuple[str, str]]:
    return sorted((of.kind, of.paths[0].name[:12]) for of in removals(place, queue, shown, now))


# -- health


def test_health_says_who_waits_what_works_and_what_it_takes(place, queue):
    send(place, queue, 1, days=2 / 24)
    send(place, queue, 2, days=1 / 24)
    send(place, queue, 3)
    judge(place, queue, days=0.5 / 24)
    mine = Worker.this(NOW)
    arrive(queue, mine)
    queue.claim(mine.name, NOW, 60)
    dead = Worker("dead", mine.node, mine.space, 2**22 + 1, "1", NOW, NOW)
    arrive(queue, dead)
    queue.claim("dead", NOW, 60)
    sign(queue, mine.name, NOW, "the disk is full")
    send(place, queue, 4, days=3 / 24)
    (place.inbox / "fox").mkdir()
    (place.inbox / "fox" / "x.zip").write_bytes(b"x" * 77)
    aged(place.inbox / "fox" / "x.zip")
    found = health(place, queue, NOW, QUIET)
    assert (found.inbox, found.jobs, found.dead) == (1, {"done": 1, "running": 2, "waiting": 1}, 1)
    assert found.oldest == pytest.approx(3 * 3600)
    assert (found.last_hour, found.last_day) == (1, 1)
    assert {of.worker.name: (of.alive, of.jobs) for of in found.judges} == {mine.name: (True, 1), "dead": (False, 1)}
    assert (found.sizes["packages"], found.sizes["submissions"], found.sizes["inbox"]) == (400, 200, 77)
    told = found.as_dict()
    json.dumps(told, allow_nan=False)
    assert told["sizes"]["packages"] == 400
    text = "\n".join(f"{title}: {line}" for title, line in found.rows())
    assert "the oldest waits 3 h 0 min" in text
    assert "0.5 of 4 busy" in text
    assert "waits: the disk is full" in text
    assert "dead, or cut off; its 1 job" in text


def test_a_clock_that_was_set_back_gives_no_negative_duration(place, queue):
    send(place, queue, 1, days=1)
    send(place, queue, 2, days=1)
    judge(place, queue, days=0.5)  # it was claimed at NOW
    assert health(place, queue, NOW, QUIET).job_seconds is None
    queue.finish(queue.claim("w", NOW - 10, 60), NOW - 3, "OK", {"cells": []})
    assert health(place, queue, NOW, QUIET).job_seconds == pytest.approx(7)


def test_an_empty_judge_has_nothing_to_say(place, queue):
    found = health(place, queue, NOW, Load(None, None, 1))
    assert (found.oldest, found.job_seconds, found.dead, found.left) == (None, None, 0, ())
    assert ("judge", "none works here") in found.rows()


def test_the_verb_prints_both_forms(place, queue, capsys):
    send(place, queue, 1)
    assert main(["judge", "status", str(place.root)]) == 0
    shown = capsys.readouterr().out
    assert "the oldest waits" in shown
    assert "packages 100 B" in shown
    assert main(["judge", "status", str(place.root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["jobs"], told["inbox"], told["free_bytes"] > 0) == ({"waiting": 1}, 0, True)


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (125, "2 min"), (7_500, "2 h 5 min"), (3 * 86_400, "3 days")])
def test_spans(seconds, text):
    assert span(seconds) == text


# -- leftovers


def test_only_what_belongs_to_nobody_is_removed(place, queue, later, tmp_path):
    known = send(place, queue, 1)
    stray = "e" * 64
    (place.packages / f"{stray}.zip").write_bytes(b"x")
    (place.packages / ".incoming-0123.zip").write_bytes(b"x")
    (place.submissions / stray).mkdir()
    (place.submissions / ".abc.0123456789abcdef.tmp").mkdir()
    (place.runs / "99-1.log").write_text("x")
    (place.runs / "1-1.log").write_text("of a job")
    (place.root / "notes.txt").write_text("the organiser's")
    (place.packages / "README").write_text("the organiser's")
    scratch = tmp_path / "tmp" / f"{left.PREFIX}abc"
    scratch.mkdir()
    assert kinds(place, queue, NOW) == [("the folder of a worker whose evaluator was killed", f"{left.PREFIX}abc"[:12])], "young"
    assert len(kinds(place, queue, later)) == 6
    holder = hold(place.submissions / ".abc.0123456789abcdef.tmp")
    assert len(kinds(place, queue, later)) == 5, "somebody is at work on it"
    os.close(holder)
    assert clean(place, queue, removals(place, queue, (), later), later) == []
    assert not scratch.exists()
    assert sorted(path.name for path in place.packages.iterdir()) == [f"{known}.zip", "README"]
    assert [path.name for path in place.submissions.iterdir()] == [known]
    assert [path.name for path in place.runs.iterdir()] == ["1-1.log"]
    assert (place.root / "notes.txt").exists()
    told = [event for event in queue.events() if event["what"] == "removed"]
    assert len(told) == 6
    assert {event["who"] for event in told} == {"ana@host"}
    assert "packages/.incoming-0123.zip" in [event["detail"]["path"] for event in told]
    assert queue.check().faults == ()


def test_a_link_in_the_place_of_a_leftover_takes_nothing_else_along(place, queue, later, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (place.submissions / ("d" * 64)).symlink_to(outside)
    clean(place, queue, removals(place, queue, (), later), later)
    assert (outside / "kept").exists()
    assert not (place.submissions / ("d" * 64)).is_symlink()


def test_a_package_that_a_killed_judge_took_half_in_is_taken_again(place, queue, later):
    """What is removed as nobody's lies still in the inbox: a package leaves it last."""
    code = f"""
import os, sys, time
from pathlib import Path
from evaluator.judging import inbox
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
place = Place.of(Path({str(place.root)!r}))
inbox.unpack = lambda *_: os._exit(9)
list(inbox.take_in(place, Queue(place.queue), time.time))
"""
    (place.inbox / "fox").mkdir()
    sent = place.inbox / "fox" / "x.zip"
    sent.write_bytes(b"no zip")
    aged(sent)
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).resolve().parents[2]).returncode == 9
    assert [kind for kind, _ in kinds(place, queue, later)] == ["a package that was not taken in", "a package, half unpacked"]
    clean(place, queue, removals(place, queue, (), later), later)
    assert sent.exists()
    assert list(place.packages.iterdir()) == list(place.submissions.iterdir()) == []


# -- retention


def test_without_retention_everything_stays(place, queue):
    send(place, queue, 1, days=1000, refused="bad")
    send(place, queue, 2, days=1000)
    judge(place, queue, 1000, ("a" * 32,))
    (place.runs / "1-1.log").write_text("x")
    aged(place.runs / "1-1.log", 1000)
    assert kinds(place, queue, NOW) == []


def test_packages_of_refused_submissions_alone_go(place, queue, tmp_path):
    place = made(tmp_path, "[retention]\npackages = 30\n")
    old = send(place, queue, 1, days=31, refused="bad")
    send(place, queue, 2, days=29, refused="bad")
    send(place, queue, 3, days=31)  # a rescore needs it
    shared = send(place, queue, 4, days=31, refused="bad")
    queue.receive(Sent(shared, "owl", "mine", "purchase", "d", NOW - 31 * DAY), 1)  # the same package, accepted of another
    assert kinds(place, queue, NOW) == [("package", old[:12])]


def test_unpacked_packages_go_unless_a_job_wants_them(place, queue, tmp_path):
    place = made(tmp_path, "[retention]\nsubmissions = 10\n")
    send(place, queue, 1, days=40)
    judge(place, queue, days=5)  # judged lately
    old = send(place, queue, 2, days=30, participant="owl")
    judge(place, queue, days=20)
    send(place, queue, 3, days=30, participant="elk")  # waits
    lone = send(place, queue, 4, days=30, participant="bee", refused="bad")
    (place.packages / f"{lone}.zip").unlink()  # could not be unpacked again
    (chosen,) = removals(place, queue, (), NOW)
    assert chosen.paths[0].name == old
    queue.rescore(2, NOW)  # between the preview and the removal
    assert clean(place, queue, [chosen], NOW) == []
    assert chosen.paths[0].is_dir(), "now a job wants it"
    for _ in range(3):
        queue.finish(queue.claim("w", NOW, 60), NOW - 20 * DAY, "OK", {})
    clean(place, queue, [chosen], NOW)
    assert not chosen.paths[0].exists()
    assert (place.packages / f"{old}.zip").exists()


def test_logs_go_and_those_of_running_jobs_stay(place, queue, tmp_path):
    place = made(tmp_path, "[retention]\nlogs = 7\n")
    send(place, queue, 1)
    send(place, queue, 2)
    judge(place, queue, 0)
    running = queue.claim("w", NOW, 60).id
    for name in (f"{3 - running}-1.log", f"{running}-1.log"):
        (place.runs / name).write_text("x")
        aged(place.runs / name, 8)
    results = place.results("public")
    layout.write_mark(results)
    for name, days in (("20260101-000000-sweep", 8), ("20260101-000001-sweep", 6), ("20260101-000002-sweep", 8)):
        (results / name / "logs").mkdir(parents=True)
        (results / name / "sweep.json").write_text(json.dumps({"schema": 1, "cells": []}))
        aged(results / name, days)
    holder = hold(results / "20260101-000002-sweep")
    assert [name for _, name in kinds(place, queue, NOW)] == [f"{3 - running}-1.log", "20260101-000"]
    assert clean(place, queue, removals(place, queue, (), NOW), NOW) == []
    os.close(holder)
    assert not (results / "20260101-000000-sweep").exists()
    assert (results / "20260101-000002-sweep").exists()


def test_predictions_of_what_a_board_shows_or_somebody_chose_stay(place, queue, tmp_path):
    place = made(tmp_path, "[retention]\npredictions = 10\n")
    cells = {name: name * 32 for name in "abcdef"}
    for number in range(1, 6):
        send(place, queue, number, days=30 + number, participant=f"p{number}")
    on_board = judge(place, queue, 20, (cells["a"],))
    chosen = judge(place, queue, 20, (cells["b"],))
    gone = judge(place, queue, 20, (cells["c"], cells["d"]))
    judge(place, queue, 5, (cells["d"], cells["e"]))  # judged lately, and shares a cell of equal files
    waits = judge(place, queue, 20, (cells["f"],))
    (name,) = [row["participant"] for row in queue.rows("SELECT participant FROM submission WHERE id = ?", chosen)]
    queue.choose(name, [chosen], NOW)
    with queue.change() as db:
        db.execute("INSERT INTO job (submission, part, version, state, due) VALUES (?, 'public', 2, 'waiting', 0)", (waits,))
    (removal,) = removals(place, queue, (on_board,), NOW)
    assert (removal.submission, [path.stem for path in removal.paths]) == (gone, [cells["c"]])
    clean(place, queue, [removal], NOW)
    there = {path.stem for path in (place.results("public") / "cells").glob("*.npy")}
    assert there == set(cells.values()) - {cells["c"]}
    assert (place.results("public") / "cells" / f"{cells['c']}.json").exists(), "figures stay"
    (event,) = [event for event in queue.events() if event["what"] == "removed"]
    assert (event["submission"], event["detail"]["files"]) == (gone, 1)


def test_a_preview_removes_nothing_and_yes_does(place, queue, tmp_path, capsys, monkeypatch):
    place = made(tmp_path, "[retention]\npackages = 1\n")
    monkeypatch.setattr(cleaning, "clean_machine", lambda place: 2)
    digest = send(place, queue, 1, days=2, refused="bad")
    assert main(["judge", "clean", str(place.root)]) == 0
    assert "1 thing would be removed, 100 B; nothing was" in capsys.readouterr().out
    assert (place.packages / f"{digest}.zip").exists()
    assert main(["judge", "clean", str(place.root), "--yes"]) == 0
    assert "1 thing removed, 100 B; 2 of killed workers" in capsys.readouterr().out
    assert not (place.packages / f"{digest}.zip").exists()
    assert main(["judge", "clean", str(place.root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["things"] == []


@pytest.mark.parametrize(("line", "said"), [("logs = -1", "logs is -1"), ("log = 1", "did you mean"), ('logs = "x"', "logs is")])
def test_a_slip_in_the_retention_is_named(tmp_path, line, said):
    with pytest.raises(ConfigurationError, match=said):
        made(tmp_path, f"[retention]\n{line}\n")
