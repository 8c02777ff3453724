"""Values of labelled rows: against sums over all coalitions, closed forms, and refits without a row."""

from itertools import chain, combinations, permutations
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from evaluator.strategies.valuation import confidence, influence, neighbours, shapley, trajectories
from evaluator.strategies.valuation.components import FEW, principal_axes
from evaluator.strategies.valuation.methods import METHODS
from evaluator.strategies.valuation.ranks import as_rows, worst_first


def clouds(rows: int = 80, wrong: int = 12, classes: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, 6)) * 2.5
    true = np.arange(rows) % classes
    x = (centres[true] + rng.normal(size=(rows, 6))).astype(np.float32)
    given_labels = true.copy()
    given_labels[:wrong] = (given_labels[:wrong] + 1) % classes
    v = np.arange(45) % classes
    return x, given_labels, (centres[v] + rng.normal(size=(45, 6))).astype(np.float32), v


def exact_shapley(n: int, utility) -> np.ndarray:
    """The definition: mean over all coalitions of what a row adds, weighted by the size of the coalition."""
    values = np.zeros(n)
    for row in range(n):
        others = [other for other in range(n) if other != row]
        for coalition in chain.from_iterable(combinations(others, size) for size in range(n)):
            values[row] += (utility((*coalition, row)) - utility(coalition)) / (n * comb(n - 1, len(coalition)))
    return values


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 4), st.integers(1, 6))
def test_knn_shapley_is_the_sum_over_all_coalitions(seed, k, n):
    rng = np.random.default_rng(seed)
    x, v = rng.normal(size=(n, 2)).astype(np.float32), rng.normal(size=(5, 2)).astype(np.float32)
    y, w = rng.integers(0, 2, n), np.array([0, 1, 1, 0, 1])
    distances = ((v[:, None].astype(float) - x[None]) ** 2).sum(axis=2)

    def utility(rows):
        """Jia et al.'s: of the K nearest, the share with the right label (less than K rows leave places empty); of no row, that of
        the constant that is most often wrong."""
        if not rows:
            return np.mean(w == 0)
        rows = np.array(rows)
        nearest = np.argsort(distances[:, rows], axis=1)[:, :k]
        right = y[rows[nearest]] == w[:, None]
        return np.mean(right.sum(axis=1) / k + (k - min(k, len(rows))) / k * (w == 0) * (k == 1))

    found = neighbours.knn_shapley(x, y, v, w, k)
    if k == 1:
        assert found == pytest.approx(exact_shapley(n, utility), abs=1e-6)
        assert found.sum() == pytest.approx(utility(tuple(range(n))) - np.mean(w == 0), abs=1e-6)
    else:
        # Differences of values do not depend on the value of no rows.
        by_definition = exact_shapley(n, lambda rows: 0.0 if not rows else utility(rows))
        assert found - found.mean() == pytest.approx(by_definition - by_definition.mean(), abs=1e-6)


def test_blocks_and_number_formats_change_nothing_but_rounding(monkeypatch):
    x, y, v, w = clouds()
    whole = neighbours.knn_shapley(x, y, v, w, 5)
    monkeypatch.setattr(neighbours, "BLOCK", 7)
    assert neighbours.knn_shapley(x, y, v, w, 5) == pytest.approx(whole, abs=1e-9)
    monkeypatch.setattr(neighbours, "PRECISE", 0)
    assert neighbours.knn_shapley(x, y, v, w, 5) == pytest.approx(whole, abs=1e-6)


def test_several_labels_that_are_one_class_each_order_as_classes_do():
    x, y, v, w = clouds(classes=2)
    several = neighbours.knn_shapley(x, y[:, None], v, w[:, None])
    assert several == pytest.approx(neighbours.knn_shapley(x, y, v, w), abs=1e-6)


