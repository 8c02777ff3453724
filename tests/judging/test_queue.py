"""Nothing is lost and nothing is counted twice, whoever is killed when; quotas count days, and faults of our own burn none."""

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from evaluator.errors import ConfigurationError
from evaluator.judging.queue import DAY, Lost, Queue, Quota, Sent
from evaluator.judging.shortages import shortage

ROOT = Path(__file__).resolve().parents[2]
NOON = 20_000 * DAY + DAY / 2


@pytest.fixture
def queue(tmp_path):
    made = Queue(tmp_path / "queue.db")
    yield made
    made.close()


def sent(participant: str = "fox", number: int = 0, received: float = NOON) -> Sent:
    return Sent(f"{participant}-{number}", participant, "mine", "purchase", f"digest {number}", received)


def test_a_submission_is_judged_once_and_its_result_is_kept(queue):
    number, refused = queue.receive(sent(), 1)
    assert (number, refused) == (1, "")
    assert queue.receive(sent(received=NOON + 5), 1) == (1, ""), "the same package is taken once"
    job = queue.claim("a", NOON, 60)
    assert (job.participant, job.part, job.attempt) == ("fox", "public", 1)
    assert queue.claim("b", NOON, 60) is None
    queue.finish(job, NOON + 9, "OK", {"score": 0.5})
    assert queue.claim("b", NOON + 999, 60) is None
    (row,) = queue.results("public")
    assert (row["verdict"], row["result"], row["state"]) == ("OK", {"score": 0.5}, "done")
    assert [event["what"] for event in queue.events()] == ["received", "queued", "claimed", "done"]


def test_what_was_refused_for_its_time_is_taken_when_it_is_sent_again(tmp_path):
    queue = Queue(tmp_path / "queue.db", Quota(a_day=1))
    queue.receive(sent(number=0), 1)
    number, refused = queue.receive(sent(number=1, received=NOON + 1), 1)
    assert "1 a day are allowed" in refused
    assert queue.receive(sent(number=1, received=NOON + 2), 1) == (number, refused), "the day is the same"
    assert queue.receive(sent(number=1, received=NOON + DAY), 1) == (number, "")
    assert queue.receive(sent(number=1, received=NOON + DAY + 1), 1) == (number, ""), "and now it is taken once"
    assert queue.used("fox", NOON + DAY) == 1, "it counts on the day on which it was taken"
    assert queue.counts() == {"waiting": 2}
    late, why = queue.receive(sent("owl", received=NOON), 1, deadline=NOON - 1)
    assert "deadline" in why
    assert queue.receive(sent("owl", received=NOON), 1, deadline=NOON + 1) == (late, "")
    assert queue.check().faults == ()


def test_what_failed_by_our_fault_is_judged_when_it_is_sent_again_or_rescored(tmp_path):
    queue = Queue(tmp_path / "queue.db", Quota(a_day=1, attempts=2, pause=0))
    number, _ = queue.receive(sent(), 1)

    def fail(now):
        for _ in range(2):
            state = queue.give_back(queue.claim("a", now, 60), now, "no space")
        return state

    assert fail(NOON) == "failed"
    assert queue.receive(sent(received=NOON + 1), 1) == (number, "")
    assert queue.counts() == {"waiting": 1}
    assert queue.used("fox", NOON) == 1
    assert fail(NOON + 2) == "failed", "with all its tries"
    queue.receive(sent(number=1, received=NOON + 3), 1)
    assert "a day are allowed" in queue.receive(sent(received=NOON + 4), 1)[1], "the quota holds for it, too"
    assert queue.rescore(2, NOON + 5) == 1
    while job := queue.claim("a", NOON + 6, 60):
        queue.finish(job, NOON + 6, "OK", {})
    assert queue.check().faults == ()


