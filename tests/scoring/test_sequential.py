"""Boundaries of looks: against published ones, and by simulation against what looking by hand does."""

import numpy as np
import pytest
from scipy import stats

from evaluator.scoring.paired import deciding_p, paired_tests, sign_flip_p, skew_p
from evaluator.scoring.sequential import boundaries, nominal_levels, spent
from evaluator.seeds import generator


def test_five_looks_have_the_published_boundaries():
    """Lan and DeMets' O'Brien-Fleming spending, two-sided 0.05, five equal looks (e.g. Proschan, Lan and Wittes 2006; gsDesign)."""
    assert boundaries([0.2, 0.4, 0.6, 0.8, 1]) == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=1e-3)


def test_two_and_three_looks_have_the_published_boundaries():
    assert boundaries([0.5, 1]) == pytest.approx([2.9626, 1.9686], abs=1e-3)
    assert boundaries([1 / 3, 2 / 3, 1]) == pytest.approx([3.7103, 2.5114, 1.9930], abs=1e-3)


def test_one_look_is_the_plain_test_and_all_of_alpha_is_spent_in_the_end():
    assert nominal_levels([1.0], 0.05) == pytest.approx([0.05])
    assert nominal_levels([1.0], 0.01) == pytest.approx([0.01])
    assert spent(1.0, 0.05) == pytest.approx(0.05)
    levels = nominal_levels(np.arange(1, 21) / 20, 0.05 / 9)
    assert (np.diff(levels) >= 0).all()
    assert levels[-1] < 0.05 / 9


@pytest.mark.parametrize("shares", [[], [0.5, 0.5], [0.5, 0.2], [0.5, 1.2], [0.0, 1]])
def test_shares_that_make_no_sense_are_refused(shares):
    with pytest.raises(ValueError, match="share"):
        boundaries(shares)


def test_looks_hold_their_level_and_looking_by_hand_does_not():
    runs, planned = 3000, (6, 12, 18, 24, 30)
    differences = generator(1, "test looks").standard_normal((runs, planned[-1]))
    levels = nominal_levels([n / planned[-1] for n in planned])
    held, by_hand = np.zeros(runs, bool), np.zeros(runs, bool)
    for n, level in zip(planned, levels, strict=True):
        tests = paired_tests(differences[:, :n])
        p = deciding_p(tests, skew_p(differences[:, :n]))
        held |= (p < level) & (sign_flip_p(differences[:, :n], flips=199) < 0.05)
        by_hand |= tests.p < 0.05
    assert held.sum() <= stats.binom.isf(1e-3, runs, 0.05)
    assert by_hand.sum() > stats.binom.isf(1e-6, runs, 0.09)
    # A true difference of 0.8 deviations is found, mostly long before the end.
    looks = np.zeros(runs, int)
    for n, level in zip(planned, levels, strict=True):
        gaps = differences[:, :n] + 0.8
        looks += (looks == 0) * n * (deciding_p(paired_tests(gaps), skew_p(gaps)) < level)
    assert (looks > 0).mean() > 0.97
    assert looks[looks > 0].mean() < 21
