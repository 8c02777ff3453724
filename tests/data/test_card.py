"""The data set card and the verb `data`: right figures, pictures that stay small, and mistakes that exit with 2."""

import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluator.cli.main import main
from evaluator.data.card import channels, write_card
from evaluator.data.folders import read_split
from evaluator.data.make import DataSpec, make_dataset
from evaluator.data.pictures import MAX_PICTURE, small_png
from evaluator.errors import DataError
from evaluator.purchase.rounds import ROUND1, ROUND2

CLASSES = ("red", "green")


def make(folder: Path, labels: list[list[int]], colours: list[tuple[int, int, int]], classes=CLASSES) -> Path:
    (folder / "images").mkdir(parents=True)
    for number, colour in enumerate(colours):
        Image.new("RGB", (16, 16), colour).save(folder / "images" / f"{number}.png")
    rows = "".join(f"{number}.png,{','.join(map(str, row))}\n" for number, row in enumerate(labels))
    (folder / "labels.csv").write_text(",".join(["filename", *classes]) + "\n" + rows)
    return folder


@pytest.fixture
def small(tmp_path) -> Path:
    make(tmp_path / "toy" / "validation", [[0, 0], [0, 0]], [(0, 0, 0), (255, 255, 255)])
    make(tmp_path / "toy" / "training", [[1, 1], [1, 0], [0, 0], [1, 0]], [(255, 0, 0), (255, 0, 0), (0, 0, 0), (0, 0, 255)])
    return tmp_path / "toy"


