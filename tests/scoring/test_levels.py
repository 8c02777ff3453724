"""The data set as a level of its own: intervals that hold for other data sets, their parts, and what more seeds cannot buy."""

import math
from dataclasses import asdict

import numpy as np
import pytest
from scipy import stats

from evaluator.report.families import decide_over_sets
from evaluator.scoring.intervals import t_interval
from evaluator.scoring.levels import another_data_set, enough, interval, two_levels, variances
from evaluator.scoring.paired import skew_p


def grids(count, k, n, *, of_set, rest=1.0, mean=0.0, root=0):
    """Differences (count, k, n) with known standard deviations, and the truth of one other data set each."""
    rng = np.random.default_rng(root)
    effects = rng.normal(size=(count, k, 1)) * of_set
    return mean + effects + rng.normal(size=(count, k, n)) * rest, mean + rng.normal(size=count) * of_set


def covered(bounds, truth):
    return float(((bounds[0] <= truth) & (truth <= bounds[1])).mean())


def test_the_interval_is_students_t_of_the_data_sets_means_and_the_squares_are_those_of_an_analysis_of_variance():
    values = np.array([[1.0, 2.0, 4.0], [3.0, 5.0, 5.0], [2.0, 2.0, 7.0], [0.0, 1.0, 1.0]])
    found, plain = two_levels(values), t_interval(values.mean(axis=1))
    assert (found.mean, found.low, found.high) == pytest.approx((plain.mean, plain.low, plain.high))
    assert found.p == pytest.approx(max(stats.ttest_1samp(values.mean(axis=1), 0).pvalue, skew_p(values.mean(axis=1))))
    assert found.p_flip == 2 / 2**4  # all four means are above 0
    squares = variances(values)
    assert squares.of_sets / squares.of_seeds == pytest.approx(stats.f_oneway(*values).statistic)


def test_the_intervals_cover_what_they_say():
    """Two thousand grids of some kinds; docs/data-sets.md has thousands, by ``python -m experiments.studies.levels``."""
    for k, n, of_set in ((8, 10, 0.3), (8, 2, 1.0), (5, 50, 0.5), (12, 10, 0.7)):
        values, truth = grids(2_000, k, n, of_set=of_set, root=1)
        found = variances(values)
        assert 0.935 <= covered(interval(found), 0.0) <= 0.965, (k, n, of_set)
        assert 0.925 <= covered(another_data_set(found, draws=512), truth) <= 0.975, (k, n, of_set)


def test_skewed_data_sets_are_called_different_no_more_often_than_is_said():
    """Eight data sets whose true mean difference is 0; the plain t-test finds one in about ten grids."""
    rng = np.random.default_rng(3)
    values = rng.exponential(size=(400, 8, 1)) - 1
    plain = np.mean([stats.ttest_1samp(of[:, 0], 0).pvalue < 0.05 for of in values])
    wrong = 0
    for of in values:
        found = two_levels(of)
        row = {"failed": 0, "levels": asdict(found)}
        decide_over_sets(row, found.p, 1, 0.05)
        wrong += row["finding"] != "within noise"
    assert plain > 0.08
    assert wrong / len(values) < 0.05 + 2 * math.sqrt(0.05 * 0.95 / len(values))


@pytest.mark.parametrize(
    ("changed", "finding"),
    [
        ({}, "better"),
        ({"mean": -0.1, "low": -0.15, "high": -0.05}, "worse"),
        ({"p_flip": 0.06}, "within noise"),
        ({"low": -0.01}, "within noise"),
        ({"data_sets": 5}, "too few data sets"),
    ],
)
def test_a_finding_over_data_sets_needs_the_interval_both_ps_and_six_data_sets(changed, finding):
    levels = {"mean": 0.1, "low": 0.05, "high": 0.15, "p_flip": 0.01, "data_sets": 8}
    row = {"failed": 0, "levels": levels | changed}
    decide_over_sets(row, 0.02, 3, 0.05)
    assert (row["finding"], row["p_holm"], row["family"]) == (finding, 0.02, 3)
    decide_over_sets(row, 0.06, 3, 0.05)
    assert row["finding"] in ("within noise", "too few data sets")


