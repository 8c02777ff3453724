"""Every interval that the kit prints holds what it is about as often as it says: small seeded simulations of known truths.

``python -m experiments.studies.coverage`` runs the same functions thousands of times; its table is in ``docs/statistics.md``.
"""

import pytest
from scipy import stats

from experiments.studies import coverage

RUNS = 300


def holds(rate: coverage.Rate, least: float = 0.95) -> None:
    """The rate is not below ``least`` by more than chance explains (one in ten thousand)."""
    assert rate.hits >= stats.binom.ppf(1e-4, rate.runs, least), f"{rate.what} ({rate.setting}): {rate.rate:.1%}"


def is_exact(rate: coverage.Rate) -> None:
    holds(rate)
    assert rate.hits <= stats.binom.ppf(1 - 1e-4, rate.runs, 0.95), f"{rate.what} ({rate.setting}): {rate.rate:.1%}"


@pytest.mark.parametrize("n", [3, 10])
def test_means_differences_areas_deviations_and_plans_of_normal_scores_hold_exactly(n):
    is_exact(coverage.mean_over_seeds(n, "normal", 1000))
    is_exact(coverage.difference(n, "normal", 2000))
    is_exact(coverage.area(n, 1000))
    is_exact(coverage.deviation(n, "normal", 1000))
    is_exact(coverage.plan(n, RUNS))


@pytest.mark.parametrize("n", [3, 5, 10, 50])
@pytest.mark.parametrize("gap", [1.0, 4.0])
def test_a_share_of_the_gap_holds_at_few_and_at_many_seeds(n, gap):
    holds(coverage.share(n, gap, 4000))


def test_a_share_of_a_clear_gap_is_not_wider_than_it_must_be():
    is_exact(coverage.share(10, 4.0, 4000))


@pytest.mark.parametrize("lift", [0.0, 3.0])
def test_the_mean_rank_of_the_best_holds_at_three_seeds(lift):
    holds(coverage.rank(3, 3, lift, 150), 0.93)


def test_simulations_see_an_interval_that_is_too_narrow():
    """Skewed scores at few seeds: the t interval of a mean, and a deviation's interval, say 95 % and do not hold it."""
    for rate in (coverage.mean_over_seeds(5, "skewed", 1000), coverage.deviation(10, "skewed", 1000)):
        assert rate.rate < 0.92
        with pytest.raises(AssertionError):
            holds(rate)


@pytest.mark.parametrize("n", [5, 7, 10, 20])
@pytest.mark.parametrize(("noise", "rho"), [(0.1, 0.9), (1.0, 0.9), (0.3, 0.0)])
def test_taus_interval_holds_whatever_the_noise_and_the_number_of_submissions(n, noise, rho):
    holds(coverage.tau(n, noise, rho, 100), 0.94)


def test_noise_pulls_tau_towards_zero_and_the_estimate_without_noise_is_not_pulled():
    rate = coverage.tau(20, 1.0, 0.9, 100)
    assert rate.uncorrected < -0.25
    assert abs(rate.bias) < 0.12
    quiet = coverage.tau(20, 0.1, 0.9, 100)
    assert abs(quiet.bias) < 0.05


def test_heavy_tails_few_seeds_and_panels_hold_too():
    holds(coverage.tau(10, 0.3, 0.9, 100, shape="heavy-tailed"), 0.93)
    holds(coverage.tau(10, 0.6, 0.9, 100, seeds=3), 0.93)
    for rate in coverage.panel(10, 0.5, 0.7, 40):
        holds(rate, 0.93)


@pytest.mark.endurance
def test_every_interval_of_the_table_holds_or_is_known_not_to():
    for rate in coverage.everything(4000):
        if not ("skewed" in rate.setting and rate.what in ("mean over seeds", "standard deviation of differences")):
            holds(rate, 0.935)
