"""The loop over phases on a clock that the test sets: what is charged, to the second, and what is not."""

import itertools
from pathlib import Path

import pytest

from evaluator.errors import Verdict
from evaluator.sandbox.channel import ChannelTimeout, Message
from evaluator.sandbox.clock import Clock
from evaluator.sandbox.conversation import IMPORTING, Stopped, Terms
from evaluator.sandbox.phases import Phase, PhaseReport, run_phases
from evaluator.sandbox.tier import Ended, WorkerSpec

FACTS = {"class": "Mine", "saves": True, "loads": True}


class Time:
    """A clock's time, far above that of the machine, so that no deadline of the machine's passes."""

    def __init__(self) -> None:
        self.now = 1e12

    def __call__(self) -> float:
        return self.now


class ScriptedChannel:
    """A worker's channel on which every order takes the seconds of a script, and ends as the script says."""

    def __init__(self, time: Time, costs: dict[str, float], late: str = "") -> None:
        self.time, self.costs, self.late = time, costs, late
        self.orders: list[dict] = []
        self.deadlines: list[float] = []
        self.answer = Message("hello", {}, b"")

    def allow(self, schema) -> None:
        self.schema = schema

    def send(self, message, blob=b"", *, deadline, descriptors=()) -> None:
        name = message.get("name", message["t"])
        self.orders.append(message)
        self.deadlines.append(deadline)
        self.time.now += self.costs[name]
        self.answer = Message("done", dict(FACTS) if name == "load" else {}, b"")
        if name == self.late:
            raise ChannelTimeout

    def receive(self, deadline) -> Message:
        return self.answer


class ScriptedSandbox:
    """Starts scripted workers, which take time to start and to end as well."""

    name = "scripted"
    promises: frozenset[str] = frozenset()

    def __init__(self, time: Time, costs: dict[str, float], late: str = "") -> None:
        self.time = time
        self.channel = ScriptedChannel(time, costs, late)
        self.limited_by, self.pid, self.started = "script", 0, 0
        self.ended = 0

    def start(self, spec):
        self.time.now += 1000
        self.started += 1
        self.channel.answer = Message("hello", {}, b"")
        return self

    def seen(self, path: Path) -> str:
        return str(path)

    def end(self) -> Ended:
        self.time.now += 500
        self.ended += 1
        return Ended(killed=True)

    def follow(self, follower) -> None:
        pass

    def log(self) -> str:
        return "log "


COSTS = {"load": 8.0, "first": 3.0, "second": 7.0, "own": 11.0, "save": 0.25, "load_state": 0.5}


@pytest.fixture
def made():
    """The sandboxes that were made."""
    return []


@pytest.fixture
def run(tmp_path, made):
    """Run three phases, of which the first two share a clock of 60 s and the last has its own of 20: (outcome, sandbox)."""

    def run(restart: bool, late: str = "", take=lambda answer: None, progress=lambda what, share: None, **costs: float):
        time = Time()
        sandbox = ScriptedSandbox(time, COSTS | costs, late)
        made.append(sandbox)
        shared, own = Clock(60.0, time), Clock(20.0, time)
        phases = (
            Phase("first", ({"a": 1}, b""), shared),
            Phase("second", ({}, b""), shared, take),
            Phase("own", ({}, b""), own, decides=False),
        )
        worker = WorkerSpec(submission=tmp_path / "run.py")
        return run_phases(Terms("toy", worker, 1e12, restart=restart), phases, sandbox, progress), sandbox

    return run


def test_starting_and_ending_workers_is_on_no_clock_and_importing_is_free_for_a_while(run):
    outcome, sandbox = run(restart=False)
    assert [(report.name, report.seconds, report.allowed) for report in outcome.phases] == [
        ("first", 3.25, 60.0),
        ("second", 7.25, 60.0),
        ("own", 11.0, 20.0),
    ]
    assert (outcome.seconds, sandbox.started, outcome.log) == (10.5, 1, "log ")
    assert [order["t"] for order in sandbox.channel.orders] == ["load", "phase", "save", "phase", "save", "phase"]


