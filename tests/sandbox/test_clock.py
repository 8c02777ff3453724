"""The clock: the phases share it, it never pauses inside one, what lies between them is free, and at the limit nothing is left."""

import os
import time

import pytest

from evaluator.errors import Verdict
from evaluator.sandbox.clock import Clock


class FakeTime:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_clock_counts_what_runs_and_nothing_between():
    now = FakeTime()
    clock = Clock(10, now)
    now.now += 5  # before the first phase
    assert (clock.used, clock.remaining) == (0, 10)
    with clock.running():
        now.now += 3
        assert (clock.used, clock.remaining) == (3, 7)
        assert clock.deadline == now.now + 7
        now.now += 1
    now.now += 100  # between the phases
    assert (clock.used, clock.remaining) == (4, 6)
    with clock.running():
        assert clock.deadline == now.now + 6
        now.now += 60
        assert clock.remaining == 0
        assert clock.deadline == now.now - 54
    assert clock.used == 64


def test_a_phase_that_fails_is_charged_and_two_at_once_are_refused():
    now = FakeTime()
    clock = Clock(10, now)

    def fails():
        with clock.running():
            now.now += 2
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert clock.used == 2
    with clock.running(), pytest.raises(RuntimeError, match="already"), clock.running():
        pass


# -- in a session


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_phases_share_one_clock(strategy, session, told):
    path = strategy("""
        def pre_training_phase(self, time_available):
            tell(time_available)
            time.sleep(0.4)
        def purchase_phase(self, time_available):
            tell(time_available)
    """)
    result = session(path, seconds=30.0)
    first, second = told(result)
    pre, purchase, prediction = result.phases
    assert first <= 30.0
    assert second <= 30.0 - 0.4
    # Between the two readings of the clock the next order is made; a phase that had a clock of its own would be off by 0.4 s.
    assert second == pytest.approx(30.0 - pre.seconds, abs=0.1)
    assert pre.seconds + purchase.seconds == pytest.approx(result.seconds)
    assert (pre.allowed, purchase.allowed, prediction.allowed) == (30.0, 30.0, 50.0)


def test_a_long_pre_training_leaves_the_purchase_phase_nothing(strategy, session):
    path = strategy("""
        def pre_training_phase(self, time_available):
            time.sleep(time_available * 0.7)
        def purchase_phase(self, unlabelled_dataset, time_available):
            time.sleep(600)
    """)
    result = session(path, seconds=2.5)
    assert result.verdict is Verdict.TIME_LIMIT
    assert [(p.name, p.verdict) for p in result.phases] == [
        ("pre_training_phase", Verdict.OK),
        ("purchase_phase", Verdict.TIME_LIMIT),
    ]
    assert "purchase_phase" in result.reason
    assert "share 2.5 s" in result.reason


def test_purchases_do_not_stop_the_clock(strategy, session, told):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            start = time.monotonic()
            while time.monotonic() - start < 0.5:
                for index in range(12):
                    unlabelled_dataset.purchase_label(index)
            tell(time.monotonic() - start)
    """)
    result = session(path)
    (inside,) = told(result)
    assert result.phases[1].seconds >= inside >= 0.5
    times = [p.seconds for p in result.ledger]
    assert times == sorted(times)
    assert result.phases[0].seconds <= times[0] <= times[-1] <= result.seconds


def test_what_the_evaluator_does_during_a_phase_does_not_stop_the_clock_either(strategy, session):
    # A pause, however it comes about, would be free computing for the worker's other threads.
    path = strategy("""
        def purchase_phase(self, register_progress):
            register_progress(0.5)
    """)

    def slow(what: str, share: float) -> None:
        if share == 0.5:
            time.sleep(0.3)

    assert session(path, progress=slow).phases[1].seconds >= 0.3


def test_importing_and_making_the_object_is_not_charged(strategy, session, told):
    path = strategy(
        """
        def __init__(self):
            time.sleep(0.4)
        def pre_training_phase(self, time_available):
            tell(time_available)
        """,
        top="import time\ntime.sleep(0.8)\n",
    )
    # The clock holds less than importing takes, so that a charge would end the run; the phases themselves need milliseconds.
    result = session(path, seconds=1.1)
    assert result.verdict is Verdict.OK, result.reason
    assert told(result)[0] > 1.1 - 0.4


def test_importing_has_a_limit_of_its_own(submission, session):
    result = session(submission("import time\ntime.sleep(600)"), load_seconds=1.0)
    assert result.verdict is Verdict.TIME_LIMIT
    assert "importing may take 1 s" in result.reason
    assert result.phases == ()
    assert result.seconds == 0


def test_checkpoint_hooks_are_charged(strategy, session):
    path = strategy("""
        def save_checkpoint(self, path):
            time.sleep(0.3)
        def load_checkpoint(self, path):
            pass
    """)
    result = session(path)
    assert result.verdict is Verdict.OK, result.reason
    assert result.phases[0].seconds >= 0.3
    assert result.seconds >= 0.6
    assert session(path, seconds=0.15).verdict is Verdict.TIME_LIMIT


def test_a_loading_hook_is_charged_and_a_new_process_is_not(strategy, session):
    path = strategy(
        """
        def save_checkpoint(self, path):
            open(os.path.join(path, "x"), "w").close()
        def load_checkpoint(self, path):
            time.sleep(0.3)
        """,
        top="import time\ntime.sleep(0.5)\n",
    )
    began = time.monotonic()
    result = session(path, restart=True, seconds=30.0, prediction_seconds=40.0)
    took = time.monotonic() - began
    assert result.verdict is Verdict.OK, result.reason
    pre, purchase, prediction = result.phases
    assert purchase.seconds >= 0.3
    assert prediction.seconds >= 0.3
    # Three imports of half a second each are on no clock: they took their time beside all that was charged.
    assert took >= sum(phase.seconds for phase in (pre, purchase, prediction)) + 3 * 0.5


PRELUDE = """
import signal
def leave_a_mark(name):
    with open(os.path.join(MARKS, name + str(os.getpid())), "w") as file:
        file.write(str(os.getpid()))
