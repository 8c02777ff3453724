"""Label quality: mistakes at the rate that was set, of the kinds that people make."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.data.painted import QUALITIES, Generator, annotator_noise
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
