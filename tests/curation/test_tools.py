"""The tools as a person calls them: a folder in, tables and pages out, and the edits applied."""

import csv
import json
import re

import numpy as np
import pytest
from PIL import Image

from evaluator.cli.main import main as cli
from evaluator.curation.features import best_network, embedder, frozen_features, network_pipeline
from evaluator.curation.toolset import read_toolset, squared
from evaluator.data.edits import EditTable
from evaluator.errors import ConfigurationError, DataError, WeightsError
from evaluator.training import lite

CLASSES = ("i", "ii", "iii")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Bars: one, two or three of them, 66 for training and 33 for validation; six labels are wrong, one image is in both splits."""
    root = tmp_path_factory.mktemp("bars") / "bars"
    rng = np.random.default_rng(0)
    for n in range(99):
        kind = n % 3
        image = np.full((40 + n % 5, 40), 235, np.uint8)
        start = rng.integers(4, 10)
        for bar in range(kind + 1):
            at = start + 9 * bar
            image[6 + rng.integers(0, 4) : 34, at : at + 3] = 20
        label = (kind + 1) % 3 if n in (3, 10, 17, 24, 31, 38) else kind
        split = "val" if n >= 66 else "train"
        path = root / split / CLASSES[label] / f"{n:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        if n == 0:
            copy = root / "val" / CLASSES[label] / "copy.png"
            copy.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(copy)
    return root


def small(pixels):
    """Features without a network: 8 x 8 means."""
    grey = pixels.mean(axis=3) if pixels.ndim == 4 else pixels
    return 255 - grey.reshape(len(grey), 8, grey.shape[1] // 8, 8, -1).mean(axis=(2, 4)).reshape(len(grey), 64).astype(np.float32)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder of its own, and features in no time; what networks give is tested below, and in tests/training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("evaluator.curation.features.frozen_features", lambda pixels, *rest: small(pixels))
    monkeypatch.setattr("evaluator.curation.held_out.frozen_features", lambda pixels, *rest: small(pixels))
    monkeypatch.setattr("evaluator.curation.features.embedder", lambda network, size: small)
    return tmp_path


def table_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def run(folder, cache, action, *more, network=True):
    options = ["--network", "procedural", "--size", "32"] if network else []
    return cli(["curation", action, "--data", str(folder), "--cache", str(cache), *options, *more])


def test_issues_a_sheet_and_edits_that_apply(folder, cache, here, capsys):
    pytest.importorskip("cleanlab", reason="pip install -r requirements-cleaning.txt")
    assert run(folder, cache, "issues", "--drop", "8", "--check", "8", "--folds", "4") == 0
    out = capsys.readouterr().out
    assert "precision of the 8 most doubtful labels: not known" in out
    table = EditTable.read(here / "drop.csv")
    assert {edit.action for edit in table} == {"drop"}
    wrong = {f"{n:03d}.png" for n in (3, 10, 17, 24, 31, 38)}
    rows = table_of(here / "check.csv")
    assert {row["id"] for row in rows} == {edit.id for edit in table}
    for row in rows:
        row["verdict"] = "wrong" if row["id"].rpartition("/")[2] in wrong else "right"
    assert run(folder, cache, "issues", "--check", "8", "--folds", "4") == 2
    assert "may hold verdicts" in capsys.readouterr().err
    with open(here / "checked.csv", "w", newline="") as file:
        done = csv.DictWriter(file, rows[0])
        done.writeheader()
        done.writerows(rows)
    found = sum(row["verdict"] == "wrong" for row in rows)
    assert found >= 4
    assert run(folder, cache, "issues", "--drop", "8", "--checked", "checked.csv", "--folds", "4") == 0
    assert f"most doubtful labels: {found / 8:.2f} (" in capsys.readouterr().out
    assert cli(["curation", "apply", "drop.csv", "--data", str(folder), "--out", "clean"]) == 0
    assert len(read_toolset(here / "clean").images) == 100 - 8

    assert run(folder, cache, "sheet", "--most", "30", "--folds", "4") == 0
    page = (here / "sheet.html").read_text()
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])
    assert len(data["rows"]) == 30
    assert data["rows"][0][0] == table_of(here / "issues.csv")[0]["id"], "the most doubtful first"
    assert data["classes"] == list(CLASSES)
    assert len(table_of(here / "sheet.csv")) == 30


def test_folds_that_were_trained_before_an_interrupt_are_not_trained_again(folder, cache, here, monkeypatch, capsys):
    pytest.importorskip("cleanlab", reason="pip install -r requirements-cleaning.txt")
    from evaluator.curation import training

    train, calls = training.train_and_predict, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return train(*arguments)

    monkeypatch.setattr(training, "train_and_predict", interrupted)
    options = ("--recipe", "linear", "--folds", "4", "--drop", "8")
    assert run(folder, here / "cache", "issues", *options) == 130
    assert not (here / "issues.csv").exists()
    assert run(folder, here / "cache", "issues", *options) == 0
    assert len(calls) == 3 + 2, "two folds were kept"
    assert "recipe linear, 4 folds" in capsys.readouterr().out
    dropped = {edit.id.rpartition("/")[2] for edit in EditTable.read(here / "drop.csv")}
    assert len(dropped & {f"{n:03d}.png" for n in (3, 10, 17, 24, 31, 38)}) >= 4
    monkeypatch.setattr(training, "train_and_predict", None)
    assert run(folder, here / "cache", "sheet", *options[:4]) == 0, "the whole is kept, too"


def test_a_sheet_without_predictions_names_copies(folder, cache, here):
    assert run(folder, cache, "sheet", "--without-predictions", network=False) == 0
    rows = {row["id"]: row for row in table_of(here / "sheet.csv")}
    assert rows["val/i/copy.png"]["group"] == rows["train/i/000.png"]["group"] == "train/i/000.png"
    assert "also in the other split" in rows["val/i/copy.png"]["flags"]
    assert rows["train/i/006.png"]["flags"] == rows["train/i/006.png"]["predicted"] == ""


def test_split_repair_and_a_map(folder, cache, here, capsys):
    assert run(folder, cache, "split", "--share", "0.4") == 0
    table = EditTable.read(here / "moves.csv")
    assert {edit.action for edit in table} == {"move"}
    assert "0 images are in both splits" in capsys.readouterr().out.partition("after")[2]
    assert cli(["curation", "apply", "moves.csv", "--data", str(folder), "--out", "moved"]) == 0
    assert read_toolset(here / "moved").validation.mean() == pytest.approx(0.4, abs=0.05)
    assert run(folder, cache, "map") == 0
    page = (here / "map.html").read_text()
    assert page.count('class="chart"') == 4, "all images, and three labels"
    assert "training, far from validation" in page
    assert run(folder, cache, "map", "--out", "map.svg") == 0
    assert (here / "map.svg").read_text().startswith("<svg")


def test_boosting_writes_edits_with_their_images(folder, cache, here, capsys):
    assert run(folder, cache, "boost", "--pool", "300", "--rounds", "1", "--side", "32", "--limit", "120") == 0
    table = EditTable.read(here / "boosted" / "edits.csv")
    assert 0 < len(table) <= 20
    assert {edit.action for edit in table} == {"add"}
    assert "were never asked" in capsys.readouterr().out
    assert cli(["curation", "apply", "boosted/edits.csv", "--data", str(folder), "--out", "more"]) == 0
    assert len(read_toolset(here / "more").images) == 100 + len(table)
    assert run(folder, cache, "boost", "--pool", "300") == 2
    assert "it exists; expected a new folder" in capsys.readouterr().err


def test_a_recipe_may_take_the_place_of_frozen_features(folder, cache, here, capsys):
    pytest.importorskip("cleanlab", reason="pip install -r requirements-cleaning.txt")
    assert run(folder, cache, "issues", "--recipe", "linear", "--folds", "3", network=False) == 0
    assert "recipe linear, 3 folds" in capsys.readouterr().out.replace("\n    ", " ")
    assert len(table_of(here / "issues.csv")) == 100
    more = ("--recipe", "linear", "--pool", "200", "--rounds", "1", "--side", "32", "--limit", "120")
    assert run(folder, cache, "boost", *more) == 0
    assert "accuracy on the judge's part" in capsys.readouterr().out
    assert (here / "boosted" / "edits.csv").exists()


def test_tasks_for_label_studio(folder, cache, here, capsys):
    assert run(folder, cache, "label-studio", "--without-predictions", "--most", "5", network=False) == 0
    tasks = json.loads((here / "tasks.json").read_text())
    assert len(tasks) == 5
    result = [{"from_name": "label", "to_name": "image", "type": "choices", "value": {"choices": ["iii"]}}]
    (here / "export.json").write_text(json.dumps([task | {"annotations": [{"result": result}]} for task in tasks]))
    assert run(folder, cache, "label-studio", "--read", "export.json", network=False) == 0
    assert "5 tasks annotated, 0 not; 5 edits" in capsys.readouterr().out
    assert {edit.label for edit in EditTable.read(here / "annotated.csv")} == {"iii"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("issues", "--size", "16"), "--size is 16"),
        (("issues", "--network", "light0"), "did you mean 'lite0'"),
        (("sheet", "--out", "sheet.txt"), "ends in .html"),
        (("sheet", "--recipe", "fixd"), "there is no recipe 'fixd'"),
        (("map", "--out", "map.png"), "ends in .html or .svg"),
        (("boost", "--pool", "9999999"), "--pool is 9999999"),
        (("boost", "--judge", "1.5"), "--judge is 1.5"),
        (("label-studio", "--without-predictions", "--pre-label", "predicted"), "Leave out one of the two"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_read(here, words, said, capsys):
    assert cli(["curation", words[0], "--data", "nowhere", *words[1:]]) == 2
    assert said in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_frozen_features_are_those_of_an_embedder_and_are_kept(folder, cache):
    pixels = squared(read_toolset(folder).images.pixels, 32)[:8]
    done = []
    found = frozen_features(pixels, "procedural", 32, cache, done.append)
    assert found.shape == (8, 1792)
    assert done[-1] == 1
    again = frozen_features(pixels, "procedural", 32, cache, done.append)
    assert np.array_equal(again, found)
    assert done.count(1) == 1, "the second time nothing was computed"
    np.testing.assert_allclose(embedder("procedural", 32)(pixels), found, rtol=1e-4, atol=1e-4)


def test_a_folder_without_both_splits_is_refused(tmp_path):
    with pytest.raises(DataError, match="it has no folder train"):
        read_toolset(tmp_path)


def test_images_of_any_shape_become_squares():
    grey, colour = np.zeros((10, 30), np.uint8), np.full((8, 8, 3), 9, np.uint8)
    assert squared([grey], 16).shape == (1, 16, 16, 1)
    both = squared([grey, colour], 16)
    assert both.shape == (2, 16, 16, 3)
    assert (both[1] == 9).all()


def test_networks_are_named_and_the_best_that_is_there_is_taken(monkeypatch):
    assert network_pipeline("lite2", 48).architecture == "timm/tf_efficientnet_lite2"
    assert network_pipeline("proxy", 48).image_size == 48
    with pytest.raises(ConfigurationError, match="is no proxy"):
        network_pipeline("round2", 64)

    def absent(architecture):
        raise WeightsError("not installed")

    monkeypatch.setattr(lite, "package_file", absent)
    assert best_network() == "procedural"
