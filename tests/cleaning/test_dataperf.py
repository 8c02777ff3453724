"""Against the original's own output, where it is present: every accuracy and every score."""

import json
from pathlib import Path

import numpy as np
import pytest

from evaluator.cleaning.folder import read_task, task_names
from evaluator.cleaning.original import evaluate_original
from evaluator.cleaning.rankings import read_ranking, read_rankings
from evaluator.strategies.valuation.neighbours import knn_shapley
from evaluator.strategies.valuation.ranks import worst_first

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "dataperf"
TASK = "syn01-flipped"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not here")
pytest.importorskip("pyarrow", reason="pip install -r requirements-cleaning.txt")


@pytest.fixture(scope="module")
def task():
    assert task_names(SHARED / "embeddings") == [TASK]
    return read_task(TASK, SHARED / "embeddings", SHARED / "data")


def by_method(rows):
    found = {}
    for row in rows:
        found.setdefault(row["submission"], []).append(row)
    return found


def checked(task, names, **how):
    expected = json.loads((SHARED / "expected" / f"{TASK}_evaluation.json").read_text())
    rankings, refused = read_rankings(SHARED / "submissions", TASK, len(task.train), strict=False)
    assert not refused
    made = evaluate_original(task, [r for r in rankings if names is None or r.method in names], **how)
    found = made.as_json()
    there = by_method(expected["submitted_evaluations"])
    for method, rows in by_method(found["submitted_evaluations"]).items():
        assert rows == there[method], method
        assert found["auc_score"][method] == expected["auc_score"][method]
    assert found["before_acc"] == expected["before_acc"] == 0.66
    return made


def test_short_files_give_the_originals_steps(task):
    made = checked(task, {"cheat_one_line", "cheat_repeat300"})
    assert made.fits == 1, "the first label of the file is right, so that its labels never change"


@pytest.mark.endurance
def test_every_step_of_every_curve_is_the_originals(task):
    made = checked(task, None, processes=2)
    assert sum(len(curve.accuracies) for curve in made.curves) == 2_700
    assert made.fits == 358
    assert 0 < made.exact < 40


def test_the_order_of_one_neighbour_is_datascopes(task):
    expected = read_ranking(SHARED / "submissions" / f"{TASK}_neighbor_shapley (datascope).txt", 300, strict=True)
    found = worst_first(knn_shapley(task.train.rows, task.train.labels, task.validation.rows, task.validation.labels))
    assert np.array_equal(found, expected)