def test_with_restarts_the_loading_hook_is_charged_and_the_new_process_is_not(run):
    outcome, sandbox = run(restart=True)
    assert [report.seconds for report in outcome.phases] == [3.25, 0.5 + 7.0 + 0.25, 0.5 + 11.0]
    assert (outcome.seconds, sandbox.started, outcome.log) == (11.0, 3, "log log log ")
    orders = [order["t"] for order in sandbox.channel.orders]
    assert orders == ["load", "phase", "save", "load", "load_state", "phase", "save", "load", "load_state", "phase"]


def test_importing_beyond_what_is_free_is_charged_to_the_clock_of_the_next_phase(run):
    outcome, sandbox = run(restart=False, load=12.5)
    assert outcome.seconds == 2.5 + 10.5
    told = [order["seconds"] for order in sandbox.channel.orders if order["t"] == "phase"]
    assert told == [60.0 - 2.5, 60.0 - 2.5 - 3.25, 20.0]
    # The deadline of the import itself is that of the clock, and what is free.
    assert sandbox.channel.deadlines[0] == 1e12 + 1000 + 10.0 + 60.0
    outcome, _ = run(restart=True, load=12.5)
    assert [report.seconds for report in outcome.phases] == [3.25, 2.5 + 0.5 + 7.0 + 0.25, 2.5 + 0.5 + 11.0]
    assert outcome.seconds == 2.5 + 3.25 + 2.5 + 0.5 + 7.0 + 0.25


def test_a_phase_is_told_what_its_clock_has_left_and_ends_when_that_is_used(run):
    _, sandbox = run(restart=False)
    told = [order["seconds"] for order in sandbox.channel.orders if order["t"] == "phase"]
    assert told == [60.0, 60.0 - 3.25, 20.0]
    # Every deadline of the shared clock is the moment at which its 60 s are over, whatever ran in between.
    _, first, save, second, again, own = sandbox.channel.deadlines
    assert first == save == second == again == 1e12 + 1000 + 8 + 60.0
    assert own == 1e12 + 1000 + 8 + 10.5 + 20.0


@pytest.mark.parametrize("late", ["first", "second", "save"])
def test_a_phase_that_is_late_is_the_verdict_and_ending_its_worker_is_on_no_clock(run, late):
    outcome, _ = run(restart=False, late=late)
    assert outcome.verdict is Verdict.TIME_LIMIT
    report = outcome.phases[-1]
    assert (report.name, report.verdict, report.reason) == ({"save": "first"}.get(late, late), Verdict.TIME_LIMIT, outcome.reason)
    assert report.seconds == {"first": 3.0, "second": 7.0, "save": 3.25}[late]
    assert outcome.log == "log "


def test_importing_that_is_late_starts_no_phase(run):
    outcome, _ = run(restart=False, late="load")
    assert (outcome.verdict, outcome.phases, outcome.seconds) == (Verdict.TIME_LIMIT, (), 0.0)
    assert IMPORTING in outcome.reason


def test_a_phase_that_does_not_decide_keeps_its_failure_to_itself(run):
    outcome, _ = run(restart=False, late="own")
    assert (outcome.verdict, outcome.reason) == (Verdict.OK, "")
    assert outcome.phases[-1].verdict is Verdict.TIME_LIMIT


def test_an_answer_that_is_refused_ends_the_run_after_its_phase(run):
    def take(answer):
        raise Stopped(Verdict.INVALID_OUTPUT, "no such thing", "trace")

    outcome, sandbox = run(restart=False, take=take)
    assert (outcome.verdict, outcome.reason, outcome.trace) == (Verdict.INVALID_OUTPUT, "no such thing", "trace")
    assert outcome.phases[-1] == PhaseReport("second", Verdict.INVALID_OUTPUT, "no such thing", 7.25, 60.0)
    assert "own" not in [order.get("name") for order in sandbox.channel.orders]


def test_an_interrupt_goes_through_and_ends_the_worker(run, made):
    def interrupt(what, share):
        if what == "second":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(restart=False, progress=interrupt)
    (sandbox,) = made
    assert (sandbox.started, sandbox.ended) == (1, 1)
    assert [order["t"] for order in sandbox.channel.orders] == ["load", "phase", "save"]


def test_progress_names_every_phase_at_its_start_and_end(run):
    seen = []
    run(restart=False, progress=lambda what, share: seen.append((what, share)))
    assert seen == list(itertools.product(("first", "second", "own"), (0.0, 1.0)))
