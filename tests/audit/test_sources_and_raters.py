"""How far sources agree, and what the interval over who was asked does."""

import numpy as np
import pytest
from audits import made, source
from sklearn.metrics import cohen_kappa_score

from evaluator.audit.answers import Answers
from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Corrections
from evaluator.audit.predictions import Predictions
from evaluator.audit.rank import audit
from evaluator.audit.raters import VIEWS, redrawn
from evaluator.audit.results import Settings
from evaluator.audit.sets import LabelSets
from evaluator.audit.shown import asked_block
from evaluator.audit.sources import agreement_of, agreements
from evaluator.audit.views import Name

N, CLASSES, RATERS = 300, 4, 9


def test_agreement_counts_kinds_equal_sets_and_chance():
    first, second = made().sources
    found = agreement_of(first, second)
    pairs = list(zip(first.sets.lists(), second.sets.lists(), strict=True))
    assert found.n == 400
    assert found.equal == sum(a == b for a, b in pairs)
    assert found.flagged == int((first.flagged & second.flagged).sum())
    assert found.only_first == int((first.flagged & ~second.flagged).sum())
    assert found.kappa == pytest.approx(cohen_kappa_score(first.flagged, second.flagged))
    assert found.jaccard == pytest.approx(found.flagged / (first.flagged | second.flagged).sum())
    for a in range(4):
        for b in range(4):
            assert found.kinds[a][b] == int(((first.kinds == a) & (second.kinds == b)).sum())
    same = agreement_of(first, first)
    assert (same.kappa, same.only_first, same.only_second, same.equal) == (pytest.approx(1.0), 0, 0, 400)
    assert len(agreements([first, second, first])) == 3


def test_only_images_that_both_looked_at_count():
    benchmark = Benchmark(("a", "b", "c"), np.array([0, 1, 2]), ("0", "1", "2"))
    all_of_it = source(benchmark, [[1], [1], [2]])
    some = Corrections("some", ("b",), LabelSets.of([[2]]), whole=False).aligned(benchmark)
    found = agreement_of(all_of_it, some)
    assert (found.n, found.flagged, found.only_first, found.only_second, found.kappa) == (1, 0, 0, 1, 0.0)
    none = Corrections("none", (), LabelSets.of([]), whole=False).aligned(benchmark)
    assert (agreement_of(all_of_it, none).n, agreement_of(all_of_it, none).kappa) == (0, None)