def test_an_interval_over_the_seeds_of_one_data_set_misses_the_truth_of_another_more_often_with_more_seeds():
    """The reason for all this: more seeds make the plain interval narrower, and not more right."""
    missed = []
    for n in (10, 50):
        values, truth = grids(600, 2, n, of_set=0.3)
        one = values[:, 0]
        half = stats.t.ppf(0.975, n - 1) * one.std(axis=1, ddof=1) / math.sqrt(n)
        missed.append(1 - covered((one.mean(axis=1) - half, one.mean(axis=1) + half), truth))
    assert missed[0] > 0.15
    assert missed[1] > missed[0] + 0.1


def test_the_parts_are_found_again():
    values, _ = grids(1, 400, 40, of_set=0.5, rest=2.0, mean=0.1)
    found = two_levels(values[0])
    assert found.data_set_deviation == pytest.approx(0.5, rel=0.15)
    assert found.seed_deviation == pytest.approx(2.0, rel=0.05)
    assert found.data_set_share == pytest.approx(0.25 / (0.25 + 4 / 40), rel=0.15)


def test_more_seeds_buy_nothing_below_the_floor_and_more_data_sets_do():
    few, many = (two_levels(grids(1, 6, n, of_set=0.3, root=3)[0][0], wanted=0.1) for n in (5, 2_000))
    assert few.floor < few.half_width
    assert many.half_width == pytest.approx(many.floor, rel=0.02)
    assert many.enough > 6
    again = two_levels(grids(1, many.enough, 2_000, of_set=many.data_set_deviation, root=5)[0][0], wanted=0.1)
    assert again.half_width == pytest.approx(0.1, rel=0.35)


def test_enough_is_the_smallest_number_that_does():
    found = variances(grids(1, 6, 5, of_set=0.5, root=1)[0][0])

    def half(count):
        return stats.t.ppf(0.975, count - 1) * math.sqrt(found.of_sets / 5 / count)

    count = enough(found, 0.2)
    assert half(count) <= 0.2 < half(count - 1)
    assert enough(found, 1e-9) is None
    assert enough(found, 1e9) == 2


def test_one_seed_has_an_interval_and_no_parts():
    found = two_levels([[0.1], [0.3], [0.2]])
    plain = t_interval([0.1, 0.3, 0.2])
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high))
    assert found.data_set_share is found.floor is found.data_set_deviation is found.seed_deviation is None
    assert found.other_low < found.low


def test_the_interval_of_another_data_set_hardly_depends_on_the_draws():
    found = variances(grids(1, 4, 10, of_set=0.5)[0][0])
    halves = [float(high - low) / 2 for low, high in (another_data_set(found, root=root) for root in range(8))]
    assert np.ptp(halves) < 0.02 * np.mean(halves)


def test_equal_differences_prove_nothing():
    found = two_levels(np.full((3, 4), 0.2))
    assert (found.low, found.high) == pytest.approx((0.2, 0.2))
    assert (found.p, found.floor, found.data_set_share) == (None, 0.0, 0.0)


@pytest.mark.parametrize("values", [[[1.0, 2.0]], [[]], [1.0, 2.0], [[1.0, math.nan], [1.0, 2.0]], [[1.0, math.inf], [1.0, 2.0]]])
def test_grids_that_are_none_are_refused(values):
    with pytest.raises(ValueError, match="data sets"):
        two_levels(values)


def test_levels_draws_and_widths_that_make_no_sense_are_refused():
    values = [[1.0, 2.0], [2.0, 4.0]]
    with pytest.raises(ValueError, match="level"):
        two_levels(values, level=1.0)
    with pytest.raises(ValueError, match="half-width"):
        two_levels(values, wanted=0.0)
    with pytest.raises(ValueError, match="draws"):
        another_data_set(variances(np.array(values)), draws=10)


@pytest.mark.endurance
def test_thousands_of_grids_of_every_kind_are_covered():
    """What docs/data-sets.md shows. Where data sets hardly differ, the interval of one other is wider than it need be."""
    from experiments.studies.levels import KINDS, covered

    for data_sets, seeds, of_set in KINDS:
        found = covered(data_sets, seeds, of_set)
        noise = 3 * found.error(0.95)
        assert 0.95 - noise <= found.mean <= 0.95 + noise, (data_sets, seeds, of_set)
        assert found.other + noise >= (0.94 if seeds > 2 else 0.93), (data_sets, seeds, of_set)
        if of_set**2 * seeds >= 0.9:
            assert found.other <= 0.97, (data_sets, seeds, of_set)
