"""One session: a submission's ``curate`` in a worker, under a clock. It is given data and label book, and nothing hidden."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluator.bounded import BoundsError, Limits, parse_json
from evaluator.curation.curated import Curated, collected
from evaluator.curation.images import LabelledImages
from evaluator.curation.sets import CurationData
from evaluator.data.edits import EditTable
from evaluator.errors import DataError, Verdict
from evaluator.sandbox.channel import Message, Schema
from evaluator.sandbox.clock import Clock
from evaluator.sandbox.conversation import Order, Progress, Stopped
from evaluator.sandbox.phases import SessionOutcome
from evaluator.sandbox.readonly import Content
from evaluator.sandbox.tier import Sandbox
from evaluator.submission.session import Hook, Session, run_hook
from evaluator.text import one_line
from evaluator.worker.curation import COLUMNS, LENGTH, MOST_PIXELS, MOST_ROWS, MOST_TEXT
from evaluator.worker.pictures import without_colour

SCHEMA = Schema(optional={"done": {"rows": int, "added": int}})
"""``done`` after ``curate``: how many edits it returned, and how many of them add an image; its binary part holds both."""
PHASE = "curate"
RETURNED = "what curate returned"
_TEXT = Limits(size=MOST_TEXT, depth=2, digits=12, values=8 * MOST_ROWS)


@dataclass(frozen=True)
class SessionSpec(Session):
    """Everything that a session needs: see ``Session``.

    Attributes:
        data: train, val and the label book go to the worker.
        most_side: longest side of an added image.
    """

    data: CurationData
    most_side: int = 1_024


@dataclass(frozen=True)
class SessionResult(SessionOutcome):
    """The outcome of a session. ``curated``: the data set that came of it; None without one. ``edits``: what was returned."""

    curated: Curated | None
    edits: EditTable | None = None


def run_session(
    spec: SessionSpec,
    sandbox: Sandbox,
    progress: Progress = lambda phase, fraction: None,
    clock: type[Clock] = Clock,
    *,
    copied: bool = True,
) -> SessionResult:
    """Run a submission's ``curate``: see ``run_hook``."""
    taken: list[tuple[Curated, EditTable]] = []
    take = lambda answer: taken.append(curated_in(answer, spec.data, spec.most_side))  # noqa: E731
    hook = Hook("curation", PHASE, SCHEMA, order_of(spec), take)
    outcome = run_hook(spec, hook, sandbox, progress, clock, copied=copied)
    curated, edits = taken[0] if taken else (None, None)
    return SessionResult(**vars(outcome), curated=curated, edits=edits)


def order_of(spec: SessionSpec) -> Order:
    """The order to curate: both sets as files in memory, which the worker maps. Images that nobody trains on are not among them."""
    data = spec.data
    shown = np.array([name not in data.left_out for name in data.given.ids])
    splits = [item.split for item, keep in zip(data.items, shown, strict=True) if keep]
    order: dict[str, Any] = {"seed": spec.seed}
    order |= _files("dataset", data.given.take(shown), splits, data.classes)
    order |= _files("label_book", data.book, [""] * len(data.book), data.classes)
    return order, b""


def curated_in(answer: Message, data: CurationData, most_side: int) -> tuple[Curated, EditTable]:
    """The data set that an answer makes, checked.

    Raises:
        Stopped: INVALID_OUTPUT if the edits make no sense; PROTOCOL_ERROR if the bytes are not what the message says.
    """
    rows, pixels = _unpacked(answer)
    wrong = Verdict.INVALID_OUTPUT
    try:
        images = _images(rows, pixels, most_side)
        table = EditTable.of([dict(zip(COLUMNS, row[:4], strict=True)) for row in rows], RETURNED)
        if bare := next((edit for edit in table if edit.action == "add" and edit.id not in images), None):
            raise DataError(f"{RETURNED}, row {bare.line}: an add without an image; expected pixels under the key 'image'")
        if astray := next((edit for edit in table if edit.id in images and edit.action != "add"), None):
            raise DataError(f"{RETURNED}, row {astray.line}: {astray.action} with an image; expected it in add alone")
        table.check(data.classes)
        given = [*data.items, *((name, "", "") for name in images)]
        applied = table.apply(data.items, given)
        sources = {name: data.digests[name] for name in data.digests} | images
        kept = ((item.id, sources[item.id], item.label, item.split) for item in applied.items if item.id not in data.left_out)
        return collected(kept, set(data.digests.values())), table
    except DataError as error:
        raise Stopped(wrong, str(error)) from None


