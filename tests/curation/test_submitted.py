"""Data sets that come as files: folders, tables of edits; what is refused of them, and folders that edits are applied to."""

import io
import json
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from evaluator.cli import main as verbs
from evaluator.curation.curated import as_png, pixel_digest
from evaluator.curation.folders import apply_to_folder, take_back, write_data
from evaluator.curation.images import read_images
from evaluator.curation.judge import changes_of, checked
from evaluator.curation.rules import PROFILES
from evaluator.curation.sets import sets_of
from evaluator.curation.submitted import kind_of, longest_side, needs_worker, read_submitted, source_of
from evaluator.curation.trial import made_up
from evaluator.data.edits import Edit, EditTable
from evaluator.errors import ConfigurationError, DataError, SubmissionError
from evaluator.sandbox.foreign import ForeignFiles, ReadingLimits
from evaluator.sandbox.process import ProcessSandbox
from evaluator.secret import read_secret

DEBUG = PROFILES["debug"]


@pytest.fixture(scope="module")
def data():
    return made_up()


@pytest.fixture(scope="module")
def foreign():
    with ForeignFiles(ProcessSandbox) as files:
        yield files


@pytest.fixture
def folder(tmp_path, data):
    write_data(data, tmp_path / "given")
    return tmp_path / "given"


@pytest.fixture
def mine(folder, tmp_path):
    """A folder with train and val alone, as a participant hands it in."""
    apply_to_folder(EditTable(()), folder, folder, tmp_path / "mine")
    return tmp_path / "mine"


def test_a_folder_that_was_written_is_read_as_the_same_data(folder, mine, data, foreign):
    sets = sets_of(PROFILES["roman"], 0, folder, None, None)
    again = sets.load()
    assert again.classes == data.classes
    assert sorted(again.digests.items()) == sorted(data.digests.items())
    assert again.test.digest() == read_images(folder / "test", data.classes, prefix="test/").digest()
    curated = read_submitted(mine, data, foreign)
    assert not curated.new
    assert changes_of(curated.rows, data).kept == 60
    assert kind_of(mine) == "folder"


