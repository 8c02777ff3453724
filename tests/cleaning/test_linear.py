"""The fixed model: two ways to the same weights, and the start that torch draws."""

import numpy as np
import pytest
import torch

from evaluator.cleaning.linear import (
    BATCH,
    BETAS,
    DECAY,
    EPOCHS,
    EPS,
    RATE,
    Start,
    Training,
    exact_probabilities,
    fit_exactly,
    outputs_of,
    targets,
)

KINDS = [("binary", 2), ("multiclass", 4), ("multilabel", 3)]


def task(kind: str, classes: int, rows: int = 150, width: int = 12):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, width)).astype(np.float32)
    labels = rng.integers(0, 2, (rows, classes)) if kind == "multilabel" else rng.integers(0, classes, rows)
    return torch.from_numpy(x), targets(labels.astype(np.int64), kind, classes)


def fit(rows, goal, kind, start):
    return Training(rows, kind, start).fit(goal)


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


def by_autograd(rows, goal, kind, start):
    """The same training as a person would write it."""
    model = torch.nn.Sequential(torch.nn.Linear(start.width, 128), torch.nn.Linear(128, start.outputs))
    with torch.no_grad():
        for own, drawn in zip(model.parameters(), start.parts(start.flat), strict=True):
            own.copy_(drawn)
    loss_of = torch.nn.CrossEntropyLoss() if kind == "multiclass" else torch.nn.BCEWithLogitsLoss()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, betas=BETAS, eps=EPS, foreach=False)
    for _ in range(EPOCHS):
        for part, labels in zip(rows.split(BATCH), goal.split(BATCH), strict=True):
            optimizer.zero_grad()
            loss_of(model(part), labels).backward()
            optimizer.step()
    return model


@pytest.mark.parametrize(("rows", "width"), [(150, 12), (65, 37), (20, 3), (1, 5)])
@pytest.mark.parametrize(("kind", "classes"), KINDS)
def test_the_exact_way_gives_the_weights_of_automatic_differentiation_to_the_last_bit(kind, classes, rows, width):
    given = task(kind, classes, rows, width)
    start = Start.drawn(width, outputs_of(kind, classes))
    ours, theirs = fit_exactly(*given, kind, start), by_autograd(*given, kind, start)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_both_ways_agree_at_the_width_and_length_of_the_originals_tasks():
    rows, goal = task("binary", 2, 300, 2_048)
    start = Start.drawn(2_048, 1)
    fast = fit(rows, goal, "binary", start).probabilities(rows)
    assert np.abs(fast - exact_probabilities(fit_exactly(rows, goal, "binary", start), rows, "binary")).max() < 2e-3


@pytest.mark.parametrize(("kind", "classes"), KINDS)
def test_a_training_leaves_no_trace_in_the_next(kind, classes):
    rows, goal = task(kind, classes)
    training = Training(rows, kind, Start.drawn(rows.shape[1], outputs_of(kind, classes)))
    first = training.fit(goal)
    other = training.fit(goal.flip(0))
    again = training.fit(goal)
    assert torch.equal(first.weight, again.weight)
    assert torch.equal(first.bias, again.bias)
    assert not torch.equal(first.weight, other.weight), "each training has weights of its own"


@pytest.mark.parametrize("rows", [1, 64, 65])
def test_batches_of_one_row_and_whole_batches_are_trained(rows):
    given = task("binary", 2, rows)
    start = Start.drawn(12, 1)
    fast = fit(*given, "binary", start).probabilities(given[0])
    assert np.abs(fast - exact_probabilities(fit_exactly(*given, "binary", start), given[0], "binary")).max() < 2e-3


def test_a_start_is_drawn_by_a_generator_of_its_own():
    """Threads of a process draw at the same time, and a training beside them draws from the generator of the process."""
    from concurrent.futures import ThreadPoolExecutor

    before = torch.get_rng_state()
    sizes = [(12 + seed % 3, 1 + seed % 4, seed) for seed in range(40)]
    alone = [Start.drawn(*given).flat for given in sizes]
    with ThreadPoolExecutor(8) as pool:
        beside = list(pool.map(lambda given: Start.drawn(*given).flat, sizes))
    assert all(torch.equal(one, other) for one, other in zip(alone, beside, strict=True))
    assert torch.equal(before, torch.get_rng_state())
