"""Thresholds: known answers, and no other threshold does better."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from evaluator.training import thresholds as rules
from evaluator.training.predict import decide


def column(values):
    return np.array(values, dtype=np.float32)[:, None]


def test_a_perfect_ranking_is_cut_between_the_two_sides():
    threshold, f1 = rules.best_f1(np.array([0.1, 0.2, 0.6, 0.8]), np.array([0, 0, 1, 1]))
    assert (threshold, f1) == (pytest.approx(0.4), 1.0)


def test_a_useless_ranking_calls_everything_positive():
    threshold, f1 = rules.best_f1(np.array([0.9, 0.8, 0.7, 0.6]), np.array([0, 0, 0, 1]))
    assert threshold < 0.6
    assert f1 == pytest.approx(0.4)


items = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0]), st.integers(0, 1)), min_size=1, max_size=30)


@given(items.filter(lambda rows: any(y for _, y in rows)))
def test_no_threshold_beats_the_best_and_the_f1_is_what_decide_gets(rows):
    p, y = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    threshold, f1 = rules.best_f1(p, y)

    def reached(t):
        return f1_score(y, decide(p[:, None], np.array([t]))[:, 0], zero_division=0)

    assert reached(threshold) == pytest.approx(f1)
    assert max(reached(t) for t in (0, 0.05, 0.1, 0.2, 0.25, 0.4, 0.5, 0.6, 0.7, 0.9, 1)) <= f1 + 1e-12


@given(st.integers(1, 40), st.data())
def test_base_rate_calls_as_many_positive_as_there_are(n, data):
    p = np.random.default_rng(n).permutation(n)[:, None] / (2 * n)  # no ties
    y = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))[:, None]
    called = decide(p, rules.base_rate(p, y, fallback=2.0)).sum()
    assert called == (y.sum() if y.sum() < n else 0)  # all positive: no rate to meet, so the fallback, which calls none


def test_a_class_without_positives_keeps_the_fallback():
    assert rules.base_rate(column([0.1, 0.9]), np.zeros((2, 1), int), fallback=0.3).tolist() == [0.3]


def test_the_prior_is_half_the_f1_that_is_expected():
    labels = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]])
    assert rules.prior(labels, 0.0).tolist() == pytest.approx([0.2, 0.5, 0.5])  # 2/4 / (1 + 1/4) / 2; certain; never seen
    assert rules.prior(labels, 0.5).tolist() == pytest.approx([0.35, 0.5, 0.5])
    assert rules.prior(labels, 1.0).tolist() == pytest.approx([0.5, 0.5, 0.5])


@given(st.integers(1, 60), st.integers(1, 60))
def test_a_blind_model_is_called_positive_by_a_prior_of_gain_zero(positives, negatives):
    """What a model that knows nothing answers is the class rate; calling all of it positive is then the best there is."""
    labels = np.array([1] * positives + [0] * negatives)[:, None]
    blind = np.full((5, 1), positives / len(labels))
    assert decide(blind, rules.prior(labels, 0.0)).all()


def test_few_positives_on_the_share_decide_nothing():
    p = column(np.linspace(0, 1, 20))
    few, enough = (np.arange(20)[:, None] >= 20 - k for k in (rules.FEWEST_POSITIVES - 1, rules.FEWEST_POSITIVES))
    assert rules.validation(p, few.astype(int), otherwise=np.array([0.123])).tolist() == [0.123]
    assert rules.validation(p, enough.astype(int), otherwise=np.array([0.123]))[0] == pytest.approx(15.5 / 19)


def test_decide_is_at_or_above_and_refuses_unfitting_shapes():
    assert decide(column([0.3, 0.29]), np.array([np.float64(np.float32(0.3))])).tolist() == [[1], [0]]
    with pytest.raises(ValueError, match="do not fit"):
        decide(np.zeros((3, 2)), np.zeros(3))
