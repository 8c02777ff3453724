"""Rank agreement: known answers, SciPy as the reference, every small case decided, and what noise hides put back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluator.scoring.agreement import agreement, kendall_tau, kendall_w

UP = np.arange(8.0)


def repeated(scores, seeds=3) -> np.ndarray:
    """Scores (judges, submissions) that are the same with every seed: without noise."""
    return np.repeat(np.asarray(scores, dtype=float)[:, :, None], seeds, axis=2)


def test_the_same_order_agrees_wholly_whatever_the_scale():
    found = agreement(repeated([UP, UP**3, np.log1p(UP)]), seed=1)
    assert [[cell.value for cell in row] for row in found.tau] == [[pytest.approx(1)] * 3] * 3
    assert (found.mean_tau.value, found.mean_tau.measured) == pytest.approx((1, 1))
    assert (found.w.value, found.w.measured) == pytest.approx((1, 1))
    # Eight submissions in one order do not prove that all submissions would be.
    assert 0.3 < found.mean_tau.low < 0.9
    assert found.mean_tau.high == pytest.approx(1)


def test_the_reverse_order_disagrees_wholly():
    found = agreement(repeated([UP, -UP]), seed=1)
    assert found.tau[0][1].value == found.mean_tau.value == pytest.approx(-1)
    assert found.tau[1][0] == found.tau[0][1]
    assert found.tau[0][1].low == pytest.approx(-1)
    assert -0.9 < found.tau[0][1].high < -0.3
    assert found.w.value == found.w.measured == pytest.approx(0)


def test_ties_by_hand():
    # Six pairs. first: one tied (b c). second: one tied (a b). Of the rest: a<c +, a<d +, b<d +, c<d: 5 > 3, -.
    first, second = np.array([1.0, 2, 2, 3]), np.array([1.0, 1, 5, 3])
    assert kendall_tau(first, second) == pytest.approx((3 - 1) / np.sqrt(5 * 5))
    # Ranks 1 2.5 2.5 4 and 1.5 1.5 4 3: sums 2.5 4 6.5 7, squared distances from 5: 6.25 + 1 + 2.25 + 4 = 13.5.
    # W = 12 * 13.5 / (2^2 (4^3 - 4) - 2 (6 + 6)).
    assert kendall_w(np.stack([first, second])) == pytest.approx(12 * 13.5 / (4 * 60 - 2 * 12))


def test_three_judges_by_hand():
    found = agreement(repeated([[1.0, 2, 3], [1, 3, 2], [3, 2, 1]]), seed=1)
    assert found.tau[0][1].measured == pytest.approx(1 / 3)
    assert found.tau[0][2].measured == pytest.approx(-1)
    assert found.tau[1][2].measured == pytest.approx(-1 / 3)
    assert found.mean_tau.measured == pytest.approx(-1 / 3)
    # Rank sums 5 7 6 around 6.
    assert found.w.measured == pytest.approx(12 * 2 / (9 * 24))
    # Without noise nothing is corrected; three submissions say next to nothing.
    assert found.tau[0][1].value == pytest.approx(1 / 3, abs=0.01)
    assert found.tau[0][1].wide


@given(st.integers(2, 4), st.integers(3, 9), st.integers(2, 6), st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_the_coefficients_are_scipys(judges, n, levels, seed):
    values = np.random.default_rng(seed).integers(0, levels, (judges, n)).astype(float)
    found = agreement(repeated(values), seed=1, draws=100)
    for a in range(judges):
        for b in range(judges):
            expected = stats.kendalltau(values[a], values[b]).statistic
            measured = found.tau[a][b].measured
            assert (measured is None and np.isnan(expected)) or measured == pytest.approx(expected) or a == b
    for cell in (found.mean_tau, found.w, *found.tau[0]):
        assert cell.value is None or cell.low <= cell.value <= cell.high


def test_noise_hides_agreement_and_the_correction_finds_it():
    rng = np.random.default_rng(0)
    truth = rng.standard_normal(40)
    scores = truth[None, :, None] + rng.normal(0, 3, (2, 40, 9))  # a mean of nine has as much noise as there are differences
    cell = agreement(scores, seed=1).tau[0][1]
    assert cell.measured == pytest.approx(kendall_tau(*scores.mean(axis=2)))
    assert cell.measured < 0.6
    assert cell.value > 0.8
    assert cell.low < cell.measured
    quiet = agreement(truth[None, :, None] + rng.normal(0, 0.3, (2, 40, 9)), seed=1).tau[0][1]
    assert quiet.high - quiet.low < (cell.high - cell.low) / 2


def test_noise_that_two_judges_share_is_no_agreement():
    rng = np.random.default_rng(1)
    shared = rng.normal(0, 3, (60, 9))  # both judge the same purchases
    scores = rng.standard_normal((2, 60, 1)) + shared
    cell = agreement(scores, seed=1).tau[0][1]
    assert cell.measured > 0.2, "the shared noise looks like agreement"
    assert abs(cell.value) < 0.2
    assert cell.low < 0 < cell.high


def test_a_seed_that_is_easy_for_all_is_no_noise():
    rng = np.random.default_rng(2)
    scores = rng.standard_normal((2, 12, 1)) + 0.1 * rng.standard_normal((2, 12, 6))
    moved = scores + 50 * rng.standard_normal((2, 1, 6))
    first, second = (agreement(of, seed=1).tau[0][1] for of in (scores, moved))
    assert (first.value, first.low, first.high) == pytest.approx((second.value, second.low, second.high))


def test_nothing_but_noise_has_no_value_and_says_so():
    found = agreement(np.array([[[0.1, 0.9, 0.2], [0.2, 0.8, 0.21], [0.9, 0.1, 0.22], [0.5, 0.52, 0.2]]] * 2), seed=1)
    for cell in (found.tau[0][1], found.mean_tau, found.w):
        assert cell.measured is not None
        assert (cell.value, cell.low, cell.high) == (None, None, None)
        assert "noise" in cell.reason


def test_one_seed_has_no_value_and_says_so():
    cell = agreement(np.stack([UP, UP])[:, :, None], seed=1).tau[0][1]
    assert (cell.measured, cell.value, cell.low) == (pytest.approx(1), None, None)
    assert "one seed" in cell.reason


def test_rounding_over_seeds_breaks_no_tie():
    scores = np.array([[[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.3, 0.4]]] * 2)
    assert scores.mean(axis=2)[0, 0] != scores.mean(axis=2)[0, 1], "the case is one where rounding matters"
    scores[1, :2] = [[0.2, 0.2, 0.2]] * 2
    assert agreement(scores, seed=1).tau[0][1].measured == pytest.approx(1)


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_submissions_have_no_coefficient_and_say_so(n):
    found = agreement(np.random.default_rng(0).random((3, n, 2)), seed=1)
    for cell in (found.tau[0][1], found.mean_tau, found.w):
        assert (cell.value, cell.low, cell.high, cell.n) == (None, None, None, n)
        assert f"{n} submission" in cell.reason
        assert "at least 3" in cell.reason


def test_a_judge_that_ties_all_has_no_coefficient_and_the_others_keep_theirs():
    found = agreement(repeated([UP, np.ones(8), UP]), seed=1)
    assert found.tau[0][1].value is None
    assert "tied" in found.tau[0][1].reason
    assert found.tau[0][2].value == pytest.approx(1)
    assert found.mean_tau.value is None
    assert found.w.measured is not None
    whole = agreement(np.ones((2, 5, 2)), seed=1)
    assert (whole.tau[0][1].value, whole.mean_tau.value, whole.w.value) == (None, None, None)
    assert "tied" in whole.w.reason


def test_the_draws_come_from_the_named_seed_alone():
    scores = UP[:, None] + np.random.default_rng(0).random((3, 8, 4))
    np.random.seed(0)
    first = agreement(scores, seed=7)
    np.random.seed(1)
    assert agreement(scores, seed=7) == first
    assert agreement(scores, seed=8).w.low != first.w.low
    assert agreement(scores, seed=8).mean_tau.measured == first.mean_tau.measured


@pytest.mark.parametrize(
    ("scores", "options"),
    [
        (np.ones((1, 5, 2)), {}),
        (np.ones((2, 5)), {}),
        (np.ones((2, 0, 2)), {}),
        (np.full((2, 4, 2), np.nan), {}),
        (np.ones((2, 4, 2)), {"level": 1.0}),
        (np.ones((2, 4, 2)), {"draws": 0}),
    ],
    ids=["one judge", "flat", "empty", "nan", "level", "draws"],
)
def test_what_makes_no_sense_is_refused(scores, options):
    with pytest.raises(ValueError, match="needed"):
        agreement(scores, seed=1, **options)