def test_a_worker_that_says_nothing_loses_its_job_and_can_no_longer_count(queue):
    queue.receive(sent(), 1)
    first = queue.claim("a", NOON, 60)
    assert queue.claim("b", NOON + 59, 60) is None
    second = queue.claim("b", NOON + 61, 60)
    assert (second.id, second.attempt) == (first.id, 2)
    for act in (
        lambda: queue.finish(first, NOON + 62, "OK", {}),
        lambda: queue.renew(first, NOON + 62, 60),
        lambda: queue.give_back(first, NOON + 62, "x"),
    ):
        with pytest.raises(Lost):
            act()
    queue.finish(second, NOON + 63, "OK", {"score": 1})
    with pytest.raises(Lost):
        queue.finish(second, NOON + 64, "OK", {"score": 2})
    assert [row["result"] for row in queue.results("public")] == [{"score": 1}]


def test_a_lease_that_is_renewed_holds(queue):
    queue.receive(sent(), 1)
    job = queue.claim("a", NOON, 60)
    queue.renew(job, NOON + 50, 60)
    assert queue.claim("b", NOON + 100, 60) is None


def test_our_own_faults_are_tried_again_later_and_later_and_burn_no_quota(tmp_path):
    queue = Queue(tmp_path / "queue.db", Quota(a_day=1, attempts=3, pause=10))
    queue.receive(sent(), 1)
    now = NOON
    for wait in (10, 20):
        job = queue.claim("a", now, 60)
        assert queue.give_back(job, now, "no space") == "waiting"
        assert queue.claim("a", now + wait - 1, 60) is None
        now += wait
    assert queue.used("fox", now) == 1
    assert queue.give_back(queue.claim("a", now, 60), now, "no space") == "failed"
    (row,) = queue.results("public")
    assert (row["state"], row["verdict"]) == ("failed", "INFRASTRUCTURE")
    assert queue.used("fox", now) == 0
    assert queue.receive(sent(number=1, received=now), 1)[1] == "", "so another may be sent today"
    queue.close()


def test_a_job_that_kills_every_worker_does_not_go_on_for_ever(tmp_path):
    queue = Queue(tmp_path / "queue.db", Quota(attempts=3))
    queue.receive(sent(), 1)
    for attempt in range(3):
        assert queue.claim("a", NOON + 100 * attempt, 60).attempt == attempt + 1
    assert queue.claim("a", NOON + 400, 60) is None
    assert queue.counts() == {"failed": 1}
    queue.close()


@pytest.mark.parametrize(
    ("second", "refused"), [(DAY / 2 - 1, True), (DAY / 2, False)], ids=["a second before midnight", "at midnight"]
)
def test_a_day_ends_at_midnight(tmp_path, second, refused):
    queue = Queue(tmp_path / "queue.db", Quota(a_day=1))
    queue.receive(sent(), 1)
    assert bool(queue.receive(sent(number=1, received=NOON + second), 1)[1]) is refused
    assert queue.receive(sent("owl", 1), 1)[1] == "", "a quota is a participant's own"
    queue.close()


def test_what_is_refused_is_kept_with_the_reason_and_has_no_job(queue):
    assert queue.receive(sent(), 1, refused="it does not compile")[1] == "it does not compile"
    assert queue.receive(sent(number=1, received=NOON + 2), 1, deadline=NOON + 1)[1] == "it came after the deadline"
    assert queue.used("fox", NOON) == 0
    assert queue.claim("a", NOON + 5, 60) is None


def test_participants_take_turns(queue):
    for number in range(3):
        queue.receive(sent("fox", number, NOON + number), 1)
    queue.receive(sent("owl", 0, NOON + 10), 1)
    order = []
    for at in range(4):
        job = queue.claim("a", NOON + 20 + at, 60)
        order.append(job.participant)
        queue.finish(job, NOON + 20 + at, "OK", {})
    assert order == ["fox", "owl", "fox", "fox"]


def test_a_paused_judge_gives_no_jobs_and_lets_running_ones_end(queue):
    queue.receive(sent(), 1)
    queue.receive(sent(number=1), 1)
    job = queue.claim("a", NOON, 60)
    queue.pause(True, NOON)
    assert queue.paused
    assert queue.claim("b", NOON, 60) is None
    queue.finish(job, NOON + 1, "OK", {})
    queue.pause(False, NOON)
    assert queue.claim("b", NOON, 60) is not None