def asked(share_right, seed=0, whole=1.0):
    """A benchmark of which raters were asked about the given label and another; they say what is true in a share of answers."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, N)
    other = (labels + 1) % CLASSES
    kind = rng.choice(4, N, p=[0.6, 0.2, 0.1, 0.1])
    ids = tuple(f"i{number}" for number in range(N))
    benchmark = Benchmark(ids, labels, tuple(map(str, range(CLASSES))))
    rows = []
    for image in range(int(N * whole)):
        for label, valid in ((labels[image], kind[image] in (0, 2)), (other[image], kind[image] in (1, 2))):
            for rater in rng.choice(RATERS, 5, replace=False):
                rows.append((image, label, rater, valid if rng.random() < share_right else not valid))
    image, label, rater, yes = map(np.array, zip(*rows, strict=True))
    answers = Answers(ids[: int(N * whole)], image, label, rater, yes, tuple(map(str, range(RATERS))))
    corrections = Corrections("people", answers.ids, answers.sets(), whole=False, answers=answers)
    models = [np.where(rng.random(N) < skill, labels, other) for skill in (0.8, 0.6)]
    return benchmark, corrections.aligned(benchmark), [Predictions(f"m{k}", ids, top) for k, top in enumerate(models)]


def tables(benchmark, models):
    first = np.stack([model.top[:, 0] for model in models], axis=1)
    return first == benchmark.labels[:, None], first


@pytest.mark.parametrize("whole", [1.0, 0.5])
def test_raters_who_never_differ_leave_the_interval_of_the_images_alone(whole):
    benchmark, people, models = asked(1.0, whole=whole)
    right, first = tables(benchmark, models)
    found = redrawn(benchmark, people, right, first, 400, 0)
    result = audit(benchmark, models, 2, [people], settings=Settings(400, 100, 100))
    for place, name in enumerate(VIEWS):
        view = next(view for view in result.views if view.name == name)
        for model, row in enumerate(view.rows):
            drawn = found.accuracies(place)[:, model]
            error = np.sqrt(row.accuracy * (1 - row.accuracy) / row.n)
            assert drawn.mean() == pytest.approx(row.accuracy, abs=4 * error / 20), name
            assert drawn.std() == pytest.approx(error, rel=0.2), name
        assert found.images[place].mean() == pytest.approx(view.n, abs=3)


def test_raters_who_differ_make_the_interval_wider():
    benchmark, people, models = asked(0.75)
    right, first = tables(benchmark, models)
    found = redrawn(benchmark, people, right, first, 400, 0)
    result = audit(benchmark, models, 2, [people], settings=Settings(400, 100, 100))
    real = next(view for view in result.views if view.name == Name.REAL)
    alone = np.sqrt(real.rows[0].accuracy * (1 - real.rows[0].accuracy) / real.n)
    assert found.accuracies(VIEWS.index(Name.REAL))[:, 0].std() > 1.15 * alone
    # How many images have a valid label depends on who was asked, and not only on which images were drawn.
    assert found.images[VIEWS.index(Name.REAL)].std() > 1.2 * np.sqrt(N * 0.9 * 0.1)
    assert real.asked is not None
    assert real.rows[0].asked[0] < real.rows[0].accuracy < real.rows[0].asked[1]
    shown = asked_block(result, "people")
    assert shown.headers == ("model", *VIEWS)
    low, high = (100 * bound for bound in real.rows[0].asked[:2])
    assert shown.rows[0][1 + VIEWS.index(Name.REAL)].startswith(f"[{low:.2f}, {high:.2f}] rank [")
    assert asked_block(result, "") is None


def test_a_draw_is_what_the_drawn_answers_say():
    """One draw computed image by image: the sets of the drawn raters, and the images as they were drawn."""
    from evaluator.seeds import generator

    benchmark, people, models = asked(0.7, whole=0.8)
    right, first = tables(benchmark, models)
    found = redrawn(benchmark, people, right, first, 100, 5)
    rng = generator(5, "audit", "raters", "people")
    weight = np.bincount(rng.integers(0, N, N), minlength=N)
    drawn = np.bincount(rng.integers(0, RATERS, RATERS), minlength=RATERS)
    answers = people.answers
    sets = [set(members) for members in answers.sets(answers.accepted(drawn)).lists()]
    sums, images = np.zeros((4, 2)), np.zeros(4)
    for image in range(N):
        given = int(benchmark.labels[image])
        valid = sets[image] if image < len(sets) else {given}
        alone = valid != {given} and len(valid) == 1
        corrected = given if given in valid else min(valid) if alone else None
        rules = [(not alone, given), (valid == {given}, given), (corrected is not None, corrected)]
        for model in range(2):
            for view, (counts, label) in enumerate(rules):
                sums[view, model] += weight[image] * (counts and first[image, model] == label)
            sums[3, model] += weight[image] * (int(first[image, model]) in valid)
        images += weight[image] * np.array([*(counts for counts, _ in rules), bool(valid)])
    assert np.allclose(found.sums[:, 0], sums)
    assert np.allclose(found.images[:, 0], images)


def test_a_question_without_a_drawn_rater_keeps_its_answer():
    answers = Answers(("a",), np.array([0, 0]), np.array([1, 2]), np.array([0, 1]), np.array([True, False]), ("x", "y"))
    assert answers.accepted(np.array([0, 2])).tolist() == [True, False]
    with pytest.raises(ValueError, match="threshold"):
        Answers(("a",), np.array([0]), np.array([1]), np.array([0]), np.array([True]), ("x",), threshold=1.0)
