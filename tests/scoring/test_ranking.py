"""Wins, ties, losses, ranks and areas, by hand and by their contracts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluator.scoring.comparisons import compare
from evaluator.scoring.curves import AREA, areas, cost_curve
from evaluator.scoring.paired import holm, sign_flip_p, skew_p
from evaluator.scoring.ranking import WinTieLoss, mean_ranks, win_tie_loss
from evaluator.scoring.scores import Scores
from evaluator.seeds import generator

NAN = float("nan")
FEW = settings(max_examples=40, deadline=None)


def scores_of(values, strategies=None) -> Scores:
    values = np.asarray(values, dtype=np.float64)
    names = strategies or tuple("abcdefgh"[: len(values)])
    return Scores(names, tuple(f"pair{p}" for p in range(values.shape[1])), tuple(range(values.shape[2])), values)


def drawn(name, shape=(4, 3, 8), failed=0) -> np.ndarray:
    rng = generator(1, "test ranking", name)
    values = 0.1 * rng.standard_normal(shape) + 0.07 * np.arange(shape[0])[:, None, None]
    values.flat[rng.choice(values.size, failed, replace=False)] = NAN
    return values


# Wins, ties, losses


@pytest.mark.parametrize("corrected", [True, False])
def test_the_matrix_is_that_of_scipys_tests(corrected):
    scores = scores_of(drawn("scipy"))
    found = win_tie_loss(scores, corrected=corrected)
    wins = np.zeros((4, 4), dtype=int)
    for pair in range(3):
        pairings = [(i, j) for i in range(4) for j in range(i + 1, 4)]
        gaps = np.array([scores.values[i, pair] - scores.values[j, pair] for i, j in pairings])
        p = np.maximum(stats.ttest_1samp(gaps, 0, axis=1).pvalue, skew_p(gaps))
        for (i, j), value, flip in zip(pairings, holm(p) if corrected else p, sign_flip_p(gaps), strict=True):
            if value < 0.05 and flip < 0.05:
                i, j = (i, j) if scores.values[i, pair].mean() > scores.values[j, pair].mean() else (j, i)
                wins[i, j] += 1
    assert 0 < wins.sum() < 18
    np.testing.assert_array_equal(found.wins, wins)
    np.testing.assert_array_equal(found.losses, wins.T)
    np.testing.assert_array_equal(found.ties, (3 - wins - wins.T) * (1 - np.eye(4, dtype=int)))
    assert found.untested.sum() == 0
    assert found.totals()["d"] == (wins[3].sum(), found.ties[3].sum(), wins[:, 3].sum())


def test_too_few_seeds_are_neither_win_nor_tie():
    values = drawn("few", (3, 2, 8))
    values[1, 0, :3] = NAN
    found = win_tie_loss(scores_of(values))
    np.testing.assert_array_equal(found.untested, [[0, 1, 0], [1, 0, 1], [0, 1, 0]])
    assert found.ties[0, 2] + found.wins[0, 2] + found.losses[0, 2] == 2


def test_equal_strategies_tie():
    values = np.repeat(drawn("equal", (1, 2, 6)), 3, axis=0)
    found = win_tie_loss(scores_of(values))
    assert found.totals() == dict.fromkeys("abc", (0, 4, 0))


def test_over_pairs_is_one_test():
    found = win_tie_loss(scores_of(drawn("over")).over_pairs())
    assert (found.wins + found.losses + found.ties).max() == 1
    assert found.wins[3, 0] == 1


@FEW
@given(st.integers(0, 10**6), st.permutations(range(4)))
def test_order_moves_rows_and_columns_alone(seed, order):
    values = drawn(seed, failed=9)
    found = win_tie_loss(scores_of(values))
    moved = win_tie_loss(scores_of(values[order]))
    for name in ("wins", "ties", "untested"):
        np.testing.assert_array_equal(getattr(moved, name), getattr(found, name)[np.ix_(order, order)])


def test_false_wins_stay_below_alpha():
    rng = generator(1, "test false wins")
    scores = scores_of(rng.standard_normal((5, 3000, 6)))  # each pair is a grid of its own
    false = win_tie_loss(scores).wins.sum()
    assert false <= 2 * stats.binom.isf(1e-6, 3000, 0.05)
    assert win_tie_loss(scores, corrected=False).wins[0, 1] in range(30, 130)  # alpha / 2 of 3000


def test_matrix_refusals():
    with pytest.raises(ValueError, match="needs two strategies"):
        win_tie_loss(scores_of(np.zeros((1, 1, 2))))
    with pytest.raises(ValueError, match="alpha is 5"):
        win_tie_loss(scores_of(np.zeros((2, 1, 2))), alpha=5)
    zero, one = np.zeros((2, 2), dtype=int), np.array([[0, 1], [0, 0]])
    with pytest.raises(ValueError, match="must make 1 pairs"):
        WinTieLoss(("a", "b"), ("p",), zero, zero, zero, 0.05, True)
    WinTieLoss(("a", "b"), ("p",), one, zero, zero, 0.05, True)


# Ranks


def test_ranks_by_hand():
    values = [[[0.9, 0.8], [0.5, 0.6]], [[0.8, 0.9], [0.5, 0.7]], [[0.1, 0.2], [0.4, 0.5]]]
    ranks = mean_ranks(scores_of(values))
    # Seed 0: ranks 1 and 1.5, 2 and 1.5, 3 and 3; seed 1: 2 and 2, 1 and 1, 3 and 3.
    assert [rank.rank.mean for rank in ranks] == [(1.25 + 2) / 2, (1.75 + 1) / 2, 3]
    # Last on both of two seeds, which says nothing of a third: two equal ranks have no spread, and yet an interval.
    assert (ranks[2].rank.low, ranks[2].rank.high, ranks[2].rank.n) == (1, 3, 2)
    assert ranks[0].left_out == ()


def test_only_seeds_that_are_complete_are_ranked():
    values = drawn("complete")
    gone = values.copy()
    gone[2, 1, 3] = NAN
    found = mean_ranks(scores_of(gone))
    assert {rank.left_out for rank in found} == {(3,)}
    expected = mean_ranks(scores_of(np.delete(values, 3, axis=2)))
    assert [rank.rank for rank in found] == [rank.rank for rank in expected]


def test_a_strategy_that_always_fails_does_not_stop_the_others():
    values = drawn("fails")
    values[1, 0] = NAN
    found = mean_ranks(scores_of(values))
    assert found[1].rank is None
    others = mean_ranks(scores_of(np.delete(values, 1, axis=0)))
    assert [rank.rank for k, rank in enumerate(found) if k != 1] == [rank.rank for rank in others]


def test_no_seed_complete_for_all_ranks_nobody():
    values = drawn("nobody", (2, 1, 2))
    values[0, 0, 0] = values[1, 0, 1] = NAN
    assert [(rank.rank, rank.left_out) for rank in mean_ranks(scores_of(values))] == [(None, (0, 1))] * 2


@FEW
@given(st.integers(0, 10**6), st.permutations(range(4)))
def test_ranks_add_up_and_follow_their_strategies(seed, order):
    values = drawn(seed, failed=3)
    found = mean_ranks(scores_of(values))
    if found[0].rank is not None:
        assert sum(rank.rank.mean for rank in found) == pytest.approx(10)
    after = mean_ranks(scores_of(np.exp(values[order])))  # a rank knows only the order of scores
    assert [rank.rank for rank in after] == [found[s].rank for s in order]


def test_rank_refusals():
    with pytest.raises(ValueError, match="level is 7"):
        mean_ranks(scores_of(np.zeros((2, 1, 2))), 7)


# Areas


def test_area_by_hand():
    values = [[[0.2], [0.8], [0.6]]]  # budgets 100, 500, 200
    area = areas(scores_of(values), [100, 500, 200])
    # From 100 to 200 (a quarter) the mean height is 0.4, from 200 to 500 it is 0.7.
    assert area.values.item() == pytest.approx(0.25 * 0.4 + 0.75 * 0.7)
    assert area.pairs == (AREA,)


def test_pairs_of_one_budget_are_averaged():
    budgets, curve = cost_curve(scores_of([[[0.2], [0.4], [0.9]]]), [10, 10, 20])
    assert budgets.tolist() == [10, 20]
    np.testing.assert_allclose(curve[0, :, 0], [0.3, 0.9])


def test_a_missing_pair_has_no_area():
    values = drawn("area")
    values[1, 2, 4] = NAN
    area = areas(scores_of(values), [1, 2, 3]).values
    assert np.argwhere(np.isnan(area)).tolist() == [[1, 0, 4]]


def test_areas_are_compared_like_scores():
    values = drawn("compared", (3, 4, 10))
    scores = scores_of(values, ("random", "a", "b"))
    found = compare(areas(scores, [1, 2, 3, 4])).of("b")
    weights = np.array([0.5, 1, 1, 0.5]) / 3
    differences = np.einsum("p,pn->n", weights, values[2] - values[0])
    assert found.p == pytest.approx(float(stats.ttest_1samp(differences, 0).pvalue))
    assert found.difference.mean == pytest.approx(differences.mean())


@FEW
@given(st.lists(st.integers(1, 1000), min_size=3, max_size=3, unique=True), st.floats(0.1, 100), st.floats(-3, 3))
def test_area_contracts(budgets, scale, height):
    scores = scores_of(drawn("contracts"))
    area = areas(scores, budgets).values
    np.testing.assert_allclose(areas(scores, [scale * b for b in budgets]).values, area, atol=1e-9)  # units of the budget
    np.testing.assert_allclose(areas(scores_of(scores.values + height), budgets).values, area + height, atol=1e-9)
    assert (area <= scores.values.max(axis=1, keepdims=True) + 1e-9).all()
    assert (area >= scores.values.min(axis=1, keepdims=True) - 1e-9).all()


@pytest.mark.parametrize(
    ("budgets", "message"), [([1, 2], "2 costs for 3 tasks"), ([5, 5, 5], "every cost is 5"), ([0, 1, 2], "positive")]
)
def test_area_refusals(budgets, message):
    with pytest.raises(ValueError, match=message):
        areas(scores_of(drawn("refused")), budgets)
