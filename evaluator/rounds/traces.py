"""Traces by which hidden files are known again: digests of files, pixels, rows and columns of labels, stretches of bytes, secrets.

The traces of everything hidden are collected, then those of everything public, and nothing may be in both. Traces are digests: what
is compared is equal or not. An image that was scaled, cut or saved with a loss is another image here, and so is a table in another
order. What a person must still look at with own eyes stands in ``docs/organisers.md``.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evaluator.data.decoding import decode
from evaluator.errors import DataError
from evaluator.rounds.contents import JPEG, NPY, PNG, Blob, headers

KINDS = ("files", "pixels", "rows", "labels")
"""What digests are of: whole files; decoded images; rows of numbers; columns of labels."""
SMALLEST = 16
"""Bytes from which a file is compared; a shorter file is equal to another by chance."""
LEAST_BITS = 48.0
"""Information of a column of labels from which it is compared: one in 10^14 is equal to another by chance."""
MOST_COLUMNS = 64
WINDOW, STEP_KEYS = 64, 16
"""Bytes of a stretch by which a file is found within another; places from which the most varied is taken."""
VARIED = 24
"""Different bytes that a stretch must have."""
_PIECE = 32 << 20
MOST_TABLE = 64 << 20
"""Bytes of a text that is read as a table."""


@dataclass
class Traces:
    """Digests by kind, each with where it was seen first; and numbers of what was looked at."""

    seen: dict[str, dict[bytes, str]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    looked: Counter[str] = field(default_factory=Counter)

    def add(self, blob: Blob) -> None:
        """Take up everything that a blob shows."""
        content = blob.content
        if blob.file and len(content) >= SMALLEST:
            self.put("files", hashlib.sha256(content).digest(), blob.where)
        if content.startswith((PNG, JPEG)):
            try:
                self.put("pixels", pixels(decode(content, blob.where, None, any_shape=True)[0]), blob.where)
            except DataError:
                self.looked["images that cannot be decoded"] += 1
        elif content.startswith(NPY):
            self._array(blob)
        elif len(content) <= MOST_TABLE and b"\0" not in content[:4096]:
            for column in columns(content):
                self.put("labels", column, blob.where)

    def put(self, kind: str, digest: bytes, where: str) -> None:
        """Take up one digest."""
        self.seen[kind].setdefault(digest, where)
        self.looked[kind] += 1

    def rows(self, array: np.ndarray, where: str) -> None:
        """Take up the rows of an array of numbers (n, width), as float32."""
        for row in np.ascontiguousarray(array, np.float32):
            if np.count_nonzero(row) > 4:
                self.put("rows", hashlib.sha256(row.tobytes()).digest(), where)

    def labels(self, array: np.ndarray, where: str) -> None:
        """Take up an array of labels (n,) or (n, classes)."""
        table = array.reshape(len(array), -1)
        if table.shape[1] <= MOST_COLUMNS:
            for digest in _columns([list(map(str, column)) for column in table.T.tolist()]):
                self.put("labels", digest, where)

    def _array(self, blob: Blob) -> None:
        try:
            array = np.load(io.BytesIO(blob.content), allow_pickle=False)
        except (ValueError, OSError, EOFError):
            self.looked["arrays that cannot be read"] += 1
            return
        if array.dtype == np.uint8 and (array.ndim == 4 or (array.ndim == 3 and array.shape[2] != 3)):
            for number, image in enumerate(array):
                self.put("pixels", pixels(image), f"{blob.where}, image {number}")
        elif array.dtype == np.uint8 and array.ndim == 3:
            self.put("pixels", pixels(array), blob.where)
        elif array.dtype.kind == "f" and array.ndim == 2 and array.shape[1] > 4:
            self.rows(array, blob.where)
        if array.dtype.kind in "iub" and array.ndim in (1, 2) and len(array):
            self.labels(array.astype(np.int64), blob.where)

    def both(self, kind: str, other: Traces) -> list[tuple[str, str]]:
        """Where a trace of a kind is here and in ``other``, in the order of the names."""
        mine, theirs = self.seen[kind], other.seen[kind]
        return sorted((mine[digest], theirs[digest]) for digest in mine.keys() & theirs.keys())


def pixels(image: np.ndarray) -> bytes:
    """Digest of an image, uint8 (h, w), (h, w, 1) or (h, w, 3): equal for a grey image whether it is stored with colours or not."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    if image.ndim == 3 and (image[..., :1] == image).all():
        image = image[..., 0]
    return hashlib.sha256(f"{image.shape}".encode() + np.ascontiguousarray(image).tobytes()).digest()


