"""The study of the curation track: a test set without copies, differences with both kinds of noise, findings beyond noise."""

import json

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from evaluator.curation.curated import pixel_digest
from evaluator.curation.images import read_images
from evaluator.data.edits import EditTable
from evaluator.errors import ConfigurationError
from experiments.curation import __main__ as command
from experiments.curation.cells import pack, read
from experiments.curation.compared import difference
from experiments.curation.edits import CONDITIONS, Room
from experiments.curation.page import REGION, Study, text
from experiments.curation.real import EDITS, drawn, groups_of, hold_out
from experiments.curation.study import DataSet, run
from experiments.places import Places

MADE = {
    "command": "a command",
    "looked": "a folder",
    "machine": "Two cores",
    "versions": {"torch": "1"},
    "network": "lite0",
    "cpu_minutes": 2.0,
    "sets": {"roman": {"train": 60, "val": 30, "tested": 200, "near": 32, "relabelled": 3, "dropped": 7}},
    "left_out": [],
}


def answers(draws, seeds, images, share, spread):
    """Right answers of trainings that differ from each other, on images that are not equally hard."""
    hard = draws.normal(0, 1, images)
    luck = draws.normal(0, spread, seeds)
    chance = stats.norm.cdf(stats.norm.ppf(share) + hard + luck[:, None])
    return draws.random((seeds, images)) < chance


def test_the_interval_of_a_difference_holds_the_truth_as_often_as_it_says():
    draws = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        seeds = [answers(draws, 5, 300, 0.6, 0.15) for _ in range(2)]
        found = difference(*seeds)
        held += found.low <= 0 <= found.high
    assert stats.binomtest(held, 400, 0.95, alternative="less").pvalue > 0.01, held  # not less often than 95 %
    assert held < 400  # and not always


def test_trainings_without_chance_leave_the_noise_of_test_images():
    draws = np.random.default_rng(1)
    new, old = draws.random(400) < 0.7, draws.random(400) < 0.6
    found = difference(np.tile(new, (5, 1)), np.tile(old, (5, 1)))
    apart = new.astype(float) - old
    assert found.mean == pytest.approx(apart.mean())
    assert found.seeds_share == 0
    assert found.high - found.mean == pytest.approx(stats.t.ppf(0.975, 399) * apart.std(ddof=1) / 20, rel=1e-6)


def test_trainings_that_err_alike_on_all_images_leave_the_noise_of_seeds():
    new = np.repeat([[1], [1], [1], [0], [1]], 50, axis=1).astype(bool)
    old = np.repeat([[0], [1], [0], [0], [1]], 50, axis=1).astype(bool)
    found = difference(new, old)
    expected = stats.ttest_rel(new[:, 0].astype(float), old[:, 0].astype(float))
    assert found.p == pytest.approx(expected.pvalue)
    assert found.seeds_share == 1


def test_a_group_is_tested_as_a_whole_or_not_at_all():
    groups = np.arange(400) // 2 * 2
    truth = np.arange(400) // 2 % 10
    truth[0], truth[4:6] = 9, -1  # a group with two labels, and one that was taken out
    barred = np.zeros(400, bool)
    barred[8] = True
    tested = drawn(groups, truth, barred)
    assert (tested[0::2] == tested[1::2]).all()
    assert not tested[[0, 1, 4, 5, 8, 9]].any()
    assert 0.25 < tested.mean() < 0.4
    assert set(truth[tested]) == set(range(10))


@pytest.fixture
def published(tmp_path):
    """A folder as a participant published it: a copy, a wrong label, an image that was taken out, and images of the book."""
    draws = np.random.default_rng(2)
    images = {}

    def write(place, number):
        if number not in images:
            images[number] = draws.integers(0, 256, (24, 24), dtype=np.uint8)
        path = tmp_path / "roman" / place
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(images[number]).save(path)

    for label, name in enumerate(("i", "ii", "iii")):
        for number in range(100 * label, 100 * label + 30):
            split = "train" if number % 3 else "val"
            write(f"raw/{split}/{name}/{number}.png", number)
            careful = "ii" if number == 0 else name
            if number != 1:
                write(f"hand_cleaned/{split}/{careful}/{number}.png", number)
        write(f"label_book/{name}/book{label}.png", 100 * label + 2)
    write("raw/val/iii/copy.png", 202)
    write("raw/val/iii/twin.png", 207)
    return tmp_path / "roman"


