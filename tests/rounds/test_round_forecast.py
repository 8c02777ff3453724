"""What a round costs: added up by hand beside it."""

import datetime
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest

from evaluator.judging.jobs import Quota
from evaluator.judging.resources import Resources
from evaluator.rounds.forecast import PROCESS_SECONDS, Durations, forecast, part_cost, runs_of
from evaluator.rounds.terms import Expected, Terms
from evaluator.specs import digest_of
from evaluator.sweep.forecast import STARTING_SECONDS

START = datetime.datetime(2026, 12, 1, tzinfo=datetime.UTC)
TERMS = Terms(
    name="x",
    track="purchase",
    profile="p",
    made=START,
    opens=START,
    closes=START + datetime.timedelta(days=10),
    expected=Expected(participants=20, a_day=2.0, nodes=2, at_once=2, cores=4),
    quota=Quota(a_day=5, chosen=3),
)


@dataclass(frozen=True)
class Recipe:
    name: str

    def as_dict(self):
        return {"name": self.name}


@dataclass(frozen=True)
class Spec:
    """As much of a spec as a forecast looks at."""

    task: str
    seed: int
    pipeline: Recipe
    profile: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(name="p", prediction_seconds=10.0, load_seconds=5.0))
    seconds_allowed: float = 100.0
    trains: bool = True

    def answer_digest(self):
        return f"{self.task} {self.seed}"

    def model_digest(self):
        return self.pipeline.name


A, B = Recipe("a"), Recipe("b")


def plan(*tasks, pipelines=(A,), seeds=2):
    cells = tuple(Spec(task, seed, pipeline) for seed in range(seeds) for task in tasks for pipeline in pipelines)
    return SimpleNamespace(cells=cells, pipelines=pipelines, items=dict.fromkeys(tasks, 200))


def row(task="t", session=30.0, training=8.0, items=100, pipeline=A):
    return {
        "profile": "p",
        "task": task,
        "session_seconds": session,
        "training_seconds": training,
        "items": items,
        "pipeline_digest": digest_of(pipeline.as_dict())[:16],
    }


def test_answers_run_one_after_the_other_and_trainings_side_by_side():
    found = part_cost(plan("t", "u"), Durations({"1": row(), "2": row(session=50.0, training=12.0)}), at_once=2)
    assert (found.answers, found.trainings, found.unmeasured_answers, found.unmeasured_trainings) == (4, 4, 2, 0)
    # Of the task t the median of 30 and 50 s, of u the whole limit; a median training has 0.1 s an item.
    assert found.expected.clock == pytest.approx(2 * (40 + STARTING_SECONDS) + 2 * (110 + STARTING_SECONDS))
    assert found.expected.training == pytest.approx(4 * 20)
    assert found.expected.wall == pytest.approx(PROCESS_SECONDS + found.expected.clock + 40)
    assert found.worst.clock == pytest.approx(4 * (5 + 100 + 10))
    assert found.worst.training == pytest.approx(4 * 24)


def test_pipelines_share_an_answer_and_the_longest_training_is_waited_for():
    rows = {"1": row(training=1.0), "2": row(training=90.0, pipeline=B)}
    found = part_cost(plan("t", pipelines=(A, B), seeds=1), Durations(rows), at_once=8)
    assert (found.answers, found.trainings) == (1, 2)
    assert found.expected.wall == pytest.approx(PROCESS_SECONDS + 30 + STARTING_SECONDS + 180)


def test_what_all_participants_cost():
    durations = Durations({"1": row(), "2": row(task="h", session=60.0)})
    found = forecast(TERMS, {"public": plan("t"), "private": plan("h")}, durations)
    usual, worst = found.expected, found.worst
    assert (usual.a_day, worst.a_day) == (40, 100)
    assert usual.node_day == pytest.approx(40 * found.public.expected.wall / 2)
    assert usual.core_day == pytest.approx(usual.node_day * 2 * 4)
    assert usual.private == pytest.approx(20 * 3 * found.private.expected.wall / 2)
    assert usual.core_round == pytest.approx((usual.node_day * 10 + usual.private) * 8)
    assert usual.queue == pytest.approx(usual.node_day), "nothing is left of earlier days"
    assert usual.fits
    assert found.notes == ()


