"""The store: whole files or none, damage is set aside, and a folder that cannot be written is refused before any work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evaluator.errors import ConfigurationError, SubmissionError
from evaluator.history.store import NEEDED, Store
from evaluator.submission.source import read_source

ROOT = Path(__file__).resolve().parents[2]
CELL = {name: {} for name in NEEDED} | {"cell": "abc", "verdict": "OK", "scored": True, "metrics": {"macro_f1": 0.5}}


def leftovers(root: Path) -> list[str]:
    return sorted(p.name for p in root.rglob(".*") if p.is_file())


def test_a_cell_comes_back_as_it_was_stored(tmp_path):
    store = Store(tmp_path / "deep" / "results")
    assert store.read_cell("abc") is None
    path = store.write_cell(CELL)
    assert path == store.cell_path("abc")
    assert store.read_cell("abc") == CELL
    assert Store(tmp_path / "deep" / "results").read_cell("abc") == CELL
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        json.dumps(CELL, sort_keys=True).encode()[:-5],
        b"[]",
        b"null",
        b'{"cell": "other", "verdict": "OK"}',
        b'{"cell": "abc"}',
        b"\xff\xfe\x00",
    ],
    ids=lambda content: repr(content[:20]),
)
def test_a_damaged_cell_is_set_aside_with_a_warning_and_counts_as_none(tmp_path, capsys, content):
    store = Store(tmp_path)
    store.cell_path("abc").write_bytes(content)
    assert store.read_cell("abc") is None
    assert not store.cell_path("abc").exists()
    assert store.cell_path("abc").with_suffix(".damaged").read_bytes() == content
    warning = capsys.readouterr().err
    assert "abc.json" in warning
    assert "abc.damaged" in warning
    store.write_cell(CELL)
    assert store.read_cell("abc") == CELL


def test_a_failure_while_writing_leaves_the_old_file_whole(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write_cell(CELL)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigurationError, match=r"No space left.*--out"):
        store.write_cell(CELL | {"verdict": "TIME_LIMIT"})
    assert store.read_cell("abc") == CELL
    assert leftovers(tmp_path) == []


def test_a_reader_keeps_the_file_that_it_opened_whole(tmp_path):
    store = Store(tmp_path)
    store.write_cell(CELL | {"long": "x" * 100_000})
    with open(store.cell_path("abc")) as reader:
        store.write_cell(CELL)
        assert len(json.loads(reader.read())["long"]) == 100_000
    assert store.read_cell("abc") == CELL


def test_what_is_no_json_is_refused_before_the_file_is_touched(tmp_path):
    store = Store(tmp_path)
    store.write_cell(CELL)
    with pytest.raises(ValueError, match="JSON"):
        store.write_cell(CELL | {"metrics": float("nan")})
    assert store.read_cell("abc") == CELL
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_a_reader_never_sees_half_a_file_whenever_the_writer_is_killed(tmp_path):
    code = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from evaluator.history.store import Store
store = Store(Path({str(tmp_path)!r}))
n = 0
while True:
    n += 1
    store.write_cell({{"cell": "abc", "n": n, "long": "x" * 500_000}})
"""
    store = Store(tmp_path)
    for delay in (0.3, 0.4, 0.5):
        writer = subprocess.Popen([sys.executable, "-c", code])
        try:
            writer.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            writer.kill()
            writer.wait()
        path = store.cell_path("abc")
        if path.exists():
            assert len(json.loads(path.read_text())["long"]) == 500_000


@pytest.mark.parametrize("root", ["a file", "below a file", "/proc/results"])
def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path, root):
    (tmp_path / "file").write_text("mine")
    path = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "results"}.get(root, Path(root))
    with pytest.raises(ConfigurationError, match="--out") as caught:
        Store(path)
    assert str(path) in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_every_run_has_a_folder_of_its_own(tmp_path):
    store = Store(tmp_path)
    runs = [store.new_run("my submission/../x") for _ in range(5)]
    assert len(set(runs)) == 5
    assert all(run.parent == tmp_path and (run / "logs").is_dir() for run in runs)
    assert store.new_run("...").name.endswith("-run")


def test_purchases_are_a_table(tmp_path):
    store = Store(tmp_path)
    path = store.write_purchases(store.new_run("x"), ["pair", "file"], [["621:17", 'a,"b".png'], ["621:51", "c.png"]])
    assert path.read_text() == 'pair,file\n621:17,"a,""b"".png"\n621:51,c.png\n'


# -- a submission's identity


def test_a_changed_submission_is_another_one(tmp_path):
    folder = tmp_path / "mine"
    (folder / "parts").mkdir(parents=True)
    (folder / "run.py").write_text("x = 1\n")
    seen = [read_source(folder).digest]

    def changed():
        digest = read_source(folder).digest
        assert digest == read_source(folder).digest
        new = digest not in seen
        seen.append(digest)
        return new

    (folder / "run.py").write_text("x = 2\n")
    assert changed()
    (folder / "parts" / "model.bin").write_bytes(b"\x00")
    assert changed()
    (folder / "parts" / "model.bin").rename(folder / "parts" / "other.bin")
    assert changed()
    (folder / "parts" / "other.bin").unlink()
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "run.pyc").write_bytes(b"1")
    (folder / "old.pyc").write_bytes(b"1")
    assert not changed()
    assert read_source(folder).name == "mine"
    moved = folder.rename(tmp_path / "yours")
    assert read_source(moved).digest == seen[-1]


def test_a_submission_of_one_file_changes_with_what_it_imports_from_beside_it(tmp_path):
    (tmp_path / "a.py").write_text("from features import x\nimport numpy\n")
    (tmp_path / "features.py").write_text("import deeper\nx = 1\n")
    (tmp_path / "deeper.py").write_text("y = 1\n")
    (tmp_path / "b.py").write_text("another submission\n")
    (tmp_path / "model.bin").write_bytes(b"1")
    before = read_source(tmp_path / "a.py").digest
    (tmp_path / "b.py").write_text("another submission, changed\n")
    assert read_source(tmp_path / "a.py").digest == before
    (tmp_path / "deeper.py").write_text("y = 2\n")
    after = read_source(tmp_path / "a.py").digest
    assert after != before
    (tmp_path / "a.py").write_text("from features import x\n")
    assert read_source(tmp_path / "a.py").digest not in (before, after)


def test_a_linked_folder_of_a_submission_counts(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "tools.py").write_text("x = 1\n")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.py").write_text("from parts.tools import x\n")
    (tmp_path / "mine" / "parts").symlink_to(tmp_path / "shared")
    (tmp_path / "mine" / "round").symlink_to(tmp_path / "mine")  # a circle must not hang
    before = read_source(tmp_path / "mine").digest
    (tmp_path / "shared" / "tools.py").write_text("x = 2\n")
    assert read_source(tmp_path / "mine").digest != before


@pytest.mark.parametrize("name", ["absent", "notes.txt", "empty"])
def test_a_submission_that_is_none_is_refused_by_name(tmp_path, name):
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SubmissionError, match=name) as caught:
        read_source(tmp_path / name)
    assert "run.py" in str(caught.value)
