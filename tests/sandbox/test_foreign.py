"""Files of strangers are decoded in a worker: hostile pictures and tables, and workers that crash, hang, lie or are taken over."""

import contextlib
import hashlib
import io
import json
import os
import signal
import socket
import struct
import threading
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from evaluator.errors import DataError, SubmissionError, Verdict
from evaluator.sandbox import foreign as module
from evaluator.sandbox.channel import HostChannel, ProtocolError
from evaluator.sandbox.foreign import ForeignFiles, ReadingLimits, picture_in
from evaluator.sandbox.limits import Breach
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.tier import Ended
from evaluator.worker.foreign import PICTURE, table_of
from evaluator.worker.frames import FrameReader, encode

DRAWS = np.random.default_rng(0)
GRAY = DRAWS.integers(0, 255, (9, 7), dtype=np.uint8)
COLOUR = DRAWS.integers(0, 255, (9, 7, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str = "PNG", **how) -> bytes:
    with io.BytesIO() as file:
        image.save(file, kind, **how)
        return file.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that says it has so many gray pixels, whatever its chunks hold."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join([chunk(b"IHDR", head), *chunks, chunk(b"IEND", b"")])


def body(pixels: np.ndarray) -> bytes:
    """The compressed rows of a gray PNG."""
    return chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels), 9))


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(Image.fromarray(GRAY), exif=exif)


def film() -> bytes:
    frames = [Image.fromarray(GRAY + number) for number in range(3)]
    return saved(frames[0], save_all=True, append_images=frames[1:])


def polyglot() -> bytes:
    """A PNG that is a ZIP archive and a script as well."""
    return saved(Image.fromarray(GRAY)) + b"PK\x03\x04" + b"#!/bin/sh\ntouch /tmp/owned\n" * 100


def with_text(size: int, kind: bytes = b"tEXt") -> bytes:
    text = b"Comment\0" + (b"\0" + zlib.compress(bytes(size), 9) if kind == b"zTXt" else bytes(size))
    return png(7, 9, chunk(kind, text), body(GRAY))


@pytest.fixture(scope="module")
def files():
    with ForeignFiles(ProcessSandbox, 64) as found:
        yield found