@pytest.fixture(scope="module")
def painted(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("painted") / "mine"
    make_dataset(folder, DataSpec(7, 32, {"training": 6, "debug": 3}))
    return folder


def run(*words) -> int:
    return main(["data", *map(str, words)])


def row(text: str, first: str) -> list[str]:
    """The cells of the first table row that starts with ``first``."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_figures_are_those_of_the_data(small, tmp_path):
    write_card(small, CLASSES, tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text()
    assert row(text, "training") == ["training", "4", "75.0 %", "25.0 %", "25.0 %", "1.00"]
    assert row(text, "validation") == ["validation", "2", "0.0 %", "0.0 %", "100.0 %", "0.00"]
    assert text.index("| training | 4") < text.index("| validation | 2")
    assert row(text, "red") == ["red", "3", "-", "33.3 %"]
    assert row(text, "green") == ["green", "1", "100.0 %", "-"]
    assert "red 50.0 %, green 16.7 %" in text
    assert "0.500, 0.000, 0.250 | 0.500, 0.000, 0.433 | 4 | 16" in text
    assert "0.500, 0.500, 0.500 | 0.500, 0.500, 0.500 | 2 | 16" in text
    assert read_split(small / "training", CLASSES).digest[:16] in text


def test_channel_statistics_equal_those_of_the_pixels(painted):
    split = read_split(painted / "training", ROUND2.classes)
    pixels = np.concatenate([np.asarray(Image.open(split.path(i))).reshape(-1, 3) for i in range(len(split))]) / 255
    measured = channels(split)
    assert np.allclose(measured.mean, pixels.mean(0))
    assert np.allclose(measured.deviation, pixels.std(0))


def test_sheets_of_other_data_show_images_that_have_the_class(small, tmp_path):
    write_card(small, CLASSES, tmp_path / "README.md")
    red = np.asarray(Image.open(tmp_path / "card" / "red.png").convert("RGB"))
    seen = {tuple(pixel) for pixel in red.reshape(-1, 3).tolist()}
    assert seen == {(255, 255, 255), (255, 0, 0), (0, 0, 255)}  # paper, and the images with the label; no black one
    assert np.asarray(Image.open(tmp_path / "card" / "green.png").convert("RGB")).shape[0] < 100


def test_a_class_that_no_image_has_is_said(small, tmp_path):
    labels = small / "training" / "labels.csv"
    labels.write_text(labels.read_text().replace("1,1", "1,0"))
    write_card(small, CLASSES, tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text()
    assert "### green\n\nNo image has it." in text
    assert [p.name for p in (tmp_path / "card").iterdir()] == ["red.png"]


@pytest.mark.endurance
def test_every_picture_of_a_generated_set_is_there_small_and_linked(painted, tmp_path):
    write_card(painted, ROUND2.classes, tmp_path / "README.md")
    text = (tmp_path / "README.md").read_text()
    for name in ROUND2.classes:
        assert f"](card/{name}.png)" in text
        path = tmp_path / "card" / f"{name}.png"
        assert path.stat().st_size <= MAX_PICTURE
        assert min(Image.open(path).size) > 200
    for line in ("- seed: `7`", "- image_size: `32`", '- shift: `"public"`', '- sizes: `{"training": 6, "debug": 3}`'):
        assert line in text
    assert not [p for p in tmp_path.rglob("*") if "partial" in p.name]


@pytest.mark.endurance
def test_a_card_repeats_to_the_byte(painted, tmp_path):
    for name in ("one", "two"):
        write_card(painted, ROUND2.classes, tmp_path / name / "README.md")
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) == 7
    assert all((tmp_path / "one" / p).read_bytes() == (tmp_path / "two" / p).read_bytes() for p in files)


def test_the_card_of_secret_data_stays_inside_it_and_has_no_seed(tmp_path, capsys):
    seed = tmp_path / "private.seed"
    make_options = ["--seed-file", seed, "--split", "debug=4", "--image-size", "32", "--out", tmp_path / "private"]
    assert run("make", *make_options) == 0
    assert seed.stat().st_mode & 0o777 == 0o600
    number = int(seed.read_text())
    assert number.bit_length() > 96
    with pytest.raises(DataError, match="secret"):
        write_card(tmp_path / "private", ROUND2.classes, tmp_path / "README.md")
    assert run("card", tmp_path / "private") == 0
    assert run("make", *make_options) == 0  # the same seed again: the data set is there already
    said = capsys.readouterr()
    texts = [
        said.out,
        said.err,
        (tmp_path / "private" / "README.md").read_text(),
        (tmp_path / "private" / "dataset.json").read_text(),
    ]
    assert not any(str(number) in text for text in texts)


def test_small_png_keeps_to_the_limit_whatever_the_picture():
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8))
    for limit in (400_000, 100_000, 20_000):
        raw = small_png(noise, limit)
        assert len(raw) <= limit
        assert Image.open(io.BytesIO(raw)).width / Image.open(io.BytesIO(raw)).height == pytest.approx(4 / 3, abs=0.05)


@pytest.mark.parametrize("damage", ["{", "[1]"])
def test_a_description_that_is_none_is_refused(small, tmp_path, damage):
    (small / "dataset.json").write_text(damage)
    with pytest.raises(DataError, match=r"dataset\.json"):
        write_card(small, CLASSES, tmp_path / "README.md")
    assert not (tmp_path / "README.md").exists()


def test_a_folder_without_splits_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no split"):
        write_card(tmp_path, CLASSES, tmp_path / "README.md")
    with pytest.raises(DataError, match="does not exist"):
        write_card(tmp_path / "nothing", CLASSES, tmp_path / "README.md")


# The verb


def test_check_names_every_split_that_is_not_as_it_should_be(small, capsys):
    assert run("check", small, "--classes", "red,green") == 0
    assert "training" in capsys.readouterr().out
    image = small / "training" / "images" / "2.png"
    image.write_bytes(image.read_bytes()[:-20])
    labels = small / "validation" / "labels.csv"
    labels.write_text(labels.read_text().replace("1.png,0,0", "1.png,0,2"))
    assert run("check", small, "--classes", "red,green") == 2
    said = capsys.readouterr().err
    assert "2.png is cut short" in said
    assert "row 3: '2'" in said


def test_check_finds_the_round_by_the_columns(tmp_path, capsys):
    make(tmp_path / "one" / "training", [[0] * 4], [(0, 0, 0)], ROUND1.classes)
    make(tmp_path / "two" / "training", [[0] * 6], [(0, 0, 0)], ROUND2.classes)
    assert run("check", tmp_path / "one") == 0
    assert "4 classes" in " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert run("check", tmp_path / "two" / "training") == 0
    assert run("check", tmp_path / "one", "--round", "round2") == 2
    assert "'stray_particle'" in capsys.readouterr().err


def test_check_of_nothing_exits_with_2(tmp_path, capsys):
    assert run("check", tmp_path / "nothing") == 2
    assert "does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("names", ["", "red,", "red,red"])
def test_classes_that_are_no_list_are_refused(small, capsys, names):
    assert run("check", small, "--classes", names) == 2
    assert "--classes" in capsys.readouterr().err


def test_leftovers_of_a_killed_import_are_no_splits(small, capsys):
    make(small / ".replaced-1-training", [[1, 2]], [(0, 0, 0)])
    assert run("check", small, "--classes", "red,green") == 0


def test_a_broken_image_stops_the_card_and_leaves_none(small, tmp_path, capsys):
    (small / "training" / "images" / "2.png").write_bytes(b"x")  # has no class: only the colours need it
    assert run("card", small, "--classes", "red,green", "--out", tmp_path / "README.md") == 2
    assert "2.png is no image" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


def test_the_card_of_data_of_ones_own_lies_in_their_folder(small, painted, tmp_path, monkeypatch):
    monkeypatch.setattr("evaluator.cli.data.DATA", tmp_path / "data")
    for folder, options in ((small, ["--classes", "red,green"]), (painted, [])):
        assert run("card", folder, *options) == 0
        text = (folder / "README.md").read_text()
        assert text.splitlines()[1] == f"# The card of `{folder.name}`"
        assert (folder / "card").is_dir()
        assert run("card", folder, *options) == 0
    assert not (tmp_path / "data").exists()


def test_a_page_that_is_no_card_is_kept(small, tmp_path, capsys):
    (small / "README.md").write_text("notes")
    assert run("card", small, "--classes", "red,green") == 2
    assert "README.md: it is no card that this command wrote; expected none there. Name a file with" in capsys.readouterr().err
    assert (small / "README.md").read_text() == "notes"
    assert run("card", small, "--classes", "red,green", "--out", tmp_path / "card.md") == 0


def test_the_kits_own_data_have_their_card_on_the_kits_page(tmp_path, monkeypatch):
    monkeypatch.setattr("evaluator.cli.data.DATA", tmp_path)
    make_dataset(tmp_path / "mine", DataSpec(7, 32, {"debug": 2}))
    assert run("card", tmp_path / "mine") == 0
    text = (tmp_path / "README.md").read_text()
    assert text.splitlines()[1] == "# Data"
    assert "\n## The card of `mine`\n" in text


def test_import_unpacks_and_checks(tmp_path, capsys):
    make(tmp_path / "training", [[0] * 4] * 2, [(0, 0, 0)] * 2, ROUND1.classes)
    path = tmp_path / "training-v0.2-rc4.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "training", "training")
    assert run("import", path, "--to", tmp_path / "data") == 0
    assert "2 images" in capsys.readouterr().out
    assert run("import", path, "--to", tmp_path / "data") == 2
    assert "already exists" in capsys.readouterr().err
    assert run("import", path, "--out", tmp_path / "data", "--replace") == 0


def test_an_import_that_is_refused_leaves_no_split(tmp_path, capsys):
    make(tmp_path / "training", [[0] * 4] * 2, [(0, 0, 0)] * 2, ROUND1.classes)
    make(tmp_path / "test", [[0] * 4, [3] * 4], [(0, 0, 0)] * 2, ROUND1.classes)
    path = tmp_path / "both.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("training", "test"):
            archive.add(tmp_path / name, name)
    assert run("import", path, "--to", tmp_path / "data") == 2
    said = capsys.readouterr()
    assert f"{path}, test/labels.csv, row 3: '3'" in said.err
    assert "1 split of 2 cannot be used as it is; nothing was imported" in said.err
    assert "imported" not in said.out
    assert not (tmp_path / "data").exists()


def test_classes_of_ones_own_must_be_named_and_the_message_says_how_once(tmp_path, capsys):
    for name in ("training", "test"):
        make(tmp_path / "own" / name, [[0, 1], [1, 0]], [(0, 0, 0)] * 2, ("cat", "big dog"))
    path = tmp_path / "own.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(tmp_path / "own", "own")
    for words in (["check", tmp_path / "own"], ["import", path, "--out", tmp_path / "data"], ["card", tmp_path / "own"]):
        assert run(*words) == 2
        said = capsys.readouterr().err
        assert said.count("error:") == 1
        assert "2 classes that no round of the kit has" in said
        assert "--classes 'cat,big dog', or --round FILE" in said
        assert "Remove" not in said
        assert ".tmp" not in said
    assert run("check", tmp_path / "own", "--classes", "cat,big dog") == 0
    assert run("import", path, "--out", tmp_path / "data", "--classes", "cat,big dog") == 0
    table = tmp_path / "own" / "training" / "labels.csv"
    table.write_text("filename,labels\n0.png,cat\n1.png,\n")
    assert run("check", tmp_path / "own" / "training") == 2
    assert "--classes cat, or --round FILE" in capsys.readouterr().err


def test_a_misspelt_class_of_a_round_is_named_with_what_was_meant(tmp_path, capsys):
    make(tmp_path / "own" / "training", [[0] * 4], [(0, 0, 0)], ("scratch_smal", *ROUND1.classes[1:]))
    assert run("check", tmp_path / "own") == 2
    said = capsys.readouterr().err
    assert "did you mean 'scratch_small'?" in said
    assert "'stray_particle'" not in said
    assert "name a round that has them (--round FILE)" in said


def test_make_fills_in_the_profile(tmp_path):
    assert run("make", "--profile", "debug", "--seed", "5", "--out", tmp_path / "debug") == 0
    described = json.loads((tmp_path / "debug" / "dataset.json").read_text())
    assert (described["seed"], described["image_size"], described["secret"]) == (5, 64, False)
    assert len(read_split(tmp_path / "debug" / "training", ROUND2.classes)) == described["sizes"]["training"]


@pytest.mark.parametrize(
    "options",
    [
        ["--seed", "-1"],
        ["--seed", "x"],
        ["--split", "training"],
        ["--split", "training=x"],
        ["--split", "a/b=3"],
        ["--profile", "none"],
        ["--image-size", "7"],
        ["--shift", "none"],
    ],
)
def test_make_refuses_options_that_make_no_sense_before_anything_is_written(tmp_path, monkeypatch, capsys, options):
    monkeypatch.chdir(tmp_path)
    assert run("make", *options) == 2
    if "--seed" not in options:
        assert run("make", *options, "--seed-file", "private.seed") == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert os.listdir(tmp_path) == []


def test_a_seed_file_that_holds_no_long_seed_is_refused(tmp_path, capsys):
    for text in ("", "abc", "12345"):
        (tmp_path / "seed").write_text(text)
        assert run("make", "--seed-file", tmp_path / "seed", "--out", tmp_path / "data") == 2
    assert not (tmp_path / "data").exists()
    assert "secret seed has only 14 bits" in capsys.readouterr().err
