"""CIFAR-10's votes: what a verdict is, and that rows without one count neither as wrong nor as right."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evaluator.cleaning import track
from evaluator.cleaning.game import play
from evaluator.cleaning.refits import Refits
from evaluator.cleaning.rules import VOTES, profile_named, recipe_named
from evaluator.cleaning.sets import CleaningSets
from evaluator.cleaning.tasks import CleaningTask, Part
from evaluator.cleaning.track import CLEANING, RankingAnswer
from evaluator.cleaning.verdicts import course_by_verdicts, unjudged
from evaluator.cleaning.votes import LABELS, PROBABILITIES, read_votes
from evaluator.cleaning.votes import VOTES as FILE
from evaluator.errors import ConfigurationError
from evaluator.plans import Choices
from evaluator.submission.source import Source

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10-label-errors"


def member(row: int, label: int, guess: int, **votes: int) -> dict:
    return {
        "id": row,
        "given_original_label": label,
        "our_guessed_label": guess,
        "mturk": {"given": 0, "guessed": 0, "neither": 0, "both": 0} | votes,
    }


@pytest.fixture
def folder(tmp_path):
    """100 rows of 4 classes; the first 60 were voted on: right, wrong, nothing of them, both, split by turns."""
    rng = np.random.default_rng(0)
    labels = np.arange(100) % 4
    np.save(tmp_path / PROBABILITIES, rng.dirichlet(np.ones(4), 100))
    np.save(tmp_path / LABELS, labels)
    kinds = [
        {"given": 5},
        {"guessed": 3, "given": 2},
        {"neither": 4, "given": 1},
        {"both": 5},
        {"given": 2, "guessed": 2, "both": 1},
    ]
    members = [member(row, int(labels[row]), (int(labels[row]) + 1) % 4, **kinds[row % 5]) for row in range(60)]
    (tmp_path / FILE).write_text(json.dumps(members))
    return tmp_path


def test_more_than_half_of_the_votes_make_a_verdict(folder):
    found = read_votes(folder)
    assert found.voted == 60
    assert found.known[:5].tolist() == [True, True, True, False, False]
    assert found.removed[:5].tolist() == [False, False, True, False, False]
    assert found.true[:5].tolist() == [0, 2, 2, 3, 0]
    assert found.known.sum() == 36
    assert np.isfinite(found.rows).all()


def test_rows_to_validate_on_have_a_right_label_and_are_not_ranked(folder):
    found = read_votes(folder)
    task = found.drawn(3, 0, 40, 10)
    assert len(task.train) == 40
    assert len(task.validation) == 10
    ranked = set(map(tuple, task.train.rows.tolist()))
    assert not any(tuple(row) in ranked for row in task.validation.rows.tolist())
    for row, label in zip(task.validation.rows, task.validation.labels, strict=True):
        place = int(np.flatnonzero((found.rows == row).all(axis=1))[0])
        assert found.known[place]
        assert not found.removed[place]
        assert label == found.true[place]
    assert task.digest() == found.drawn(3, 0, 40, 10).digest() != found.drawn(3, 1, 40, 10).digest()
    with pytest.raises(ConfigurationError, match="have a verdict; expected 10"):
        found.drawn(3, 0, 98, 10)


def judged() -> CleaningTask:
    """Ten rows, of which 1, 3, 5, 7, 9 have a verdict; the labels of 3 and 7 are wrong."""
    rows, given = np.zeros((10, 1), np.float32), np.zeros(10, np.int64)
    true = given.copy()
    true[[3, 7]] = 1
    part = Part(rows, given)
    return CleaningTask("verdicts", "binary", 2, part, true, part, part, known=np.arange(10) % 2 == 1)


def test_a_course_by_verdicts_by_hand():
    made = course_by_verdicts(judged(), [0, 2, 7, 4, 1, 3, 6, 8, 5, 9], enough=0.9)
    # The rows with a verdict in this order: 7 (wrong), 1, 3 (wrong), 5, 9.
    assert made.rows == 5
    assert made.hits == (1, 3)
    assert made.checks == (0, 1, 3)
    assert made.accuracies == (3 / 5, 4 / 5, 1.0)
    assert made.first_reach == 3 / 5
    assert made.found_early == 1 / 2
    assert made.discovery == pytest.approx(np.mean([0, 1 / 2, 1 / 2, 1, 1, 1]))


def test_rows_without_a_verdict_change_nothing_wherever_they_stand():
    known, others = [7, 1, 3, 5, 9], [0, 2, 4, 6, 8]
    first, last = (course_by_verdicts(judged(), order) for order in (others + known, known + others))
    assert first == last
    assert unjudged(judged(), others + known) == (5, 5)
    assert unjudged(judged(), known + others) == (5, 0)


def test_a_model_is_not_trained_where_labels_are_not_known():
    with pytest.raises(ConfigurationError, match=r"of 5 rows it is not known .* Choose the recipe votes"):
        play(judged(), [range(10)])
    assert recipe_named("votes") == VOTES
    assert Refits(judged()).fitted == 0


def test_where_all_verdicts_are_known_the_course_is_that_of_the_labels():
    task = judged()
    whole = CleaningTask("all", "binary", 2, task.train, task.true, task.validation, task.test)
    made = course_by_verdicts(whole, range(10))
    assert made.rows == 10
    assert made.hits == (4, 8)
    assert unjudged(whole, range(10)) == (0, 0)


BAD = [
    (lambda m: [*m, m[0]], "the image 0 stands there twice"),
    (lambda m: [m[0] | {"id": 100}], "the image 100 of 100"),
    (lambda m: [m[0] | {"given_original_label": 1}], "has the given label 1"),
    (lambda m: [m[0] | {"our_guessed_label": 4}], "the guessed label 4"),
    (lambda m: [m[0] | {"mturk": {"given": 5}}], "expected id"),
    (lambda m: [m[0] | {"mturk": m[0]["mturk"] | {"given": -1}}], "whole numbers"),
    (lambda m: [m[0] | {"mturk": dict.fromkeys(m[0]["mturk"], 0)}], "one vote or more"),
    (lambda m: {"a": 1}, "it holds a dict"),
]


@pytest.mark.parametrize(("change", "said"), BAD)
def test_a_bad_file_of_votes_is_named_with_its_member(change, said, folder):
    path = folder / FILE
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    read_votes.cache_clear()
    with pytest.raises(ConfigurationError) as caught:
        read_votes(folder)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_bad_arrays_and_missing_files_are_named(folder):
    for array, said in (
        (np.zeros((99, 4)), "99, 4"),
        (np.full((100, 4), np.nan), "row 0: the value nan"),
        (np.zeros(4), "shape (4,)"),
    ):
        np.save(folder / PROBABILITIES, array)
        read_votes.cache_clear()
        with pytest.raises(ConfigurationError) as caught:
            read_votes(folder)
        assert said in str(caught.value)
    (folder / LABELS).unlink()
    with pytest.raises(ConfigurationError, match=r"original_labels\.npy: the file is missing"):
        read_votes(folder)


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
def test_the_real_votes_have_the_known_numbers():
    found = read_votes(SHARED)
    right = found.known & (found.true == found.labels) & ~found.removed
    assert (found.voted, int(right.sum()), int((found.true != found.labels).sum()), int(found.removed.sum())) == (275, 221, 18, 4)
    sets = CleaningSets.chosen(profile_named("cifar10-votes"), 1, SHARED, SHARED / "never-made")
    task = sets.task("cifar10-votes", 0)
    assert len(task.train) == 5_000
    assert not task.all_known
    assert 80 < task.known.sum() < 170


def choices(folder, **changed) -> Choices:
    source = Source(folder / "run.py", "mine", "d" * 32)
    given = {
        "submissions": (source,),
        "profile": "cifar10-votes",
        "pipelines": (),
        "seeds": range(2),
        "root_seed": 1,
        "secret": None,
        "starting_weights": None,
        "score_splits": (),
        "tier": "process",
        "device": "cpu",
        "threads": 1,
        "data": folder,
        "folder": folder,
        "weights_dir": None,
        "options": {"tasks": None, "action": ("fix",)},
    }
    return Choices(**given | changed)


def test_a_plan_judges_such_a_task_by_its_verdicts_and_a_cell_says_what_was_left_out(folder, monkeypatch):
    small = replace(profile_named("cifar10-votes"), train=40, validation=12)
    monkeypatch.setattr(track, "profile_named", lambda name: small)
    plan = CLEANING.plan(choices(folder))
    assert [(spec.task, spec.pipeline, spec.seed) for spec in plan.cells] == [
        ("cifar10-votes", VOTES, 0),
        ("cifar10-votes", VOTES, 1),
    ]
    with pytest.raises(ConfigurationError, match="only some labels are known; expected the recipe votes"):
        CLEANING.plan(choices(folder, pipelines=("coarse",)))
    spec = plan.cells[0]
    sets = plan.data_of(spec)
    task = sets.task(spec.task, 0)
    ranking = np.argsort(task.known, kind="stable").tolist()  # rows without a verdict first
    content = {"ranking": ranking, "guarded": True, "limited_by": ""}
    answer = RankingAnswer(digest=spec.answer_digest(), spec=spec.answer_dict(), content=content)
    cell = CLEANING.judge(spec, sets, answer, lambda what, share: None).result.as_dict()
    assert CLEANING.fault(cell) == ""
    known = int(task.known.sum())
    assert (cell["rows"], cell["unjudged"], cell["early_unjudged"]) == (known, 40 - known, min(known, 40 - known))
    assert cell["clean_accuracy"] == 1.0
    remarks = [remark for remark in CLEANING.remarks(cell) if "verdict" in remark.what]
    assert "neither as wrong nor as right" in remarks[0].advice
    (section,) = CLEANING.report_sections({"mine": [cell]}, None)
    assert section.parts[0].title == "Share of right labels among the rows with a verdict"
    assert f"{40 - known} rows without a verdict are left out" in section.parts[0].caption
    assert CLEANING.tasks({"tasks": None}, "cifar10-votes")[0].name == "cifar10-votes"