def rgb(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"))


PALETTE, DEEP = Image.fromarray(COLOUR).quantize(8), np.arange(63, dtype=np.uint16).reshape(9, 7) * 1_000
TAKEN = {
    "gray.png": (saved(Image.fromarray(GRAY)), GRAY),
    "equal channels.png": (saved(Image.fromarray(np.repeat(GRAY[..., None], 3, axis=2))), GRAY),
    "colour.png": (saved(Image.fromarray(COLOUR)), COLOUR),
    "palette.png": (saved(PALETTE), rgb(PALETTE)),
    "deep.png": (saved(Image.fromarray(DEEP)), (DEEP >> 8).astype(np.uint8)),
    "alpha.png": (saved(Image.fromarray(np.dstack([COLOUR, GRAY]))), COLOUR),
    "bilevel.png": (saved(Image.fromarray(GRAY > 99)), ((GRAY > 99) * 255).astype(np.uint8)),
    "turned.png": (turned(), np.rot90(GRAY, -1)),
    "a JPEG.png": (saved(Image.fromarray(GRAY), "JPEG"), np.asarray(Image.open(io.BytesIO(saved(Image.fromarray(GRAY), "JPEG"))))),
    "polyglot.png": (polyglot(), GRAY),
    "a text of 1,000 bytes.png": (with_text(1_000), GRAY),
}


def test_every_sound_kind_of_image_comes_back_as_its_pixels(files):
    found = list(files.pictures((name, raw) for name, (raw, _) in TAKEN.items()))
    for (name, (_, expected)), seen in zip(TAKEN.items(), found, strict=True):
        assert seen.dtype == np.uint8, name
        assert np.array_equal(seen, expected), name
        assert not seen.flags.writeable
    cmyk = Image.fromarray(np.dstack([COLOUR, GRAY]), "CMYK")
    (seen,) = files.pictures([("cmyk.jpg", saved(cmyk, "JPEG", quality=100))])
    assert seen.shape == (9, 7, 3)
    assert files.tier == "process"
    assert list(files.pictures([])) == []


REFUSED = {
    "bomb.png": (png(60_000, 60_000, chunk(b"IDAT", zlib.compress(bytes(3_000_000), 9))), "has 3600000000 pixels"),
    "largest header.png": (png(2**31 - 1, 2**31 - 1, b""), "has 4611686014132420609 pixels"),
    "no pixels.png": (png(0, 0, b""), "no image that can be decoded"),
    "side.png": (saved(Image.new("L", (65, 1))), "has 65 x 1 pixels; the longest side allowed is 64"),
    "cut.png": (TAKEN["colour.png"][0][:-20], "is cut short"),
    "cut within.png": (png(64, 64, chunk(b"IDAT", zlib.compress(DRAWS.bytes(4_160))[:900])), "no image that can be decoded"),
    "cut.jpg": (saved(Image.fromarray(np.repeat(GRAY, 9, 1)), "JPEG")[:-90], "no image that can be decoded"),
    "empty.png": (b"", "has 0 bytes"),
    "gif.png": (saved(Image.fromarray(GRAY), "GIF"), "no image that can be decoded"),
    "tiff.jpg": (saved(Image.fromarray(GRAY), "TIFF"), "no image that can be decoded"),
    "text.png": (b"\x1b[2Jhello\n" * 9, "no image that can be decoded"),
    "film.png": (film(), "is an animation of 3 frames"),
    "scans.jpg": (saved(Image.fromarray(GRAY), "JPEG")[:-2] + b"\xff\xda\x00\x02" * 200, "scans, which would take minutes"),
    "unpacks to 100 MB of text.png": (with_text(100_000_000, b"zTXt"), "no image that can be decoded"),
    "large.png": (bytes(8 * 2**20 + 1), "at most 8,388,608"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_file_is_refused_by_its_name_and_the_next_is_read(name, files):
    raw, said = REFUSED[name]
    good = ("good.png", TAKEN["gray.png"][0])
    with pytest.raises(DataError) as caught:
        list(files.pictures([good, (name, raw), good]))
    assert str(caught.value).startswith(name)
    assert said in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert np.array_equal(next(files.pictures([good])), GRAY)


def test_a_text_of_many_megabytes_beside_the_pixels_is_bounded_by_the_file(files):
    with pytest.raises(DataError, match="at most 8,388,608"):
        list(files.pictures([("text.png", with_text(100 << 20))]))
    assert np.array_equal(next(files.pictures([("text.png", with_text(7 << 20))])), GRAY)


def test_files_travel_in_batches_and_keep_their_order(files, monkeypatch):
    monkeypatch.setattr(module, "BATCH_FILES", 3)
    images = [np.full((number % 5 + 1, 3), number, np.uint8) for number in range(8)]
    found = list(files.pictures((str(number), saved(Image.fromarray(image))) for number, image in enumerate(images)))
    assert all(np.array_equal(a, b) for a, b in zip(found, images, strict=True))
    monkeypatch.setattr(module, "BATCH_BYTES", 100)
    assert len(list(files.pictures((str(number), saved(Image.fromarray(image))) for number, image in enumerate(images)))) == 8


def test_a_decoder_that_is_killed_is_the_fault_of_its_file_and_another_is_started():
    """With a worker that is really there."""
    started = []

    class Watched(ProcessSandbox):
        def start(self, spec):
            started.append(super().start(spec))
            return started[-1]

    def given():
        good = TAKEN["gray.png"][0]
        yield from ((f"{number}.png", good) for number in range(module.BATCH_FILES))
        yield "evil.png", good  # the batch before it is decoded now
        os.kill(started[-1].pid, signal.SIGSEGV)
        yield "later.png", good

    with ForeignFiles(Watched) as files:
        with pytest.raises(SubmissionError, match=r"^evil\.png: the decoder crashed at this file .*SIGSEGV") as caught:
            list(files.pictures(given()))
        assert caught.value.verdict is Verdict.RUNTIME_ERROR
        assert np.array_equal(next(files.pictures([("good.png", TAKEN["gray.png"][0])])), GRAY)
    assert len(started) == 2


# -- workers that are not what they should be ------------------------------------------------------------------------------------


def picture(number=0, height=9, width=7, channels=1, pixels=None, digest=None) -> bytes:
    pixels = GRAY.tobytes() if pixels is None else pixels
    return PICTURE.pack(number, height, width, channels, digest or hashlib.sha256(pixels).digest()) + pixels


class Forged:
    """A worker of the test: greets, loads, and answers the first phase by ``answers``: frames; None hangs, the end closes."""

    limited_by, pid = "nothing", 0

    def __init__(self, answers, ended):
        ours, self._theirs = socket.socketpair()
        self.channel, self._answers, self._ended = HostChannel(ours), answers, ended
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        reader = FrameReader()
        with contextlib.suppress(OSError):  # the other end may have heard enough
            self._theirs.sendall(encode({"t": "hello", "pid": 1, "numpy": "", "python": ""}))
            for answers in ([({"t": "done"}, b"")], self._answers):
                while reader.next() is None:
                    if not (data := self._theirs.recv(1 << 16)):
                        return
                    reader.feed(data)
                for answer in answers:
                    if answer is None:
                        return
                    self._theirs.sendall(encode(*answer))
            self._theirs.close()

    def seen(self, path):
        return str(path)

    def end(self):
        self.channel.close()
        return self._ended

    def follow(self, follower):
        pass

    def log(self):
        return ""


class ForgedSandbox:
    name, promises = "forged", frozenset()

    def __init__(self, answers, ended):
        self._answers, self._ended = answers, ended

    def start(self, spec):
        return Forged(self._answers, self._ended)


PART, DONE = {"t": "part"}, ({"t": "done"}, b"")


@pytest.mark.parametrize(
    ("answers", "ended", "verdict", "said"),
    [
        (
            [(PART, picture())],
            Ended(signal=11),
            Verdict.RUNTIME_ERROR,
            "b: the decoder crashed at this file (the worker was killed by",
        ),
        ([(PART, picture())], Ended(code=3), Verdict.RUNTIME_ERROR, "b: the decoder crashed at this file (the worker exited with"),
        (
            [(PART, picture())],
            Ended(breach=Breach("memory", 2, 1)),
            Verdict.MEMORY_LIMIT,
            "b: decoding this file took more than 1,024",
        ),
        ([(PART, picture()), None], Ended(killed=True), Verdict.TIME_LIMIT, "b: decoding was stopped at this file after 0.2 s"),
        ([(PART, picture()), DONE], Ended(), Verdict.PROTOCOL_ERROR, "b: the decoder was not itself any more"),
        ([(PART, picture(n)) for n in range(3)], Ended(), Verdict.PROTOCOL_ERROR, "more images than files"),
        ([(PART, picture(1))], Ended(), Verdict.PROTOCOL_ERROR, "a: the decoder was not itself any more at this file (image 1"),
        ([({"t": "failed", "error": "E", "message": "\x1bno", "trace": ""}, b"")], Ended(), Verdict.RUNTIME_ERROR, "E in decoding"),
        ([({"t": "cell"}, b"")], Ended(), Verdict.PROTOCOL_ERROR, "unknown kind"),
        ([(PART, PICTURE.pack(0, 0, 0, 0, bytes(32)) + b"x"), (PART, picture(1))], Ended(), Verdict.PROTOCOL_ERROR, "more images"),
    ],
)
def test_a_worker_that_is_not_itself_names_the_file_it_was_at(answers, ended, verdict, said):
    limits = ReadingLimits(seconds=0.2, seconds_per_file=0)
    with (
        ForeignFiles(lambda: ForgedSandbox(answers, ended), limits=limits) as files,
        pytest.raises(SubmissionError) as caught,
    ):
        list(files.pictures([("a", b"1"), ("b", b"2")]))
    assert said in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert caught.value.verdict is verdict


def test_a_machine_without_a_worker_is_not_the_files_fault():
    class Broken(ForgedSandbox):
        def start(self, spec):
            raise OSError("no room")

    with (
        ForeignFiles(lambda: Broken([], Ended())) as files,
        pytest.raises(SubmissionError, match=r"did not start: .*no room") as caught,
    ):
        list(files.pictures([("a.png", b"")]))
    assert caught.value.verdict is Verdict.INFRASTRUCTURE
    assert files.tier == ""


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (b"", "without a head"),
        (picture(height=8), "63 bytes for an image of 7 x 8"),
        (picture(height=0), "an image of 7 x 0 pixels"),
        (picture(height=2**32 - 1, width=2**32 - 1), "pixels and 1 channels"),
        (picture(channels=2), "2 channels"),
        (picture(digest=bytes(32)), "another digest"),
        (picture()[:-1], "62 bytes"),
        (picture(number=5), "image 5 in the place of image 0"),
    ],
)
def test_an_image_that_is_none_is_no_message(part, said):
    with pytest.raises(ProtocolError, match=said):
        picture_in(part, 0, 64)


# -- tables ----------------------------------------------------------------------------------------------------------------------


def parquet(**columns) -> bytes:
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    sink = io.BytesIO()
    parquet.write_table(arrow.table(columns), sink)
    return sink.getvalue()


def test_a_parquet_table_is_read_elsewhere_and_a_broken_one_refused(files):
    raw = parquet(id=["a", "b"], action=["drop", None])
    assert files.table("t.parquet", raw, 10) == (["id", "action"], [["a", "drop"], ["b", None]])
    for content, most, said in (
        (raw[:-9], 10, "cannot be read"),
        (b"PAR1", 10, "cannot be read"),
        (raw, 1, "2 rows"),
        (parquet(id=[1]), 10, "id is of the type int64"),
        (parquet(id=[["a"]]), 10, "id is of the type list"),
        (parquet(**{f"c{n}": ["a"] for n in range(101)}), 10, "101 columns"),
    ):
        with pytest.raises(DataError, match=said) as caught:
            files.table("t.parquet", content, most)
        assert str(caught.value).startswith("t.parquet: ")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (b"{", "not JSON"),
        (b"[]", "no table"),
        (b'{"names": [1], "rows": []}', "without names"),
        (b'{"names": ["a"], "rows": 1}', "without rows"),
        (b'{"names": ["a"], "rows": [["x"], ["y"], ["z"]]}', "too many"),
        (b'{"names": ["a"], "rows": [["x", "y"]]}', "a row that is none"),
        (b'{"names": ["a"], "rows": [[1]]}', "a row that is none"),
        (b"[" * 100_000, "more than"),
    ],
)
def test_a_table_of_a_forged_worker_is_refused(told, said):
    with (
        ForeignFiles(lambda: ForgedSandbox([({"t": "done"}, told)], Ended())) as files,
        pytest.raises(SubmissionError, match=said) as caught,
    ):
        files.table("t.parquet", b"", 2)
    assert caught.value.verdict is Verdict.PROTOCOL_ERROR


