"""The statistics of an audit, each against a second way to compute it."""

import numpy as np
import pytest
import scipy.stats

from evaluator.audit.draws import excluded, resampled
from evaluator.audit.pairs import ahead_counts, mcnemar_p, pair_tests, possible_ranks, products, reversal_p
from evaluator.audit.ranks import images_of, ranks_of, signs_of, spearman_of, swapped, tau_of
from evaluator.audit.views import View
from evaluator.scoring.intervals import wilson_interval

RNG = np.random.default_rng(3)
N, M = 240, 6
RIGHT = RNG.random((N, M)) < np.linspace(0.6, 0.8, M)


def view_of(kept, touched, values, shares=False):
    return View("v", "v", "s", kept, touched, values.astype(np.float32), True, shares)


def a_view(shares=False):
    touched = np.sort(RNG.choice(N, 60, replace=False))
    kept = np.full(N, True)
    kept[touched[::3]] = False
    values = (RNG.random((60, M)) if shares else RNG.random((60, M)) < 0.5) * kept[touched][:, None]
    return view_of(kept, touched, values, shares)


def whole(view):
    return np.stack([view.column(RIGHT, model) for model in range(M)], axis=1)


@pytest.mark.parametrize("values", [RNG.integers(0, 4, M), RNG.random(M), np.zeros(M), np.arange(M)])
def test_ranks_and_coefficients_are_scipys(values):
    other = RNG.integers(0, 5, M)
    assert ranks_of(values).tolist() == scipy.stats.rankdata(-values).tolist()
    expected = scipy.stats.kendalltau(values, other).statistic
    found = float(tau_of(signs_of(values), signs_of(other)))
    assert found == pytest.approx(expected, nan_ok=True)
    if len(set(values.tolist())) > 1:
        assert spearman_of(ranks_of(values), ranks_of(other)) == pytest.approx(scipy.stats.spearmanr(values, other).statistic)
    else:
        assert np.isnan(spearman_of(ranks_of(values), ranks_of(other)))


def test_a_swap_is_an_order_that_turns_and_not_a_tie():
    before, after = np.array([5, 4, 3, 3, 1]), np.array([4, 5, 3, 3, 3])
    assert swapped(before, after) == [(0, 1)]
    assert swapped(after, before) == [(1, 0)]
    assert swapped(before, before) == []


def test_the_images_behind_a_swap_make_up_the_whole_change():
    view = a_view()
    change = view.change(RIGHT)
    towards, against = images_of(change[:, 0], change[:, 1], view.touched)
    moved = (whole(view)[:, 1] - whole(view)[:, 0]) - (RIGHT[:, 1].astype(int) - RIGHT[:, 0])
    assert set(towards) == set(np.flatnonzero(moved > 0))
    assert against == int((moved < 0).sum())
    assert [moved[image] for image in towards] == sorted((moved[image] for image in towards), reverse=True)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (0, 7), (3, 9), (12, 12), (40, 61), (500, 601)])
def test_mcnemars_p_is_that_of_the_exact_binomial_test(first, second):
    found = float(mcnemar_p(np.array(first), np.array(second)))
    expected = scipy.stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("right", "n"), [(0, 5), (5, 5), (1, 3), (72, 100), (36_366, 50_000)])
def test_wilsons_interval_is_scipys(right, n):
    found, expected = wilson_interval(right, n), scipy.stats.binomtest(right, n).proportion_ci(method="wilson")
    assert (found.low, found.high) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))
    assert found.mean == right / n


@pytest.mark.parametrize("bad", [(1, 0), (-1, 5), (6, 5)])
def test_wilsons_interval_refuses_what_is_no_share(bad):
    with pytest.raises(ValueError, match="successes"):
        wilson_interval(*bad)


@pytest.mark.parametrize("shares", [False, True])
def test_pairs_are_tested_on_the_images_that_a_view_keeps(shares):
    view = a_view(shares)
    values, kept = whole(view), view.kept
    ahead = ahead_counts(RIGHT, view)
    found = pair_tests(values.sum(axis=0), products(RIGHT, view), view.n, ahead=ahead if shares else None)
    first, second = np.triu_indices(M, 1)
    for place, (a, b) in enumerate(zip(first, second, strict=True)):
        difference = values[kept][:, a] - values[kept][:, b]
        assert found.gap[place] == pytest.approx(difference.mean(), abs=1e-6)
        assert found.error[place] == pytest.approx(difference.std() / np.sqrt(view.n), rel=1e-4)
        only = int((difference > 0).sum()), int((difference < 0).sum())
        assert (ahead[0][place], ahead[1][place]) == only
        exact = scipy.stats.binomtest(only[0], sum(only)).pvalue
        normal = 2 * scipy.stats.norm.sf(abs(difference.mean()) / (difference.std() / np.sqrt(view.n)))
        assert found.p[place] == pytest.approx(max(exact, normal) if shares else exact, rel=1e-3)
    order = np.argsort(found.p, kind="stable")
    assert found.p_holm[order[0]] == pytest.approx(min(1, found.p[order[0]] * len(first)))


