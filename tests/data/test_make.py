"""Writing a data set: whole or not at all, once, and never over anything else."""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluator.data import make
from evaluator.data.make import DataSpec, make_dataset
from evaluator.data.painted import CLASSES
from evaluator.errors import ConfigurationError, DataError

SPEC = DataSpec(seed=5, image_size=32, sizes={"training": 70, "test": 9})


def snapshot(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "sheets"
    make_dataset(folder, SPEC, workers=1)
    return folder


def test_a_script_needs_no_guard_around_its_top_level(tmp_path):
    """The processes do not run the script that started them."""
    script = tmp_path / "plain.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom evaluator.data.make import DataSpec, make_dataset\n"
        "print('begun', flush=True)\n"
        f"make_dataset(Path({str(tmp_path / 'set')!r}), DataSpec(seed=5, image_size=32, sizes={{'test': 70}}), workers=2)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(make.__file__).resolve().parents[2])}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout) == (0, "begun\n"), done.stderr


def test_the_folder_holds_what_the_generator_gives(made):
    for split, size in SPEC.sizes.items():
        with (made / split / "labels.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["filename", *CLASSES]
        assert len(rows) == size == len(list((made / split / "images").iterdir()))
        for index in (0, 1, size - 1):
            image, label = SPEC.generator().sample(split, index)
            assert np.array_equal(np.asarray(Image.open(made / split / "images" / rows[index][0])), image)
            assert rows[index][1:] == [str(value) for value in label]
    description = json.loads((made / "dataset.json").read_text())
    assert description["generated"] is True
    assert description["seed"] == 5
    assert description["sizes"] == SPEC.sizes


def test_a_split_may_be_of_another_line(made, tmp_path):
    spec = replace(SPEC, shifted={"test": "private"})
    make_dataset(tmp_path / "d", spec, workers=1)
    ours, plain = snapshot(tmp_path / "d"), snapshot(made)
    for name in plain:
        if name.startswith("training"):
            assert ours[name] == plain[name]
    pictures = [name for name in plain if name.startswith("test/images")]
    assert pictures
    assert all(ours[name] != plain[name] for name in pictures)
    assert json.loads(ours["dataset.json"])["shifted"] == {"test": "private"}
    assert "shifted" not in json.loads(plain["dataset.json"])
    with pytest.raises(ConfigurationError, match="nowhere"):
        replace(SPEC, shifted={"nowhere": "private"})
    with pytest.raises(ConfigurationError, match="unheard"):
        replace(SPEC, shifted={"test": "unheard"})


def test_processes_make_the_same_bytes(made, tmp_path):
    make_dataset(tmp_path / "d", SPEC, workers=2)
    assert snapshot(tmp_path / "d") == snapshot(made)


def test_names_and_files_tell_nothing_about_labels(made):
    names = sorted(path.name for path in (made / "training" / "images").iterdir())
    assert names == [f"{i:05d}.png" for i in range(70)]
    assert Image.open(made / "training" / "images" / names[0]).info == {}


def test_a_longer_split_begins_with_the_shorter_one(made, tmp_path):
    make_dataset(tmp_path / "d", replace(SPEC, sizes={"test": 12}), workers=1)
    longer, shorter = snapshot(tmp_path / "d" / "test" / "images"), snapshot(made / "test" / "images")
    assert {name: longer[name] for name in shorter} == shorter


def test_the_same_data_set_is_not_made_twice(made, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in made.rglob("*")}
    monkeypatch.setattr(make, "_render_chunk", lambda *_: pytest.fail("rendered again"))
    calls = []
    make_dataset(made, SPEC, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(79, 79)]
    assert {path: path.stat().st_mtime_ns for path in made.rglob("*")} == before


def test_progress_runs_from_nothing_to_all(tmp_path):
    calls = []
    make_dataset(tmp_path / "d", SPEC, workers=1, progress=lambda done, total: calls.append((done, total)))
    assert calls[0] == (0, 79)
    assert calls[-1] == (79, 79)
    assert calls == sorted(calls)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 6},
        {"image_size": 33},
        {"sizes": {"training": 70}},
        {"classes": CLASSES[:4]},
        {"shift": "private"},
        {"seed": 2**127 + 1, "secret": True},
    ],
)
def test_another_data_set_is_not_overwritten(made, other):
    before = snapshot(made)
    with pytest.raises(DataError, match="another data set"):
        make_dataset(made, replace(SPEC, **other))
    assert snapshot(made) == before