def test_chosen_submissions_have_a_private_part_at_the_end(queue):
    for number in range(3):
        queue.receive(sent("fox", number), 1)
    queue.receive(sent("owl", 0), 1, refused="bad")
    with pytest.raises(ConfigurationError, match="is none of fox"):
        queue.choose("fox", [1, 4], NOON)
    with pytest.raises(ConfigurationError, match="3 are allowed"):
        queue.choose("fox", [1, 2, 3, 4], NOON)
    queue.choose("fox", [1, 3], NOON)
    assert (queue.open_private(1, NOON), queue.open_private(1, NOON)) == (2, 0)
    parts = [queue.claim("a", NOON, 60) for _ in range(5)]
    assert sorted(job.submission for job in parts if job.part == "private") == [1, 3]


def test_a_new_version_of_the_judge_scores_everything_again_beside_the_old(queue):
    queue.receive(sent(), 1)
    queue.finish(queue.claim("a", NOON, 60), NOON, "OK", {"score": 0.5})
    assert (queue.rescore(2, NOON), queue.rescore(2, NOON)) == (1, 0)
    queue.finish(queue.claim("a", NOON, 60), NOON, "OK", {"score": 0.6})
    assert [(row["version"], row["result"]["score"]) for row in queue.results("public")] == [(1, 0.5), (2, 0.6)]


@pytest.mark.parametrize("umask", [0o022, 0o000])
def test_nobody_else_may_read_the_queue(tmp_path, umask):
    before = os.umask(umask)
    try:
        queue = Queue(tmp_path / "queue.db")
        queue.receive(sent(), 1)
        queue.backup(tmp_path / "copy.db")
    finally:
        os.umask(before)
    there = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert there == dict.fromkeys(("queue.db", "queue.db-wal", "queue.db-shm", "copy.db"), 0o600)
    for path in tmp_path.iterdir():  # as an earlier version of the kit made them, while a judge of it runs
        path.chmod(0o644)
    again = Queue(tmp_path / "queue.db")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("queue.db*")} == {0o600}
    assert again.counts() == {"waiting": 1}
    again.close()
    queue.close()


def test_a_disk_that_is_full_leaves_no_transaction_open(queue, tmp_path):
    other = Queue(tmp_path / "queue.db")
    (pages,) = queue.rows("PRAGMA page_count")
    queue._db.execute(f"PRAGMA max_page_count = {pages['page_count']}")

    def fill() -> None:
        for number in range(500):
            queue.receive(sent(f"fox-{number}"), 1)

    with pytest.raises(sqlite3.OperationalError, match="full") as raised:
        fill()
    assert "no room" in shortage(raised.value)
    assert not queue._db.in_transaction
    other.receive(sent("owl"), 1)
    queue._db.execute("PRAGMA max_page_count = 1000000")
    assert queue.receive(sent("bear"), 1)[1] == ""
    assert queue.check().faults == ()
    other.close()


class Failing:
    """A connection on which one statement fails, once, as told."""

    def __init__(self, db: sqlite3.Connection, statement: str, error: BaseException) -> None:
        self._db, self._statement, self._error = db, statement, error

    def __getattr__(self, name):
        return getattr(self._db, name)

    def execute(self, statement, *values):
        if statement == self._statement and self._error is not None:
            error, self._error = self._error, None
            if isinstance(error, KeyboardInterrupt):
                self._db.execute(statement)  # it comes just after
            raise error
        return self._db.execute(statement, *values)


