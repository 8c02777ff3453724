"""Split repair: gaps of validation are closed, copies are brought together, and little moves."""

import numpy as np
import pytest

from evaluator.curation.rebalance import rebalance
from evaluator.errors import ConfigurationError


@pytest.fixture(scope="module")
def gap():
    """Two classes of four kinds each; the last two kinds of each have no validation image, and two images are in both splits."""
    rng = np.random.default_rng(0)
    labels, kinds = np.arange(400) % 2, np.arange(400) // 2 % 4
    centres = rng.normal(size=(2, 4, 16)) * 3
    x = (centres[labels, kinds] + rng.normal(size=(400, 16))).astype(np.float32)
    validation = (rng.random(400) < 0.5) & (kinds < 2)
    groups = np.arange(400)
    both = np.flatnonzero(validation)[:2], np.flatnonzero(~validation & (kinds < 2))[:2]
    groups[both[1]] = groups[both[0]]
    x[both[1]] = x[both[0]]
    return x, labels, validation, groups


def test_gaps_are_closed(gap):
    x, labels, validation, groups = gap
    found = rebalance(x, labels, validation, groups, None, 0)
    assert found.before.empty >= 4
    assert found.after.empty == 0
    assert (found.before.twice, found.after.twice) == (4, 0)
    assert found.after.distance < 0.7 * found.before.distance
    assert found.after.uncovered < found.before.uncovered
    assert found.after.within == pytest.approx(found.before.within, rel=0.5)
    assert found.validation.mean() == pytest.approx(validation.mean(), abs=0.03)
    for group in groups:
        assert len(set(found.validation[groups == group])) == 1
    assert np.array_equal(found.moved, np.flatnonzero(found.validation != validation))
    assert np.array_equal(rebalance(x, labels, validation, groups, None, 0).moved, found.moved)


def test_what_is_balanced_stays(gap):
    x, labels, _, _ = gap
    once = rebalance(x, labels, np.arange(400) % 5 == 0, np.arange(400), 0.2, 0)
    again = rebalance(x, labels, once.validation, np.arange(400), 0.2, 0)
    assert len(again.moved) == 0


def test_a_share_can_be_asked_for(gap):
    x, labels, validation, groups = gap
    assert rebalance(x, labels, validation, groups, 0.4, 0).validation.mean() == pytest.approx(0.4, abs=0.03)
    with pytest.raises(ConfigurationError, match=r"--share is 0\.95"):
        rebalance(x, labels, validation, groups, 0.95, 0)
    with pytest.raises(ConfigurationError, match="no images"):
        rebalance(x, labels, np.zeros(400, bool), groups, None, 0)