def _unpacked(answer: Message) -> tuple[list[list[Any]], memoryview]:
    blob = memoryview(answer.blob)

    def broken(what: str) -> Stopped:
        return Stopped(Verdict.PROTOCOL_ERROR, f"{RETURNED} {what}")

    if len(blob) < LENGTH.size:
        raise broken("came without its rows")
    (size,) = LENGTH.unpack(blob[: LENGTH.size])
    if size > MOST_TEXT or LENGTH.size + size > len(blob):
        raise broken(f"announces {size} bytes of rows; {len(blob) - LENGTH.size} came")
    try:
        rows = parse_json(bytes(blob[LENGTH.size : LENGTH.size + size]), RETURNED, _TEXT)
    except BoundsError as error:
        raise broken(one_line(str(error), 200)) from None
    if not isinstance(rows, list) or len(rows) > MOST_ROWS or len(rows) != answer.fields.get("rows"):
        raise broken("is no list of as many rows as were announced")
    for row in rows:
        texts = isinstance(row, list) and len(row) in (4, 7) and all(isinstance(cell, str) for cell in row[:4])
        if not texts or not all(type(cell) is int and 0 < cell <= 2**16 for cell in row[4:]):
            raise broken("has a row that is none")
    return rows, blob[LENGTH.size + size :]


def _images(rows: list[list[Any]], pixels: memoryview, most_side: int) -> dict[str, np.ndarray]:
    """Pixels of the added images by the id of their row.

    Raises:
        DataError: an image is too large. Stopped: the bytes are not those of the images.
    """
    found: dict[str, np.ndarray] = {}
    place = 0
    for number, row in enumerate(rows, 1):
        if len(row) == 4:
            continue
        height, width, channels = row[4:]
        if channels not in (1, 3):
            raise Stopped(Verdict.PROTOCOL_ERROR, f"{RETURNED} has an image of {channels} channels")
        if max(height, width) > most_side:
            raise DataError(
                f"{RETURNED}, row {number}: an image of {width} x {height} pixels; at most {most_side} a side are allowed"
            )
        size = height * width * channels
        if place + size > len(pixels):
            raise Stopped(Verdict.PROTOCOL_ERROR, f"{RETURNED} has fewer bytes of pixels than its rows say")
        shape = (height, width) if channels == 1 else (height, width, channels)
        found[row[0]] = without_colour(np.frombuffer(pixels[place : place + size], np.uint8).reshape(shape))
        place += size
    if place != len(pixels) or place > MOST_PIXELS:
        raise Stopped(Verdict.PROTOCOL_ERROR, f"{RETURNED} has {len(pixels)} bytes of pixels; its rows say {place}")
    return found


def _files(name: str, part: LabelledImages, splits: list[str], classes: tuple[str, ...]) -> dict[str, Content]:
    table = np.zeros((len(part), 5), np.int64)
    place = 0
    for number, pixels in enumerate(part.pixels):
        table[number] = place, *pixels.shape[:2], 1 if pixels.ndim == 2 else 3, part.labels[number]
        place += pixels.size
    names = json.dumps({"ids": part.ids, "classes": classes, "splits": splits})
    whole = b"".join(np.ascontiguousarray(pixels).tobytes() for pixels in part.pixels)
    return {
        f"{name}_pixels": Content(whole),
        f"{name}_table": Content(table.tobytes()),
        f"{name}_names": Content(names.encode()),
    }