@pytest.mark.parametrize(
    ("statement", "error", "there"),
    [
        ("COMMIT", sqlite3.OperationalError("disk I/O error"), 0),
        ("BEGIN IMMEDIATE", KeyboardInterrupt(), 0),
        ("COMMIT", KeyboardInterrupt(), 1),
    ],
    ids=["not committed", "interrupted at the begin", "interrupted at the end"],
)
def test_a_change_that_is_cut_off_is_whole_or_nothing(queue, statement, error, there):
    queue._db = Failing(queue._db, statement, error)
    with pytest.raises(type(error)):
        queue.receive(sent(), 1)
    assert not queue._db.in_transaction
    assert queue.counts().get("waiting", 0) == there
    assert queue.receive(sent(number=1), 1)[1] == ""


def test_a_queue_that_is_locked_is_no_other_program_s_file(queue, tmp_path, monkeypatch):
    monkeypatch.setattr("evaluator.judging.queue.WAIT", 0.05)
    with queue.change(), pytest.raises(ConfigurationError, match=r"cannot be opened now.*locked.*try again"):
        Queue(tmp_path / "queue.db")


# -- a clock that was ahead, and is right again


def test_what_came_while_the_clock_was_ahead_is_due_at_once(queue):
    queue.receive(sent(received=NOON + DAY), 1)
    assert queue.next_due(NOON) == NOON
    job = queue.claim("a", NOON, 60)
    assert job.id == 1
    queue.give_back(job, NOON + DAY, "a fault while the clock is ahead")
    assert queue.claim("a", NOON + 1, 60).attempt == 2


def test_a_pause_is_kept_also_the_longest(tmp_path):
    queue = Queue(tmp_path / "queue.db", Quota(attempts=4, pause=10))
    queue.receive(sent(), 1)
    now = NOON
    for wait in (10, 20, 40):
        queue.give_back(queue.claim("a", now, 60), now, "no space")
        assert queue.next_due(now) == now + wait
        assert queue.claim("a", now + wait - 1, 60) is None
        now += wait
    assert Quota(attempts=9_000).longest == DAY, "no pause is longer than a day"
    queue.close()


def test_a_lease_that_was_taken_while_the_clock_was_ahead_holds_no_longer_than_others(queue):
    queue.receive(sent(), 1)
    first = queue.claim("a", NOON + DAY, 60)
    assert queue.claim("b", NOON, 60) is None, "who has it may live"
    assert queue.claim("b", NOON + 59, 60) is None
    second = queue.claim("b", NOON + 61, 60)
    assert (second.id, second.attempt) == (first.id, 2)


def test_another_file_is_refused_in_words(tmp_path):
    (tmp_path / "text").write_text("no database, but long enough to look at" * 10)
    with pytest.raises(ConfigurationError, match="no queue of a judge"):
        Queue(tmp_path / "text")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE mine (x)")
    other.close()
    with pytest.raises(ConfigurationError, match="another program"):
        Queue(tmp_path / "other.db")
    later = sqlite3.connect(tmp_path / "later.db")
    later.execute("PRAGMA user_version = 99")
    later.close()
    with pytest.raises(ConfigurationError, match="version 99"):
        Queue(tmp_path / "later.db")


def test_a_backup_holds_what_was_there(queue, tmp_path):
    queue.receive(sent(), 1)
    queue.backup(tmp_path / "copy.db")
    copy = Queue(tmp_path / "copy.db")
    assert copy.counts() == {"waiting": 1}
    copy.close()


