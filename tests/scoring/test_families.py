"""The tree of tests: by hand, as Holm's correction where it is one, and its chance of a false finding over simulated pages."""

import numpy as np
import pytest
from scipy import stats

from evaluator.scoring.families import inherited
from evaluator.scoring.paired import holm, paired_tests
from evaluator.seeds import generator

NAN = float("nan")


def test_gates_alone_are_holms_correction():
    p = generator(1, "test gates").random(9) ** 3
    gates, behind, sizes = inherited(p, [[]] * 9)
    np.testing.assert_allclose(gates, holm(p))
    assert (behind, sizes) == ([[]] * 9, [0] * 9)


def test_a_tree_by_hand():
    # Two branches: each has half of alpha. Gate 0.01 -> 0.02; behind it Holm: 2 x 0.001 x 2, then 0.004 x 2, lifted to 0.02.
    gates, behind, sizes = inherited([0.01, 0.04], [[0.004, 0.001], [0.03, NAN]])
    assert gates == pytest.approx([0.02, 0.04])  # the first branch is through: the second has all of alpha
    assert behind[0] == pytest.approx([0.02, 0.02])
    assert behind[1][0] == pytest.approx(0.04)
    assert np.isnan(behind[1][1])
    assert sizes == [2, 1]
    # A test that is not significant keeps its branch, and the share of it.
    gates, behind, _ = inherited([0.01, 0.04], [[0.9], [0.03]])
    assert gates == pytest.approx([0.02, 0.08])
    assert behind == [[pytest.approx(0.9)], [pytest.approx(0.08)]]


def test_nothing_behind_a_gate_is_more_sure_than_the_gate():
    rng = generator(1, "test order of gates")
    gates, behind, _ = inherited(rng.random(30), rng.random((30, 4)) ** 4)
    assert all(p >= gate for gate, tests in zip(gates, behind, strict=True) for p in tests)


def test_a_branch_without_a_gate_begins_behind_it():
    gates, behind, sizes = inherited([NAN, 0.5], [[0.01, 0.2], []])
    assert np.isnan(gates[0])
    assert behind[0] == pytest.approx([0.04, 0.4])
    assert sizes == [2, 0]


def test_what_is_no_tree_is_refused():
    with pytest.raises(ValueError, match="2 gates"):
        inherited([0.1, 0.2], [[]])
    with pytest.raises(ValueError, match="outside 0 to 1"):
        inherited([1.5], [[]])


@pytest.mark.parametrize("planted", [0, 3])
def test_a_page_of_many_conditions_and_pairs_holds_its_error(planted):
    """Four conditions (two of them two splits of the same models), five strategies, three pairs: any false finding on the page."""
    pages, conditions, strategies, pairs, seeds = 800, 4, 5, 3, 8
    rng = generator(1, "test pages", planted)
    noise = rng.standard_normal((pages, conditions, strategies + 1, pairs, seeds))
    noise[:, 1] = noise[:, 0] + 0.3 * noise[:, 1]
    noise[:, :, 1 : 1 + planted] += 3
    gaps = noise[:, :, 1:] - noise[:, :, :1]
    over = paired_tests(gaps.mean(axis=3)).p.reshape(pages, -1)
    each = paired_tests(gaps).p.reshape(pages, -1, pairs)
    null = np.tile(np.arange(strategies) >= planted, conditions)
    false = uncorrected = found = 0
    for gates, tests in zip(over, each, strict=True):
        first, then, _ = inherited(gates, tests)
        worst = np.minimum(first, np.min(then, axis=1))
        false += (worst[null] < 0.05).any()
        found += (np.array(first)[~null] < 0.05).sum()
        uncorrected += any((holm(part)[null[:strategies]] < 0.05).any() for part in gates.reshape(conditions, strategies))
    assert false <= stats.binom.isf(1e-4, pages, 0.05)
    assert uncorrected > stats.binom.isf(1e-4, pages, 0.05)  # a family for each condition, as before
    assert found >= 0.9 * planted * conditions * pages
