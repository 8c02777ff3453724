"""Which trainings may run side by side: those of a seed, and those of all seeds where no clock runs."""

from __future__ import annotations

from types import SimpleNamespace

from evaluator.runner import cells as runner
from evaluator.runner.cells import run_cells


def batches(monkeypatch, tmp_path, *timed):
    """The seeds of every batch of trainings. ``timed``: the limit of the clock of the two cells of each seed."""
    cells = [
        SimpleNamespace(seed=seed, seconds_allowed=limit, trains=True) for seed, limits in enumerate(timed) for limit in limits
    ]
    seen = []

    class Recording:
        def __init__(self, *given):
            pass

        def answered(self, batch, fresh):
            return [SimpleNamespace(spec=spec, answer=SimpleNamespace(size=1, scorable=lambda spec: True)) for spec in batch]

        def from_predictions(self, task):
            return None

        def train_there(self, waiting, workers):
            seen.append([task.spec.seed for task in waiting])
            return []

    monkeypatch.setattr(runner, "_Runner", Recording)
    monkeypatch.setattr(runner, "Answers", lambda *given, **named: None)
    monkeypatch.setattr(runner, "remove_leftovers", lambda: None)
    store = SimpleNamespace(forget_old_partials=lambda: None)
    assert not list(run_cells(None, cells, None, store, tmp_path, workers=object()))
    return seen


def test_seeds_without_a_clock_are_trained_side_by_side(monkeypatch, tmp_path):
    assert batches(monkeypatch, tmp_path, (0, 0), (0, 0), (0, 0)) == [[0, 0, 1, 1, 2, 2]]


def test_a_seed_with_a_clock_waits_for_the_trainings_before_it(monkeypatch, tmp_path):
    assert batches(monkeypatch, tmp_path, (60, 0), (60, 0), (0, 0), (0, 0)) == [[0, 0], [1, 1], [2, 2, 3, 3]]
