"""Answers on Codabench: a folder and a table of edits in the place of a class, judged by the program of a bundle."""

import json
from pathlib import Path

import numpy as np
import pytest

from evaluator.cli.main import main
from evaluator.curation.curated import as_png
from evaluator.curation.rules import PROFILES
from evaluator.curation.sets import sets_of
from evaluator.curation.track import CURATION
from evaluator.export.codabench import scoring
from evaluator.export.codabench.order import FILE, OPTIONS, Order, columns_of, floor_of
from evaluator.export.codabench.stand_in import try_bundle
from evaluator.history.store import Store
from evaluator.sweep import run as sweep_run
from evaluator.sweep.given import Here

METRIC = CURATION.metric("accuracy")
CLASS = "from run import CurationRun\nclass Mine(CurationRun):\n    def curate(self, dataset):\n        return []\n"


def order(**changed):
    given = {"track": "curation", "metric": "accuracy", "word": "data set", "sandbox": "process", "seconds": 600}
    given |= {"columns": columns_of(METRIC), "floor": floor_of(METRIC), "answers": True}
    return Order(**given | changed)


@pytest.fixture(scope="module")
def given():
    """The images of the profile ``debug`` with public seeds."""
    return sets_of(PROFILES["debug"], 2022, None, None, None).load()


@pytest.fixture
def app(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "_undumpable", lambda: None)
    monkeypatch.setattr(
        sweep_run, "Workers", lambda count, devices, together: Here()
    )  # another process takes longer to start than to train
    monkeypatch.setattr(scoring, "_end_others", lambda: None)
    monkeypatch.setattr(scoring, "tier_of", lambda weakest: scoring.choose("process"))
    root = tmp_path / "app"
    for folder in ("program", "input/ref", "input/res", "output", "shared"):
        (root / folder).mkdir(parents=True)
    (root / "program" / FILE).write_bytes(order().as_json())
    (root / "input" / "ref" / OPTIONS).write_text('profile = "debug"\nseeds = 2\npublic-seeds = true\n')
    (root / "input" / "res" / "metadata").write_text("exitCode: null\n")
    return root


def judged(app):
    status = scoring.main(app, lambda name: CURATION)
    scores = app / "output" / "scores.json"
    return status, json.loads(scores.read_text()) if scores.exists() else None


def table(folder: Path, *rows: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "edits.csv").write_text("\n".join(["id,action,label,split,file", *rows]) + "\n")
    return folder


@pytest.mark.endurance
def test_a_table_of_edits_is_scored(app, given, capfd):
    res = table(app / "input" / "res", *(f"{item.id},drop,,," for item in given.items[::4]))
    status, scores = judged(app)
    assert (status, set(scores), scores["failed_cells"]) == (scoring.SCORED, {"accuracy", "failed_cells"}, 0)
    assert 0 < scores["accuracy"] < 1
    page = (app / "output" / "detailed_results.html").read_text()
    assert "It is an answer, of which nothing runs." in page
    assert str(res) not in page
    assert capfd.readouterr().out.endswith("judged\n")


def expected(path: Path, home: Path) -> float:
    """The accuracy of a folder with a table, by ``sweep``."""
    out = ["--out", str(home / "results"), "--sandbox", "process", "--public-seeds"]
    assert main(["sweep", "--track", "curation", "--submissions", str(path), "--profile", "debug", *out]) == 0
    (cell,) = [json.loads(file.read_text()) for file in (Store(home / "results").root / "cells").glob("*.json")]
    return cell["metrics"]["accuracy"]


def test_a_table_that_names_no_image_gets_the_floor_and_counts(app, capfd):
    table(app / "input" / "res", "train/i/nothing.png,drop,,,")
    status, scores = judged(app)
    assert (status, scores["accuracy"], scores["failed_cells"]) == (scoring.SCORED, 0.0, 2.0)
    assert "nothing.png" not in (app / "output" / "detailed_results.html").read_text()


def test_answers_are_refused_where_code_is_judged(app, given, capfd):
    (app / "program" / FILE).write_bytes(order(answers=False).as_json())
    table(app / "input" / "res", f"{given.items[0].id},drop,,,")
    assert judged(app) == (scoring.REFUSED, None)
    assert "it is an answer, and this competition judges code" in capfd.readouterr().err


@pytest.mark.parametrize("rows", [["x,paint,,,"], ["a.png,add,i,train,../../input/ref/sweep.toml"]])
def test_a_table_that_is_wrong_by_itself_is_refused_before_data_are_read(app, rows, capfd):
    table(app / "input" / "res", *rows)
    assert judged(app) == (scoring.REFUSED, None)
    assert "edits.csv, line 2" in capfd.readouterr().err


def test_copies_of_one_answer_are_scored_and_have_no_interval():
    row = {"score": {"accuracy": {"mean": 0.25, "low": None, "high": None}}, "cells": 2, "scored": 2}
    assert order().scores(row) == {"accuracy": 0.25, "failed_cells": 0.0}
    assert order().scores(row | {"score": None, "scored": 1}) == floor_of(METRIC) | {"failed_cells": 1.0}


@pytest.mark.endurance
def test_a_folder_a_table_a_package_and_a_class_go_through_a_whole_bundle(tmp_path, given):
    """Both steps, in the rooms of the stand-in; the folder is laid out as it was given, label book included."""
    home = tmp_path / "given"
    words = ["--track", "curation", "--profile", "debug", "--seeds", "2", "--public-seeds", "--title", "Small", "--image", "kit"]
    bundle = tmp_path / "b.zip"
    made = ["export", "codabench", *words, "--training-seconds", "20", "--answers", "--sandbox", "process", "--out", str(bundle)]
    assert main(made) == 0
    assert main(["curation", "make", "--profile", "debug", "--folder", str(home)]) == 0
    assert (home / "label_book").is_dir()
    as_given = try_bundle(bundle, home)
    assert as_given.status == "Finished", (as_given.why, as_given.steps, as_given.log)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "run.py").write_text(CLASS)
    assert try_bundle(bundle, tmp_path / "code").row == as_given.row, "no edit is the data as given"
    names = sorted(str(path.relative_to(home)) for path in (home / "train").rglob("*.png"))[::4]
    edited = table(tmp_path / "edited", *(f"{name},drop,,," for name in names), "mine/new.png,add,i,train,new.png")
    (edited / "new.png").write_bytes(as_png(np.arange(144, dtype=np.uint8).reshape(12, 12)))
    tried = try_bundle(bundle, edited)
    assert tried.row["accuracy"] != as_given.row["accuracy"]
    assert tried.row == pytest.approx({"accuracy": expected(edited, tmp_path), "failed_cells": 0})
    packed = tmp_path / "edited.zip"
    assert main(["package", str(edited), "--track", "curation", "--out", str(packed)]) == 0
    assert try_bundle(bundle, packed).row == tried.row
    (home / "pictures").mkdir()
    (home / "train" / "i" / names[0].rsplit("/", 1)[1]).rename(home / "pictures" / "a.png")
    lost = try_bundle(bundle, home)
    assert (lost.status, lost.counts) == ("Failed", False), "an image at no place for one"
    assert "pictures/a.png" in lost.steps[-1].err
