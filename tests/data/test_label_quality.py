"""Label quality: mistakes at the rate that was set, of the kinds that people make."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.data.painted import QUALITIES, Generator, annotator_noise, expected_noise
from evaluator.errors import ConfigurationError


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    generator = Generator(14, 32)
    return np.array([generator.label("unlabelled", i) for i in range(10_000)])


@pytest.mark.parametrize("rate", sorted({*QUALITIES.values(), 0.01, 0.2, 0.35, 0.5} - {0.0}))
@pytest.mark.parametrize("columns", [4, 6])
def test_the_share_of_wrong_entries_is_the_rate(truth, rate, columns):
    labels = truth[:, :columns]
    noisy = annotator_noise(labels, rate, seed=1)
    # A confusion makes two entries wrong at once, so the share varies by at most sqrt(2) times the binomial.
    assert abs((noisy != labels).mean() - rate) < 4 * np.sqrt(2 * rate * (1 - rate) / labels.size)


def test_misses_outnumber_false_alarms_and_sizes_are_confused(truth):
    noisy = annotator_noise(truth, 0.1, seed=2)
    assert ((truth == 1) & (noisy == 0)).sum() > 1.5 * ((truth == 0) & (noisy == 1)).sum()
    small_only = (truth[:, 0] == 1) & (truth[:, 1] == 0)
    swapped = small_only & (noisy[:, 0] == 0) & (noisy[:, 1] == 1)
    # By chance a miss and a false alarm would meet far less often.
    missed, imagined = (noisy[small_only, 0] == 0).mean(), (noisy[truth[:, 4] == 0, 4] == 1).mean()
    assert swapped.sum() / small_only.sum() > 3 * missed * imagined


def test_rate_zero_is_an_equal_copy(truth):
    copy = annotator_noise(truth, 0, seed=3)
    assert np.array_equal(copy, truth)
    assert not np.shares_memory(copy, truth)


def test_mistakes_repeat_by_seed_and_leave_the_truth_alone(truth):
    before = truth.copy()
    assert np.array_equal(annotator_noise(truth, 0.1, seed=4), annotator_noise(truth, 0.1, seed=4))
    assert not np.array_equal(annotator_noise(truth, 0.1, seed=4), annotator_noise(truth, 0.1, seed=5))
    assert np.array_equal(truth, before)


@pytest.mark.parametrize("value", [0, 1])
def test_one_sided_labels_keep_the_rate(value):
    labels = np.full((20_000, 6), value, np.uint8)
    assert abs((annotator_noise(labels, 0.3, seed=6) != labels).mean() - 0.3) < 0.01


@settings(max_examples=60, deadline=None)
@given(n=st.integers(0, 40), k=st.integers(1, 6), rate=st.floats(0, 0.5), seed=st.integers(0, 2**64), share=st.floats(0, 1))
def test_noise_always_gives_a_table_of_the_same_form(n, k, rate, seed, share):
    labels = (np.random.default_rng(seed).random((n, k)) < share).astype(np.uint8)
    noisy = annotator_noise(labels, rate, seed)
    assert noisy.shape == labels.shape
    assert noisy.dtype == np.uint8
    assert np.isin(noisy, (0, 1)).all()


@pytest.mark.parametrize(
    ("labels", "rate"),
    [([[0, 1]], -0.1), ([[0, 1]], 0.6), ([[0, 2]], 0.1), ([0, 1], 0.1), ([[0] * 7], 0.1), ([[0, 1]], float("nan"))],
)
def test_senseless_noise_is_refused(labels, rate):
    with pytest.raises(ConfigurationError):
        annotator_noise(np.array(labels), rate, seed=1)


# -- what the mistakes come to, in expectation


def test_mistakes_are_those_of_stored_results():
    # The labels that a stored purchase holds must be drawn again to the bit.
    truth = (np.random.default_rng(1).random((5_000, 6)) < (0.02, 0.05, 0.04, 0.06, 0.07, 0.1)).astype(np.uint8)
    assert hashlib.sha256(annotator_noise(truth, 0.2, seed=5).tobytes()).hexdigest()[:16] == "e578585a0367cfe3"


def test_expected_mistakes_of_two_unrelated_classes_by_hand():
    # 20 entries, 2 of them wrong: half are misses of 6 ones, half false alarms among 14 zeros.
    labels = np.array([[1, 1]] * 2 + [[1, 0]] * 2 + [[0, 0]] * 6, np.uint8)
    found = expected_noise(labels, 0.1, ("stain", "speck"))
    assert found.ones.tolist() == [4, 2]
    assert found.missed_share == pytest.approx([1 / 6, 1 / 6])
    assert found.imagined == pytest.approx([6 / 14, 8 / 14])
    assert found.right_share == pytest.approx([(10 / 3) / (10 / 3 + 3 / 7), (5 / 3) / (5 / 3 + 4 / 7)])
    whole = found.over_classes()
    assert (whole.share_of_ones, *whole.missed_share, *whole.right_share) == pytest.approx((0.3, 1 / 6, 5 / 6))


def test_expected_mistakes_of_a_confused_pair_by_hand():
    # 16 entries, 2 wrong. 3 rows can be confused, each with probability 1/12 (a quarter of 2 wrong entries, two at a time). That
    # leaves 4.75 ones for 1 miss, and 10.75 zeros for half a false alarm.
    labels = np.array([[1, 0]] * 2 + [[0, 1]] + [[1, 1]] + [[0, 0]] * 4, np.uint8)
    found = expected_noise(labels, 0.125, ("dent_small", "dent_large"))
    c, m, f = 1 / 12, 4 / 19, 2 / 43
    assert found.missed == pytest.approx([2 * (c + (1 - c) * m) + m, c + (1 - c) * m + m])
    assert found.missed == pytest.approx([29 / 38, 37 / 76])
    assert found.imagined == pytest.approx([c + (1 - c) * f + 4 * f, 2 * (c + (1 - c) * f) + 4 * f])
    assert found.imagined == pytest.approx([161 / 516, 226 / 516])


def test_a_rare_one_is_missed_nine_times_in_ten_and_the_rest_is_imagined():
    labels = np.zeros((100, 1), np.uint8)
    labels[0] = 1
    found = expected_noise(labels, 0.1, ("speck",))
    assert found.missed_share == pytest.approx([0.9])
    assert found.imagined == pytest.approx([9.1])
    assert found.right_share == pytest.approx([0.1 / 9.2])


@pytest.mark.parametrize("shift", ["public", "rare"])
@pytest.mark.parametrize("rate", [0.03, 0.1, 0.2])
def test_many_annotators_agree_with_what_is_expected_of_them(shift, rate):
    generator = Generator(15, 32, shift=shift)
    truth = np.array([generator.label("unlabelled", i) for i in range(500)])
    drawn = np.array([annotator_noise(truth, rate, seed) for seed in range(400)])
    expected = expected_noise(truth, rate)
    missed, imagined = ((truth == 1) & (drawn == 0)).sum(axis=1), ((truth == 0) & (drawn == 1)).sum(axis=1)
    for counts, wanted in ((missed, expected.missed), (imagined, expected.imagined)):
        assert np.all(np.abs(counts.mean(axis=0) - wanted) < 4.5 * counts.std(axis=0) / np.sqrt(len(drawn)))
    kept = (truth == 1).sum(axis=0) - missed
    right = kept.sum(axis=0) / (kept + imagined).sum(axis=0)
    # Standard error of a ratio of means, over the annotators.
    spread = (kept - right * (kept + imagined)).std(axis=0) / (kept + imagined).mean(axis=0)
    assert np.all(np.abs(right - expected.right_share) < 4.5 * spread / np.sqrt(len(drawn)))


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 40), k=st.integers(1, 6), rate=st.floats(0, 0.5), seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_expected_mistakes_come_to_the_rate_and_never_to_more_than_there_is(n, k, rate, seed, share):
    labels = (np.random.default_rng(seed).random((n, k)) < share).astype(np.uint8)
    found = expected_noise(labels, rate)
    assert (found.missed.sum() + found.imagined.sum()) / labels.size == pytest.approx(rate)
    assert np.all((found.missed >= 0) & (found.missed <= found.ones + 1e-9))
    assert np.all((found.imagined >= 0) & (found.imagined <= n - found.ones + 1e-9))


def test_no_mistakes_no_ones_and_no_images_are_expected_as_such():
    labels = np.array([[1, 0], [1, 0]], np.uint8)
    clean = expected_noise(labels, 0.0)
    assert clean.missed_share.tolist()[0] == 0
    assert clean.right_share.tolist()[0] == 1
    assert np.isnan(clean.missed_share[1])
    assert np.isnan(clean.right_share[1])
    assert expected_noise(np.zeros((10, 2), np.uint8), 0.2).right_share.tolist() == [0, 0]
    assert np.isnan(expected_noise(np.zeros((0, 6), np.uint8), 0.2).share_of_ones)
    both = expected_noise(labels, 0.2) + expected_noise(labels, 0.2)
    assert (both.images, both.ones.tolist()) == (4, [4, 0])
    with pytest.raises(ConfigurationError):
        expected_noise(labels, 0.6)
