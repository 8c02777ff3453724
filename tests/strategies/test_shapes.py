"""Histograms of oriented gradients, and the confident joint, against what they are defined by."""

import numpy as np
import pytest

from evaluator.strategies.shapes import oriented_gradients
from evaluator.strategies.valuation.confidence import confident_issues


def test_a_slope_falls_into_the_direction_that_it_has():
    ramp = np.arange(16, dtype=np.float32)
    across = oriented_gradients(np.tile(ramp, (1, 16, 1)).reshape(1, 16, 16)).reshape(4, 4, 8)
    down = oriented_gradients(np.tile(ramp[:, None], (1, 1, 16)).reshape(1, 16, 16)).reshape(4, 4, 8)
    assert (across.argmax(axis=2) == 0).all()
    assert (down.argmax(axis=2) == 4).all()
    assert np.allclose(across[..., 1:], 0, atol=1e-6)
    oblique = oriented_gradients((ramp[None, :] + ramp[:, None])[None]).reshape(4, 4, 8)
    assert (oblique.argmax(axis=2) == 2).all()


def test_brightness_and_turns_by_half_change_nothing():
    image = np.random.default_rng(0).random((1, 16, 16)).astype(np.float32)
    first = oriented_gradients(image)
    assert np.allclose(first, oriented_gradients(image + 3), atol=1e-4)
    assert np.allclose(first, oriented_gradients(1 - image), atol=1e-4)


def test_images_that_do_not_fit_the_cells_are_refused():
    for shape in ((1, 16, 20), (1, 15, 15), (16, 16)):
        with pytest.raises(ValueError, match="multiple of 4"):
            oriented_gradients(np.zeros(shape, np.float32))


def test_issues_are_those_of_the_confident_joint_written_out():
    draws = np.random.default_rng(1)
    labels = draws.integers(0, 4, 200)
    given = draws.dirichlet(np.ones(4), 200) * 0.5 + 0.5 * np.eye(4)[np.where(draws.random(200) < 0.2, (labels + 1) % 4, labels)]
    thresholds = [given[labels == k, k].mean() for k in range(4)]
    plain = []
    for p, y in zip(given, labels, strict=True):
        above = [k for k in range(4) if p[k] >= thresholds[k] - 1e-6]
        plain.append(bool(above) and max(above, key=lambda k: p[k]) != y)
    found = confident_issues(given, labels)
    assert found.tolist() == plain
    assert 10 < found.sum() < 60
