"""Files that came without code, read in a worker: whatever a flaw in a decoder does, it does it in the room, and not here.

A picture or a table of a stranger is decoded by large libraries in C, which were not all written for it. So a worker decodes it in
the isolation tier of the run, under limits of memory and time (``evaluator/worker/foreign.py``). Only arrays and texts come back;
they are measured before they are used. A worker that crashes, hangs or is taken over is the fault of the file that it was at.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluator import text
from evaluator.bounded import BoundsError, parse_json
from evaluator.bounded import Limits as JsonLimits
from evaluator.errors import DataError, SubmissionError, Verdict
from evaluator.sandbox.channel import Message, ProtocolError
from evaluator.sandbox.clock import UNLIMITED, Clock
from evaluator.sandbox.conversation import Conversation, Stopped, Terms
from evaluator.sandbox.guarded import KIT_ROOT
from evaluator.sandbox.limits import GIB, Limits
from evaluator.sandbox.tier import Sandbox, WorkerSpec
from evaluator.worker.foreign import MOST_TABLE, PICTURE

MIB = 1 << 20
MOST_PICTURE = 8 * MIB
"""Bytes of the file of a picture."""
MOST_SIDE = 4_096
"""Pixels of a side: three bytes each, and a message holds 64 MiB."""
BATCH_FILES, BATCH_BYTES = 64, 8 * MIB
"""Files that are given to the worker at a time."""
ADVICE = "Save it again as a plain PNG, or remove it"


@dataclass(frozen=True)
class ReadingLimits:
    """How long and how much a worker may read.

    Attributes:
        seconds: of a batch, and ``seconds_per_file`` besides: a picture of the largest size takes some hundredths of a second.
        load_seconds: of starting the worker.
        memory: bytes.
    """

    seconds: float = 30.0
    seconds_per_file: float = 0.25
    load_seconds: float = 60.0
    memory: int = GIB


class ForeignFiles:
    """Reads files in a worker, which is started with the first of them. A context manager; the worker ends with the block.

    Args:
        sandbox: makes the isolation tier. It is not called where there is nothing to read.
        most_side: longest side of a picture in pixels, at most ``MOST_SIDE``.

    Attributes:
        tier: where files were read; empty if none was. ``limited_by``, ``guarded``: as of ``Conversation``.
    """

    def __init__(self, sandbox: Callable[[], Sandbox], most_side: int = 1_024, limits: ReadingLimits = ReadingLimits()) -> None:
        if not 1 <= most_side <= MOST_SIDE:
            raise ValueError(f"most_side is {most_side}; expected 1 to {MOST_SIDE:,}")
        self._sandbox, self._side, self._limits = sandbox, most_side, limits
        self._conversation: Conversation | None = None
        self.tier, self.limited_by, self.guarded = "", "", True

    def __enter__(self) -> ForeignFiles:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker, if there is one; the next file starts another."""
        if self._conversation is not None:
            self._conversation.end()
            self.guarded &= self._conversation.guarded
            self._conversation = None

    def pictures(self, files: Iterable[tuple[str, bytes]]) -> Iterator[np.ndarray]:
        """The pixels of PNG and JPEG files, given as name and bytes: uint8 (h, w) without colour, else (h, w, 3), in their order.

        Raises:
            DataError: a file is no image that is taken; the message begins with its name.
            SubmissionError: the worker ended at a file, which the message begins with. The verdict is ``TIME_LIMIT``,
                ``MEMORY_LIMIT``, ``RUNTIME_ERROR`` (it crashed), ``PROTOCOL_ERROR`` (it was taken over), or ``INFRASTRUCTURE``
                where no worker could be started.
        """
        batch: list[tuple[str, bytes]] = []
        size = 0
        for name, raw in files:
            if len(raw) > MOST_PICTURE:
                raise DataError(f"{name} has {len(raw):,} bytes; an image has at most {MOST_PICTURE:,}. Shrink it")
            if len(batch) == BATCH_FILES or (batch and size + len(raw) > BATCH_BYTES):
                yield from self._pictures(batch)
                batch, size = [], 0
            batch.append((name, raw))
            size += len(raw)
        if batch:
            yield from self._pictures(batch)

    def table(self, name: str, raw: bytes, most_rows: int) -> tuple[list[str], list[list[str | None]]]:
        """The names of the columns and the rows of a Parquet table of texts; None is an empty cell.

        Raises:
            DataError: it is none, or is too large. SubmissionError: as of ``pictures``.
        """
        if len(raw) > MOST_TABLE:
            raise DataError(f"{name} has {len(raw):,} bytes; at most {MOST_TABLE:,} are read. Split the table")
        order = {"name": "table", "sizes": [len(raw)], "most_rows": most_rows}
        try:
            answer = self._ask(order, raw, self._limits.seconds, lambda part: None)
            names, rows = _table_in(answer, name, most_rows)
        except Stopped as stop:
            raise self._ended(stop, name) from None
        return names, rows

    def _pictures(self, batch: list[tuple[str, bytes]]) -> list[np.ndarray]:
        found: list[np.ndarray] = []
        faults: list[str] = []

        def take(part: bytes) -> None:
            if faults or len(found) == len(batch):
                raise ProtocolError("more images than files")
            image, fault = picture_in(part, len(found), self._side)
            if image is None:
                faults.append(fault)
            else:
                found.append(image)

        order = {"name": "pictures", "sizes": [len(raw) for _, raw in batch], "most_side": self._side}
        seconds = self._limits.seconds + self._limits.seconds_per_file * len(batch)
        try:
            self._ask(order, b"".join(raw for _, raw in batch), seconds, take)
            if not faults and len(found) < len(batch):
                raise Stopped(Verdict.PROTOCOL_ERROR, "fewer images than files")
        except Stopped as stop:
            raise self._ended(stop, batch[min(len(found), len(batch) - 1)][0]) from None
        if faults:
            raise DataError(f"{batch[len(found)][0]} {faults[0]}")
        return found

    def _ask(self, order: dict[str, Any], raw: bytes, seconds: float, take: Callable[[bytes], None]) -> Message:
        if self._conversation is None:
            self._conversation = self._started()
        # One byte more: an array of no bytes at all is none.
        order = {"t": "phase", "seconds": seconds, "seed": 0, **order, "arrays": [["files", "u1", len(raw) + 1]]}
        return self._conversation.ask(order, raw + b"\0", time.monotonic() + seconds, "decoding", take=take)

    def _started(self) -> Conversation:
        sandbox = self._sandbox()
        limits = Limits(memory=self._limits.memory, processes=64, disk=16 * MIB, files=1_000, cpus=1)
        # No submission is loaded; the room shows the worker's own package in the place of one.
        worker = WorkerSpec(KIT_ROOT / "evaluator" / "worker", limits=limits)
        conversation = Conversation(Terms(track="foreign", worker=worker, load_seconds=self._limits.load_seconds), sandbox)
        try:
            conversation.load(Clock(UNLIMITED))
        except Stopped as stop:
            conversation.end()
            raise Stopped(Verdict.INFRASTRUCTURE, f"the worker that decodes files did not start: {stop}") from None
        self.tier, self.limited_by = sandbox.name, conversation.limited_by
        return conversation

    def _ended(self, stop: Stopped, name: str) -> SubmissionError:
        """The error of a worker that ended at a file. Another is started for the next."""
        self.close()
        verdict, reason = stop.verdict, text.one_line(str(stop), 300)
        if verdict is Verdict.INFRASTRUCTURE:
            return SubmissionError(f"{name}: {reason}", verdict)
        if verdict is Verdict.TIME_LIMIT:
            return SubmissionError(
                f"{name}: decoding was stopped at this file after {self._limits.seconds:g} s or more. {ADVICE}", verdict
            )
        if verdict is Verdict.MEMORY_LIMIT:
            return SubmissionError(
                f"{name}: decoding this file took more than {self._limits.memory // MIB:,} MiB of memory. {ADVICE}", verdict
            )
        if verdict is Verdict.PROTOCOL_ERROR:
            return SubmissionError(f"{name}: the decoder was not itself any more at this file ({reason}). {ADVICE}", verdict)
        return SubmissionError(f"{name}: the decoder crashed at this file ({reason}). {ADVICE}", Verdict.RUNTIME_ERROR)