class Judging(RuleBasedStateMachine):
    """Workers claim, die, come back late and finish in any order; what is counted is held against a plain model."""

    @initialize()
    def begin(self) -> None:
        self.queue = Queue(Path(":memory:"), Quota(a_day=100, attempts=3, pause=10))  # type: ignore[arg-type]
        self.now, self.sent, self.claimed, self.counted = NOON, 0, [], {}

    @rule(participant=st.sampled_from("abc"))
    def receive(self, participant: str) -> None:
        self.queue.receive(sent(participant, self.sent, self.now), 1)
        self.sent += 1

    @rule(worker=st.sampled_from("xyz"))
    def claim(self, worker: str) -> None:
        job = self.queue.claim(worker, self.now, 60)
        if job is not None:
            self.claimed.append(job)

    @rule(data=st.data(), good=st.booleans())
    def end(self, data: st.DataObject, good: bool) -> None:
        if not self.claimed:
            return
        job = data.draw(st.sampled_from(self.claimed))
        latest = max(other.attempt for other in self.claimed if other.id == job.id) == job.attempt
        try:
            if good:
                self.queue.finish(job, self.now, "OK", {"attempt": job.attempt})
                assert latest
                assert job.id not in self.counted
                self.counted[job.id] = job.attempt
            else:
                self.queue.give_back(job, self.now, "why")
                assert job.id not in self.counted
        except Lost:
            pass

    @rule(seconds=st.integers(1, 90))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @invariant()
    def everything_is_somewhere_and_counted_once(self) -> None:
        if not hasattr(self, "queue"):
            return
        assert sum(self.queue.counts().values()) == self.sent
        done = [row for row in self.queue.results("public") if row["state"] == "done"]
        assert sorted(row["result"]["attempt"] for row in done) == sorted(self.counted.values())

    def teardown(self) -> None:
        if hasattr(self, "queue"):
            self.queue.close()


Judging.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestJudging = Judging.TestCase


WORKER = """
import sys, time
from pathlib import Path
from evaluator.judging.queue import Lost, Queue, Quota
queue = Queue(Path(sys.argv[1]), Quota(attempts=10_000))
while True:
    job = queue.claim(sys.argv[2], time.time(), 0.4)
    if job is None:
        time.sleep(0.005)
        continue
    try:
        queue.renew(job, time.time(), 0.4)
        time.sleep(0.004)
        queue.finish(job, time.time(), "OK", {"worker": sys.argv[2]})
    except Lost:
        pass
"""


@pytest.mark.endurance
def test_fifty_kills_at_any_moment_lose_nothing_and_count_nothing_twice(tmp_path):
    path, draw = tmp_path / "queue.db", random.Random(11)
    queue = Queue(path, Quota(a_day=10_000))
    for number in range(400):
        queue.receive(sent(f"p{number % 7}", number), 1)
    workers: dict[int, subprocess.Popen] = {}

    def start(name: int) -> None:
        workers[name] = subprocess.Popen([sys.executable, "-c", WORKER, str(path), f"w{name}"], cwd=ROOT)

    try:
        for name in range(3):
            start(name)
        for kill in range(50):
            time.sleep(draw.uniform(0.02, 0.25))
            victim = draw.choice(sorted(workers))
            os.kill(workers[victim].pid, signal.SIGKILL)
            workers.pop(victim).wait()
            start(100 + kill)
        end = time.monotonic() + 120
        while queue.counts().get("done", 0) < 400 and time.monotonic() < end:
            time.sleep(0.1)
    finally:
        for process in workers.values():
            process.kill()
            process.wait()
    assert queue.counts() == {"done": 400}
    done = [event for event in queue.events() if event["what"] == "done"]
    assert len(done) == len({event["job"] for event in done}) == 400
    (check,) = sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone()
    assert check == "ok"
    queue.close()


def _claim(path: str, name: str, go, found) -> None:
    queue = Queue(Path(path))
    go.wait()
    jobs = []
    while (job := queue.claim(name, NOON, 60)) is not None:
        jobs.append(job.id)
    found.put(jobs)


def test_two_processes_never_get_the_same_job(tmp_path):
    path = tmp_path / "queue.db"
    queue = Queue(path, Quota(a_day=100))
    for number in range(40):
        queue.receive(sent(number=number), 1)
    context = multiprocessing.get_context("spawn")
    go, found = context.Event(), context.Queue()
    processes = [context.Process(target=_claim, args=(str(path), name, go, found)) for name in "ab"]
    for process in processes:
        process.start()
    go.set()
    jobs = found.get(timeout=60) + found.get(timeout=60)
    for process in processes:
        process.join(60)
    assert sorted(jobs) == list(range(1, 41))
    queue.close()
