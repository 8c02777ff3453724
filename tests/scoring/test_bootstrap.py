"""Bootstrap intervals cover what they say they cover, and no more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluator.scoring.bootstrap import Estimate, over_seeds
from evaluator.seeds import generator

NAN = float("nan")


def ratio(above, below, axis):
    return above.mean(axis=axis) / below.mean(axis=axis)


def test_a_mean_has_the_textbook_interval():
    # Of many values the bootstrap's interval is that of the normal distribution, with n in place of n - 1.
    values = generator(1, "test bootstrap").standard_normal(400)
    half = stats.norm.ppf(0.975) * values.std() / 20
    for method in ("percentile", "bca"):
        found = over_seeds(values, method=method)
        assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.06 * half)
        assert (found.method, found.n, found.left_out, found.resamples) == (method, 400, 0, 9999)
        assert found.value == pytest.approx(values.mean())


def test_bca_leans_to_the_long_tail():
    values = generator(1, "test skew").exponential(size=30)
    percentile, bca = over_seeds(values, method="percentile"), over_seeds(values, method="bca")
    assert bca.low > percentile.low
    assert bca.high > percentile.high


def test_samples_are_drawn_together():
    rng = generator(1, "test together")
    below = rng.uniform(1, 9, 12)
    found = over_seeds([0.3 * below, below], ratio)
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.3, 0.3))


def test_a_missing_seed_is_left_out_of_all_samples_and_counted():
    above, below = np.array([1.0, NAN, 3, 4, 5]), np.array([2.0, 2, NAN, 5, 7])
    found, expected = over_seeds([above, below], ratio), over_seeds([above[[0, 3, 4]], below[[0, 3, 4]]], ratio)
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
    assert (found.n, found.left_out) == (3, 2)


def test_small_and_flat_samples():
    one = over_seeds([0.5])
    assert (one.value, one.low, one.high, one.n, one.method) == (0.5, None, None, 1, "none")
    flat = over_seeds([0.5] * 5)
    assert (flat.low, flat.high, flat.method) == (0.5, 0.5, "percentile")
    two = over_seeds([0.1, 0.2])
    assert (two.low, two.high) == pytest.approx((0.1, 0.2))


def test_the_draw_is_named_by_its_root():
    values = generator(1, "test root").standard_normal(10)
    assert over_seeds(values, root=3) == over_seeds(values, root=3) != over_seeds(values, root=4)


@pytest.mark.parametrize(
    ("samples", "settings", "message"),
    [
        ([[1.0, 2], [1.0, 2, 3]], {}, "of one length"),
        ([NAN, NAN], {}, "0 of 2 seeds"),
        ([1.0, np.inf], {}, "finite"),
        ([1.0, 2], {"method": "basic"}, "'basic'"),
        ([1.0, 2], {"level": 95}, "level is 95"),
        ([1.0, 2], {"resamples": 10}, "10 resamples"),
    ],
)
def test_refusals(samples, settings, message):
    with pytest.raises(ValueError, match=message):
        over_seeds([np.array(s) for s in samples] if np.ndim(samples[0]) else np.array(samples), **settings)


def test_a_statistic_that_is_not_finite_has_no_interval():
    with pytest.raises(ValueError, match="not finite on some resamples"):
        over_seeds(
            [np.array([1.0, 1, 1]), np.array([1.0, 0, -1.5])], lambda a, b, axis: np.log(ratio(b, a, axis) + 0.6), resamples=500
        )


def test_an_estimate_checks_itself():
    with pytest.raises(ValueError, match="bounds"):
        Estimate(0.5, 0.6, 0.4, 5, 0, 0.95, "bca", 100)
    with pytest.raises(ValueError, match="bounds"):
        Estimate(0.5, 0.6, None, 5, 0, 0.95, "bca", 100)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.floats(-3, 3), st.floats(0.1, 10))
def test_intervals_move_with_their_values(seed, shift, scale):
    values = generator(seed, "test move").standard_normal(9)
    # BCa counts resamples on either side of the value; a resample that is the sample, in another order, falls to
    # either by rounding.
    for method, slack in (("percentile", 1e-9), ("bca", 0.05)):
        found, moved = (over_seeds(v, method=method, resamples=500) for v in (values, scale * values + shift))
        assert (moved.low, moved.high) == pytest.approx((scale * found.low + shift, scale * found.high + shift), abs=slack * scale)


@pytest.mark.parametrize(
    ("method", "n", "low", "high"), [("percentile", 30, 0.91, 0.965), ("bca", 30, 0.91, 0.965), ("bca", 5, 0.7, 0.9)]
)
def test_coverage_over_seeds(method, n, low, high):
    """Near the level with 30 seeds; too narrow with 5, as the docstring warns."""
    rng = generator(1, "test coverage", method, n)
    covered = 0
    for _ in range(500):
        found = over_seeds(rng.standard_normal(n) + 0.3, method=method, resamples=499)
        covered += found.low <= 0.3 <= found.high
    assert low <= covered / 500 <= high
