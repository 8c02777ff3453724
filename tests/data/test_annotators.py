"""Annotators: mistakes at the rate that was set, of the kinds that people make, in tables and in class numbers."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evaluator.data import annotators
from evaluator.data.annotators import QUALITIES, ExpectedNoise, confused_classes, flipped, pair_confusion, uniform_confusion
from evaluator.data.painted import Generator, size_pairs
from evaluator.errors import ConfigurationError


def annotator_noise(labels: np.ndarray, rate: float, seed: int) -> np.ndarray:
    """As an annotator of damages makes it, who confuses small and large ones."""
    return annotators.annotator_noise(labels, rate, seed, size_pairs(np.asarray(labels).shape[-1]))


def expected_noise(labels: np.ndarray, rate: float, confused: list[tuple[int, int]] | None = None) -> ExpectedNoise:
    return annotators.expected_noise(labels, rate, size_pairs(labels.shape[1]) if confused is None else confused)


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
    [([[0, 1]], -0.1), ([[0, 1]], 0.6), ([[0, 2]], 0.1), ([0, 1], 0.1), ([[0, 1]], float("nan"))],
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
    # 20 entries, 2 of them wrong: half are misses of 6 positive labels, half false alarms among 14 negative labels.
    labels = np.array([[1, 1]] * 2 + [[1, 0]] * 2 + [[0, 0]] * 6, np.uint8)
    found = expected_noise(labels, 0.1, [])
    assert found.positives.tolist() == [4, 2]
    assert found.missed_share == pytest.approx([1 / 6, 1 / 6])
    assert found.imagined == pytest.approx([6 / 14, 8 / 14])
    assert found.right_share == pytest.approx([(10 / 3) / (10 / 3 + 3 / 7), (5 / 3) / (5 / 3 + 4 / 7)])
    whole = found.over_classes()
    assert (whole.positive_share, *whole.missed_share, *whole.right_share) == pytest.approx((0.3, 1 / 6, 5 / 6))


def test_expected_mistakes_of_a_confused_pair_by_hand():
    # 16 entries, 2 wrong. 3 rows can be confused, each with probability 1/12 (a quarter of 2 wrong entries, two at a time). That
    # leaves 4.75 positive labels for 1 miss, and 10.75 negative labels for half a false alarm.
    labels = np.array([[1, 0]] * 2 + [[0, 1]] + [[1, 1]] + [[0, 0]] * 4, np.uint8)
    found = expected_noise(labels, 0.125, [(0, 1)])
    c, m, f = 1 / 12, 4 / 19, 2 / 43
    assert found.missed == pytest.approx([2 * (c + (1 - c) * m) + m, c + (1 - c) * m + m])
    assert found.missed == pytest.approx([29 / 38, 37 / 76])
    assert found.imagined == pytest.approx([c + (1 - c) * f + 4 * f, 2 * (c + (1 - c) * f) + 4 * f])
    assert found.imagined == pytest.approx([161 / 516, 226 / 516])


def test_a_rare_positive_label_is_missed_nine_times_in_ten_and_the_rest_is_imagined():
    labels = np.zeros((100, 1), np.uint8)
    labels[0] = 1
    found = expected_noise(labels, 0.1, [])
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
@example(n=4, k=3, rate=5e-324, seed=461980658, share=0.75)
@given(n=st.integers(1, 40), k=st.integers(1, 6), rate=st.floats(0, 0.5), seed=st.integers(0, 2**32), share=st.floats(0, 1))
def test_expected_mistakes_come_to_the_rate_and_never_to_more_than_there_is(n, k, rate, seed, share):
    labels = (np.random.default_rng(seed).random((n, k)) < share).astype(np.uint8)
    found = expected_noise(labels, rate)
    assert (found.missed.sum() + found.imagined.sum()) / labels.size == pytest.approx(rate)
    assert np.all((found.missed >= 0) & (found.missed <= found.positives + 1e-9))
    assert np.all((found.imagined >= 0) & (found.imagined <= n - found.positives + 1e-9))


def test_no_mistakes_no_positive_labels_and_no_images_are_expected_as_such():
    labels = np.array([[1, 0], [1, 0]], np.uint8)
    clean = expected_noise(labels, 0.0)
    assert clean.missed_share.tolist()[0] == 0
    assert clean.right_share.tolist()[0] == 1
    assert np.isnan(clean.missed_share[1])
    assert np.isnan(clean.right_share[1])
    assert expected_noise(np.zeros((10, 2), np.uint8), 0.2).right_share.tolist() == [0, 0]
    assert np.isnan(expected_noise(np.zeros((0, 6), np.uint8), 0.2).positive_share)
    both = expected_noise(labels, 0.2) + expected_noise(labels, 0.2)
    assert (both.images, both.positives.tolist()) == (4, [4, 0])
    with pytest.raises(ConfigurationError):
        expected_noise(labels, 0.6)


def test_an_annotator_of_any_labels_needs_no_names():
    labels = (np.random.default_rng(2).random((4_000, 12)) < 0.2).astype(np.int64)
    noisy = annotators.annotator_noise(labels, 0.1, 7, [(10, 3)])
    assert noisy.dtype == np.uint8
    assert (noisy != labels).mean() == pytest.approx(0.1, abs=0.005)
    alone = (labels[:, 10] == 1) & (labels[:, 3] == 0)
    assert ((noisy[:, 10] == 0) & (noisy[:, 3] == 1))[alone].mean() > 0.1  # 0.02 by a miss and a false alarm that meet


@pytest.mark.parametrize("pairs", [[(0, 6)], [(-1, 2)], [(0, 0)], [(0, 1), (1, 2)]])
def test_pairs_that_do_not_fit_the_columns_are_refused(pairs):
    for call in (annotators.annotator_noise, annotators.expected_noise):
        with pytest.raises(ConfigurationError, match="confused"):
            call(np.zeros((3, 6), np.uint8), 0.1, *([1] if call is annotators.annotator_noise else []), pairs)


# -- independent mistakes in tables


def near(share: float, rate: float, n: int) -> bool:
    return abs(share - rate) <= 4 * np.sqrt(rate * (1 - rate) / n)


def test_uniform_flips_have_their_rate_in_every_class(truth):
    noisy = flipped(truth, 0.15, 0.15, seed=1)
    assert noisy.dtype == np.uint8
    for column in range(truth.shape[1]):
        assert near((noisy != truth)[:, column].mean(), 0.15, len(truth))


def test_flips_of_each_class_have_the_rates_of_that_class(truth):
    missed, imagined = (0.0, 0.1, 0.2, 0.3, 0.4, 1.0), (0.5, 0.0, 0.02, 0.05, 0.1, 0.0)
    noisy = flipped(truth, missed, imagined, seed=2)
    for column in range(truth.shape[1]):
        for value, rates in ((1, missed), (0, imagined)):
            rows = truth[:, column] == value
            assert near((noisy[rows, column] != value).mean(), rates[column], rows.sum())


def test_flips_repeat_by_seed_and_leave_the_truth_alone(truth):
    before = truth.copy()
    assert np.array_equal(flipped(truth, 0.2, 0.1, seed=3), flipped(truth, 0.2, 0.1, seed=3))
    assert not np.array_equal(flipped(truth, 0.2, 0.1, seed=3), flipped(truth, 0.2, 0.1, seed=4))
    assert np.array_equal(flipped(truth, 0, 0, seed=3), truth)
    assert np.array_equal(flipped(truth, 1, 1, seed=3), 1 - truth)
    assert np.array_equal(truth, before)
    assert flipped(np.zeros((0, 3), np.uint8), 0.1, 0.1, seed=1).shape == (0, 3)


@pytest.mark.parametrize("missed", [-0.1, 1.1, float("nan"), (0.1, 0.2), ((0.1, 0.1, 0.1),), (0.1, 0.1, 2)])
def test_senseless_flips_are_refused(missed):
    with pytest.raises(ConfigurationError, match="missed is"):
        flipped(np.zeros((4, 3), np.uint8), missed, 0.1, seed=1)
    with pytest.raises(ConfigurationError, match="imagined is"):
        flipped(np.zeros((4, 3), np.uint8), 0.1, missed, seed=1)


# -- class numbers


def test_matrices_by_hand():
    assert uniform_confusion(3, 0.3) == pytest.approx(np.array([[0.7, 0.15, 0.15], [0.15, 0.7, 0.15], [0.15, 0.15, 0.7]]))
    assert pair_confusion(3, 0.3) == pytest.approx(np.array([[0.7, 0.3, 0], [0, 0.7, 0.3], [0.3, 0, 0.7]]))
    assert uniform_confusion(4, 0.75) == pytest.approx(np.full((4, 4), 0.25))


MATRICES = {
    "uniform": uniform_confusion(5, 0.3),
    "pairs": pair_confusion(5, 0.2),
    "own": np.array([[1, 0, 0, 0, 0], [0.5, 0.5, 0, 0, 0], [0, 0, 0, 0, 1], [0.1, 0.2, 0.3, 0.4, 0], [0, 0, 0.9, 0, 0.1]]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_class_numbers_are_confused_as_the_matrix_says(name):
    matrix, labels = MATRICES[name], np.repeat(np.arange(5, dtype=np.int16), (20_000, 5_000, 100, 10_000, 1_000))
    noisy = confused_classes(labels, matrix, seed=1)
    assert noisy.dtype == np.int16
    for true in range(5):
        given = noisy[labels == true]
        for said in range(5):
            assert near((given == said).mean(), matrix[true, said], len(given))


def test_confused_classes_repeat_by_seed_and_leave_the_truth_alone():
    labels = np.random.default_rng(1).integers(0, 5, 1000)
    before = labels.copy()
    first = confused_classes(labels, MATRICES["uniform"], seed=1)
    assert np.array_equal(first, confused_classes(labels, MATRICES["uniform"], seed=1))
    assert not np.array_equal(first, confused_classes(labels, MATRICES["uniform"], seed=2))
    assert np.array_equal(confused_classes(labels, np.eye(5), seed=1), labels)
    assert np.array_equal(labels, before)
    assert confused_classes(labels[:0], np.eye(5), seed=1).shape == (0,)


@settings(max_examples=60, deadline=None)
@given(classes=st.integers(2, 9), seed=st.integers(0, 2**64), zero=st.integers(0, 8))
def test_a_class_of_probability_zero_is_never_given(classes, seed, zero):
    rng = np.random.default_rng(seed)
    matrix = rng.random((classes, classes)) + 1e-3
    matrix[:, zero % classes] = 0
    matrix /= matrix.sum(axis=1, keepdims=True)
    noisy = confused_classes(rng.integers(0, classes, 500), matrix, seed)
    assert set(noisy.tolist()) <= set(range(classes)) - {zero % classes}


@pytest.mark.parametrize(
    ("labels", "matrix", "message"),
    [
        ([0, 1], np.eye(3)[:2], "shape"),
        ([0, 1], np.zeros((0, 0)), "shape"),
        ([0, 1], [[0.5, 0.6], [0, 1]], "not probabilities"),
        ([0, 1], [[1.5, -0.5], [0, 1]], "not probabilities"),
        ([0, 1], [[float("nan"), 1], [0, 1]], "not probabilities"),
        ([0, 2], np.eye(2), "labels: 2 was seen"),
        ([0, -1], np.eye(2), "labels: -1 was seen"),
        ([0.0, 1.0], np.eye(2), "give integers"),
        ([[0, 1]], np.eye(2), "give integers"),
    ],
)
def test_senseless_class_noise_is_refused(labels, matrix, message):
    with pytest.raises(ConfigurationError, match=message):
        confused_classes(np.array(labels), matrix, seed=1)


REFUSED = [(uniform_confusion, 1, 0), (uniform_confusion, 3, 0.7), (pair_confusion, 3, 0.6)]


@pytest.mark.parametrize(("make", "classes", "rate"), REFUSED)
def test_senseless_matrices_are_refused(make, classes, rate):
    with pytest.raises(ConfigurationError):
        make(classes, rate)
    with pytest.raises(ConfigurationError):
        make(3, -0.1)
