"""The fixed model: two ways to the same weights, and the start that torch draws."""

import numpy as np
import pytest
import torch

from evaluator.cleaning.linear import EPOCHS, Start, exact_probabilities, fit, fit_exactly, outputs_of, targets

KINDS = [("binary", 2), ("multiclass", 4), ("multilabel", 3)]


def task(kind: str, classes: int, rows: int = 150, width: int = 12):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, width)).astype(np.float32)
    labels = rng.integers(0, 2, (rows, classes)) if kind == "multilabel" else rng.integers(0, classes, rows)
    return torch.from_numpy(x), targets(labels.astype(np.int64), kind, classes)


@pytest.mark.parametrize(("kind", "classes"), KINDS)
def test_the_written_out_gradient_is_that_of_automatic_differentiation(kind, classes):
    rows, goal = task(kind, classes)
    start = Start.drawn(rows.shape[1], outputs_of(kind, classes))
    fast = fit(rows, goal, kind, start).probabilities(rows)
    slow = exact_probabilities(fit_exactly(rows, goal, kind, start), rows, kind)
    assert fast.shape == slow.shape == (150, goal.shape[1])
    assert np.abs(fast - slow).max() < 2e-3
    assert np.median(np.abs(fast - slow)) < 2e-5


def test_the_start_is_what_two_layers_draw_and_leaves_the_state_of_the_process():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    start = Start.drawn(6, 1, 42)
    assert torch.equal(torch.rand(3), expected)
    torch.manual_seed(42)
    first, second = torch.nn.Linear(6, 128), torch.nn.Linear(128, 1)
    for own, there in zip(start.parts(start.flat), (first.weight, first.bias, second.weight, second.bias), strict=True):
        assert torch.equal(own, there)


def test_the_last_batch_counts_by_its_own_size():
    """100 rows are a batch of 64 and a batch of 36; with both divided by 64 the models differ."""
    rows, goal = task("binary", 2, rows=100)
    start = Start.drawn(rows.shape[1], 1)
    fast = fit(rows, goal, "binary", start).probabilities(rows)
    slow = exact_probabilities(fit_exactly(rows, goal, "binary", start), rows, "binary")
    assert np.abs(fast - slow).max() < 2e-3
    assert EPOCHS == 20