@pytest.mark.parametrize("version", [1, 3, None, "x" * 5_000])
def test_a_data_set_of_another_generator_is_refused_with_both_versions(made, tmp_path, version):
    folder = shutil.copytree(made, tmp_path / "old")
    about = json.loads((folder / "dataset.json").read_text()) | {"generator_version": version}
    (folder / "dataset.json").write_text(json.dumps(about))
    before = snapshot(folder)
    for refuses in (lambda: make.refuse_older(folder), lambda: make_dataset(folder, SPEC)):
        with pytest.raises(
            DataError, match=f"version {str(version)[:9]}.* of the generator made it; this kit has version 2"
        ) as refused:
            refuses()
        assert len(str(refused.value)) < 600
    assert snapshot(folder) == before


@pytest.mark.parametrize("content", [None, "{", "[]", '{"generator_version": 1}'])
def test_what_the_generator_did_not_make_is_no_old_data_set(tmp_path, content):
    if content is not None:
        (tmp_path / "dataset.json").write_text(content)
    make.refuse_older(tmp_path)


def test_a_foreign_folder_is_refused_and_an_empty_one_used(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        make_dataset(tmp_path / "full", SPEC)
    assert snapshot(tmp_path / "full") == {"thesis.txt": b"mine"}
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError):
        make_dataset(tmp_path / "file", SPEC)
    (tmp_path / "empty").mkdir()
    make_dataset(tmp_path / "empty", replace(SPEC, sizes={"test": 2}))
    assert (tmp_path / "empty" / "dataset.json").is_file()


@pytest.mark.parametrize("victim", ["test/images/00003.png", "test/labels.csv"])
def test_a_damaged_data_set_is_named_and_not_patched(tmp_path, victim):
    spec = replace(SPEC, sizes={"test": 5})
    make_dataset(tmp_path / "d", spec)
    (tmp_path / "d" / victim).unlink()
    with pytest.raises(DataError, match=victim):
        make_dataset(tmp_path / "d", spec)


@pytest.mark.parametrize("text", ["{", "[]", "3"])
def test_a_description_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(DataError):
        make_dataset(tmp_path, SPEC)


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    real, calls = make._render_chunk, []

    def breaks(*job):
        calls.append(job)
        if len(calls) == 2:
            raise OSError("no space left on device")
        return real(*job)

    monkeypatch.setattr(make, "_render_chunk", breaks)
    with pytest.raises(OSError, match="no space"):
        make_dataset(tmp_path / "d", SPEC, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_whoever_comes_second_finds_the_work_done(tmp_path, monkeypatch):
    spec = replace(SPEC, sizes={"test": 3})
    real = make._write_labels

    def overtaken(path, spec_, split):
        real(path, spec_, split)
        monkeypatch.setattr(make, "_write_labels", real)
        make_dataset(tmp_path / "d", spec)

    monkeypatch.setattr(make, "_write_labels", overtaken)
    make_dataset(tmp_path / "d", spec)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_a_secret_seed_is_only_there_as_a_salted_hash(tmp_path):
    seed = secrets.randbits(128) | 1 << 127
    spec = replace(SPEC, sizes={"test": 2}, seed=seed, secret=True)
    for name in ("a", "b"):
        make_dataset(tmp_path / name, spec)
        text = (tmp_path / name / "dataset.json").read_text()
        assert str(seed) not in text
        assert f"{seed:x}" not in text
    first, second = (json.loads((tmp_path / name / "dataset.json").read_text()) for name in ("a", "b"))
    assert first["seed_sha256"] != second["seed_sha256"]
    make_dataset(tmp_path / "a", spec)  # known again
    with pytest.raises(DataError, match="seed_sha256"):
        make_dataset(tmp_path / "a", replace(spec, seed=seed ^ 2))


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": -1},
        {"image_size": 16},
        {"sizes": {}},
        {"sizes": {"test": 0}},
        {"sizes": {"../test": 1}},
        {"sizes": {"": 1}},
        {"classes": ("rust",)},
        {"shift": "other"},
        {"format": "jpg"},
        {"seed": 12345, "secret": True},
    ],
)
def test_senseless_specs_are_refused(fields):
    with pytest.raises(ConfigurationError):
        replace(SPEC, **fields)


def test_no_workers_are_refused(tmp_path):
    with pytest.raises(ConfigurationError):
        make_dataset(tmp_path / "d", SPEC, workers=0)