def columns(content: bytes) -> Iterator[bytes]:
    """Digests of the columns of a text that is a table, as far as they may be labels; and of all of them together."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    head = text[:2_000]
    delimiter = max(",;\t|", key=head.count)
    lines = text.splitlines()
    width = lines[0].count(delimiter) if lines else 0
    if len(lines) < 8 or width > 1_000:
        return
    try:
        table = list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return
    table = [row for row in table if len(row) == width + 1]
    for skipped in (1, 0):  # with a header and without
        found = [[cell.strip() for cell in column] for column in zip(*table[skipped:], strict=True)]
        yield from _columns(found)


def _columns(table: Sequence[Sequence[str]]) -> Iterator[bytes]:
    told = [column for column in table if len(column) and 2 <= len(set(column)) <= max(2, len(column) // 2)]
    for column in told:
        if information(column) >= LEAST_BITS:
            yield _digest(column)
    if len(told) > 1:
        joint = [" ".join(row) for row in zip(*told, strict=True)]
        if information(joint) >= LEAST_BITS:
            yield _digest(joint)


def _digest(column: Iterable[str]) -> bytes:
    return hashlib.sha256("\n".join(column).encode("utf-8", "surrogatepass")).digest()


def information(column: Sequence[str]) -> float:
    """Bits that a column holds, by the frequencies of its values: how unlikely it is that another one is equal."""
    counts = Counter(column).values()
    return -sum(n * math.log2(n / len(column)) for n in counts)


class Needles:
    """Many strings of 8 bytes or more, looked for at once, at any place of a content."""

    _BITS = 22
    _MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)

    def __init__(self, named: Mapping[str, bytes] | None = None) -> None:
        self._by_start: dict[int, list[tuple[bytes, str]]] = {}
        self._marks: tuple[np.ndarray, np.ndarray] | None = None
        self.count = 0
        for name, needle in (named or {}).items():
            self.add(needle, name)

    def add(self, needle: bytes, name: str) -> None:
        """Take up a string. Raises ValueError if it is shorter than 8 bytes."""
        if len(needle) < 8:
            raise ValueError(f"{name} has {len(needle)} bytes; expected 8 or more")
        self._by_start.setdefault(int.from_bytes(needle[:8], "little"), []).append((needle, name))
        self.count += 1
        self._marks = None

    def remove(self, needle: bytes) -> None:
        """Look for a string no more, under whatever name."""
        start = int.from_bytes(needle[:8], "little")
        known = self._by_start.pop(start, [])
        kept = [entry for entry in known if entry[0] != needle]
        self.count -= len(known) - len(kept)
        if kept:
            self._by_start[start] = kept
        self._marks = None

    def found(self, content: bytes) -> list[str]:
        """The names of the strings that are in ``content``, each once, in the order of their places."""
        if not self._by_start:
            return []
        if self._marks is None:
            keys, marks = np.array(sorted(self._by_start), np.uint64), np.zeros(1 << self._BITS, bool)
            marks[self._hash(keys)] = True
            self._marks = keys, marks
        keys, marks = self._marks
        hits: list[int] = []
        for start in range(0, len(content), _PIECE):
            piece = memoryview(content)[start : start + _PIECE + 8]
            for shift in range(max(0, min(8, len(piece) - 7))):
                words = np.frombuffer(piece, "<u8", (len(piece) - shift) // 8, shift)
                near = np.flatnonzero(marks[self._hash(words)])
                if len(near):
                    hits += (start + near[np.isin(words[near], keys)] * 8 + shift).tolist()
        return list(
            dict.fromkeys(
                name
                for place in sorted(hits)
                for needle, name in self._by_start[int.from_bytes(content[place : place + 8], "little")]
                if content.startswith(needle, place)
            )
        )

    def _hash(self, words: np.ndarray) -> np.ndarray:
        return ((words.astype(np.uint64) * self._MULTIPLIER) >> np.uint64(64 - self._BITS)).astype(np.int64)


class Stretches(Needles):
    """Stretches of the bytes of hidden files, by which a file is found within any other."""

    def __init__(self) -> None:
        super().__init__()
        self._of_chunks: dict[bytes, bool] = {}
        """Stretches of metadata, and whether several images have them."""

    def take(self, blob: Blob) -> None:
        """Take up a stretch of a file that is no text, where it has one that is varied enough.

        A stretch of a header is none: tables of Huffman codes and colour profiles are equal in files that have nothing else in
        common.
        """
        content = blob.content
        if len(content) < 2 * WINDOW or b"\0" not in content or blob.chunk == "iCCP":
            return
        best = max(
            (content[place : place + WINDOW] for place in _places(content)), key=lambda window: len(set(window)), default=b""
        )
        if len(set(best)) < VARIED:
            return
        if blob.chunk:
            # What a camera writes into each of its images tells of no image. The image's own stretch is looked for anyway.
            known = self._of_chunks.get(best)
            self._of_chunks[best] = known is not None
            if known is not None:
                if not known:
                    self.remove(best)
                return
        self.add(best, blob.where)


def _places(content: bytes) -> list[int]:
    """Places evenly spread over where a stretch of ``content`` may begin: not at its very start, and not in or before a header."""
    free, begins = [], WINDOW // 2
    for start, end in (*headers(content), (len(content), len(content))):
        if start - begins >= WINDOW:
            free.append((begins, start - WINDOW + 1))
        begins = max(begins, end)
    if not free:
        return []
    lengths = np.array([end - start for start, end in free])
    last = np.cumsum(lengths)
    nth = np.unique(np.linspace(0, last[-1] - 1, STEP_KEYS).astype(int))
    of = np.searchsorted(last, nth, side="right")
    return [int(free[span][0] + n - (last[span] - lengths[span])) for n, span in zip(nth.tolist(), of.tolist(), strict=True)]


def number_needles(number: int, bits: int = 128) -> dict[str, bytes]:
    """The ways in which a secret number is usually written, by a word for each.

    Args:
        bits: that the number has at most; those of fewer than 40 bits are not looked for, because they are found by chance.
    """
    if number.bit_length() < 40:
        return {}
    size = (bits + 7) // 8
    raw = number.to_bytes(size, "big")
    digits = f"{number:0{2 * size}x}"
    found = {
        "in bytes": raw,
        "in bytes, the last first": raw[::-1],
        "in hexadecimal digits": digits.encode(),
        "in capital hexadecimal digits": digits.upper().encode(),
        "in decimal digits": str(number).encode(),
        "in hexadecimal pairs": ":".join(digits[place : place + 2] for place in range(0, len(digits), 2)).encode(),
        "in hexadecimal digits of UTF-16": digits.encode("utf-16-le"),
        "in decimal digits of UTF-16": str(number).encode("utf-16-le"),
    }
    for what, plain in (("bytes", raw), ("hexadecimal digits", digits.encode()), ("decimal digits", str(number).encode())):
        for shift in range(3):
            coded = _base64(plain, shift)
            found[f"{what} in base64, place {shift}"] = coded
            found[f"{what} in base64 for addresses, place {shift}"] = coded.replace(b"+", b"-").replace(b"/", b"_")
    return found


def _base64(plain: bytes, shift: int) -> bytes:
    """The characters of base64 that are the same whatever stands around ``plain``, which begins at place ``shift`` of three."""
    coded = base64.b64encode(b"\0" * shift + plain + b"\0" * (-(shift + len(plain)) % 3))
    first = -(-8 * shift // 6)
    last = 8 * (shift + len(plain)) // 6
    return coded[first:last]


def pair_pattern(name: str) -> re.Pattern[bytes]:
    """Where a hidden pair (``987:42.3``) stands in a text, in the usual ways of writing two numbers."""
    labels, _, minutes = name.partition(":")
    first, second = re.escape(labels.encode()), re.escape(minutes.encode())
    between = rb"\s?[:x/,;_-]\s?|\W{0,6}(?:minutes?|min)\W{1,4}|\s?labels?\W{1,4}(?:and\s)?"
    if len(labels) < 3:  # two small numbers stand beside each other in any table
        between = rb":"
    zeros = rb"" if "." in minutes else rb"(?:\.0+)?"
    return re.compile(rb"(?<![\d.])" + first + rb"(?:" + between + rb")" + second + zeros + rb"(?!\d|\.\d)")


def task_pattern(name: str) -> re.Pattern[bytes]:
    """Where the name of a hidden task stands, as a word of its own."""
    if re.fullmatch(r"\d+:\d+(\.\d+)?", name):
        return pair_pattern(name)
    return re.compile(rb"(?<![\w.-])" + re.escape(name.encode()) + rb"(?![\w-]|\.\d)")


@dataclass(frozen=True)
class Word:
    """A name of a hidden task, looked for in texts. ``start``: how it begins, in any way of writing it."""

    start: bytes
    pattern: re.Pattern[bytes]

    @classmethod
    def of(cls, name: str) -> Word:
        """The word of a task's name."""
        pattern = task_pattern(name)
        return cls(name.partition(":")[0].encode() if pattern == pair_pattern(name) else name.encode(), pattern)

    def stands_in(self, content: bytes) -> bool:
        """Whether it is in ``content``."""
        place = content.find(self.start)
        while place >= 0:
            if self.pattern.match(content, place):
                return True
            place = content.find(self.start, place + 1)
        return False
