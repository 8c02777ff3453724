"""The t interval equals SciPy's, and every small-n case is decided."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from evaluator.scoring.intervals import mean_of_seeds, t_interval, wilson_of_share


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_equals_scipy(values, level):
    assume(np.std(values) > 1e-6)
    found = t_interval(values, level)
    low, high = stats.t.interval(level, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-6)
    assert found.mean == pytest.approx(np.mean(values))
    assert (found.n, found.level) == (len(values), level)
    assert found.half_width == pytest.approx((high - low) / 2, rel=1e-6, abs=1e-6)


def test_one_value_has_a_mean_and_no_interval():
    found = t_interval([0.4])
    assert (found.mean, found.low, found.high, found.half_width, found.n) == (0.4, None, None, None, 1)
    assert "no interval" in str(found)


@given(st.floats(-1e6, 1e6), st.integers(2, 9))
def test_equal_values_have_no_width(value, n):
    found = t_interval([value] * n)
    assert found.low == found.mean == found.high == value


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf"), 1.0], [[1.0, 2.0]]])
def test_refuses_values_without_a_mean(values):
    with pytest.raises(ValueError, match="interval needs"):
        t_interval(values)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_refuses_a_level_outside_zero_to_one(level):
    with pytest.raises(ValueError, match="level"):
        t_interval([1.0, 2.0], level)


@given(st.integers(1, 5_000), st.floats(0, 1), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_wilsons_interval_equals_scipy(n, part, level):
    hits = round(part * n)
    found, theirs = wilson_of_share(hits / n, n, level), stats.binomtest(hits, n).proportion_ci(level, "wilson")
    assert found.low == pytest.approx(theirs.low, abs=1e-9)
    assert found.high == pytest.approx(theirs.high, abs=1e-9)
    assert 0 <= found.low <= hits / n <= found.high <= 1


@pytest.mark.parametrize(
    ("share", "n", "level"), [(-0.1, 5, 0.95), (1.1, 5, 0.95), (0.5, 0, 0.95), (0.5, 5, 1.0), (float("nan"), 5, 0.95)]
)
def test_wilson_refuses_what_is_no_share(share, n, level):
    with pytest.raises(ValueError, match="expected"):
        wilson_of_share(share, n, level)


def test_scores_that_are_equal_on_all_seeds_tell_nothing_of_the_noise():
    equal = mean_of_seeds([0.862, 0.862, 0.862])
    assert (equal.mean, equal.low, equal.high, equal.n) == (0.862, None, None, 3)
    assert mean_of_seeds([0.1 + 0.2, 0.3]).low is None, "rounding is no spread"
    assert mean_of_seeds([0.5]) == t_interval([0.5])
    assert mean_of_seeds(iter([0.5, 0.6]), 0.9) == t_interval([0.5, 0.6], 0.9)