def test_no_tested_image_is_given_and_careful_labels_become_edits(published, tmp_path):
    found = hold_out(published, tmp_path / "held")
    folder = tmp_path / "held"
    test = read_images(folder / "test")
    given = [read_images(folder / split, prefix=f"{split}/") for split in ("train", "val")]
    pixels = {pixel_digest(image) for part in given for image in part.pixels}
    assert found.tested == len(test) > 20
    assert len({pixel_digest(image) for image in test.pixels}) == len(test)
    assert not pixels & {pixel_digest(image) for image in test.pixels}
    assert found.train + found.val == sum(len(part) for part in given)
    edits = {edit.id: edit for edit in EditTable.read(folder / EDITS)}
    assert edits["train/i/1.png"].action == "drop"
    wrong = [edit for edit in edits.values() if edit.action == "relabel"]
    assert {edit.label for edit in wrong} <= {"ii"}
    tested = {name for part in given for name in part.ids}
    assert ("val/i/0.png" in tested) == bool(wrong)
    assert hold_out(published, folder) == found  # a second run finds what is there


def test_copies_are_one_group(published):
    raw = read_images(published / "raw" / "val", prefix="val/")
    names = dict(zip(raw.ids, groups_of(raw, 0).tolist(), strict=True))
    assert names["val/iii/twin.png"] == names["val/iii/207.png"] if "val/iii/207.png" in names else True
    assert len(set(names.values())) >= len(names) - 2


def made_up(gain: float, boosted: float = 0.0, seeds: int = 5):
    """Cells of one data set, whose careful data are better by ``gain``."""
    draws = np.random.default_rng(3)
    better = {"careful": gain, "boosted": boosted}
    return [
        {
            "data": "roman",
            "condition": condition,
            "seed": seed,
            "cell": "c" * 12,
            **dict.fromkeys(("accuracy", "macro_f1", "book_accuracy", "validation_accuracy", "best_constant_accuracy"), 0.5),
            "best_epoch": 3,
            "changes": {"train": 60, "val": 30, "left_out": 4},
            "images": 600,
            "right": np.packbits(draws.random(600) < 0.5 + better.get(condition, 0.0)).tobytes().hex(),
        }
        for condition in CONDITIONS
        for seed in range(seeds)
    ]


def test_a_gain_is_shown_only_beyond_noise():
    page = text(Study({"cells": made_up(0.25), "made": MADE}))
    careful, boosting = (
        next(line for line in page.splitlines() if line.startswith(f"- {what}")) for what in ("Careful", "Boosting")
    )
    assert "**shown**" in careful
    assert "not shown" in boosting
    assert "the contrary is shown" in text(Study({"cells": made_up(-0.25), "made": MADE}))


def test_all_differences_of_the_page_are_one_family():
    found = Study({"cells": made_up(0.25), "made": MADE}).differences
    assert len(found) == 6
    raw = {key: value.p for key, (value, _) in found.items()}
    smallest = min(raw, key=raw.__getitem__)
    assert found[smallest][1] == pytest.approx(min(1, 6 * raw[smallest]))


def test_a_page_that_was_edited_by_hand_is_told(tmp_path, capsys):
    places = Places(tmp_path)
    places.curation_cells.parent.mkdir(parents=True)
    places.curation_page.parent.mkdir()
    places.curation_cells.write_text(pack(made_up(0.2), MADE))
    places.curation_page.write_text(f"before\n{REGION.start}\n{REGION.end}\nafter\n")
    command.written(places)
    assert command.report(places) == 0
    page = places.curation_page.read_text()
    assert page.startswith("before\n")
    assert page.endswith("after\n")
    places.curation_page.write_text(page.replace("within noise", "better", 1))
    assert command.report(places) == 1
    assert "--page-only" in capsys.readouterr().err


def test_figures_of_another_schema_are_refused(tmp_path):
    file = tmp_path / "curation.json"
    file.write_text(json.dumps({"schema": 0}))
    with pytest.raises(ConfigurationError, match="schema"):
        read(file)
    file.unlink()
    with pytest.raises(ConfigurationError, match="--run"):
        read(file)


@pytest.mark.endurance
def test_a_run_is_resumed_and_every_condition_is_a_cell(tmp_path):
    pytest.importorskip("cleanlab")
    small = DataSet("debug", "Very small", "debug", "linear", 1, Room(added=20, pool=200))
    lines: list[str] = []
    first = list(run(tmp_path / "out", tmp_path, tmp_path / "cache", [small], said=lines.append))
    assert len(set(first)) == len(CONDITIONS)
    tables = {name: EditTable.read(tmp_path / "out" / "edits" / "debug" / "0" / name / f"{name}.csv") for name in CONDITIONS}
    assert len(tables["as_given"]) == 0
    assert len(tables["cleanlab_dropped"]) == round(142 / 2880 * 220)
    assert len(tables["boosted"]) == len(tables["augmented"]) == 20
    assert {edit.action for edit in tables["combined"]} == {"drop", "add"}
    again: list[str] = []
    assert list(run(tmp_path / "out", tmp_path, tmp_path / "cache", [small], said=again.append)) == first
    assert not any("making" in line for line in again)
