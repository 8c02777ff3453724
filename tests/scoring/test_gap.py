"""The share of the gap: known at its ends, undefined without a gap, and covered at the stated rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluator.scoring.gap import Share, fieller, shares
from evaluator.scoring.scores import Scores
from evaluator.seeds import generator

NAN = float("nan")
NAMES = ("random", "half", "full_pool")


def scores_of(values, strategies=NAMES) -> Scores:
    values = np.asarray(values, dtype=np.float64)
    return Scores(strategies, tuple(f"pair{p}" for p in range(values.shape[1])), tuple(range(values.shape[2])), values)


def drawn(name, seeds=10, pairs=1, share=0.5, gap=0.1) -> np.ndarray:
    rng = generator(1, "test gap", name)
    values = 0.5 + 0.01 * rng.standard_normal((3, pairs, seeds)) + 0.05 * rng.standard_normal((pairs, seeds))
    return values + gap * np.array([0, share, 1])[:, None, None]


def test_the_ends_are_zero_and_one():
    floor, half, ceiling = shares(scores_of(drawn("ends")))
    assert (floor.value, floor.low, floor.high) == (0, 0, 0)
    assert (ceiling.value, ceiling.low, ceiling.high) == pytest.approx((1, 1, 1))
    assert 0.35 < half.low < half.value < half.high < 0.65
    assert (half.n, half.left_out, half.method, half.reason) == (10, 0, "fieller", None)


def test_the_share_is_of_means_not_a_mean_of_shares():
    values = np.array([[[0.0, 0, 0]], [[0.1, 0.2, 0.33]], [[1.0, 1.1, 0.9]]])
    assert shares(scores_of(values))[1].value == pytest.approx(0.63 / 3.0)


def test_bounds_are_the_ratios_that_a_t_test_does_not_reject():
    values = drawn("inversion", share=0.7)
    share = shares(scores_of(values))[1]
    gain, gap = values[1, 0] - values[0, 0], values[2, 0] - values[0, 0]
    for bound in (share.low, share.high):
        assert stats.ttest_1samp(gain - bound * gap, 0).pvalue == pytest.approx(0.05)
    assert stats.ttest_1samp(gain - share.value * gap, 0).pvalue == pytest.approx(1)


def test_no_share_where_the_gap_is_noise():
    values = drawn("noise", gap=0.001)
    for share in shares(scores_of(values)):
        assert (share.value, share.low, share.high) == (None, None, None)
        assert "gap between random and full_pool is within noise" in share.reason
        assert share.reason.endswith("the interval of a share of it is not bounded")


def test_no_share_where_the_ceiling_lies_below():
    assert "full_pool scores below random" in shares(scores_of(drawn("below", gap=-0.1)))[1].reason


def test_no_share_of_one_seed_or_none():
    values = drawn("few", seeds=2)
    values[1, 0, 0] = NAN
    one, none = shares(scores_of(values))[1], values.copy()
    assert (one.n, one.left_out) == (1, 1)
    assert "one observation cannot tell" in one.reason
    none[2, 0, 1] = NAN
    assert shares(scores_of(none))[1].reason == "no seed in common"


def test_identical_floor_and_ceiling_have_no_gap():
    values = drawn("identical")
    values[2] = values[0]
    assert "within noise" in shares(scores_of(values))[1].reason


def test_a_seed_that_one_of_the_three_lacks_is_left_out_of_its_share():
    values = drawn("left out", seeds=8)
    gone = values.copy()
    gone[2, 0, 3] = gone[1, 0, 5] = NAN
    found = shares(scores_of(gone))
    assert [share.left_out for share in found] == [1, 2, 1]
    expected = shares(scores_of(np.delete(values, [3, 5], axis=2)))[1]
    assert (found[1].value, found[1].low, found[1].high) == pytest.approx((expected.value, expected.low, expected.high))


def test_a_share_without_spread():
    base = np.linspace(0.3, 0.6, 5)
    values = np.stack([base, base + 0.05, base + 0.2])[:, None]
    share = shares(scores_of(values))[1]
    assert (share.value, share.low, share.high) == pytest.approx((0.25, 0.25, 0.25))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"floor": "nobody"}, "no strategy 'nobody'"),
        ({"ceiling": "random"}, "floor and ceiling"),
        ({"level": 2}, "level is 2"),
    ],
)
def test_refusals(settings, message):
    with pytest.raises(ValueError, match=message):
        shares(scores_of(drawn("refusals")), **settings)


def test_a_share_checks_itself():
    with pytest.raises(ValueError, match="or else a reason"):
        Share("a", "p", 0.5, 0.4, None, 5, 0, 0.95, None)
    with pytest.raises(ValueError, match="or else a reason"):
        Share("a", "p", None, None, None, 5, 0, 0.95, None)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(-2, 2), st.floats(0.1, 50))
def test_shift_and_scale_are_of_no_consequence(seed, shift, scale):
    values = drawn(seed, pairs=2)
    before, after = shares(scores_of(values)), shares(scores_of(scale * (values + shift)))
    for one, other in zip(before, after, strict=True):
        assert (other.value, other.low, other.high) == pytest.approx((one.value, one.low, one.high), rel=1e-6, abs=1e-7)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_turning_the_gap_round_turns_the_share_round(seed):
    values = drawn(seed, share=0.3)
    share = shares(scores_of(values))[1]
    turned = shares(scores_of(-values, ("full_pool", "half", "random")))[1]
    assert (turned.value, turned.low, turned.high) == pytest.approx((1 - share.value, 1 - share.high, 1 - share.low), abs=1e-9)


def test_a_known_answer():
    # Gains 1, 2, 3 of gaps 3, 4, 6.5; n 3, t(2) = 4.3027. By hand, with means 2 and 4.5, sums of squares 2 and 6.5, product 3.5:
    # q = t^2 / (n (n - 1)) = 3.0855; q * (2, 6.5, 3.5) = 6.171, 20.056, 10.799; 4.5^2 - 20.056 > 0, so it is bounded, barely.
    value, low, high = fieller(np.array([1.0, 2, 3]), np.array([3.0, 4, 6.5]))
    square, middle, last = 20.25 - 20.0557, 9.0 - 10.7992, 4.0 - 6.1710
    expected = sorted((middle + sign * np.sqrt(middle**2 - square * last)) / square for sign in (-1, 1))
    assert value == pytest.approx(2 / 4.5)
    assert (low, high) == pytest.approx(expected, rel=2e-3)


def test_an_interval_that_is_not_bounded_is_none_at_all():
    # A little more spread in the gaps, and their mean is no longer shown to differ from 0.
    assert np.isnan(fieller(np.array([1.0, 2, 3]), np.array([3.0, 4, 6.6]))).all()


def test_a_gap_that_is_not_there_is_seen_as_one_at_the_stated_rate():
    rng = generator(1, "test no gap")
    value, _, _ = fieller(rng.standard_normal((4000, 6)), rng.standard_normal((4000, 6)))
    low, high = stats.binom.interval(1 - 1e-6, 4000, 0.05)
    assert low <= (~np.isnan(value)).sum() <= high


def test_fieller_refuses_what_is_not_paired():
    with pytest.raises(ValueError, match="of one shape"):
        fieller(np.zeros(3), np.zeros(4))
