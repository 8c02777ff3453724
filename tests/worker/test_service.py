"""The service loop, the loader, the channel and the conversation serve a track of other hooks and verbs than the kit's own."""

import os
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from evaluator.errors import Verdict
from evaluator.sandbox.channel import ProtocolError, Schema
from evaluator.sandbox.clock import Clock
from evaluator.sandbox.conversation import Terms
from evaluator.sandbox.guarded import GUARD, KIT_ROOT, GuardSpec, launch
from evaluator.sandbox.phases import Phase, run_phases
from evaluator.sandbox.tier import Environment, WorkerSpec
from evaluator.worker.service import track_named
from evaluator.worker.tracks import TRACKS

TOY = Schema(required={"compare": {"number": int}}, optional={"done": {"guess": int}})
CANDIDATES = np.arange(100, dtype=np.int64)
SECRET = 37
GOOD = """
class Mine:
    def prepare(self, seed):
        self.low = seed - 5
    def guess(self, candidates, lower):
        low, high = self.low, int(candidates[-1])
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if lower(middle + 1) else (middle + 1, high)
        return low
"""
CHECKPOINTS = """
    def save_checkpoint(self, path):
        with open(path + "/low", "w") as file:
            file.write(str(getattr(self, "low", -1)))
    def load_checkpoint(self, path):
        with open(path + "/low") as file:
            self.low = int(file.read())
"""


class ToySandbox:
    """Starts the toy's worker behind a guard."""

    name = "toy"
    promises: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self.started = 0

    def start(self, spec: WorkerSpec):
        self.started += 1

        def command(channel: int, control: int) -> list[str]:
            worker = [sys.executable, str(Path(__file__).with_name("toy_worker.py")), str(channel), str(KIT_ROOT)]
            return [sys.executable, "-I", "-S", str(GUARD), str(control), "--", *worker]

        home = spec.submission.parent / f"home-{self.started}"
        home.mkdir()
        environment = Environment().build(spec, dict(os.environ), str(home), None)
        return launch(command, GuardSpec(limits=spec.limits), cwd=home, environment=environment)

    def opened(self, file):
        raise AssertionError("the toy track gives no files")


@pytest.fixture
def play(tmp_path):
    """Run a submission of the toy track: (outcome, guesses, numbers that were asked about, workers started)."""

    def run(code: str, *, track: str = "toy", restart: bool = False, seconds: float = 60.0):
        (tmp_path / "entry.py").write_text(textwrap.dedent(code))
        asked, guesses = [], []

        def compare(message, what):
            if what != "guess":
                raise ProtocolError("a comparison out of place")
            asked.append(message.fields["number"])
            return {"t": "compared", "lower": message.fields["number"] > SECRET}, message.blob[::-1]

        clock = Clock(seconds)
        phases = (
            Phase("prepare", ({"seed": 5}, b""), clock),
            Phase(
                "guess",
                ({"seed": 5, "arrays": [["candidates", "<i8", 100]]}, CANDIDATES.tobytes()),
                clock,
                take=lambda answer: guesses.append(answer.fields["guess"]),
            ),
        )
        worker = WorkerSpec(submission=tmp_path / "entry.py")
        terms = Terms(
            track,
            worker,
            60.0,
            restart=restart,
            schema=TOY,
            handlers={"compare": compare},
            advice=lambda what: f"{what} has little time",
        )
        sandbox = ToySandbox()
        return run_phases(terms, phases, sandbox), guesses, asked, sandbox.started

    return run


def test_a_class_with_another_marker_hook_is_found_called_and_served(play):
    outcome, guesses, asked, started = play(GOOD)
    assert (outcome.verdict, outcome.reason) == (Verdict.OK, ""), outcome.log
    assert guesses == [SECRET]
    assert 6 <= len(asked) <= 7
    assert (outcome.class_name, started, outcome.clock_was_read, outcome.guarded) == ("Mine", 1, False, True)
    assert [(report.name, report.verdict) for report in outcome.phases] == [("prepare", Verdict.OK), ("guess", Verdict.OK)]


def test_checkpoints_and_restarts_are_every_tracks(play):
    outcome, guesses, _, started = play(GOOD + CHECKPOINTS, restart=True)
    assert outcome.verdict is Verdict.OK, outcome.reason
    assert (guesses, started) == ([SECRET], 2)


def test_whether_the_clock_was_read_is_told_in_every_track(play):
    outcome, _, _, _ = play(GOOD.replace("self, candidates, lower", "self, candidates, lower, time_available"))
    assert outcome.clock_was_read is True


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "class Mine:\n    def purchase_phase(self): pass",
            "no class with a guess; write a class that subclasses Guesser (from t",
        ),
        (GOOD + GOOD.replace("Mine", "Second"), "2 classes with a guess (Mine, Second)"),
        ("class Mine:\n    def guess(self): pass", "Mine has no prepare; it needs the methods prepare, guess"),
        (GOOD.replace("lower)", "lower, budget)"), "guess asks for 'budget'"),
    ],
)
def test_messages_name_the_hooks_of_the_track(play, code, said):
    outcome, guesses, _, _ = play(code)
    assert outcome.verdict is Verdict.RUNTIME_ERROR
    assert said in outcome.reason
    assert guesses == []


def test_a_track_that_is_not_in_the_workers_table_is_refused_and_not_imported(play):
    outcome, _, _, _ = play(GOOD, track="os")
    assert outcome.verdict is Verdict.RUNTIME_ERROR
    assert "there is no track 'os'; known: toy" in outcome.reason
    assert outcome.phases == ()


def test_the_time_limit_comes_with_the_tracks_advice(play):
    outcome, _, _, _ = play(
        GOOD.replace("low, high = self.low", "__import__('time').sleep(600)\n        low, high = 0"), seconds=1.0
    )
    assert outcome.verdict is Verdict.TIME_LIMIT
    assert outcome.reason == "the time limit passed during guess; guess has little time"


SENDS = """
import gc
from evaluator.worker.channel import WorkerChannel
def channel():
    return next(found for found in gc.get_objects() if isinstance(found, WorkerChannel))
"""


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"t": "buy"}, "unknown kind 'buy'"),
        ({"t": "done", "claim": "none"}, "unknown field 'claim'"),
        ({"t": "compare", "number": "7"}, "'number' is a str"),
        ({"t": "compare"}, "without 'number'"),
        ({"t": "compare", "number": 7}, "a comparison out of place (during prepare)"),
    ],
)
def test_the_verbs_of_another_track_are_none_here(play, message, said):
    body = f"self.low = seed - 5; channel().send({message!r})"
    outcome, guesses, asked, _ = play(SENDS + GOOD.replace("self.low = seed - 5", body))
    assert outcome.verdict is Verdict.PROTOCOL_ERROR
    assert said in outcome.reason
    assert (guesses, asked) == ([], [])


def test_the_kits_own_table_is_fixed_and_every_entry_is_a_track():
    for name in TRACKS:
        track = track_named(name)
        assert track.marker in track.hooks
        assert all(callable(getattr(track, hook)) for hook in track.hooks)
    with pytest.raises(ValueError, match="there is no track 'json'"):
        track_named("json")
