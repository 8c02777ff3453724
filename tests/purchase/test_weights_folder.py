"""``--weights-dir``: what decides is the content of the files, and no file is hashed twice without need."""

import hashlib
import json
import os
import shutil
import time

import pytest
from conftest import SUBMISSIONS

from evaluator.errors import WeightsError
from evaluator.purchase.weights_folder import REMEMBERED, folder_identity


@pytest.fixture
def weights(tmp_path):
    """A folder as torch makes it."""
    folder = tmp_path / "weights"
    (folder / "hub" / "checkpoints").mkdir(parents=True)
    (folder / "hub" / "checkpoints" / "a.pt").write_bytes(b"a" * 1000)
    (folder / "hub" / "b.pt").write_bytes(b"b" * 1000)
    return folder


@pytest.fixture
def hashed(monkeypatch):
    """Names of the files whose content was read."""
    seen, real = [], hashlib.file_digest

    def counted(file, name):
        seen.append(os.path.basename(file.name))
        return real(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return seen


def test_other_bytes_of_the_same_size_are_another_folder(weights, tmp_path):
    file = weights / "hub" / "b.pt"
    before, times = folder_identity(weights, tmp_path / "cache"), file.stat()
    time.sleep(0.02)
    file.write_bytes(b"c" * 1000)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = folder_identity(weights, tmp_path / "cache")
    assert before.split(":")[0] == after.split(":")[0] == "weights"
    assert before != after
    file.write_bytes(b"b" * 1000)
    assert folder_identity(weights, tmp_path / "cache") == before


@pytest.mark.parametrize("change", ["renamed", "moved", "added", "removed"])
def test_names_and_places_count_too(weights, tmp_path, change):
    before, file = folder_identity(weights, tmp_path / "cache"), weights / "hub" / "b.pt"
    if change == "added":
        (weights / "empty").touch()
    elif change == "removed":
        file.unlink()
    else:
        file.rename(weights / ("hub/c.pt" if change == "renamed" else "b.pt"))
    assert folder_identity(weights, tmp_path / "cache") != before


def test_a_file_is_hashed_again_only_when_it_changed(weights, tmp_path, hashed):
    first = folder_identity(weights, tmp_path / "cache")
    assert sorted(hashed) == ["a.pt", "b.pt"]
    hashed.clear()
    assert folder_identity(weights, tmp_path / "cache") == first
    assert hashed == []
    other = shutil.copytree(weights, tmp_path / "other" / "weights")
    assert folder_identity(other, tmp_path / "cache") == first, "where it lies does not count"
    (weights / "hub" / "b.pt").write_bytes(b"c" * 1000)
    hashed.clear()
    folder_identity(weights, tmp_path / "cache")
    folder_identity(other, tmp_path / "cache")
    assert hashed == ["b.pt"], "another folder's hashes stay"


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"files": []}', '{"files": {"x": 1}}', "[" * 100_000])
def test_damaged_hashes_are_made_again(weights, tmp_path, hashed, damage):
    first = folder_identity(weights, tmp_path / "cache")
    (tmp_path / "cache" / REMEMBERED).write_text(damage)
    hashed.clear()
    assert folder_identity(weights, tmp_path / "cache") == first
    assert len(hashed) == 2


def test_a_forged_hash_of_no_hash_does_not_count(weights, tmp_path, hashed):
    first = folder_identity(weights, tmp_path / "cache")
    stored = json.loads((tmp_path / "cache" / REMEMBERED).read_text())
    stored["files"] = {name: [*entry[:-1], "no hash"] for name, entry in stored["files"].items()}
    (tmp_path / "cache" / REMEMBERED).write_text(json.dumps(stored))
    assert folder_identity(weights, tmp_path / "cache") == first


def test_links_are_followed_in_no_circle_and_what_is_no_file_is_left_out(weights, tmp_path):
    before = folder_identity(weights, tmp_path / "cache")
    (weights / "round").symlink_to(weights)
    (weights / "nowhere").symlink_to(tmp_path / "nowhere")
    os.mkfifo(weights / "pipe")
    assert folder_identity(weights, tmp_path / "cache") == before
    (tmp_path / "elsewhere").write_text("x")
    (weights / "link.pt").symlink_to(tmp_path / "elsewhere")
    linked = folder_identity(weights, tmp_path / "cache")
    (tmp_path / "elsewhere").write_text("y")
    assert len({before, linked, folder_identity(weights, tmp_path / "cache")}) == 3


def test_where_nothing_can_be_remembered_it_is_hashed_each_time(weights, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert folder_identity(weights, tmp_path / "cache") == folder_identity(weights, tmp_path / "other")


@pytest.mark.parametrize("what", ["open", "scandir"])
def test_a_file_that_cannot_be_read_is_named(weights, tmp_path, monkeypatch, what):
    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    if what == "open":
        monkeypatch.setattr("builtins.open", refuse)
    else:
        monkeypatch.setattr(os, "listdir", refuse)
        monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(WeightsError, match=r"--weights-dir: .*cannot be read .Permission denied."):
        folder_identity(weights, tmp_path / "cache")


def test_cells_of_other_weights_of_the_same_size_are_other_cells(ready, weights):
    before = ready(SUBMISSIONS / "random_buyer.py", weights_dir=weights).cells[0]
    (weights / "hub" / "b.pt").write_bytes(b"c" * 1000)
    after = ready(SUBMISSIONS / "random_buyer.py", weights_dir=weights).cells[0]
    assert before.digest() != after.digest()
    assert before.answer_digest() != after.answer_digest()
