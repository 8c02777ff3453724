"""A cell whose metric alone changed is scored anew from kept predictions, without a training; everything else is judged anew."""

from dataclasses import replace

import pytest
from conftest import SUBMISSIONS

from evaluator.history.predictions import read_predictions
from evaluator.history.store import Store
from evaluator.purchase import cell as judging
from evaluator.purchase.spec import PurchaseSpec
from evaluator.purchase.track import PURCHASE
from evaluator.runner.cells import run_cells
from evaluator.runner.workers import Workers
from evaluator.sandbox.process import ProcessSandbox
from evaluator.track import CellInputs


@pytest.fixture
def judged(tmp_path, sets, cell_spec):
    """Judge the cell under this version of the judging code; what is stored, and how often a model was trained."""
    store = Store(tmp_path / "results")
    path = SUBMISSIONS / "random_buyer.py"

    def run(monkeypatch, version: int, since: int, workers: Workers | None = None):
        monkeypatch.setattr(PurchaseSpec, "version", version)
        monkeypatch.setattr(PurchaseSpec, "predictions_since", since)
        trained = []
        whole = judging.train_and_score

        def train(*given):
            trained.append(1)
            return whole(*given)

        monkeypatch.setattr(judging, "train_and_score", train)
        spec = cell_spec(path)
        inputs = CellInputs(path, sets, ProcessSandbox())
        run = store.new_run("x")
        (cell,) = run_cells(PURCHASE, [spec], lambda spec: inputs, store, run, workers=workers)
        monkeypatch.setattr(judging, "train_and_score", whole)
        return cell, store.read_cell(spec.digest()), len(trained)

    run.store = store
    return run


def test_kept_predictions_are_scored_by_the_new_metric(judged, monkeypatch):
    _, old, trained = judged(monkeypatch, 1, 0)
    assert trained == 1
    as_before = judging.score
    monkeypatch.setattr(judging, "score", lambda *given: replace(as_before(*given), macro_f1=0.125))
    cell, new, trained = judged(monkeypatch, 2, 1)
    assert trained == 0
    assert (new["metrics"]["macro_f1"], new["spec"]["version"]) == (0.125, 2)
    for name in ("accuracy", "hamming_loss", "n", "best_constant_macro_f1"):
        assert new["metrics"][name] == old["metrics"][name], "decisions are those of the training"
    assert {name: new[name] for name in ("fingerprint", "training", "ledger", "answer")} == {
        name: old[name] for name in ("fingerprint", "training", "ledger", "answer")
    }
    assert (read_predictions(judged.store.root, new) == read_predictions(judged.store.root, old)).all()
    assert (cell.cached, new["attempts"]) == (False, [])
    again, _, trained = judged(monkeypatch, 2, 1)
    assert (again.cached, trained) == (True, 0)


def test_without_a_promise_or_predictions_the_answer_is_judged_anew(judged, monkeypatch, capsys):
    _, old, _ = judged(monkeypatch, 1, 0)
    _, new, trained = judged(monkeypatch, 2, 0)  # trainings may have changed
    assert (trained, new["answer"]["checksum"]) == (1, old["answer"]["checksum"])
    for path in (judged.store.root / "cells").glob("*.npy"):
        path.unlink()
    _, new, trained = judged(monkeypatch, 3, 1)
    assert trained == 1
    assert "is judged anew" in capsys.readouterr().err
    assert new["fingerprint"] == old["fingerprint"]


def test_predictions_of_other_images_are_refused(judged, monkeypatch, sets, cell_spec):
    _, old, _ = judged(monkeypatch, 1, 0)
    kept = read_predictions(judged.store.root, old)
    with pytest.raises(ValueError, match="other images"):
        judging.rescored(cell_spec(SUBMISSIONS / "random_buyer.py"), sets, old, kept[1:])


def test_hashes_of_earlier_versions(cell_spec, monkeypatch):
    spec = cell_spec(SUBMISSIONS / "random_buyer.py")
    assert spec.earlier() == []
    monkeypatch.setattr(PurchaseSpec, "version", 3)
    monkeypatch.setattr(PurchaseSpec, "predictions_since", 2)
    two = cell_spec(SUBMISSIONS / "random_buyer.py").earlier()
    monkeypatch.setattr(PurchaseSpec, "version", 2)
    assert two == [cell_spec(SUBMISSIONS / "random_buyer.py").digest()]
