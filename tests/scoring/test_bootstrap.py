"""Bootstrap intervals cover what they say they cover, and no more."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evaluator.scoring.bootstrap import Estimate, over_images, over_seeds
from evaluator.scoring.counts import confusion, macro_f1
from evaluator.scoring.metrics import score
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


# Seeds and images


def grids(name: str, runs: int, seeds: int, images: int, shared: bool):
    """Results (seeds, images) with mean 0: a chance of the seed, one of the image (shared among seeds or not), and one of both."""
    rng = generator(1, "test images", name)
    for _ in range(runs):
        image = rng.standard_normal((1 if shared else seeds, images))
        yield 0.1 * rng.standard_normal((seeds, 1)) + image + 0.3 * rng.standard_normal((seeds, images))


def covered(name: str, shared: bool, interval, runs: int = 200) -> float:
    found = [interval(results) for results in grids(name, runs, 12, 60, shared)]
    return float(np.mean([f.low <= 0 <= f.high for f in found]))


def test_only_the_two_level_interval_covers_new_images_where_all_seeds_share_theirs():
    # The test images' own luck does not show in the spread between seeds.
    assert covered("shared", True, lambda results: over_seeds(results.mean(axis=1), resamples=299, method="percentile")) < 0.6
    assert 0.9 <= covered("shared", True, lambda results: over_images(results, resamples=299)) <= 1


def test_seeds_with_images_of_their_own():
    over = covered("own", False, lambda results: over_seeds(results.mean(axis=1), resamples=299, method="percentile"))
    both = covered("own", False, lambda results: over_images(results, images="own", resamples=299), runs=120)
    assert 0.84 <= over <= 0.98
    assert both >= max(over, 0.93)  # errs on the wide side


def test_the_two_level_spread_by_hand():
    """Without chance between seeds, seeds that share their images have the spread of a mean over images; own images average it."""
    image = generator(1, "test spread").standard_normal(200)
    results = np.repeat(image[None], 8, axis=0)
    width = 2 * stats.norm.ppf(0.975) * image.std() / np.sqrt(200)
    shared, own = over_images(results), over_images(results, images="own")
    assert shared.high - shared.low == pytest.approx(width, rel=0.1)
    assert own.high - own.low == pytest.approx(width / np.sqrt(8), rel=0.1)
    assert shared.value == own.value == pytest.approx(image.mean())


@pytest.mark.parametrize("images", ["shared", "own"])
def test_without_chance_between_images_both_levels_are_the_upper_one(images):
    seeds = generator(1, "test flat images").standard_normal(15)
    found, expected = over_images(np.repeat(seeds[:, None], 7, axis=1), images=images), over_seeds(seeds, method="percentile")
    assert found.value == pytest.approx(expected.value)
    assert found.high - found.low == pytest.approx(expected.high - expected.low, rel=0.1)


def test_two_strategies_side_by_side_stay_paired():
    rng = generator(1, "test side")
    base = (rng.random((6, 80)) < 0.6).astype(float)
    found = over_images(np.stack([base + 0.25, base], axis=-1), lambda means: means[..., 0] - means[..., 1], resamples=300)
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


@pytest.mark.parametrize("images", ["shared", "own"])
def test_missing_seeds_and_single_ones(images):
    results = generator(1, "test missing").random((3, 20))
    gone = results.copy()
    gone[1] = NAN
    found, expected = over_images(gone, images=images, resamples=200), over_images(results[[0, 2]], images=images, resamples=200)
    assert (found.value, found.low, found.high) == (expected.value, expected.low, expected.high)
    assert (found.n, found.left_out) == (2, 1)
    one = over_images(results[:1], images=images)
    assert (one.low, one.high, one.n, one.method) == (None, None, 1, "none")


@pytest.mark.parametrize(
    ("results", "settings", "message"),
    [
        (np.zeros(3), {}, "must be \\(seeds, images\\)"),
        (np.zeros((2, 0)), {}, "must be \\(seeds, images\\)"),
        (np.array([[0, NAN], [0, 1]]), {}, "some of its images only"),
        (np.full((2, 2), NAN), {}, "every seed is missing"),
        (np.zeros((2, 3, 2)), {}, "give the statistic"),
        (np.zeros((2, 3)), {"images": "none"}, "images is 'none'"),
    ],
    ids=["flat", "empty", "part", "missing", "statistic", "images"],
)
def test_images_refused(results, settings, message):
    with pytest.raises(ValueError, match=message):
        over_images(results, **settings)


# Macro F1 out of counts


@given(st.integers(0, 10**6))
def test_counts_give_the_score(seed):
    rng = np.random.default_rng(seed)
    truth, prediction = (rng.random((2, 15, 4)) < rng.random(4)).astype(int)
    counts = confusion(truth, prediction)
    expected = score(truth, prediction, list("abcd")).macro_f1
    assert macro_f1(counts.sum(axis=0)) == pytest.approx(expected)
    assert macro_f1(counts.mean(axis=0)) == pytest.approx(expected)


def test_macro_f1_goes_through_the_two_level_bootstrap():
    rng = generator(1, "test f1")
    truth = (rng.random((60, 3)) < 0.4).astype(int)
    predictions = [np.where(rng.random((60, 3)) < 0.2, 1 - truth, truth) for _ in range(5)]
    found = over_images(np.stack([confusion(truth, p) for p in predictions]), macro_f1, resamples=300)
    assert found.value == pytest.approx(np.mean([score(truth, p, list("abc")).macro_f1 for p in predictions]))
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("truth", "prediction"), [([[0, 1]], [[0]]), ([[0, 2]], [[0, 1]]), ([0, 1], [0, 1])])
def test_counts_refused(truth, prediction):
    with pytest.raises(ValueError, match="must"):
        confusion(np.array(truth), np.array(prediction))


def test_counts_come_in_twos():
    with pytest.raises(ValueError, match="two per class"):
        macro_f1(np.zeros(3))
