"""Runs side by side take turns: no two clocks at once, no training beside a clock, and a killed run holds nobody up."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import pytest
from toy_track import GuessSpec, GuessTrack

from evaluator.errors import ConfigurationError
from evaluator.history.store import Store
from evaluator.runner import turns
from evaluator.runner.cells import run_cells
from evaluator.sweep.experiment import prepare
from evaluator.sweep.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys, time
from evaluator.runner import turns
with getattr(turns, sys.argv[1])():
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """Locks of this test alone."""
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv(turns.CLOCKS, "1")


@pytest.fixture
def hold(own_folder):
    """Start a process that holds a clock or a training; wait for it to say so, or not."""
    started = []

    def one(what: str, clocks: int = 1) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, what],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, turns.CLOCKS: str(clocks)},
        )
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def holds(process: subprocess.Popen, seconds: float = 20.0) -> bool:
    os.set_blocking(process.stdout.fileno(), False)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.stdout.read(1):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    ("first", "second", "beside"),
    [("clock", "clock", False), ("clock", "training", False), ("training", "clock", False), ("training", "training", True)],
)
def test_a_clock_is_alone_and_trainings_are_not(hold, first, second, beside):
    one = hold(first)
    assert holds(one)
    other = hold(second)
    assert holds(other, 20.0 if beside else 1.0) is beside
    if not beside:
        os.kill(one.pid, signal.SIGKILL)  # whatever ends a run, the next goes on
        assert holds(other)


def test_as_many_clocks_run_as_were_said(hold):
    one, two = hold("clock", 2), hold("clock", 2)
    assert holds(one)
    assert holds(two)
    three = hold("clock", 2)
    assert not holds(three, 1.0)
    two.kill()
    assert holds(three)


def test_a_run_of_its_own_waits_for_nobody(hold, monkeypatch):
    assert holds(hold("clock"))
    monkeypatch.delenv(turns.CLOCKS)
    with turns.clock(), turns.training():
        pass


@pytest.mark.parametrize("value", ["0", "x", "-1", "65", "1.5"])
def test_a_number_that_makes_no_sense_is_refused(own_folder, monkeypatch, value):
    monkeypatch.setenv(turns.CLOCKS, value)
    with pytest.raises(ConfigurationError, match="expected a number of clocks"), turns.clock():
        pass


def test_a_folder_of_somebody_else_is_refused(own_folder, tmp_path):
    (tmp_path / f"dck-turns-{os.geteuid()}").symlink_to(tmp_path)
    with pytest.raises(ConfigurationError, match="no folder of this user"), turns.training():
        pass


def free(place: Path, how: int) -> bool:
    """Whether another process could take the place now, in this way."""
    with open(place / f"dck-turns-{os.geteuid()}" / "clock-0", "w") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Watched(GuessTrack):
    """Notes what others could do meanwhile: a clock, and a training."""

    seen: ClassVar[list] = []

    def obtain(self, spec, inputs, progress):
        place = Path(tempfile.gettempdir())
        self.seen.append(("obtain", free(place, fcntl.LOCK_EX), free(place, fcntl.LOCK_SH)))
        return super().obtain(spec, inputs, progress)

    def judge(self, spec, data, answer, progress, **rest):
        place = Path(tempfile.gettempdir())
        self.seen.append(("judge", free(place, fcntl.LOCK_EX), free(place, fcntl.LOCK_SH)))
        return super().judge(spec, data, answer, progress, **rest)


@pytest.mark.parametrize(("told", "seconds"), [(True, 60.0), (True, 0.0), (False, 60.0)])
def test_a_run_that_takes_turns_holds_a_place_while_its_clock_runs_and_while_it_trains(
    own_folder, tmp_path, monkeypatch, told, seconds
):
    monkeypatch.setattr(GuessSpec, "seconds_allowed", seconds)
    if not told:
        monkeypatch.delenv(turns.CLOCKS)
    (tmp_path / f"dck-turns-{os.geteuid()}").mkdir(mode=0o700, exist_ok=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.py").write_text("GUESS = 1 ")
    monkeypatch.setattr(Watched, "seen", [])
    track = Watched()
    given = {
        "submissions": tmp_path / "mine",
        "sandbox": "process",
        "device": "cpu",
        "profile": "any",
        "out": tmp_path / "results",
        "numbers": [3],
    }
    settings, _ = read_settings(given, track)
    experiment = prepare(track, settings)
    store = Store(tmp_path / "results")
    (cell,) = run_cells(track, experiment.cells, experiment.inputs, store, store.new_run("x"))
    assert cell.result.scored
    assert Watched.seen == [("obtain", not told, not told or not seconds), ("judge", not told, True)]
    assert free(tmp_path, fcntl.LOCK_EX)
