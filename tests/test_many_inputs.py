"""A million inputs for every reader of what strangers write: texts that are shown, JSON, predictions, a worker's frames, a guard's
lines, manifests, stored cells.

Drawn from a seed, so a failure is repeated by its number. ``FUZZ`` sets the number of inputs of the endurance tests.
"""

import io
import json
import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from fabricated import scored
from fuzzing import HOSTILE
from specs import result, spec

from evaluator.bounded import BoundsError, Limits, parse_json, too_deep
from evaluator.cli.tracks import TRACKS
from evaluator.errors import ConfigurationError
from evaluator.history.checksum import sealed
from evaluator.history.predictions import parse_npy
from evaluator.history.reading import known
from evaluator.purchase.messages import SCHEMA
from evaluator.purchase.track import PURCHASE
from evaluator.sandbox.channel import BASE, ProtocolError
from evaluator.sandbox.conversation import ANSWERS
from evaluator.sandbox.guarded import read_report
from evaluator.specs import digest_of
from evaluator.submission.manifest import parse_manifest
from evaluator.text import cells, name, one_line, visible
from evaluator.worker.frames import FrameError, FrameReader, encode

COUNTS = [4_000, pytest.param(int(os.environ.get("FUZZ", "50000")), marks=[pytest.mark.slow, pytest.mark.endurance], id="many")]
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


def damaged(draw, raw):
    """Bytes with up to three changes: a piece replaced, repeated, cut out or exchanged for a token of JSON."""
    for _ in range(draw.randrange(4)):
        start = draw.randrange(len(raw) + 1)
        end = min(len(raw), start + draw.choice((0, 0, 1, 1, 2, 8, 40)))
        piece = draw.choice((b"", draw.randbytes(draw.randrange(1, 4)), raw[start:end] * 3, draw.choice(TOKENS).encode()))
        raw = raw[:start] + piece + raw[end:]
    return raw


@pytest.mark.parametrize("count", COUNTS)
def test_no_line_of_a_guard_says_more_than_names_and_small_numbers(count):
    draw = random.Random(4)
    words = [b"ended", b"left", b"pid", b"A", b"toolongname", b"", b"\xff", b"{}", b"[" * 3_000]
    numbers = [
        b"0",
        b"7",
        b"4194304",
        b"9" * 10,
        b"9" * 11,
        b"9" * 4_400,
        b"-1",
        b"1.5",
        b"1e9",
        "\u0663".encode(),
        b"0x1",
        b"1_0",
        b"",
    ]
    understood = 0
    for number in range(count):
        pairs = [
            part
            for _ in range(draw.randrange(10))
            for part in (draw.choice(words[: draw.choice((3, 3, 9))]), draw.choice(numbers[: draw.choice((4, 4, 13))]))
        ]
        line = draw.choice((b" ", b" ", b" ", b" ", b" ", b"  ", b"\t", b"\n")).join(pairs)
        found = read_report(damaged(draw, line) if draw.random() < 0.3 else line)
        understood += bool(found)
        assert len(found) <= 8, number
        assert all(name.isascii() and name.islower() and len(name) <= 8 for name in found), number
        assert all(type(value) is int and 0 <= value < 10**10 for value in found.values()), number
    assert understood > count // 100


FRAMES = [
    {"t": "hello", "pid": 3, "numpy": "2.4.0", "python": "3.11.7"},
    {"t": "buy"},
    {"t": "progress", "fraction": 0.5},
    {"t": "failed", "error": "ValueError", "message": "of x", "trace": "Traceback"},
    {"t": "done", "class": "Strategy", "saves": True, "loads": False},
    {"t": "done", "claim": "labels", "n": 2, "clock": True, "shape": [6, 6]},
]


@pytest.mark.parametrize("count", COUNTS)
def test_no_frame_of_a_worker_ends_the_reader(count):
    draw = random.Random(5)
    schema = BASE | ANSWERS | SCHEMA
    whole = [encode(message, bytes(size)) for message in FRAMES for size in (0, 24)]
    understood = 0
    for number in range(count):
        raw = damaged(draw, draw.choice(whole))
        if draw.random() < 0.5:  # the right lengths in front of a wrong header
            header = damaged(draw, json.dumps(draw.choice(FRAMES)).encode())
            raw = struct.pack("!II", len(header), 3) + header + b"abc"
        reader = FrameReader()
        at = 0
        try:
            while at < len(raw):
                step = draw.randrange(1, 200)
                reader.feed(raw[at : at + step])
                at += step
                while (frame := reader.next()) is not None:
                    message = schema.check(*frame)
                    understood += 1
                    texts = [value for value in message.fields.values() if isinstance(value, str)]
                    assert all(c.isprintable() or c in "\n\t" for text in texts for c in text), number
        except (FrameError, ProtocolError) as error:
            text = str(error)
            assert "fram" in text or "message" in text, number
        assert reader.pending <= len(raw), number
    assert understood > count // 10


MANIFEST = {
    "challenge_id": "data-purchasing",
    "grader_id": "data-purchasing",
    "authors": ["a person", "another"],
    "description": "what it does",
    "license": "MIT",
    "gpu": False,
    "own": {"nested": [1, 2.5, None, True]},
}


@pytest.mark.parametrize("count", COUNTS)
def test_no_manifest_ends_its_reader(count):
    draw = random.Random(6)
    read = 0
    for number in range(count):
        content = dict(MANIFEST)
        for _ in range(draw.randrange(3)):
            content[draw.choice([*MANIFEST, "x"])] = draw.choice(VALUES)
        raw = damaged(draw, json.dumps(content).encode())
        try:
            manifest = parse_manifest(raw, Path("aicrowd.json"))
        except ConfigurationError as error:
            text = str(error)
            assert text.startswith("aicrowd.json"), number
            continue
        read += 1
        assert isinstance(manifest.gpu, bool), number
        assert all(isinstance(author, str) for author in manifest.authors), number
        manifest.line.encode()  # half a character would end whoever prints it
    assert read > count // 20


STORED = [json.loads(json.dumps(cell.as_dict())) for cell in (scored(spec("random"), "0" * 64, 0.5), result(spec("failed"), None))]


@pytest.mark.parametrize("count", COUNTS)
def test_no_stored_cell_ends_its_reader(count):
    """Cells with the right name and the right checksum, as a person would make them by hand; what is read as a cell is complete."""
    draw = random.Random(7)
    read = 0
    for number in range(count):
        good = draw.choice(STORED)
        text = damaged(draw, json.dumps(good).encode())
        try:
            content = json.loads(text.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            content = json.loads(json.dumps(good))
        if draw.random() < 0.7 and isinstance(content, dict):
            part = content if draw.random() < 0.5 else content.get("spec")
            if isinstance(part, dict) and part:
                part[draw.choice(sorted(part))] = draw.choice(VALUES)
        digest = digest_of(content["spec"]) if isinstance(content, dict) and isinstance(content.get("spec"), dict) else "0" * 32
        try:
            raw = sealed(content | {"cell": digest})
        except (TypeError, ValueError):  # no object, or a number that is none
            raw = json.dumps(content)
        cell, why = known(raw.encode("utf-8", "surrogatepass"), digest, TRACKS, None)
        assert (cell is None) == bool(why), number
        if cell is not None:
            read += 1
            PURCHASE.result(cell)
    assert read > count // 50
