"""From probabilities to accuracies: thresholds, rounding, and what hangs by a thread."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from evaluator.cleaning.measures import THRESHOLDS, accuracy, is_fragile, printed

LABELS = np.array([0, 0, 1, 1])


def p(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def test_the_first_best_threshold_wins():
    # All of 0.30 to 0.55 part these rows; the first of them is taken, and 0.31 is above it.
    assert printed(p(0.1, 0.29, 0.6, 0.9), p(0.31, 0.31, 0.31, 0.31), LABELS, np.array([1, 1, 1, 0])) == 0.75


def test_without_a_right_label_every_row_is_positive():
    assert printed(p(0.99, 0.99), p(0.01, 0.5), np.array([0, 0]), np.array([1, 1])) == 1.0


@pytest.mark.parametrize(("right", "rows", "shown"), [(1, 8, 0.12), (3, 8, 0.38), (1, 3, 0.33), (45, 200, 0.22), (47, 200, 0.24)])
def test_accuracies_are_rounded_as_numpy_does(right, rows, shown):
    """0.125 and 0.225 are ties: half goes to the even digit."""
    test = np.where(np.arange(rows) < right, 0.9, 0.05).astype(np.float32)
    assert printed(p(0.0, 1.0), test, np.array([0, 1]), np.ones(rows, int)) == shown


def test_a_probability_equal_to_a_threshold_is_below_it():
    threshold = np.float32(THRESHOLDS[0])
    assert printed(p(0.05, 0.9), np.array([threshold]), np.array([0, 1]), np.array([1])) == 0.0


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)  # on a busy machine three arrays take their time
@given(
    arrays(np.float32, 12, elements=st.floats(0, 1, width=32)),
    arrays(np.float32, 9, elements=st.floats(0, 1, width=32)),
    arrays(np.int64, 12, elements=st.integers(0, 1)),
    arrays(np.int64, 9, elements=st.integers(0, 1)),
    st.integers(0, 2**32 - 1),
)
def test_what_is_not_fragile_stays_when_every_probability_moves(train, test, labels, test_labels, seed):
    by = 0.02
    if is_fragile(train, test, labels, test_labels, by):
        return
    rng = np.random.default_rng(seed)
    before = printed(train, test, labels, test_labels)
    for _ in range(5):
        moved = [(array + rng.uniform(-0.99 * by, 0.99 * by, array.shape)).astype(np.float32) for array in (train, test)]
        assert printed(*moved, labels, test_labels) == before


def test_a_row_beside_its_threshold_is_fragile_and_a_row_far_from_it_is_not():
    train = p(0.02, 0.05, 0.97, 0.98)
    assert not is_fragile(train, p(0.5, 0.02), LABELS, np.array([1, 0]))
    assert is_fragile(train, p(0.10003, 0.02), LABELS, np.array([1, 0]))


def test_accuracies_of_classes_and_of_several_labels():
    classes = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]], np.float32)
    assert accuracy("multiclass", classes, classes, np.array([0, 2, 0]), np.array([0, 2, 0])) == pytest.approx(2 / 3)
    train = np.array([[0.05, 0.8], [0.9, 0.2]], np.float32)
    several = np.array([[0, 1], [1, 0]])
    assert accuracy("multilabel", train, train, several, several) == 1.0
    assert accuracy("multilabel", train, np.array([[0.95, 0.05], [0.05, 0.95]], np.float32), several, several) == 0.0
