"""Any bytes as a file of an audit: it is read, or refused in words with the file's name. Drawn from a seed, so that a failure
repeats."""

import io
import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.correction_files import read_corrections
from evaluator.audit.prediction_files import read_predictions
from evaluator.audit.published import analysed, read_table
from evaluator.audit.reading import Reading, read_benchmark, read_ids
from evaluator.audit.where import parse
from evaluator.errors import ConfigurationError

IDS = ("a", "b", "c")
BENCHMARK = Benchmark(IDS, np.array([0, 1, 2]), ("x", "y", "z"))
HOW = Reading(ids=IDS, classes=BENCHMARK.classes)
MULTI = Reading(ids=IDS, classes=BENCHMARK.classes, multi=True)


def saved(write, *arrays, **named):
    file = io.BytesIO()
    write(file, *arrays, **named)
    return file.getvalue()


SEEDS = {
    "labels.csv": b"id,label,m\na,0,q\nb,1,\nc,2,r\n",
    "class.csv": b"id,class\na,0\nb,y\nc,2\n",
    "top.csv": b'id,top\na,"0,1"\nb,1\nc,2\n',
    "scores.csv": b"id,score0,score1,score2\na,1,2,3\nb,1e3,.5,-1\nc,0,0,0\n",
    "fix.csv": b'id,originalLabel,correction\na,0,1\nb,1,"1,2"\nc,2,-1\n',
    "answers.csv": b"id,rater,label,answer\na,r,0,1\na,s,0,0\nb,r,1,yes\n",
    "sets.json": b'{"a": [0], "b": [1, 2], "c": []}',
    "list.json": b"[[0], [1, 2], []]",
    "ids.json": b'["a", "b", "c"]',
    "class.npy": saved(np.save, np.array([0, 1, 2])),
    "scores.npy": saved(np.save, np.eye(3, dtype=np.float32)),
    "labels.npz": saved(np.savez, ids=np.array(IDS), labels=np.array([0, 1, 2])),
    "ids.npy": saved(np.save, np.array(IDS)),
    "table.json": b'{"a": [80, 90.5], "b": [70, 91]}',
}
BITS = [
    b",",
    b'"',
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"-1",
    b"9" * 30,
    b"nan",
    b"[",
    b"]",
    b"{",
    b"1e999",
    b"id",
    b"'",
    b";",
    b"\xef\xbb\xbf",
]
READERS = (
    lambda path: read_benchmark(path, HOW),
    lambda path: read_benchmark(path, MULTI),
    lambda path: read_predictions(path, BENCHMARK, HOW),
    lambda path: read_corrections(path, HOW).aligned(BENCHMARK),
    lambda path: read_ids(path, HOW),
    lambda path: analysed(read_table(path), [10, 10]),
)


def changed(content: bytes, draw: random.Random) -> bytes:
    """The content with a few bytes put in, taken out, doubled or changed."""
    found = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(found) + 1)
        way = draw.randrange(4)
        if way == 0:
            found[at:at] = draw.choice(BITS)
        elif way == 1:
            del found[at : at + draw.randint(1, 9)]
        elif way == 2:
            found[at:at] = found[at : at + draw.randint(1, 40)]
        elif at < len(found):
            found[at] = draw.randrange(256)
    return bytes(found)


def outcome(call, what) -> str:
    """Why a call was refused; empty if it was not. Any other error fails the test."""
    try:
        call()
    except ConfigurationError as error:
        return str(error)
    except Exception as error:
        pytest.fail(f"{what}: {error!r}")
    return ""


@pytest.mark.filterwarnings("ignore:Reading `.npy`")
@pytest.mark.parametrize("count", [700, pytest.param(int(os.environ.get("FUZZ", "50000")), marks=pytest.mark.endurance)])
def test_any_file_is_read_or_refused(count, tmp_path: Path):
    names = sorted(SEEDS)
    read = refused = 0
    for number in range(count):
        draw = random.Random(number)
        name = draw.choice(names)
        path = tmp_path / name
        path.write_bytes(changed(SEEDS[name], draw))
        for reader in READERS:
            why = outcome(lambda reader=reader, path=path: reader(path), f"input {number} ({name})")
            read += not why
            refused += bool(why)
            assert not why or str(path) in why or "--" in why, (number, why)
            assert "\n" not in why, number
    assert read > count / 20
    assert refused > count


def test_any_text_is_a_condition_or_refused():
    words = [
        "a",
        "b",
        "=",
        "!=",
        "<",
        ">",
        "in",
        "is",
        "not",
        "none",
        "and",
        "or",
        "(",
        ")",
        ",",
        "3",
        "'x y'",
        '"',
        "\x00",
        "é",
        "<=",
    ]
    columns = {"a": ["1", "", "x"], "b": ["2", "3", "4"]}
    good = 0
    for number in range(2_000):
        draw = random.Random(number)
        tokens = draw.choice(["b > 3 and a is not none", "not ( a in ( 1 , x ) or b = 2 )", "a != 'x y' or b <= 3"]).split(" ")
        for _ in range(draw.randrange(4)):
            tokens[draw.randrange(len(tokens))] = draw.choice(words)
        text = " ".join(tokens)
        why = outcome(lambda text=text: parse(text).of(columns, 3), text)
        good += not why
        assert not why or why.startswith("--where ")
    assert 500 < good < 1_500


def test_the_unchanged_files_are_good(tmp_path):
    for name, content in SEEDS.items():
        (tmp_path / name).write_bytes(content)
    assert read_benchmark(tmp_path / "labels.csv", HOW).ids == IDS
    assert [
        read_predictions(tmp_path / f"{name}", BENCHMARK, HOW).top[0, 0] for name in ("class.csv", "top.csv", "scores.csv")
    ] == [0, 0, 2]
    assert json.loads(SEEDS["sets.json"])["b"] == list(read_corrections(tmp_path / "sets.json", HOW).sets[1])
    assert read_corrections(tmp_path / "answers.csv", HOW).aligned(BENCHMARK).sets[0] == ()