def test_permutation_shapley_over_all_orders_is_the_definition():
    """A game of glove pairs: rows 0 and 1 are left gloves, row 2 is the right one; the known values are 1/6, 1/6, 2/3."""

    class Orders:
        def __init__(self):
            self.left = list(permutations(range(3)))

        def permutation(self, n):
            return np.array(self.left.pop())

    def start():
        taken = []

        def add(row):
            taken.append(row)
            return float(2 in taken and len(taken) > 1)

        return add

    found = shapley.permutation_shapley(3, start, Orders(), 6, nothing=0.0, everything=1.0, tolerance=-1)
    assert found == pytest.approx([1 / 6, 1 / 6, 2 / 3])


def test_an_order_is_cut_off_near_the_whole_and_time_ends_the_orders():
    seen = []

    def start():
        taken = []
        seen.append(taken)

        def add(row):
            taken.append(row)
            return len(taken) / 10

        return add

    shapley.permutation_shapley(10, start, np.random.default_rng(0), 3, nothing=0.0, everything=1.0, tolerance=0.45)
    assert [len(taken) for taken in seen] == [6, 6, 6]
    seen.clear()
    shapley.permutation_shapley(10, start, np.random.default_rng(0), 10**9, nothing=0.0, everything=1.0, seconds=0.0)
    assert len(seen) == 1


def test_a_ridge_classifier_that_learns_row_by_row_is_the_closed_form():
    rng = np.random.default_rng(1)
    x, goals = np.column_stack([rng.normal(size=(30, 4)), np.ones(30)]), rng.normal(size=(30, 2))
    model = shapley.Ridge(4, 2, penalty=0.7)
    for row, goal in zip(x, goals, strict=True):
        model.learn(row, goal)
    closed = np.linalg.solve(x.T @ x + 0.7 * np.eye(5), x.T @ goals)
    assert model.scores(x) == pytest.approx(x @ closed)


@pytest.mark.parametrize("classes", [2, 3])
def test_influence_is_the_slope_of_the_validation_loss_in_the_weight_of_a_row(classes):
    x, y, v, w = clouds(classes=classes, rows=60)
    own, asked = influence._projected(x, v, 100)

    def loss(row, weight):
        """Mean validation loss after a fit in which a row counts as so much of a row."""
        weights = np.ones(60)
        weights[row] = weight
        model = LogisticRegression(C=0.5, fit_intercept=False, tol=1e-12, max_iter=5_000)
        found = model.fit(own, y, sample_weight=weights).predict_proba(asked)
        return -np.mean(np.log(found[np.arange(len(w)), w]))

    step = 0.02
    slopes = [(loss(row, 1 - step) - loss(row, 1 + step)) / (2 * step) for row in range(0, 60, 4)]
    assert influence.influence(x, y, v, w, 0.5)[::4] == pytest.approx(slopes, rel=0.01, abs=2e-5)


def test_the_hessian_is_that_of_the_fitted_objective():
    """At the fitted weights the gradient of the penalised objective is zero, or influence would speak of another model."""
    x, y, v, _ = clouds(classes=2)
    own, _ = influence._projected(x, v, 100)
    weights = influence.fitted(own, y, 0.1, 2)
    gradient = own.T @ (1 / (1 + np.exp(-own @ weights[:, 0])) - y) + weights[:, 0] / 0.1
    assert np.abs(gradient).max() < 1e-4


@pytest.mark.parametrize("size", [(FEW + 40, FEW + 80), (FEW + 80, FEW + 40), (20, 400)])
@pytest.mark.parametrize("width", [5, FEW + 30, 10_000])
def test_principal_axes_are_those_of_the_decomposition(size, width):
    n, d = size
    rows = np.random.default_rng(1).normal(size=size) * np.linspace(1, 9, d)
    rows -= rows.mean(axis=0)
    expected = np.linalg.svd(rows, full_matrices=False)[2][:width]
    found = principal_axes(rows, width)
    assert found.shape == expected.shape == (min(width, n, d), d)
    # Centred rows vary in n - 1 directions at most; the sign of a direction is free.
    varying = min(len(found), n - 1, d)
    assert np.allclose(np.abs((found * expected).sum(axis=1))[:varying], 1, atol=1e-6)