def test_a_table_that_unpacks_to_more_than_fits_is_refused_in_the_worker(monkeypatch):
    monkeypatch.setattr("evaluator.worker.foreign.MOST_TABLE", 3_000)
    raw = parquet(id=["x" * 300] * 40)
    assert len(raw) < 3_000
    told = table_of(raw, 100)
    assert "characters" in told["fault"] or "bytes" in told["fault"]
    assert json.dumps(table_of(parquet(id=["x", None]), 100)) == '{"names": ["id"], "rows": [["x"], [null]]}'
    assert json.dumps(table_of(parquet(id=["x"]), 100)) == '{"names": ["id"], "rows": [["x"]]}'


def test_a_text_that_many_cells_share_counts_in_each_of_them_before_any_is_made():
    """724 bytes of a file whose 3,000 cells have a million characters each."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as format

    shared = arrow.DictionaryArray.from_arrays(arrow.array([0] * 3_000, arrow.int32()), arrow.array(["x" * 1_000_000]))
    sink = io.BytesIO()
    options = {"compression": "zstd", "use_dictionary": True, "dictionary_pagesize_limit": 1 << 26, "write_statistics": False}
    format.write_table(arrow.table({"id": shared}), sink, store_schema=False, **options)
    raw = sink.getvalue()
    assert len(raw) < 2_000
    tracemalloc.start()
    told = table_of(raw, 10_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "more than 33,554,432 characters" in told["fault"]
    assert peak < 64 << 20


def test_a_footer_that_says_another_number_of_rows_is_not_believed():
    """The number of rows of the whole file is a varint behind the list of columns; each group of rows has a number of its own."""
    raw = bytearray(parquet(**{name: ["a", "b"] for name in ("id", "action", "label", "split")}))
    foot = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    at = raw.find(b"\x16\x04\x19", foot)
    assert at > 0
    raw[at + 1] = 40  # 20 rows
    told = table_of(bytes(raw), 100)
    assert told.keys() == {"fault"}
    assert "20 rows" in told["fault"] or "cannot be read" in told["fault"]
