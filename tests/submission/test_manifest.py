"""The manifest of a submission: found by its rule, shown, and refused where a known key holds something else."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evaluator.errors import ConfigurationError
from evaluator.submission.manifest import MAX_BYTES, manifest_file, read_manifest

ROOT = Path(__file__).resolve().parents[2]
KEYS = ("challenge_id", "grader_id", "authors", "description", "license", "gpu")


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


# -- what a stranger may put there


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"a": ' + b"9" * 4000 + b"}", "more than 40 digits"),
        (b'{"a": -1e' + b"9" * 4000 + b"}", "more than 40 digits"),
        (b"[" * 2000 + b"]" * 2000, "2,000 levels"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "2,000 levels"),
        (b"[" + b"1," * 5000 + b"1]", "members"),
        (b"[" + b"{}," * 5000 + b"1]", "members"),
        (b'{"authors": ["\\ud800"]}', "half a character"),
        (b'{"description": "' + b"\\udfff" + b'"}', "half a character"),
        (b'{"description": "x', "not JSON"),
        (b'"' + b"\\" * 20_001, "not JSON"),
        ('{"description": "x"}'.encode("utf-16"), "not JSON"),
    ],
)
def test_a_hostile_manifest_is_refused_in_words(tmp_path, raw, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        read_manifest(submission(tmp_path, raw=raw))
    assert str(tmp_path / "mine" / "aicrowd.json") in str(caught.value)
    assert len(str(caught.value)) < 1_000
    assert str(caught.value).isprintable()


def test_brackets_commas_and_digits_in_texts_do_not_count(tmp_path):
    text = "[{" * 500 + "," * 2000 + "9" * 100 + '\\"' + "]"
    assert read_manifest(submission(tmp_path, {"description": text})).description == text


def test_a_byte_order_mark_is_read(tmp_path):
    assert read_manifest(submission(tmp_path, raw=b'\xef\xbb\xbf{"authors": ["Ada"]}')).authors == ("Ada",)


def test_a_pipe_in_place_of_the_file_is_refused_and_does_not_hang(tmp_path):
    mine = submission(tmp_path)
    os.mkfifo(mine / "aicrowd.json")
    with pytest.raises(ConfigurationError, match="is a named pipe"):
        read_manifest(mine)


@pytest.mark.parametrize("target", ["/etc/hostname", "/proc/self/environ", "nowhere", "run.py"])
def test_a_link_in_place_of_the_file_is_refused(tmp_path, target):
    mine = submission(tmp_path)
    (mine / "aicrowd.json").symlink_to(target)
    with pytest.raises(ConfigurationError, match="is a link"):
        read_manifest(mine)


def test_a_long_wrong_value_is_shown_in_part(tmp_path):
    with pytest.raises(ConfigurationError, match="authors is ") as caught:
        read_manifest(submission(tmp_path, {"authors": "A" * 10_000}))
    assert len(str(caught.value)) < 400


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from([*KEYS, "x"]), inner, max_size=4)),
    max_leaves=20,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=100), JSON.map(lambda value: json.dumps(value).encode())))
def test_any_content_is_read_or_refused(tmp_path, raw):
    (tmp_path / "run.py").write_text("")
    (tmp_path / "aicrowd.json").write_bytes(raw)
    try:
        found = read_manifest(tmp_path)
    except ConfigurationError:
        return
    assert isinstance(json.loads(raw.decode("utf-8-sig")), dict)
    found.line.encode("utf-8")


@pytest.mark.parametrize("text", ['{"team": "a", "authors": ["b"], "team": "c"}', '{"x": {"y": 1, "y": 2}}'])
def test_a_key_that_stands_there_twice_is_refused_by_its_name(tmp_path, text):
    with pytest.raises(ConfigurationError, match=r"aicrowd\.json: the key '(team|y)' stands in it more than once; name it once"):
        read_manifest(submission(tmp_path, raw=text.encode()))
