"""A million inputs for what strangers reach most often: the form of a text, the reader of JSON, the reader of predictions.

Drawn from a seed, so a failure is repeated by its number. ``FUZZ`` sets the number of inputs of the endurance tests.
"""

import io
import json
import os
import random

import numpy as np
import pytest
from fuzzing import HOSTILE

from evaluator.bounded import BoundsError, Limits, parse_json, too_deep
from evaluator.errors import ConfigurationError
from evaluator.history.store import parse_npy
from evaluator.text import cells, name, one_line, visible

COUNTS = [20_000, pytest.param(int(os.environ.get("FUZZ", "200000")), marks=[pytest.mark.slow, pytest.mark.endurance], id="many")]
LIMITS = Limits(size=2_000, depth=6, digits=20, values=100)
TOKENS = [
    "[",
    "]",
    "{",
    "}",
    '"',
    ":",
    ",",
    "\\",
    "1",
    "9" * 21,
    "e",
    ".",
    "-",
    "NaN",
    '"a":',
    "null",
    "1e999",
    '"\\ud800"',
    " ",
    "\n",
]
VALUES = [None, True, 1, -1.5, "a", [], {}, [[1], {"a": [2]}], {"b": {"c": [None]}}, "\x1b[2J", 10**30, [[[[[[[1]]]]]]]]


@pytest.mark.parametrize("count", COUNTS)
def test_no_text_steers(count):
    draw = random.Random(1)
    ranges = [(0, 0x100), (0, 0x3000), (0x300, 0x370), (0x2000, 0x2070), (0xD800, 0xE010), (0, 0x110000)]
    for number in range(count):
        text = "".join(
            draw.choice(HOSTILE) if draw.random() < 0.5 else chr(draw.randrange(*draw.choice(ranges)))
            for _ in range(draw.randrange(24))
        )
        shown = visible(text)
        assert shown.isprintable(), number
        assert visible(shown) == shown, number
        line, label = one_line(text * 4, 40), name(text * 4, 40)
        assert line.isprintable(), number
        assert cells(line) <= 40, number
        assert one_line(line, 40) == line, number
        assert label.isprintable(), number


@pytest.mark.parametrize("count", COUNTS)
def test_no_json_ends_the_reader(count):
    draw = random.Random(2)
    read = 0
    for number in range(count):
        kind = draw.randrange(3)
        if kind == 0:
            raw = "".join(draw.choices(TOKENS, k=draw.randrange(12))).encode()
        else:
            raw = json.dumps({str(i): draw.choice(VALUES) for i in range(draw.randrange(4))}).encode()
            if kind == 2:
                place = draw.randrange(len(raw) + 1)
                raw = raw[:place] + draw.randbytes(draw.randrange(3)) + raw[place + draw.randrange(3) :]
        try:
            found = parse_json(raw, "x", LIMITS)
        except BoundsError as error:
            text = str(error)
            assert text.startswith("x "), number
            continue
        read += 1
        assert not too_deep(found, LIMITS.depth), number
    assert read > count // 10


@pytest.mark.parametrize("count", COUNTS)
def test_no_file_of_predictions_ends_the_reader(count):
    draw = random.Random(3)
    file = io.BytesIO()
    np.save(file, np.full((4, 6), 0.5, np.float16))
    good = file.getvalue()
    read = 0
    for number in range(count):
        raw = bytearray(good)
        for _ in range(draw.randrange(3)):
            raw[draw.randrange(len(raw))] = draw.randrange(256)
        raw = raw[: len(raw) - draw.choice((0, 0, 0, 1, 40))]
        try:
            found = parse_npy(bytes(raw), [4, 6], "x.npy")
        except ConfigurationError as error:
            text = str(error)
            assert text.startswith("x.npy "), number
            continue
        read += 1
        assert found.shape == (4, 6), number
        assert found.min() >= 0, number
        assert found.max() <= 1, number
    assert read > count // 20
