"""The part of the scored images: scores of kept predictions on images that are drawn anew."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import TINY
from specs import spec

from evaluator.data.folders import read_split
from evaluator.errors import DataError
from evaluator.purchase import drawn_images
from evaluator.purchase.track import PURCHASE
from evaluator.report import levels
from evaluator.report.levels import Kind, add_items
from evaluator.scoring.metrics import score

CLASSES = TINY.round.classes


@pytest.fixture
def places(data_folder, tmp_path):
    (tmp_path / "tiny").symlink_to(data_folder)
    return tmp_path


def guesses(truth: np.ndarray, wrong: float, root: int) -> np.ndarray:
    """Probabilities with this share of wrong entries."""
    flipped = np.random.default_rng(root).random(truth.shape) < wrong
    return np.where(flipped, 1 - truth, truth).astype(np.float16)


def cell(places, **changes) -> dict:
    split = read_split(places / "tiny" / "validation", CLASSES)
    return {"spec": spec(data={"validation": split.digest}, **changes).as_dict(), "training": {"thresholds": [0.5] * 6}}


@pytest.mark.parametrize("metric", ["macro_f1", "accuracy", "hamming_loss"])
def test_each_draw_is_scored_as_its_images_would_be(places, metric):
    truth = read_split(places / "tiny" / "validation", CLASSES).labels
    found = guesses(truth, 0.2, 1)
    values = PURCHASE.drawn_scores(cell(places), found, metric, 5, places)
    counts = drawn_images._counts(cell(places)["spec"]["data"]["validation"], len(truth), 5)
    for value, often in zip(values, counts, strict=True):
        rows = np.repeat(np.arange(len(truth)), often)
        assert value == pytest.approx(getattr(score(truth[rows], found[rows].astype(int), CLASSES), metric))


def test_other_data_than_those_of_the_cell_are_refused(places):
    truth = read_split(places / "tiny" / "validation", CLASSES).labels
    other = cell(places)
    other["spec"]["data"]["validation"] = "another"
    with pytest.raises(DataError, match="is not what the cells were run on"):
        PURCHASE.drawn_scores(other, guesses(truth, 0.2, 1), "macro_f1", 5, places)


def test_the_part_of_the_images_is_that_of_their_draws(places, monkeypatch):
    """Two data sets of one split: what differs between them is the images' chance and nothing else."""
    truth = read_split(places / "tiny" / "validation", CLASSES).labels
    monkeypatch.setattr(drawn_images, "numbered", lambda profile, number: replace(profile, data_folder="tiny"))
    cells, kept, conditions = [], {}, []
    for number in (1, 2):
        of = {}
        for name, wrong in (("random", 0.3), ("mine", 0.1)):
            one = cell(places, name=name, data_set=number) | {"cell": f"{name} {number}", "scored": True}
            kept[one["cell"]] = guesses(truth, wrong, number)
            cells.append((None, one, ""))
            of[name, "621:17", 0] = one
        digests = {name: of[name, "621:17", 0]["spec"]["submission_digest"] for name in ("random", "mine")}
        conditions.append(SimpleNamespace(cells=of, track=PURCHASE, digests=digests))
    monkeypatch.setattr(levels, "read_cells", lambda root, tracks: cells)
    monkeypatch.setattr(levels, "read_predictions", lambda root, of: kept[of["cell"]])
    found = {"low": -0.1, "high": 0.5, "data_sets": 2, "level": 0.95}
    row = {"strategy": "mine", "levels": found, "finding": "within noise"}
    table = {"over_pairs": ["621:17"], "seeds": [0], "metric": "macro_f1", "data_sets": [1, 2], "reference": "random"}
    table |= {"means": [], "differences": [row]}
    assert add_items(Kind(tuple(conditions)), table, places, None, places) == ""
    rng, each = np.random.default_rng(0), []
    for number in (1, 2):
        draws = [rng.integers(len(truth), size=len(truth)) for _ in range(400)]
        both = [
            [score(truth[r], kept[f"{n} {number}"][r].astype(int), CLASSES).macro_f1 for r in draws] for n in ("mine", "random")
        ]
        each.append(np.var(np.subtract(*both), ddof=1))
    assert found["item_deviation"] == pytest.approx(np.sqrt(np.mean(each)), rel=0.12)
    assert 0 < found["item_share"] <= 1
