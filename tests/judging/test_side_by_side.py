"""Several jobs and several judges on a machine: as many as was said, each counted once, whoever is killed or stopped."""

import errno
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evaluator.cli.main import main
from evaluator.errors import ConfigurationError
from evaluator.judging import loop, resources, work, workers
from evaluator.judging.jobs import Admitted, Held
from evaluator.judging.loop import Judge
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue, Quota, Sent
from evaluator.judging.resources import FULL, GIB, Resources, admit
from evaluator.judging.work import Form
from evaluator.judging.workers import Worker, arrive, bury

ROOT = Path(__file__).resolve().parents[2]
RULES = 'name = "Labels"\nsandbox = "process"\n[quota]\na-day = 100\npause = 0\n[resources]\ndisk = 0\n'
CELL = {"cell": "c", "pair": "10:5", "seed": 0, "pipeline": "proxy", "score_split": "validation", "verdict": "OK", "score": 0.5}
ROW = {"pipeline": "proxy", "score_split": "validation", "verdicts": {"OK": 1}, "collapsed": 0}
SUMMARY = {
    "primary_metric": "macro_f1",
    "pairs": [{"pair": "10:5", "kind": "public"}],
    "rows": [ROW | {"score": None, "public": None, "pairs": []}],
    "cells": [CELL | {"collapsed": False}],
    "faults": [],
    "remarks": [],
    "data": {},
    "seeds": 1,
    "secret": "",
    "seconds": 0.1,
}
FAMILY = """
import subprocess, sys
own = bytearray(60 << 20)
code = "own = bytearray(60 << 20); print(1, flush=True); import time; time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
print(1, flush=True)
sys.stdin.read()
"""


def place_of(root: Path, more: str = "") -> Place:
    root.mkdir(exist_ok=True)
    (root / "judge.toml").write_text(RULES + more)
    (root / "public.toml").write_text('profile = "debug"\n')
    return Place.of(root)


def fill(queue: Queue, count: int) -> None:
    for number in range(count):
        queue.receive(Sent(f"{number:064}", f"p{number % 5}", "mine", "purchase", "d", time.time() - 60), 1)


def rows(queue: Queue) -> list[dict]:
    return queue.rows("SELECT id, state, attempt, spared, worker, node FROM job ORDER BY id")


# -- what a machine gives


def test_a_machine_takes_as_many_jobs_as_was_said():
    room = admit(Resources(jobs=2), {}, 100 * GIB)
    assert room([Held(1, "public", 0, 0)], "public") == Admitted()
    assert room([Held(1, "public", 0, 0)] * 2, "public").why == FULL


@pytest.mark.parametrize(
    ("memory", "peak", "running", "free", "taken"),
    [
        (4, 0, [], 5, True),
        (4, 0, [], 3, False),
        (4, 0, [(4, 4)], 5, True),  # what it was promised, it has
        (4, 0, [(4, 1)], 5, False),  # three more are promised
        (0, 6, [(6, 6)], 5, False),
        (0, 6, [], 5, True),  # measured once: no reason to judge nothing at all
        (0, 0, [(0, 9)], 0, True),
        (4, 0, [], None, True),
    ],
)
def test_memory_is_promised_once(memory, peak, running, free, taken):
    held = [Held(n, "public", most * GIB, used * GIB) for n, (most, used) in enumerate(running)]
    found = admit(Resources(jobs=9, memory=memory), {"public": peak * GIB}, None if free is None else free * GIB)(held, "public")
    assert (found.why == "") is taken
    if taken:
        assert found.memory == (memory or peak) * GIB
    else:
        assert "GiB" in found.why


@pytest.mark.parametrize(
    ("given", "threads", "expected"),
    [({}, 1, None), ({"jobs": 2}, 1, 4), ({"jobs": 2}, 2, 2), ({"jobs": 4, "cells": 6}, 1, 1), ({"cells": 3}, 1, 3)],
)
def test_jobs_share_the_trainings_of_a_machine(monkeypatch, given, threads, expected):
    monkeypatch.setattr(resources, "cores", lambda: 8)
    assert Resources(**given).workers(threads) == expected


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("jobs = 0", r"\[resources\] jobs is 0; expected 1 to 64"),
        ("jobs = 1\nclocks = 2", "cannot have more clocks"),
        ("disc = 1", "did you mean"),
        ("memory = -1", "memory is -1"),
    ],
)
def test_a_slip_in_the_resources_is_named(tmp_path, line, said):
    with pytest.raises(ConfigurationError, match=said):
        place_of(tmp_path / "judge", line + "\n")


