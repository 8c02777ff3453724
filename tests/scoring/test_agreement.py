"""Rank agreement: known answers, SciPy as the reference, every small case decided, and intervals that hold what they promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import evaluator.scoring.agreement as module
from evaluator.scoring.agreement import agreement, kendall_tau, kendall_w

UP = np.arange(8.0)


def test_the_same_order_agrees_wholly_whatever_the_scale():
    found = agreement(np.stack([UP, UP**3, np.log1p(UP)]), seed=1)
    assert [[cell.value for cell in row] for row in found.tau] == [[pytest.approx(1)] * 3] * 3
    assert found.mean_tau.value == pytest.approx(1)
    assert found.w.value == pytest.approx(1)
    assert (found.mean_tau.low, found.mean_tau.high) == pytest.approx((1, 1))


def test_the_reverse_order_disagrees_wholly():
    found = agreement(np.stack([UP, -UP]), seed=1)
    assert found.tau[0][1].value == found.mean_tau.value == pytest.approx(-1)
    assert found.tau[1][0] == found.tau[0][1]
    assert (found.tau[0][1].low, found.tau[0][1].high) == pytest.approx((-1, -1))
    assert found.w.value == pytest.approx(0)


def test_ties_by_hand():
    # Six pairs. first: one tied (b c). second: one tied (a b). Of the rest: a<c +, a<d +, b<d +, c<d: 5 > 3, -.
    first, second = np.array([1.0, 2, 2, 3]), np.array([1.0, 1, 5, 3])
    assert kendall_tau(first, second) == pytest.approx((3 - 1) / np.sqrt(5 * 5))
    # Ranks 1 2.5 2.5 4 and 1.5 1.5 4 3: sums 2.5 4 6.5 7, squared distances from 5: 6.25 + 1 + 2.25 + 4 = 13.5.
    # W = 12 * 13.5 / (2^2 (4^3 - 4) - 2 (6 + 6)).
    assert kendall_w(np.stack([first, second])) == pytest.approx(12 * 13.5 / (4 * 60 - 2 * 12))


def test_three_judges_by_hand():
    found = agreement(np.array([[1.0, 2, 3], [1, 3, 2], [3, 2, 1]]), seed=1)
    assert found.tau[0][1].value == pytest.approx(1 / 3)
    assert found.tau[0][2].value == pytest.approx(-1)
    assert found.tau[1][2].value == pytest.approx(-1 / 3)
    assert found.mean_tau.value == pytest.approx(-1 / 3)
    # Rank sums 5 7 6 around 6.
    assert found.w.value == pytest.approx(12 * 2 / (9 * 24))


@given(st.integers(2, 4), st.integers(3, 9), st.integers(2, 6), st.integers(0, 2**32))
@settings(deadline=None, max_examples=60)
def test_the_resamples_use_the_coefficients_that_scipy_has(judges, n, levels, seed):
    values = np.random.default_rng(seed).integers(0, levels, (judges, n)).astype(float)
    signs = np.sign(values[:, :, None] - values[:, None, :]).reshape(judges, -1)
    lengths = np.linalg.norm(signs, axis=1)
    for a in range(judges):
        for b in range(judges):
            found = kendall_tau(values[a], values[b])
            if lengths[a] * lengths[b] == 0:
                assert found is None
            else:
                assert found == pytest.approx(signs[a] @ signs[b] / (lengths[a] * lengths[b]))
    quick = module._w_of_all(values[None])[0]
    whole = kendall_w(values)
    assert np.isnan(quick) if whole is None else quick == pytest.approx(whole)
    tau, _ = module._resampled(values[:, :, None], seed, 3)
    rows = module.generator(seed, "rank agreement").integers(n, size=(3, n))
    for table, row in zip(tau, rows, strict=True):
        expected = stats.kendalltau(values[0, row], values[1, row]).statistic
        assert table[0, 1] == pytest.approx(expected, nan_ok=True, abs=1e-6)


def test_over_seeds_the_means_are_ranked_and_the_seeds_widen_the_interval():
    rng = np.random.default_rng(0)
    truth = np.linspace(0, 1, 12)
    scores = truth[None, :, None] + rng.normal(0, 0.3, (2, 12, 4))
    found = agreement(scores, seed=1)
    assert found.tau[0][1].value == pytest.approx(kendall_tau(*scores.mean(axis=2)))
    one = agreement(scores.mean(axis=2), seed=1)
    assert found.tau[0][1].high - found.tau[0][1].low > one.tau[0][1].high - one.tau[0][1].low


def test_rounding_over_seeds_breaks_no_tie():
    scores = np.array([[[0.1, 0.2, 0.3], [0.3, 0.2, 0.1], [0.2, 0.3, 0.4]]] * 2)
    assert scores.mean(axis=2)[0, 0] != scores.mean(axis=2)[0, 1], "the case is one where rounding matters"
    scores[1, :2] = [[0.2, 0.2, 0.2]] * 2
    assert agreement(scores, seed=1).tau[0][1].value == pytest.approx(1)


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_submissions_have_no_coefficient_and_say_so(n):
    found = agreement(np.random.default_rng(0).random((3, n, 2)), seed=1)
    for cell in (found.tau[0][1], found.mean_tau, found.w):
        assert (cell.value, cell.low, cell.high, cell.n) == (None, None, None, n)
        assert f"{n} submission" in cell.reason
        assert "at least 3" in cell.reason


def test_a_judge_that_ties_all_has_no_coefficient_and_the_others_keep_theirs():
    found = agreement(np.stack([UP, np.ones(8), UP]), seed=1)
    assert found.tau[0][1].value is None
    assert "tied" in found.tau[0][1].reason
    assert found.tau[0][2].value == pytest.approx(1)
    assert found.mean_tau.value is None
    assert found.w.value is not None
    whole = agreement(np.ones((2, 5)), seed=1)
    assert (whole.tau[0][1].value, whole.mean_tau.value, whole.w.value) == (None, None, None)
    assert "tied" in whole.w.reason


def test_the_draws_come_from_the_named_seed_alone():
    scores = np.random.default_rng(0).random((3, 9, 2))
    np.random.seed(0)
    first = agreement(scores, seed=7)
    np.random.seed(1)
    assert agreement(scores, seed=7) == first
    assert agreement(scores, seed=8).w.high != first.w.high
    assert agreement(scores, seed=8).mean_tau.value == first.mean_tau.value


@pytest.mark.parametrize(
    ("scores", "options"),
    [
        (np.ones((1, 5)), {}),
        (np.ones(5), {}),
        (np.ones((2, 0)), {}),
        (np.full((2, 4), np.nan), {}),
        (np.ones((2, 4)), {"level": 1.0}),
        (np.ones((2, 4)), {"resamples": 0}),
    ],
    ids=["one judge", "flat", "empty", "nan", "level", "resamples"],
)
def test_what_makes_no_sense_is_refused(scores, options):
    with pytest.raises(ValueError, match="needed"):
        agreement(scores, seed=1, **options)


@pytest.mark.slow
@pytest.mark.parametrize(("correlation", "n"), [(0.0, 25), (0.7, 25), (0.7, 12)])
def test_the_interval_covers_the_true_tau_about_as_often_as_it_says(correlation, n):
    # Two normal judges: tau = 2 / pi arcsin(rho).
    truth = 2 / np.pi * np.arcsin(correlation)
    rng = np.random.default_rng(5)
    runs, covered = 300, 0
    for run in range(runs):
        common, own = rng.normal(size=n), rng.normal(size=(2, n))
        scores = np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
        cell = agreement(scores, seed=run, resamples=300).tau[0][1]
        covered += cell.low <= truth <= cell.high
    # 0.95 is promised; a percentile interval of so few keeps a little less.
    assert 0.88 <= covered / runs <= 0.99
