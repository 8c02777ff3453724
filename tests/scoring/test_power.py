"""Power: against SciPy where SciPy answers, against simulated grids everywhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluator.scoring import power as formulas
from evaluator.scoring.paired import holm, paired_tests
from evaluator.scoring.power import MOST_SEEDS, deviation_interval, seeds_needed, sensitivity, smallest_difference
from evaluator.seeds import generator

GRIDS = 4000
FEW = settings(max_examples=60, deadline=None)


def likely(count: int, trials: int, rate: float) -> bool:
    low, high = stats.binom.interval(1 - 1e-6, trials, rate)
    return low <= count <= high


def chance(difference: float, deviation: float, n: int, *, alpha: float = 0.05, comparisons: int = 1) -> float:
    """Power of n seeds at a true difference, as the planning functions compute it."""
    return formulas._chance(abs(difference) / deviation, n, alpha / comparisons)


@pytest.mark.parametrize("n", [2, 3, 5, 10, 50, 1000])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 39])
@pytest.mark.parametrize("effect", [0.0, 0.1, 0.5, 1.0, 3.0])
def test_equals_scipys_noncentral_t(n, alpha, effect):
    critical, centre = stats.t.isf(alpha / 2, n - 1), effect * np.sqrt(n)
    expected = stats.nct.sf(critical, n - 1, centre) + stats.nct.cdf(-critical, n - 1, centre)
    found = chance(0.02 * effect, 0.02, n, alpha=alpha)
    if np.isnan(expected):  # SciPy has holes; the chance must be one all the same
        chi = generator(1, "test power", n).chisquare(n - 1, 200_000)
        edge = critical * np.sqrt(chi / (n - 1))
        assert found == pytest.approx(np.mean(stats.norm.cdf(centre - edge) + stats.norm.cdf(-centre - edge)), abs=5e-3)
    else:
        assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("effect", [3.0, 300.0, 3000.0])
def test_two_seeds_in_a_large_family(effect):
    """One degree of freedom and a critical value far out, where SciPy has no answer: against draws."""
    n, alpha = 2, 0.05 / 1000
    critical, z = stats.t.isf(alpha / 2, 1), generator(1, "test two seeds").standard_normal(1_000_000)
    expected = np.mean(2 * stats.norm.cdf(np.abs(effect * np.sqrt(n) + z) / critical) - 1)
    assert chance(effect, 1.0, n, alpha=alpha) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("n", [10_000, 100_000])
@pytest.mark.parametrize("z", [0.5, 2.0, 3.0])
def test_many_seeds_are_normal(n, z):
    expected = stats.norm.sf(stats.norm.isf(0.025) - z) + stats.norm.cdf(-stats.norm.isf(0.025) - z)
    assert chance(z / np.sqrt(n), 1.0, n) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(("effect", "n"), [(0.5, 34), (0.8, 15), (0.2, 199), (1.0, 10)])
def test_seeds_as_in_the_textbooks(effect, n):
    """Paired t-test, two-sided 0.05, power 0.8: the standard tables (Cohen 1988; G*Power)."""
    assert seeds_needed(effect, 1.0) == n


@pytest.mark.parametrize("n", [5, 10, 30])
@pytest.mark.parametrize("power", [0.5, 0.8, 0.95])
def test_planted_differences_are_found_at_the_stated_power(n, power):
    rng = generator(1, "test planted", n, int(100 * power))
    difference = smallest_difference(0.03, n, power=power)
    tests = paired_tests(difference + 0.03 * rng.standard_normal((GRIDS, n)))
    assert likely(int((tests.p < 0.05).sum()), GRIDS, power)


@pytest.mark.parametrize("m", [2, 10])
def test_the_stated_power_is_the_least_under_holm(m):
    """Among nulls the planted difference must pass about alpha / m; where others are real, it must pass less."""
    n, rng = 10, generator(1, "test holm power", m)
    difference = smallest_difference(0.03, n, comparisons=m)
    noise = 0.03 * rng.standard_normal((GRIDS, m, n))
    planted = np.zeros((m, 1))
    planted[0] = difference
    among_nulls = paired_tests(planted + noise)
    found = ((holm(among_nulls.p) < 0.05) & (among_nulls.mean > 0))[:, 0].sum()
    assert stats.binom.ppf(1e-6, GRIDS, 0.8) <= found <= stats.binom.isf(1e-6, GRIDS, 0.82)
    among_real = paired_tests(difference + noise)
    assert ((holm(among_real.p) < 0.05) & (among_real.mean > 0))[:, 0].sum() > found
    uncorrected = paired_tests(smallest_difference(0.03, n) + noise[:, :1])
    assert likely(int((uncorrected.p < 0.05).sum()), GRIDS, 0.8)


def test_nulls_are_found_at_alpha():
    assert chance(0, 1.0, 7) == pytest.approx(0.05, abs=1e-8)
    assert chance(0, 1.0, 7, comparisons=10) == pytest.approx(0.005, abs=1e-9)


@pytest.mark.parametrize("n", [3, 10])
def test_the_uncertainty_of_the_deviation_is_carried_at_the_stated_rate(n):
    rng = generator(1, "test deviation", n)
    truth = smallest_difference(0.03, 20)
    covered = 0
    for deviation in (0.03 * rng.standard_normal((1000, n))).std(axis=1, ddof=1):
        found = sensitivity(float(deviation), n, planned=20).smallest
        assert found.low < found.value < found.high
        covered += found.low <= truth <= found.high
    assert likely(covered, 1000, 0.95)


def test_a_plan_by_hand():
    plan = sensitivity(0.02, 5, wanted=0.01, comparisons=10)
    # Chi-square quantiles with 4 degrees of freedom: 0.4844 and 11.1433.
    assert (plan.deviation.low, plan.deviation.high) == pytest.approx(
        (0.02 * (4 / 11.1433) ** 0.5, 0.02 * (4 / 0.4844) ** 0.5), rel=1e-4
    )
    assert plan.smallest.value == smallest_difference(0.02, 5, comparisons=10)
    assert plan.smallest.high == pytest.approx(plan.smallest.value * plan.deviation.high / 0.02)
    assert plan.seeds.value == seeds_needed(0.01, 0.02, comparisons=10)
    assert plan.seeds.low < plan.seeds.value < plan.seeds.high
    assert (plan.measured, plan.planned) == (5, 5)
    assert sensitivity(0.02, 5).seeds is None
    assert sensitivity(0.02, 5, planned=50).smallest.value == smallest_difference(0.02, 50)


@FEW
@given(st.floats(0.02, 3), st.sampled_from([0.5, 0.8, 0.9]), st.sampled_from([0.05, 0.01]), st.integers(1, 40))
def test_seeds_and_smallest_difference_are_inverse(effect, power, alpha, m):
    at = {"power": power, "alpha": alpha, "comparisons": m}
    n = seeds_needed(effect, 1.0, **at)
    assert chance(effect, 1.0, n, alpha=alpha, comparisons=m) >= power
    assert smallest_difference(1.0, n, **at) <= effect * (1 + 1e-9)
    if n > 2:
        assert chance(effect, 1.0, n - 1, alpha=alpha, comparisons=m) < power
        assert smallest_difference(1.0, n - 1, **at) > effect


@FEW
@given(st.floats(0, 4), st.floats(0.01, 2), st.integers(2, 60), st.integers(1, 30))
def test_power_grows_with_the_effect_and_the_seeds(effect, more, n, m):
    here = chance(effect, 1.0, n, comparisons=m)
    assert 0 < here <= 1
    assert chance(effect + more, 1.0, n, comparisons=m) >= here - 1e-9
    assert chance(effect, 1.0, n + 1, comparisons=m) >= here - 1e-9
    assert chance(effect, 1.0, n, comparisons=m + 1) <= here
    assert chance(-effect, 1.0, n, comparisons=m) == here
    assert chance(10 * effect, 10.0, n, comparisons=m) == pytest.approx(here)


def test_ends():
    assert seeds_needed(1e-6, 1.0) is None
    assert seeds_needed(0.01, 1.0) < MOST_SEEDS
    assert seeds_needed(0.1, 0.0) == 2
    assert smallest_difference(0.0, 5) == 0
    assert sensitivity(0.5, 2, wanted=1e-3).seeds.high is None
    assert smallest_difference(1.0, 2, comparisons=1000) > 1000  # two seeds show nothing in a large family


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sensitivity(0.1, 1), "at least 2 seeds are needed"),
        (lambda: sensitivity(-0.1, 5), "deviation is -0.1"),
        (lambda: sensitivity(float("nan"), 5), "deviation is nan"),
        (lambda: sensitivity(0.1, 5, planned=1), "1 seed"),
        (lambda: sensitivity(0.1, 5, wanted=0), "wanted difference is 0"),
        (lambda: sensitivity(0.1, 5, power=0.01), "power is 0.01"),
        (lambda: sensitivity(0.1, 5, alpha=1), "alpha is 1"),
        (lambda: sensitivity(0.1, 5, comparisons=0), "0 comparisons"),
        (lambda: deviation_interval(0.1, 5, 2), "level is 2"),
        (lambda: seeds_needed(float("inf"), 1), "difference is inf"),
    ],
    ids=["one seed", "negative", "nan", "planned", "wanted", "power", "alpha", "comparisons", "level", "infinite"],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("difference", [1e-9, 1e-160, 1e-300, 5e-324])
def test_a_difference_that_no_number_of_seeds_can_show_needs_more_than_the_most(difference):
    assert seeds_needed(difference, 0.1) is None