def png(width: int, height: int, body: bytes) -> bytes:
    """A PNG that says it has so many gray pixels, whatever its body holds."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def saved(image: Image.Image, kind: str, **how) -> bytes:
    with io.BytesIO() as file:
        image.save(file, kind, **how)
        return file.getvalue()


GRAY = Image.fromarray(np.zeros((5, 5), np.uint8))
HOSTILE = [
    (
        "bomb.png",
        lambda: png(60_000, 60_000, zlib.compress(bytes(1_000_000))),
        "has 3600000000 pixels; the longest side allowed is 1024",
    ),
    ("huge.png", lambda: png(2**31 - 1, 1, b""), "has 2147483647 pixels"),
    (
        "wide.png",
        lambda: png(9_000, 9_000, zlib.compress(bytes(1_000))),
        "has 9000 x 9000 pixels; the longest side allowed is 1024",
    ),
    ("wide.png", lambda: as_png(np.zeros((2, 1_025), np.uint8)), "1025 x 2 pixels"),
    (
        "cut.png",
        lambda: as_png(np.random.default_rng(0).integers(0, 255, (50, 50), np.uint8))[:900],
        "is cut short",
    ),
    ("empty.png", lambda: b"", "0 bytes"),
    ("gif.png", lambda: saved(GRAY, "GIF"), "no image that can be decoded"),
    (
        "film.png",
        lambda: saved(GRAY, "PNG", save_all=True, append_images=[Image.fromarray(np.ones((5, 5), np.uint8))]),
        "animation",
    ),
    ("note.txt", lambda: b"hello", "expected .png"),
    ("large.png", lambda: b"\0" * (8 * 2**20 + 1), "at most 8,388,608"),
]


@pytest.mark.parametrize(("name", "content", "said"), HOSTILE)
def test_a_file_that_is_no_image_is_refused_by_its_name(name, content, said, mine, data, foreign):
    (mine / "train" / "i" / name).write_bytes(content())
    with pytest.raises(DataError) as caught:
        read_submitted(mine, data, foreign)
    assert f"train/i/{name}" in str(caught.value)
    assert said in str(caught.value)


def test_a_given_image_may_be_longer_than_a_new_image(mine, data, foreign, tmp_path):
    assert longest_side(data, 8) == 20
    assert len(read_submitted(mine, data, foreign, most_side=8).rows) == 60
    Image.fromarray(np.zeros((3, 9), np.uint8)).save(mine / "train" / "i" / "new.png")
    with pytest.raises(DataError, match=r"train/i/new\.png has 9 x 3 pixels; the longest side allowed of a new image is 8"):
        read_submitted(mine, data, foreign, most_side=8)
    (tmp_path / "edits.csv").write_text(f"id,action,label,split,file\ntrain/i/n.png,add,i,train,{mine.name}/train/i/new.png\n")
    with pytest.raises(DataError, match="the longest side allowed of a new image is 8"):
        read_submitted(tmp_path / "edits.csv", data, foreign, most_side=8)


def test_flat_images_of_many_pixels_are_refused_before_memory_is_full(mine, data, monkeypatch, foreign):
    monkeypatch.setattr("evaluator.curation.curated.MOST_PIXELS", 3_000_000)
    for number in range(3):
        (mine / "train" / "i" / f"flat{number}.png").write_bytes(as_png(np.full((1_024, 1_024), number, np.uint8)))
    with pytest.raises(DataError, match=r"flat2\.png: with it the new images have more than 3,000,000 bytes of pixels"):
        read_submitted(mine, data, foreign)


def test_paths_that_leave_the_folder_and_folders_that_are_no_class_are_refused(mine, data, tmp_path, foreign):
    (tmp_path / "secret.png").write_bytes(as_png(data.test.pixels[0]))
    link = mine / "train" / "i" / "link.png"
    link.symlink_to(tmp_path / "secret.png")
    with pytest.raises(SubmissionError, match=r"link\.png"):
        read_submitted(mine, data, foreign)
    link.unlink()
    os.mkfifo(link)  # is not waited for
    assert len(read_submitted(mine, data, foreign).rows) == 60
    link.unlink()
    (mine / "train" / "xi").mkdir()
    (mine / "train" / "xi" / "a.png").write_bytes(as_png(np.zeros((5, 5), np.uint8)))
    with pytest.raises(DataError, match=r"train/xi/a\.png: the folder 'xi' is none of the classes"):
        read_submitted(mine, data, foreign)


def test_too_many_images_are_refused(mine, data, monkeypatch, foreign):
    with pytest.raises(DataError, match="60 files; at most 59 images"):
        read_submitted(mine, data, foreign, most=59)
    monkeypatch.setattr("evaluator.submission.tree.MAX_FILES", 50)
    with pytest.raises(SubmissionError, match="more than 50 files"):
        read_submitted(mine, data, foreign)
    rows = read_rows(data, 10_001)
    with pytest.raises(DataError, match=r"9,981 \+ 20 images; at most 10,000"):
        checked(rows, data, PROFILES["numerals"])


def read_rows(data, many):
    from evaluator.curation.curated import Curated, Row

    given = [Row(item.id, data.digests[item.id], item.label, item.split) for item in data.items]
    more = [given[0]._replace(id=f"train/i/more{number}.png") for number in range(many - len(given))]
    return Curated((*given, *more), {})


def test_a_table_of_edits_is_a_submission(tmp_path, data, foreign):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "new.png").write_bytes(as_png(np.full((9, 9), 3, np.uint8)))
    table = EditTable(
        (
            Edit("train/i/0.png", "relabel", "ii"),
            Edit("train/i/1.png", "drop"),
            Edit("val/i/0.png", "move", split="train"),
            Edit("train/x/new.png", "add", "x", "train", "pictures/new.png"),
        )
    )
    table.write(tmp_path / "edits.csv")
    before = source_of(tmp_path / "edits.csv", foreign).digest
    curated = read_submitted(tmp_path / "edits.csv", data, foreign)
    found = checked(curated, data, DEBUG)
    assert (found.changes.relabelled, found.changes.dropped, found.changes.moved, found.changes.added) == (1, 1, 1, 1)
    assert list(curated.new) == [pixel_digest(np.full((9, 9), 3, np.uint8))]
    (tmp_path / "pictures" / "new.png").write_bytes(as_png(np.full((9, 9), 4, np.uint8)))
    assert source_of(tmp_path / "edits.csv", foreign).digest != before, "what a table adds is a part of the submission"
    (tmp_path / "pictures" / "new.png").unlink()
    (tmp_path / "pictures" / "new.png").symlink_to("/etc/hostname")
    with pytest.raises(SubmissionError):
        read_submitted(tmp_path / "edits.csv", data, foreign)


def test_edits_in_a_folder_are_taken_back(folder, tmp_path, data, capsys, foreign):
    (tmp_path / "new.png").write_bytes(as_png(np.full((9, 9), 3, np.uint8)))
    EditTable(
        (
            Edit("train/i/0.png", "relabel", "ii"),  # there is a train/ii/0.png already
            Edit("train/i/1.png", "drop"),
            Edit("val/i/0.png", "move", split="train"),  # into the place of train/i/0.png
            Edit("val/x/1.png", "relabel", "v", "train"),
            Edit("train/x/new.png", "add", "x", "train", "new.png"),
        )
    ).write(tmp_path / "edits.csv")
    assert (
        verbs.main(["curation", "apply", str(tmp_path / "edits.csv"), "--data", str(folder), "--out", str(tmp_path / "out")]) == 0
    )
    assert "1 drop, 2 relabel, 1 move, 1 add: 60 images" in capsys.readouterr().out
    changed = changes_of(read_submitted(tmp_path / "out", data, foreign).rows, data)
    assert (changed.relabelled, changed.moved, changed.dropped, changed.added) == (2, 2, 1, 1)
    assert verbs.main(["curation", "take-back", str(tmp_path / "out"), "--out", str(tmp_path / "back")]) == 0
    again = changes_of(read_submitted(tmp_path / "back", data, foreign).rows, data)
    assert (again.kept, again.added, again.dropped) == (60, 0, 0)
    with pytest.raises(ConfigurationError, match="exists; expected a new folder"):
        take_back(tmp_path / "out", tmp_path / "back")
    with pytest.raises(DataError, match="there is no item"):
        apply_to_folder(EditTable((Edit("train/i/77.png", "drop"),)), folder, folder, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_verb_judges_folders_and_tables_and_names_what_is_wrong(folder, mine, tmp_path, capsys):
    (mine / "train" / "i" / "leak.png").write_bytes((folder / "test" / "i" / "0.png").read_bytes())
    EditTable((Edit("train/i/0.png", "drop"),)).write(tmp_path / "few.csv")
    options = ["--data", str(folder), "--recipe", "linear", "--workers", "1", "--out", str(tmp_path / "results")]
    assert verbs.main(["curation", "evaluate", str(mine), str(tmp_path / "few.csv"), *options]) == 1
    said = capsys.readouterr().out
    assert "few" in said
    assert "INVALID_OUTPUT" in said
    assert "leak.png" in said
    cells = [json.loads(path.read_text()) for path in (tmp_path / "results" / "cells").glob("*.json")]
    assert {cell["spec"]["submission"]: cell["verdict"] for cell in cells} == {
        "mine": "INVALID_OUTPUT",
        "few": "OK",
        "as_given": "OK",
    }


def test_check_says_what_a_training_would_meet(folder, mine, tmp_path, capsys):
    (mine / "val" / "i" / "copy.png").write_bytes((mine / "train" / "i" / "0.png").read_bytes())
    assert verbs.main(["curation", "check", str(mine), "--data", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "train/i/0.png = val/i/copy.png" in said
    assert verbs.main(["curation", "check", str(mine), "--data", str(folder), "--duplicates", "refuse"]) == 1
    assert "Remove val/i/copy.png" in capsys.readouterr().err
    (tmp_path / "a.py").write_text("")
    assert verbs.main(["curation", "check", str(tmp_path / "a.py"), "--data", str(folder)]) == 2


def test_a_folder_without_what_the_judge_needs_is_refused_before_work_starts(tmp_path, folder):
    for given, said in (
        ((tmp_path / "none", None, None), "it has no folder train"),
        ((folder, tmp_path / "none", None), "--label-book: there is no folder"),
        ((folder, None, tmp_path / "none"), "--test: there is no folder"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            sets_of(PROFILES["roman"], 0, *given)
    with pytest.raises(ConfigurationError, match="--data: the profile 'roman' reads a folder"):
        sets_of(PROFILES["roman"], 0, None, None, None)
    with pytest.raises(ConfigurationError, match="have their own"):
        sets_of(PROFILES["quick"], 0, None, folder / "label_book", None)


def test_a_secret_hides_the_test_set_and_results_say_so(tmp_path, capsys, monkeypatch):
    sizes = {"train": 60, "val": 30, "label_book": 10, "test": 20}
    monkeypatch.setattr("evaluator.curation.embedded.SIZES", {"debug": sizes})
    secrets = [tmp_path / "a.secret", tmp_path / "b.secret"]
    for path, digits in zip(secrets, ("0123456789abcdef" * 2, "fedcba9876543210" * 2), strict=True):
        path.write_text(digits)
    assert verbs.main(["curation", "make", "--profile", "debug", "--secret", str(secrets[0]), "--folder", str(tmp_path / "a")]) == 0
    out = ["--out", str(tmp_path / "results"), "--workers", "1", "--profile", "debug"]
    for path in secrets:
        assert verbs.main(["curation", "evaluate", "--secret", str(path), *out]) == 0
    said = " ".join(capsys.readouterr().out.split())
    cells = [json.loads(path.read_text()) for path in (tmp_path / "results" / "cells").glob("*.json")]
    roots = {read_secret(path).fingerprint: read_secret(path).root(2022) for path in secrets}
    judged = {cell["spec"]["secret"]: cell["spec"]["data"]["data"] for cell in cells}
    assert judged == {name: sets_of(DEBUG, root, None, None, None).load().digest for name, root in roots.items()}
    assert len(set(judged.values())) == 2
    written = {pixel_digest(image) for image in read_images(tmp_path / "a" / "test").pixels}
    first = sets_of(DEBUG, read_secret(secrets[0]).root(2022), None, None, None)
    assert written == {pixel_digest(image) for image in first.load().test.pixels}
    assert all(f"root 2022, secret {fingerprint}" in said for fingerprint in roots)
    everything = b"".join(path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file())
    everything += said.encode() + repr(first).encode()
    for path in secrets:
        assert path.read_bytes() not in everything
        assert str(read_secret(path).root(2022)).encode() not in everything
    assert verbs.main(["curation", "evaluate", "--secret", str(tmp_path / "none"), *out]) == 2
    assert "there is no file of a secret" in capsys.readouterr().err


def test_a_table_in_parquet_is_read_in_the_worker(tmp_path, data, foreign, monkeypatch):
    pytest.importorskip("pyarrow", reason="pip install -r requirements-tables.txt")
    EditTable((Edit("train/i/0.png", "drop"),)).write(tmp_path / "edits.parquet")
    monkeypatch.setattr("evaluator.data.edits._pyarrow", None)  # not here
    assert needs_worker(tmp_path / "edits.parquet")
    assert len(read_submitted(tmp_path / "edits.parquet", data, foreign).rows) == 59
    assert source_of(tmp_path / "edits.parquet", foreign).name == "edits"
    (tmp_path / "edits.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"edits\.parquet: it cannot be read"):
        read_submitted(tmp_path / "edits.parquet", data, foreign)


def test_a_decoder_that_ends_is_a_failed_row_with_the_name_of_the_file(folder, mine, tmp_path, capsys, monkeypatch):
    """A whole evaluation beside a sound table: the row fails, and the other has its score."""
    EditTable((Edit("train/i/0.png", "drop"),)).write(tmp_path / "few.csv")
    monkeypatch.setattr(ForeignFiles.__init__, "__defaults__", (1_024, ReadingLimits(0.0, 0.0)))
    options = ["--data", str(folder), "--recipe", "linear", "--workers", "1", "--sandbox", "process"]
    command = ["curation", "evaluate", str(mine), str(tmp_path / "few.csv"), *options, "--out", str(tmp_path / "results")]
    assert verbs.main([*command, "--references"]) == 1
    said = capsys.readouterr().out
    assert "TIME_LIMIT: train/i/0.png: decoding was stopped at this file" in said.replace("\n", " ")
    cells = {cell["spec"]["submission"]: cell for cell in map(json.loads, texts(tmp_path / "results" / "cells"))}
    assert (cells["mine"]["verdict"], cells["few"]["verdict"]) == ("TIME_LIMIT", "OK")


def texts(folder):
    return (path.read_text() for path in folder.glob("*.json"))