def test_memory_of_a_family_counts_children(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    family = resources.family(process.pid)
    try:
        assert len(family) == 2
        assert resources.memory_of(process.pid) > 120 << 20
    finally:
        for number in family:
            os.kill(number, signal.SIGKILL)
        process.communicate()
    assert resources.memory_of(process.pid) == 0


# -- the queue


def test_nodes_have_room_each_for_itself(tmp_path):
    queue = Queue(tmp_path / "queue.db", Quota(a_day=100))
    fill(queue, 5)
    one = admit(Resources(jobs=1), {}, None)
    now = time.time()
    assert queue.claim("a", now, 60, "north", one) is not None
    assert queue.claim("b", now, 60, "north", one) is None
    assert queue.held == FULL
    assert queue.claim("c", now, 60, "south", one) is not None
    assert queue.held == ""
    queue.close()


def test_a_judge_that_is_stopped_gives_its_job_back_and_burns_no_try(tmp_path):
    queue = Queue(tmp_path / "queue.db", Quota(attempts=2))
    fill(queue, 1)
    now = time.time()
    for attempt in range(1, 6):
        job = queue.claim("a", now, 60)
        assert job.attempt == attempt
        queue.stop(job, now, "the judge was stopped")
    for _ in range(2):
        queue.give_back(queue.claim("a", now + 1e6, 60), now, "no space")
    assert queue.counts() == {"failed": 1}
    assert queue.check().faults == ()
    queue.close()


def test_a_dead_judge_of_this_machine_is_known_at_once(tmp_path):
    queue = Queue(tmp_path / "queue.db", Quota(attempts=3))
    fill(queue, 2)
    now = time.time()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    mine = Worker.this(now)
    other = Worker("other", mine.node, mine.space, child.pid, workers._born(child.pid), now, now)
    far = Worker("far", "elsewhere", "another boot/pid:[1]", 1, "1", now, now)
    for worker in (mine, other, far):
        arrive(queue, worker)
        queue.claim(worker.name, now, 3600)
    assert bury(queue, now) == []
    child.kill()
    assert child.poll() is None or True  # a zombie until it is waited for: dead all the same
    end = time.monotonic() + 20
    while not (dead := bury(queue, now)) and time.monotonic() < end:
        time.sleep(0.02)
    child.communicate()
    assert dead == ["other"], "of another machine only its lease tells"
    assert [row["state"] for row in rows(queue)] == ["running", "waiting"]
    assert "judge died" in [event["what"] for event in queue.events()]
    assert bury(queue, now + 2 * 86_400) == ["far"], "this process lives, whatever the clock says"
    assert [row["state"] for row in rows(queue)] == ["running", "waiting"]
    queue.close()


# -- the loop


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """A judge whose sweeps are a command of the test's; ``command`` may be replaced."""
    monkeypatch.setattr(work, "unpack_again", lambda place, digest: place.root)
    monkeypatch.setattr(work, "POLL", 0.02)
    monkeypatch.setattr(loop, "POLL", 0.02)
    monkeypatch.setattr(loop, "IDLE", 0.02)
    said: list[str] = []

    def made(more: str = "", seconds: float = 0.0, count: int = 4) -> tuple[Judge, list[str]]:
        place = place_of(tmp_path / "judge", more)
        queue = Queue(place.queue, place.rules.quota)
        fill(queue, count)
        text = f"import time, sys; time.sleep({seconds}); sys.stdout.write({json.dumps(SUMMARY)!r})"
        monkeypatch.setattr(work, "sweep_command", lambda *_: [sys.executable, "-S", "-c", text])
        return Judge(place, queue, Form("pair"), said.append, lambda: None), said

    return made


def test_one_judge_runs_several_jobs_at_once(judge, monkeypatch):
    made, said = judge("jobs = 3\n", seconds=0.5, count=3)
    most = []
    begin = made._begin
    monkeypatch.setattr(made, "_begin", lambda me: (begin(me), most.append(len(made._runs)))[0])
    assert made.run(once=True)
    assert max(most) == 3
    assert made.queue.counts() == {"done": 3}
    assert sum("OK" in line for line in said) == 3
    assert made.queue.check().faults == ()


def test_a_full_disk_begins_nothing_is_said_and_ends_when_there_is_room(judge, monkeypatch):
    made, said = judge("", count=1)
    free = iter([0, 0, 0])
    monkeypatch.setattr(resources, "free_disk", lambda folder: next(free, 100 * GIB))
    monkeypatch.setattr(Resources, "disk", 5.0)
    object.__setattr__(made.place.rules.resources, "disk", 5.0)
    taken = []
    monkeypatch.setattr(loop, "take_in", lambda *_: taken.append(1) or iter(()))
    made.queue.pause(False, time.time())
    made_once = iter([False] * 3)
    step = made._step
    monkeypatch.setattr(made, "_step", lambda me, once: step(me, next(made_once, True)))
    assert made.run(once=True)
    first, *_ = [line for line in said if "nothing is begun" in line]
    assert "0.0 GiB of the disk are free; [resources] disk keeps 5" in first
    assert said.index(first) < next(n for n, line in enumerate(said) if "there is room again" in line)
    assert made.queue.counts() == {"done": 1}
    whats = [event["what"] for event in made.queue.events()]
    assert whats.index("waits") < whats.index("goes on") < whats.index("done")


def test_once_with_a_full_disk_ends_and_says_that_it_failed(judge):
    made, said = judge("", count=1)
    object.__setattr__(made.place.rules.resources, "disk", 900_000.0)
    assert not made.run(once=True)
    assert made.queue.counts() == {"waiting": 1}
    assert "GiB of the disk are free" in said[-1]


def test_drain_lets_run_what_runs_and_begins_nothing_more(judge, monkeypatch):
    made, said = judge("jobs = 2\n", seconds=0.3, count=4)
    begin = made._begin

    def then_drain(me):
        held = begin(me)
        made.queue.pause("drain", time.time())
        return held

    monkeypatch.setattr(made, "_begin", then_drain)
    assert made.run()
    assert made.queue.counts() == {"done": 2, "waiting": 2}
    assert said[-1].startswith("drained")
    monkeypatch.setattr(made, "_begin", begin)
    assert made.run(), "a judge that is started while the queue is drained begins nothing"
    assert made.queue.counts() == {"done": 2, "waiting": 2}
    made.queue.pause(False, time.time())
    assert made.run(once=True)
    assert made.queue.counts() == {"done": 4}
    assert made.queue.check().faults == ()


def test_pause_while_jobs_run_and_resume(judge, monkeypatch):
    made, _ = judge("", seconds=0.1, count=2)
    begin, steps = made._begin, []

    def paused_in_between(me):
        held = begin(me)
        steps.append(made.queue.counts().get("done", 0))
        if len(steps) == 1:
            made.queue.pause(True, time.time())
        if len(steps) > 1 and not made._runs and made.queue.paused:
            assert made.queue.counts() == {"done": 1, "waiting": 1}, "what ran ended, and nothing was begun"
            made.queue.pause(False, time.time())
        return held

    monkeypatch.setattr(made, "_begin", paused_in_between)
    monkeypatch.setattr(made, "_more", lambda: bool(made.queue.counts().get("waiting") or made._runs))
    assert made.run(once=True)
    assert made.queue.counts() == {"done": 2}


def test_a_judge_that_is_interrupted_gives_everything_back(judge, monkeypatch):
    made, _ = judge("jobs = 2\n", seconds=60, count=2)

    def interrupted(run):
        if len(made._runs) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(made, "_look_at", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert [(row["state"], row["spared"], row["worker"]) for row in rows(made.queue)] == [("waiting", 1, "")] * 2
    assert workers.workers(made.queue) == []
    assert made.queue.check().faults == ()


def test_a_further_interrupt_while_a_judge_stops_leaves_no_job_behind(judge, monkeypatch):
    made, _ = judge("jobs = 2\n", seconds=60, count=2)
    ended = []

    def interrupted(run):
        if len(made._runs) == 2:
            raise KeyboardInterrupt

    def waits(run):
        ended.append(run)
        if len(ended) == 1:
            raise KeyboardInterrupt
        end(run)

    end = work.Run.end
    monkeypatch.setattr(made, "_look_at", interrupted)
    monkeypatch.setattr(work.Run, "end", waits)
    monkeypatch.setattr(work.Run, "terminate", lambda run: None)  # a run that does not end when it is asked to
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert len(set(ended)) == 2, "the other run is ended, too"
    assert [run._process.wait(10) != 0 for run in ended] == [True, True]
    assert [(row["state"], row["spared"], row["worker"]) for row in rows(made.queue)] == [("waiting", 1, "")] * 2
    assert workers.workers(made.queue) == []
    assert made.queue.check().faults == ()


def test_an_interrupt_while_a_judge_says_that_it_ends_is_obeyed_when_that_is_said(judge, monkeypatch):
    made, _ = judge("", seconds=60, count=1)
    cut = iter([KeyboardInterrupt])
    leave = loop.leave

    def interrupted(*_):
        for error in cut:
            raise error
        leave(*_)

    monkeypatch.setattr(loop, "leave", interrupted)
    monkeypatch.setattr(made, "_say", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert [(row["state"], row["spared"]) for row in rows(made.queue)] == [("waiting", 1)]
    assert workers.workers(made.queue) == []


# -- what a machine lacks for a while


def full(queue: Queue) -> sqlite3.OperationalError:
    """The error that SQLite raises when a disk is full."""
    (pages,) = queue.rows("PRAGMA page_count")
    queue._db.execute(f"PRAGMA max_page_count = {pages['page_count']}")
    try:
        with queue.change() as db:
            db.execute("INSERT INTO setting VALUES ('large', zeroblob(10000000) || '')")
    except sqlite3.OperationalError as error:
        return error
    finally:
        queue._db.execute("PRAGMA max_page_count = 1000000")
    raise AssertionError


def failing(monkeypatch, of: object, name: str, errors: list[Exception]) -> None:
    """A function fails so many times, and then does what it did."""
    does, left = getattr(of, name), iter(errors)

    def tries(*args, **more):
        for error in left:
            raise error
        return does(*args, **more)

    monkeypatch.setattr(of, name, tries)


@pytest.mark.parametrize("name", ["claim", "finish", "told", "change"])
def test_a_disk_that_is_full_for_the_queue_is_waited_for(judge, monkeypatch, name):
    made, said = judge("", count=2)
    monkeypatch.setattr(loop, "SIGNED", 0.0)
    failing(monkeypatch, made.queue, name, [full(made.queue)] * 3)
    assert _until_done(made, monkeypatch)
    assert made.queue.counts() == {"done": 2}
    assert [row["attempt"] for row in rows(made.queue)] == [1, 1], "no try is counted"
    assert made.queue.untold() == []
    assert not [line for line in said if line.endswith("lost") or "another judge" in line]
    if name != "told":
        (waits,) = [line for line in said if line.startswith("it waits: the disk has no room for the queue")]
        (goes_on,) = [line for line in said if line.startswith("it goes on")]
        assert said.index(waits) < said.index(goes_on)
    assert made.queue.check().faults == ()


def _until_done(made: Judge, monkeypatch) -> bool:
    """Run without ``once``, and drain when everything is done."""
    step = made._step

    def drained(me, once):
        if made.queue.counts().get("done", 0) == 2 and not made.queue.untold() and made.queue.giving != "drain":
            made.queue.pause("drain", time.time())
        return step(me, once)

    monkeypatch.setattr(made, "_step", drained)
    return made.run()


def test_a_queue_that_another_process_locks_is_waited_for(judge, monkeypatch):
    made, said = judge("", seconds=0.1, count=1)
    made.queue.wait_at_most(0.01)
    other = sqlite3.connect(made.place.queue, isolation_level=None, timeout=0.0)
    begin = made._begin

    def then_locked(me):
        held = begin(me)
        if made._runs and not said[1:]:
            other.execute("BEGIN IMMEDIATE")
        return held

    def tell(text):
        said.append(text)
        if "locked" in text:
            other.execute("ROLLBACK")

    monkeypatch.setattr(made, "_begin", then_locked)
    made.told = tell
    assert made.run(once=True)
    assert [line.split(":")[0] for line in said if "locked" in line] == ["it waits"]
    assert made.queue.counts() == {"done": 1}
    other.close()


def test_once_ends_where_the_queue_cannot_be_written_and_nothing_runs(judge, monkeypatch):
    made, said = judge("", count=1)
    failing(monkeypatch, made.queue, "claim", [full(made.queue)])
    assert not made.run(once=True)
    assert said[-1].startswith("it ends: the disk has no room for the queue. Free some")
    assert rows(made.queue)[0]["state"] == "waiting"
    assert workers.workers(made.queue) == []


def test_a_damaged_queue_is_not_waited_for(judge, monkeypatch):
    made, _ = judge("", count=1)
    failing(monkeypatch, made.queue, "claim", [sqlite3.DatabaseError("database disk image is malformed")])
    with pytest.raises(sqlite3.DatabaseError, match="malformed"):
        made.run()


def test_a_queue_that_cannot_be_written_does_not_hide_why_a_judge_ends(judge, monkeypatch):
    made, said = judge("", seconds=60, count=1)
    monkeypatch.setattr(made, "_say", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    failing(monkeypatch, loop, "leave", [full(made.queue)])
    with pytest.raises(KeyboardInterrupt):
        made.run()
    assert "the queue was not told that this judge ended" in said[-1]


def test_a_board_that_a_full_disk_did_not_take_is_written_when_there_is_room(judge, monkeypatch):
    made, said = judge("", count=2)
    written = []
    errors = iter([None, OSError(errno.ENOSPC, "No space left on device"), None, None])

    def board():
        if (error := next(errors, None)) is not None:
            raise error
        written.append(made.queue.counts().get("done", 0))

    made.board = board
    assert _until_done(made, monkeypatch)
    assert written[-1] == 2
    assert [line.split(":")[0] for line in said if "no room is left" in line] == ["it waits"]


def test_packages_that_a_full_disk_does_not_take_hold_up_nothing_that_runs(judge, monkeypatch):
    made, said = judge("jobs = 2\n", count=2)

    def no_room(*_):
        if made._runs and made.queue.counts().get("done", 0) < 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return iter(())

    monkeypatch.setattr(loop, "take_in", no_room)
    assert _until_done(made, monkeypatch)
    assert made.queue.counts() == {"done": 2}
    assert [line for line in said if line.startswith("nothing is begun: packages are not taken in: no room is left")]


# -- a clock that jumps


def test_a_judge_whose_clock_jumps_by_days_goes_on_with_what_it_runs(judge, monkeypatch):
    made, said = judge("", seconds=0.2, count=1)
    real = time.time
    made.now = lambda: real() + (2 * 86_400 if made._runs else 0)
    assert made.run(once=True)
    assert [(row["state"], row["attempt"]) for row in rows(made.queue)] == [("done", 1)]
    assert not [line for line in said if "died" in line or "hours" in line]


def test_once_says_what_it_waits_for(judge, monkeypatch):
    made, said = judge("", count=1)
    object.__setattr__(made.queue.quota, "pause", 40.0)
    start = time.time()
    made.queue.give_back(made.queue.claim("a", start, 60), start, "no space")
    looks = iter([start] * 12)
    made.now = lambda: next(looks, start + 41)
    assert made.run(once=True)
    (line,) = [line for line in said if line.startswith("it waits")]
    assert line.startswith("it waits: the next job is due at ")
    assert line.endswith(" UTC, in 40 s")


def test_once_says_that_it_waits_for_other_judges(judge, monkeypatch):
    made, said = judge("", count=1)
    job = made.queue.claim("other", time.time(), 60)
    step = made._step

    def then_done(me, once):
        done = step(me, once)
        if said:
            made.queue.finish(job, time.time(), "OK", {})
            monkeypatch.setattr(made, "_step", step)
        return done

    monkeypatch.setattr(made, "_step", then_done)
    assert made.run(once=True)
    assert said == ["it waits: 1 job of other judges"]


JUDGE = f"""
import json, sys, time
from pathlib import Path
from evaluator.judging import loop, work
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
work.unpack_again = lambda place, digest: place.root
loop.POLL = loop.IDLE = 0.02
place = Place.of(Path(sys.argv[1]))
mark = place.root / "marks"
code = '''
import os, sys, time
mark = sys.argv[1] + "/" + str(os.getpid())
open(mark, "w").close()
def lives(name):
    try:
        return open("/proc/" + name + "/stat").read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
open(sys.argv[1] + "/most", "a").write(str(sum(n.isdigit() and lives(n) for n in os.listdir(sys.argv[1]))) + chr(10))
time.sleep(0.15)
os.unlink(mark)
sys.stdout.write(sys.argv[2])
'''
work.sweep_command = lambda place, job, folder: [sys.executable, "-S", "-c", code, str(mark), {json.dumps(json.dumps(SUMMARY))}]
queue = Queue(place.queue, place.rules.quota)
loop.Judge(place, queue, work.Form("pair"), lambda text: None, lambda: None).run(once=True)
"""


@pytest.mark.slow
def test_several_judges_on_one_machine_together_run_as_many_jobs_as_was_said(tmp_path):
    """Three processes, one of which is killed; two jobs at a time are allowed on the machine; everything is done once."""
    place = place_of(tmp_path / "judge", "jobs = 2\n")
    (place.root / "marks").mkdir()
    queue = Queue(place.queue, place.rules.quota)
    fill(queue, 16)
    judges = [subprocess.Popen([sys.executable, "-c", JUDGE, str(place.root)], cwd=ROOT) for _ in range(3)]
    try:
        end = time.monotonic() + 60
        while queue.counts().get("done", 0) < 3 and time.monotonic() < end:
            time.sleep(0.02)
        holder = next((row["worker"] for row in rows(queue) if row["worker"]), f"x:{judges[0].pid}:x")
        victim = next(judge for judge in judges if str(judge.pid) == holder.split(":")[1])
        victim.kill()
        victim.wait()
        for judge in judges:
            if judge is not victim:
                assert judge.wait(90) == 0
    finally:
        for judge in judges:
            judge.kill()
            judge.wait()
    assert queue.counts() == {"done": 16}
    done = [event["job"] for event in queue.events() if event["what"] == "done"]
    assert sorted(done) == list(range(1, 17))
    assert queue.check().faults == ()
    at_once = [int(line) for line in (place.root / "marks" / "most").read_text().split()]
    assert max(at_once) >= 2
    assert sum(count > 2 for count in at_once) <= 1, "a run ends with its judge, on a busy machine a moment later"
    queue.close()


def test_the_command_shares_trainings_and_leaves_a_cluster_alone(tmp_path):
    from evaluator.judging.queue import Job

    place = place_of(tmp_path / "judge", "jobs = 2\ncells = 4\n")
    job = Job(1, 1, "a" * 64, "fox", "mine", "purchase", "public", 1, 1, "w", 0.0)
    command = work.sweep_command(place, job, place.root)
    assert command[command.index("--workers") + 1] == "2"
    (place.root / "public.toml").write_text('profile = "debug"\nray = "auto"\n')
    assert "--workers" not in work.sweep_command(place, job, place.root), "Ray decides how many trainings run"


def test_verbs_of_giving(tmp_path, capsys):
    place = place_of(tmp_path / "judge")
    for verb, giving in (("drain", "drain"), ("resume", ""), ("pause", "1"), ("drain", "drain")):
        assert main(["judge", verb, str(place.root)]) == 0
        queue = Queue(place.queue)
        assert queue.giving == giving
        assert queue.events()[-1]["who"]
        queue.close()
    capsys.readouterr()
    assert main(["judge", "status", str(place.root), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["paused"], told["drained"]) == (True, True)


def test_an_old_setting_of_pause_still_holds(tmp_path):
    queue = Queue(tmp_path / "queue.db")
    with sqlite3.connect(tmp_path / "queue.db") as db:
        for value, paused in (("1", True), ("0", False)):
            db.execute("INSERT OR REPLACE INTO setting VALUES ('paused', ?)", (value,))
            db.commit()
            assert queue.paused is paused
    queue.close()


def test_what_a_killed_judge_did_not_say_any_more_is_said_by_the_next(judge):
    """Killed after a job was done, and before its form was written; and one that failed for good when its lease ended."""
    made, _ = judge("", count=3)
    queue, place = made.queue, made.place
    first = queue.claim("w", time.time(), 60)
    (place.runs / f"{first.id}-{first.attempt}.json").write_text(json.dumps(SUMMARY))
    queue.finish(first, time.time(), "OK", {"metric": "macro_f1", "cells": []})
    lost = queue.claim("w", time.time(), 60)  # its run is gone as well
    queue.finish(lost, time.time(), "OK", {"metric": "macro_f1", "cells": []})
    for _ in range(3):
        queue.claim("w", time.time(), 60)
        queue.expire("w", time.time())
    assert queue.counts() == {"done": 2, "failed": 1}
    made.run(once=True)
    forms = {path.parent.name: json.loads(path.read_text()) for path in place.outbox.glob("*/*.json")}
    assert forms[first.participant]["verdict"] == "OK"
    assert lost.participant not in forms
    assert [form["verdict"] for form in forms.values()].count("INFRASTRUCTURE") == 1
    assert queue.untold() == []
