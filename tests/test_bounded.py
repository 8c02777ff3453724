"""Files of strangers are read within bounds: whatever the bytes, the answer is a value within the limits or one error in words."""

import json
import os
import time

import pytest
from fuzzing import counts, hold, values
from hypothesis import strategies as st

from evaluator.bounded import RECORD, SMALL, BoundsError, Limits, parse_json, read_bytes, read_json, read_toml, too_deep
from evaluator.errors import KitError

LITTLE = Limits(size=4_000, depth=5, digits=20, values=200)


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0) if isinstance(value, (list, dict)) else 0


def read(text: bytes | str) -> tuple[object, str]:
    try:
        return parse_json(text, "x", LITTLE), ""
    except BoundsError as error:
        return None, str(error)


REFUSED = {
    "deep": ("[" * 25 + "]" * 25, "more than 24 deep"),
    "deeper than the parser goes": ("[" * 100_000, "more than 24 deep"),
    "deep objects": ('{"a":' * 30 + "1" + "}" * 30, "more than 24 deep"),
    "digits": ("1" * 61, "more than 60 digits"),
    "digits after the point": ("0." + "1" * 61, "more than 60 digits"),
    "infinite": ("1e999", "larger than any"),
    "minus infinite": ("[-1E+400]", "larger than any"),
    "nan": ('{"a": NaN}', "no number NaN"),
    "values": ("[" + "1," * 2_000_000 + "1]", "more than 2000000 values"),
    "empty lists": ("[" + "[]," * 1_000_000 + "[]]", "more than 2000000 values"),
    "nothing": ("", "is not JSON"),
    "half": ('{"a": [1, 2', "is not JSON"),
    "unfinished text": ('{"a": "b', "is not JSON"),
    "no UTF-8": (b'{"a": "\xff"}', "is not JSON"),
    "surrogate": ('"\ud800"', "surrogate"),
}


@pytest.mark.parametrize(("text", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_beyond_the_limits_is_refused_in_words(text, why):
    with pytest.raises(BoundsError, match=why) as caught:
        parse_json(text, "cell.json")
    assert str(caught.value).startswith("cell.json ")
    assert isinstance(caught.value, KitError)


def test_what_stands_in_quotes_counts_for_nothing():
    text = {"a": "[" * 100 + "1" * 100 + "," * 3_000_000 + '"]' * 30}
    assert parse_json(json.dumps(text)) == text
    assert parse_json("[" * 24 + "]" * 24) is not None
    assert parse_json("1" * 60) == int("1" * 60)
    assert parse_json('"\\ud800"') == "\ud800", "half a pair as an escape is JSON; who shows it escapes it"


@counts(400)
def test_random_bytes_give_a_value_within_the_limits_or_the_one_error(count):
    def check(raw):
        found, why = read(raw)
        if why:
            assert why.startswith("x ")
            assert len(why) < 500
            return
        assert depth(found) <= LITTLE.depth
        assert not too_deep(found, LITTLE.depth)
        assert found == json.loads(raw)

    tokens = st.lists(
        st.sampled_from(
            [b"[", b"]", b"{", b"}", b'"', b":", b",", b"\\", b"1", b"9" * 21, b"e", b".", b"-", b"NaN", b'"a":', b"null"]
        )
    ).map(b"".join)
    real = values.map(lambda value: json.dumps(value).encode())
    mutated = st.tuples(real, st.binary(max_size=3), st.integers(0, 50)).map(lambda m: m[0][: m[2]] + m[1] + m[0][m[2] + 1 :])
    hold(count, check, st.one_of(st.binary(max_size=200), tokens, real, mutated))


@counts(300)
def test_every_value_within_the_limits_is_read_as_it_was_written(count):
    def check(value):
        text = json.dumps(value)
        wanted = depth(value) <= LITTLE.depth and len(text) <= LITTLE.size
        found, why = read(text)
        if not why:
            assert found == value
        else:
            assert not wanted or "digits" in why
            assert "digits" not in why or any(len(run) > LITTLE.digits for run in _digits(text))

    hold(count, check, values)


def _digits(text: str) -> list[str]:
    return "".join(c if c.isdecimal() else " " for c in text).split()


@pytest.mark.endurance
def test_a_hostile_text_of_full_size_takes_seconds_at_most():
    """64 MiB of what is worst for the parser or for the measuring; the slowest took under 4 s on two cores of 2026 (n = 3)."""
    for unit in (b'"\\', b"[]", b'{"a":', b"1" * 60 + b","):
        raw = (unit * (RECORD.size // len(unit)))[: RECORD.size]
        began = time.process_time()
        with pytest.raises(BoundsError):
            parse_json(raw)
        assert time.process_time() - began < 30, unit


def test_files_are_bounded_before_they_are_read(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("[1, 2]")
    assert read_json(path) == [1, 2]
    with pytest.raises(BoundsError, match=r"a\.json has 6 bytes or more; at most 5"):
        read_bytes(path, 5)
    with open(path, "wb") as file:
        file.truncate(2**40)  # a sparse file of a terabyte
    with pytest.raises(BoundsError, match=r"a\.json has 1099511627776 bytes"):
        read_json(path)
    os.mkfifo(tmp_path / "pipe")
    for other in (tmp_path / "pipe", tmp_path, "/dev/zero", "/dev/null"):
        with pytest.raises(BoundsError, match="not a regular file"):
            read_json(other)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none")


def test_toml_is_bounded_likewise(tmp_path):
    path = tmp_path / "plan.toml"
    for text, why in {
        "a = " + "[" * 5_000: "valid TOML|deep",
        "a = " + "[" * 20 + "]" * 20: "more than 8 deep",
        "a" + ".a" * 20_000 + " = 1": "dots",
        "a" + ".a" * 20 + " = 1": "more than 8 deep",
        "a = " + "1" * 5_000: "valid TOML",
        "x = 1\n" * 20_000: "bytes or more",
        "a = ": "valid TOML",
    }.items():
        path.write_text(text)
        with pytest.raises(BoundsError, match=why) as caught:
            read_toml(path)
        assert "plan.toml" in str(caught.value)
    path.write_text('a = [["b"]]\n')
    assert read_toml(path) == {"a": [["b"]]}
    assert len(path.read_bytes()) < SMALL.size


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path):
    mark = b"\xef\xbb\xbf"
    (tmp_path / "a.toml").write_bytes(mark + b"seeds = 3\n")
    (tmp_path / "a.json").write_bytes(mark + b'{"seeds": 3}')
    assert read_toml(tmp_path / "a.toml") == read_json(tmp_path / "a.json") == {"seeds": 3}
    with pytest.raises(BoundsError):
        parse_json(mark + mark + b"{}")
