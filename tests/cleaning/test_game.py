"""The game: what a course says, and that its holes are closed."""

import numpy as np
import pytest
import torch

from evaluator.cleaning.game import Course, play
from evaluator.cleaning.linear import Training
from evaluator.cleaning.original import evaluate_original, score_of
from evaluator.cleaning.rankings import Ranking
from evaluator.cleaning.refits import Labelling, Refits
from evaluator.cleaning.tasks import CleaningTask, Part


def separated(rows: int = 60, width: int = 8, wrong: int = 20, classes: int = 2, seed: int = 0) -> CleaningTask:
    """Two (or more) clouds far from each other; the first ``wrong`` training rows have the label of the next class."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, width)) * 0.5

    def part(n: int) -> Part:
        labels = np.arange(n) % classes
        return Part((centres[labels] + rng.normal(size=(n, width))).astype(np.float32), labels.astype(np.int64))

    train, validation, test = part(rows), part(40), part(100)
    given = train.labels.copy()
    given[:wrong] = (given[:wrong] + 1) % classes
    kind = "binary" if classes == 2 else "multiclass"
    return CleaningTask("clouds", kind, classes, Part(train.rows, given), train.labels, validation, test)


@pytest.fixture(scope="module")
def clouds() -> CleaningTask:
    return separated()


def course(**changed) -> Course:
    given = {"checks": (0, 2, 5), "accuracies": (0.5, 0.9, 0.7), "hits": (2, 5), "target": 0.8, "clean": 0.85, "rows": 9}
    return Course(**given | changed)


def test_the_figures_of_a_course_by_hand():
    made = course()
    assert made.first_reach == 2 / 9
    # 0 and 1 checks: 0.5; 2, 3, 4: 0.9; 5 to 9: 0.7
    assert made.area == pytest.approx((2 * 0.5 + 3 * 0.9 + 5 * 0.7) / 10)
    assert made.discovery == pytest.approx(np.mean([0, 0, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1]))
    assert made.found_early == 0.5
    assert [made.accuracy(n) for n in (0, 1, 2, 4, 5, 9)] == [0.5, 0.5, 0.9, 0.9, 0.7, 0.7]


def test_a_target_that_is_never_reached_counts_as_one_and_a_target_at_the_start_as_zero():
    assert course(target=0.95).first_reach == 1.0
    assert not course(target=0.95).reached
    assert course(target=0.5).first_reach == 0.0


def test_the_best_order_finds_all_and_beats_the_worst(clouds):
    wrong = np.flatnonzero(clouds.wrong)
    right = np.flatnonzero(~clouds.wrong)
    best, worst = play(clouds, [np.concatenate([wrong, right]), np.concatenate([right, wrong])], points=5)
    assert best.found_early == 1.0
    assert worst.found_early == 0.0
    assert best.area > worst.area
    assert best.first_reach < worst.first_reach
    assert best.accuracies[0] == worst.accuracies[0], "nothing is checked yet"
    assert best.accuracies[-1] == worst.accuracies[-1] == best.clean, "everything is checked: the labels are the true labels"


def test_removing_ends_at_the_rows_that_were_right(clouds):
    ranking = np.arange(len(clouds.train))
    (made,) = play(clouds, [ranking], action="remove", points=2)
    kept = Labelling(clouds.train.labels, ~clouds.wrong)
    assert made.accuracies[-1] == Refits(clouds).of([kept])[0].accuracy


def test_equal_labels_are_fitted_once(clouds):
    refits = Refits(clouds)
    order = np.arange(len(clouds.train))
    play(clouds, [order, order, order[::-1]], points=3, refits=refits)
    # The labels as given, the true labels, and a set with half of the fixes for each of two different orders.
    assert refits.fitted == 4


def test_trainings_are_as_many_as_distinct_labels_and_run_on_one_thread(clouds, monkeypatch):
    """Thirty rankings of one order cost as much as that order; the same wrong labels found in another order cost other labels."""
    threads = []

    def counted(self, labels, train=Training.fit):
        threads.append(torch.get_num_threads())
        return train(self, labels)

    monkeypatch.setattr(Training, "fit", counted)
    before = torch.get_num_threads()
    wrong, right = np.flatnonzero(clouds.wrong), np.flatnonzero(~clouds.wrong)
    late = np.concatenate([right, wrong])
    play(clouds, [np.concatenate([wrong, right]), *[late] * 30])
    assert len(threads) == len(wrong) + 1, "the labels as given, and one more set after each wrong label that is found"
    play(clouds, [late, np.concatenate([right, wrong[::-1]])])
    # Both orders begin and end with the same labels; between them every step has labels of its own.
    assert len(threads) == (len(wrong) + 1) + (2 * len(wrong))
    assert set(threads) == {1}
    assert torch.get_num_threads() == before


def test_the_original_trains_no_label_vector_twice(clouds, monkeypatch):
    trained = []
    monkeypatch.setattr(Training, "fit", lambda self, labels, train=Training.fit: trained.append(labels) or train(self, labels))
    orders = [tuple(range(60)), tuple(range(60)), (0,) * 60, (5,)]
    found = evaluate_original(clouds, [Ranking(f"{number}", order) for number, order in enumerate(orders)])
    assert len(trained) == len({labels.numpy().tobytes() for labels in trained}) == found.fits == 22
    assert sum(len(curve.accuracies) for curve in found.curves) == 240


@pytest.mark.endurance
def test_processes_give_the_same_fits(clouds, monkeypatch):
    from evaluator.cleaning import refits

    monkeypatch.setattr(refits, "PORTION", 4)
    order = np.arange(len(clouds.train))
    assert play(clouds, [order], processes=2, points=8) == play(clouds, [order], points=8)


def test_the_originals_hole_is_there_and_strict_has_none(clouds):
    """A file of one line is perfect to the original, because its target is the accuracy after its own last line."""
    found = evaluate_original(clouds, [Ranking("one line", (0,)), Ranking("in order", tuple(range(60)))])
    assert [curve.method for curve in found.curves] == ["one line", "in order"]
    assert found.curves[0].score == 0.0
    assert set(found.curves[0].fixes) == {1}
    assert found.curves[1].fixes == tuple(range(1, 61))


@pytest.mark.parametrize(
    ("accuracies", "score"),
    [((0.5, 0.6, 0.7, 1.0), 3 / 4), ((0.76, 0.8, 0.8), 0.0), ((0.75, 0.8, 0.8), 1 / 3), ((0.9, 0.5), 0.0), ((1.0,), 0.0)],
)
def test_the_originals_score_is_the_first_step_at_95_percent_of_the_last(accuracies, score):
    assert score_of(accuracies) == score