def sleep_on():
    while True:
        time.sleep(1)
"""
SLEEPERS = {
    "sleeps": "",
    "ignores SIGTERM": "[signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]",
    "computes in C": "x = np.ones((2000, 2000))\nwhile True:\n    x @ x",
    "child of its own session": """
if os.fork() == 0:
    os.setsid()
    leave_a_mark("session")
    sleep_on()
""",
    "daemon": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        [signal.signal(n, signal.SIG_IGN) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
        for fd in range(3, 64):
            try:
                os.close(fd)
            except OSError:
                pass
        leave_a_mark("daemon")
        sleep_on()
    os._exit(0)
""",
    "many children": """
import subprocess
for _ in range(4):
    child = subprocess.Popen(["sleep", "600"], start_new_session=True)
    with open(os.path.join(MARKS, "sleep" + str(child.pid)), "w") as file:
        file.write(str(child.pid))
""",
}


def sleeper(strategy, marks, name: str, after: str = "sleep_on()"):
    body = "\n".join(line for line in ('leave_a_mark("worker")', *SLEEPERS[name].splitlines(), after))
    lines = "\n".join("    " + line for line in body.splitlines())
    return strategy(
        f"def purchase_phase(self, unlabelled_dataset):\n    unlabelled_dataset.purchase_label(0)\n{lines}\n",
        f"MARKS = {str(marks)!r}\n" + PRELUDE,
    )


def marked(marks) -> list[int]:
    return [int(file.read_text()) for file in marks.iterdir()]


@pytest.mark.parametrize("name", SLEEPERS)
def test_at_the_limit_the_whole_tree_is_gone(strategy, session, tmp_path, name):
    marks = tmp_path / "marks"
    marks.mkdir()
    result = session(sleeper(strategy, marks, name), seconds=1.0)
    assert result.verdict is Verdict.TIME_LIMIT, result.reason
    assert result.guarded
    # Killing is on the clock.
    assert result.seconds >= 1.0
    pids = marked(marks)
    assert len(pids) == {"child of its own session": 2, "daemon": 2, "many children": 5}.get(name, 1)
    assert [pid for pid in pids if alive(pid)] == []
    assert [p.index for p in result.ledger] == [0]


@pytest.mark.parametrize("name", ["child of its own session", "daemon", "many children"])
def test_a_run_that_ends_well_leaves_nothing_behind_either(strategy, session, tmp_path, name):
    marks = tmp_path / "marks"
    marks.mkdir()
    wait = "while len(os.listdir(MARKS)) < 2:\n    time.sleep(0.01)"
    result = session(sleeper(strategy, marks, name, after=wait))
    assert result.verdict is Verdict.OK, result.reason
    assert len(marked(marks)) >= 2
    assert [pid for pid in marked(marks) if alive(pid)] == []


def test_a_worker_that_answers_late_has_not_answered(strategy, session):
    # It floods the channel with requests, so that a frame is always there to be read, and never sleeps.
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset):
            while True:
                unlabelled_dataset.purchase_label(0)
    """)
    result = session(path, seconds=0.5)
    # The worker asks without end, so only the limit can have ended it.
    assert result.verdict is Verdict.TIME_LIMIT
    assert result.seconds >= 0.5


def test_frames_that_pile_up_faster_than_they_are_read_end_at_the_limit_too(strategy, session):
    path = strategy("""
        def purchase_phase(self, unlabelled_dataset, register_progress):
            for _ in range(200):
                register_progress(0.5)
            unlabelled_dataset.purchase_label(0)
    """)

    def slow(what: str, share: float) -> None:
        if share == 0.5:
            time.sleep(0.02)

    result = session(path, seconds=0.5, progress=slow)
    assert result.verdict is Verdict.TIME_LIMIT
    assert len(result.ledger) == 0


def test_the_prediction_phase_has_a_limit_of_its_own(strategy, session):
    path = strategy("""
        def pre_training_phase(self):
            time.sleep(0.6)
        def prediction_phase(self):
            time.sleep(600)
    """)
    result = session(path, seconds=30.0, prediction_seconds=0.5)
    assert result.verdict is Verdict.OK
    report = result.phases[-1]
    assert (report.name, report.verdict, report.allowed) == ("prediction_phase", Verdict.TIME_LIMIT, 0.5)
    assert "0.5 s of its own" in report.reason
    assert report.seconds >= 0.5
    assert result.seconds == pytest.approx(sum(p.seconds for p in result.phases[:2]))