def picture_in(part: bytes, number: int, most_side: int) -> tuple[np.ndarray | None, str]:
    """The image in a message of the worker, read-only, and an empty text; or None, and why the file is no image.

    Raises:
        ProtocolError: it is neither of the two; no sound worker sends that.
    """
    if len(part) < PICTURE.size:
        raise ProtocolError("an image without a head")
    place, height, width, channels, digest = PICTURE.unpack_from(part)
    if place != number:
        raise ProtocolError(f"image {place} in the place of image {number}")
    body = memoryview(part)[PICTURE.size :]
    if channels == 0:
        # The worker's texts are cut well below this.
        return None, text.one_line(bytes(body[:4_000]).decode("utf-8", "replace"), 1_000)
    if channels not in (1, 3) or not 1 <= min(height, width) <= max(height, width) <= most_side:
        raise ProtocolError(f"an image of {width} x {height} pixels and {channels} channels")
    if len(body) != height * width * channels:
        raise ProtocolError(f"{len(body)} bytes for an image of {width} x {height} pixels and {channels} channels")
    if hashlib.sha256(body).digest() != digest:
        raise ProtocolError("an image whose pixels have another digest")
    return np.frombuffer(body, np.uint8).reshape((height, width) if channels == 1 else (height, width, channels)), ""


def _table_in(answer: Message, name: str, most_rows: int) -> tuple[list[str], list[list[str | None]]]:
    def broken(what: str) -> Stopped:
        return Stopped(Verdict.PROTOCOL_ERROR, what)

    try:
        # Every character of a cell may be escaped with six.
        told = parse_json(answer.blob, "the table", JsonLimits(size=len(answer.blob), depth=4, values=101 * most_rows + 1_000))
    except BoundsError as error:
        raise broken(str(error)) from None
    if not isinstance(told, dict):
        raise broken("no table")
    if isinstance(fault := told.get("fault"), str):
        raise DataError(f"{name}: {text.one_line(fault, 400)}")
    names, rows = told.get("names"), told.get("rows")
    if not isinstance(names, list) or not all(isinstance(cell, str) for cell in names):
        raise broken("a table without names")
    if not isinstance(rows, list) or len(rows) > most_rows:
        raise broken("a table without rows, or with too many")
    for row in rows:
        if not isinstance(row, list) or len(row) != len(names) or not all(cell is None or isinstance(cell, str) for cell in row):
            raise broken("a table with a row that is none")
    return names, rows
