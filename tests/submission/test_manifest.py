"""The manifest of a submission: found by its rule, shown, and refused where a known key holds something else."""

import json
from pathlib import Path

import pytest

from evaluator.errors import ConfigurationError
from evaluator.submission.manifest import MAX_BYTES, manifest_file, read_manifest

ROOT = Path(__file__).resolve().parents[2]


def submission(folder: Path, content: object = None, *, raw: bytes | None = None) -> Path:
    mine = folder / "mine"
    mine.mkdir()
    (mine / "run.py").write_text("")
    if raw is not None or content is not None:
        (mine / "aicrowd.json").write_bytes(raw if raw is not None else json.dumps(content).encode())
    return mine


def test_the_kits_own_manifest_is_that_of_my_submission():
    manifest = read_manifest(ROOT / "my_submission")
    assert manifest.path == ROOT / "aicrowd.json"
    assert manifest.challenge_id == "data-purchasing-challenge-2022"
    assert manifest.gpu is False
    assert manifest.license == "MIT"


def test_a_folder_without_one_takes_the_one_beside_it_and_its_own_comes_first(tmp_path):
    mine = submission(tmp_path)
    assert manifest_file(mine) is None
    assert read_manifest(mine) is None
    (tmp_path / "aicrowd.json").write_text('{"authors": ["outer"]}')
    assert read_manifest(mine).authors == ("outer",)
    (mine / "aicrowd.json").write_text('{"authors": ["inner"]}')
    assert read_manifest(mine).authors == ("inner",)
    assert read_manifest(mine / "run.py").authors == ("inner",)


def test_a_file_does_not_take_the_manifest_of_the_folder_above(tmp_path):
    mine = submission(tmp_path)
    (tmp_path / "aicrowd.json").write_text('{"authors": ["outer"]}')
    assert read_manifest(mine / "run.py") is None


def test_the_line_says_what_is_there_and_nothing_else(tmp_path):
    manifest = read_manifest(submission(tmp_path, {"authors": ["Ada", "Bo"], "description": "buys at random", "gpu": True}))
    assert manifest.line == "buys at random; by Ada, Bo; asks for a GPU"


def test_unknown_keys_are_allowed(tmp_path):
    assert read_manifest(submission(tmp_path, {"tags": 7, "debug": None})).line == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [("authors", "Ada"), ("authors", ["Ada", 1]), ("gpu", "no"), ("gpu", 0), ("challenge_id", 2022), ("license", None)],
)
def test_a_known_key_of_another_kind_is_refused_with_its_value(tmp_path, key, value):
    with pytest.raises(ConfigurationError, match=key) as caught:
        read_manifest(submission(tmp_path, {key: value}))
    assert repr(value) in str(caught.value)
    assert "aicrowd.json" in str(caught.value)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 5000, b"[]", b'"text"', b" " * (MAX_BYTES + 1)])
def test_what_is_no_object_is_refused(tmp_path, raw):
    with pytest.raises(ConfigurationError, match=r"aicrowd\.json"):
        read_manifest(submission(tmp_path, raw=raw))