def test_drawn_sums_are_those_of_the_drawn_images():
    view, draws = a_view(), 300
    found = resampled(RIGHT, [view], draws, 7)
    from evaluator.seeds import generator

    rng = generator(7, "audit", "images")
    for draw in range(draws):
        weight = np.bincount(rng.integers(0, N, N), minlength=N)
        if draw % 97:
            continue
        assert np.allclose(found.sums[0, draw], weight @ RIGHT)
        assert np.allclose(found.sums[1, draw], weight @ whole(view), atol=1e-3)
        assert found.images[1, draw] == weight[view.kept].sum()
    assert (found.images[0] == N).all()
    # The spread over draws is the standard error of a share.
    share = RIGHT.mean(axis=0)
    assert np.allclose(found.accuracies(0).std(axis=0), np.sqrt(share * (1 - share) / N), rtol=0.15)


def test_equal_seeds_draw_equal_images():
    assert np.array_equal(resampled(RIGHT, [], 100, 1).sums, resampled(RIGHT, [], 100, 1).sums)
    assert not np.array_equal(resampled(RIGHT, [], 100, 1).sums, resampled(RIGHT, [], 100, 2).sums)


def test_an_exclusion_leaves_out_as_many_of_each_stratum():
    strata = RIGHT.sum(axis=1)
    out = [strata == 3, RNG.random(N) < 0.3, np.full(N, False)]
    left = excluded(RIGHT, out, strata, 200, 0)
    # A whole stratum can be left out in one way only.
    assert np.array_equal(left[0], np.broadcast_to(RIGHT[strata != 3].sum(axis=0), (200, M)))
    # The number of models that are right is fixed in each stratum, so that their sum over models is that of the images left out.
    assert (left[1].sum(axis=1) == RIGHT[~out[1]].sum()).all()
    assert np.array_equal(left[2], np.broadcast_to(RIGHT.sum(axis=0), (200, M)))
    plain = excluded(RIGHT, out, np.zeros(N, int), 400, 0)
    assert plain[1].sum(axis=1).std() > 0
    many = int(out[1].sum())
    expected = RIGHT.sum(axis=0) * (N - many) / N
    assert np.allclose(plain[1].mean(axis=0), expected, atol=4 * np.sqrt(N / 4) / 20)
    share = RIGHT.mean(axis=0)
    spread = np.sqrt(many * share * (1 - share) * (N - many) / (N - 1))
    assert np.allclose(plain[1].std(axis=0), spread, rtol=0.2)


def test_ranks_that_tests_leave_possible():
    # model 0 is shown better than all, 1 and 2 are open, 3 is shown worse than 1 only.
    gap = np.array([0.1, 0.1, 0.1, 0.01, 0.1, 0.05])
    p = np.array([0.01, 0.01, 0.01, 0.9, 0.01, 0.2])
    best, worst = possible_ranks(gap, p, 4, 0.05)
    assert best.tolist() == [1, 2, 2, 3]
    assert worst.tolist() == [1, 3, 4, 4]


def order(sums, n=400, overlap=0):
    """Tests of models whose rights overlap in ``overlap`` images."""
    sums = np.array(sums, float)
    together = np.full((len(sums), len(sums)), float(overlap))
    np.fill_diagonal(together, sums)
    return pair_tests(sums, together, n)


def test_a_reversal_needs_both_orders():
    strong, turned, weak = order([200, 100]), order([100, 200]), order([101, 100])
    assert reversal_p(strong, [turned])[0, 0] < 0.001
    assert reversal_p(strong, [strong])[0, 0] == 1.0
    assert reversal_p(strong, [order([100, 101])])[0, 0] > 0.5
    assert reversal_p(weak, [turned])[0, 0] > 0.5
    several = reversal_p(strong, [turned] * 30)
    assert several.shape == (30, 1)
    assert (several >= reversal_p(strong, [turned])).all()
    assert reversal_p(strong, []).shape[0] == 0