@pytest.mark.parametrize("size", [(300, 400), (400, 300)])
def test_directions_without_variation_are_zeros(size):
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(size[0], 3)) @ rng.normal(size=(3, size[1]))
    found = principal_axes(rows, 10)
    assert np.allclose(found @ found.T, np.diag([1.0] * 3 + [0.0] * 7), atol=1e-8)
    assert np.allclose(rows @ found.T @ found, rows, atol=1e-8)
    assert not principal_axes(np.zeros(size), 4).any()


def test_forgetting_events_by_hand():
    right = np.array([[1, 0, 0, 1], [0, 0, 1, 1], [1, 0, 1, 1], [0, 0, 1, 1]], bool)
    assert trajectories.forgetting(right).tolist() == [-2, -4, 0, 0]


def test_margins_by_hand():
    scores = np.array([[1.0, 3.0, 2.0], [0.5, -1.0, 0.0]])
    assert trajectories.margins(scores, np.array([1, 2])).tolist() == [1.0, -0.5]
    assert trajectories.margins(scores, np.array([[0, 1, 1], [1, 0, 1]])).tolist() == [-1.0, 0.0]


def test_out_of_sample_probabilities_never_saw_their_row():
    x, y, _, _ = clouds(rows=40, wrong=0, classes=2)
    found = confidence.out_of_sample(x, y, 3)
    assert found.sum(axis=1) == pytest.approx(np.ones(40))
    standard = confidence.standardised(x)
    seen = LogisticRegression(C=confidence.STRENGTH).fit(standard, y).predict_proba(standard)
    assert np.abs(found - seen).max() > 1e-3
    # A row whose label is turned is judged by the others alone: its own probabilities hardly move.
    turned = y.copy()
    turned[0] = 1 - turned[0]
    assert np.abs(confidence.out_of_sample(x, turned, 3)[0] - found[0]).max() < 0.2


def test_own_loss_is_the_loss_of_a_fitted_model():
    x, y, _, _ = clouds(rows=40, classes=2)
    standard = confidence.standardised(x)
    seen = LogisticRegression(C=confidence.STRENGTH, max_iter=200).fit(standard, y).predict_proba(standard)
    assert confidence.own_loss(x, y) == pytest.approx(np.log(seen[np.arange(40), y]))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_finds_wrong_labels_repeats_and_ranks_all_rows(name):
    if name == "cleanlab":
        pytest.importorskip("cleanlab", reason="pip install -r requirements-cleaning.txt")
    x, y, v, w = clouds()
    first, again = (METHODS[name](x, y, v, w, 5, 600.0) for _ in range(2))
    assert np.array_equal(first, again)
    assert sorted(first.tolist()) == list(range(80))
    early = np.isin(first[:12], np.arange(12)).mean()
    assert early >= 0.5 if name != "random" else early < 0.5


@pytest.mark.parametrize("name", [name for name in METHODS if name != "cleanlab"])
def test_several_labels_a_row_are_ranked_too(name):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 4)).astype(np.float32)
    y = (x[:, :3] > 0).astype(int)
    y[:6] = 1 - y[:6]
    found = METHODS[name](x, y, x[20:], y[20:], 1, 600.0)
    assert sorted(found.tolist()) == list(range(50))
    if name != "random":
        assert np.isin(found[:10], np.arange(6)).sum() >= 4


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        (np.zeros((3, 2)), [0, 1]),
        (np.zeros((3, 2)), [0, 1, -1]),
        (np.zeros((3, 2)), [0, 1, 0.5]),
        (np.zeros((3, 2)), [[0], [1], [2]]),
        (np.full((2, 2), np.nan), [0, 1]),
        (np.zeros((0, 2)), []),
    ],
)
def test_rows_and_labels_that_do_not_fit_are_refused(rows, labels):
    with pytest.raises(ValueError, match=r"training|expected"):
        as_rows(rows, labels)


def test_a_value_that_is_none_is_refused_and_equal_values_keep_their_order():
    assert worst_first(np.array([1.0, 0.0, 1.0, 0.0])).tolist() == [1, 3, 0, 2]
    with pytest.raises(ValueError, match="NaN"):
        worst_first(np.array([0.0, np.nan]))
