"""The metrics equal scikit-learn's, also where classes are absent, and refuse what is not a 0/1 table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import accuracy_score, f1_score, hamming_loss

from evaluator.scoring.metrics import best_constant, score


@st.composite
def tables(draw):
    shape = (draw(st.integers(1, 12)), draw(st.integers(2, 6)))
    return tuple(draw(arrays(np.uint8, shape, elements=st.integers(0, 1))) for _ in range(2))


@given(tables())
def test_equals_scikit_learn(pair):
    truth, prediction = pair
    names = [f"c{i}" for i in range(truth.shape[1])]
    found = score(truth, prediction, names)
    assert found.macro_f1 == pytest.approx(f1_score(truth, prediction, average="macro", zero_division=0), abs=1e-12)
    assert list(found.f1.values()) == pytest.approx(list(f1_score(truth, prediction, average=None, zero_division=0)), abs=1e-12)
    assert list(found.f1) == names
    assert found.accuracy == pytest.approx(accuracy_score(truth, prediction))
    assert found.hamming_loss == pytest.approx(hamming_loss(truth, prediction))
    assert found.n == len(truth)


def test_a_class_absent_from_truth_and_prediction_scores_zero():
    empty = np.zeros((5, 2), dtype=int)
    found = score(empty, empty, ["a", "b"])
    assert (found.macro_f1, found.accuracy, found.hamming_loss) == (0.0, 1.0, 0.0)


@given(tables())
def test_no_constant_answer_beats_the_best_constant(pair):
    truth, _ = pair
    k = truth.shape[1]
    every = [score(truth, np.tile(row, (len(truth), 1)), range(k)).macro_f1 for row in np.ndindex(*[2] * k)]
    assert best_constant(truth) == pytest.approx(max(every))


@pytest.mark.parametrize(
    ("truth", "prediction", "classes", "says"),
    [
        (np.zeros((2, 2)), np.zeros((3, 2)), "ab", "one shape"),
        (np.zeros((2, 2)), np.full((2, 2), 0.5), "ab", "0.5"),
        (np.full((2, 2), 2), np.zeros((2, 2)), "ab", "2"),
        (np.full((2, 2), np.nan), np.zeros((2, 2)), "ab", "nan"),
        (np.zeros((0, 2)), np.zeros((0, 2)), "ab", "at least one"),
        (np.zeros(3), np.zeros(3), "a", "items, classes"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "abc", "3 class names"),
        (np.zeros((2, 2)), np.zeros((2, 2)), "aa", "name"),
    ],
)
def test_refuses_what_is_no_table_of_answers(truth, prediction, classes, says):
    with pytest.raises(ValueError, match=says):
        score(truth, prediction, list(classes))


def test_bytes_and_booleans_count_alike():
    truth = np.array([[1, 0], [1, 1], [0, 1]])
    other = np.array([[1, 1], [0, 1], [0, 1]])
    assert score(truth.astype(np.uint8), other.astype(bool), ["a", "b"]) == score(truth, other, ["a", "b"])