def test_jobs_side_by_side_overlap_what_has_no_clock():
    rows = {"1": row()}
    alone = forecast(TERMS, {"public": plan("t", seeds=6)}, Durations(rows))
    resources = Resources(jobs=3, cells=6)
    found = forecast(TERMS, {"public": plan("t", seeds=6)}, Durations(rows), resources=resources)
    case = found.public.expected
    # Two trainings of each job side by side, as alone; the clocks are still one after the other.
    assert (case.at_once, case.wall) == (2, alone.public.expected.wall)
    assert found.expected.submission == alone.expected.submission
    beside = PROCESS_SECONDS + 6 * 16 / 2
    assert found.expected.node_day == pytest.approx(40 * (case.clock + beside / 3) / 2)
    two = forecast(TERMS, {"public": plan("t", seeds=6)}, Durations(rows), resources=replace(resources, clocks=2))
    assert two.expected.node_day == pytest.approx(40 * (case.clock / 2 + beside / 3) / 2)
    assert any("3 submissions are judged at once" in note and "2 trainings of each" in note for note in found.notes)
    assert any("at-once of round.toml is 2 and cells of judge.toml is 6" in note for note in found.notes)


def test_more_jobs_than_trainings_overlap_no_more_than_the_machine_runs():
    found = forecast(TERMS, {"public": plan("t")}, Durations({"1": row()}), resources=Resources(jobs=8, cells=2))
    case = found.public.expected
    assert found.expected.node_day == pytest.approx(40 * (case.clock + (PROCESS_SECONDS + 2 * 16) / 2) / 2)


def test_one_submission_takes_its_time_however_many_machines_there_are():
    terms = replace(TERMS, expected=replace(TERMS.expected, participants=1, nodes=50))
    found = forecast(terms, {"public": plan("t"), "private": plan("t")}, Durations({"1": row()}))
    assert found.expected.queue == pytest.approx(found.public.expected.wall)
    assert found.expected.private == pytest.approx(found.private.expected.wall)


def test_an_attempt_waits_for_the_clocks_beside_it():
    alone = {"public": plan("t")}
    hours = 1.1 * forecast(TERMS, alone, Durations({"1": row()})).public.worst.wall / 3600
    assert not any("the judge ends it" in note for note in forecast(TERMS, alone, Durations({"1": row()}), hours).notes)
    beside = forecast(TERMS, alone, Durations({"1": row()}), hours, Resources(jobs=4))
    assert any("the judge ends it" in note for note in beside.notes)


def test_jobs_share_the_trainings_of_a_machine():
    found = forecast(TERMS, {"public": plan("t")}, Durations({"1": row()}), resources=Resources(jobs=2))
    assert found.public.expected.at_once == 1
    assert found.expected.submission == pytest.approx(PROCESS_SECONDS + 2 * (30 + STARTING_SECONDS) + 2 * 16)


def test_a_backlog_grows_day_by_day_and_nodes_that_would_do_are_named():
    terms = replace(TERMS, expected=replace(TERMS.expected, participants=2_000, nodes=1))
    found = forecast(terms, {"public": plan("t")}, Durations({"1": row()}))
    assert not found.worst.fits
    over = found.worst.node_day - 86_400
    assert found.worst.queue == pytest.approx(9 * over + found.worst.node_day)
    needed = int(-(-found.worst.node_day // 86_400))
    assert any(f"{needed} nodes would do" in note for note in found.notes)
    more = replace(terms, expected=replace(terms.expected, nodes=needed))
    assert forecast(more, {"public": plan("t")}, Durations({"1": row()})).worst.fits


def test_what_was_not_measured_is_said_and_hidden_tasks_use_as_much_as_public_ones():
    nothing = forecast(TERMS, {"public": plan("t"), "private": plan("h")})
    assert "nothing was measured" in nothing.notes[0]
    assert any("4 of 4 trainings" in note and "lower bound" in note for note in nothing.notes)
    assert nothing.expected.submission == pytest.approx(PROCESS_SECONDS + 2 * (110 + STARTING_SECONDS))
    some = forecast(TERMS, {"public": plan("t"), "private": plan("h")}, Durations({"1": row(session=55.0)}))
    assert some.private.expected.clock == pytest.approx(2 * (55 + STARTING_SECONDS))
    assert any("50.0%" in note for note in some.notes)


def test_a_submission_that_the_judge_would_give_up_is_named():
    found = forecast(TERMS, {"public": plan("t")}, Durations({"1": row(training=1e5)}), hours=1.0)
    assert any("the judge ends it after 1 h" in note for note in found.notes)


def test_tracks_without_stored_trainings_are_measured_by_whole_runs(tmp_path):
    rows = {"c1": row(training=None), "c2": row(training=None, session=20.0)}
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "sweep.json").write_text('{"cached": 0, "seconds": 60.0, "cells": [{"cell": "c1"}, {"cell": "c2"}]}')
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "sweep.json").write_text('{"cached": 2, "seconds": 1.0, "cells": [{"cell": "c1"}, {"cell": "c2"}]}')
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sweep.json").write_text("{")
    runs = runs_of(tmp_path)
    assert runs == [(60.0, ["c1", "c2"])]
    found = part_cost(plan("t"), Durations(rows, runs), at_once=2)
    assert found.unmeasured_trainings == 0
    assert found.expected.judging == pytest.approx(2 * (60 - 50) / 2)
