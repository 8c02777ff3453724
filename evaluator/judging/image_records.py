"""Which images a judge has on a machine, and of which submissions: so that ``judge clean`` knows which of them nobody needs.

There is a record for each pair of lists and machine, a file in ``images/``. A job enters its package before it asks for the image,
and holds the folder locked meanwhile; so does whoever removes an image. So no image goes of which a job has just begun.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from evaluator.bounded import Limits, read_json
from evaluator.errors import ConfigurationError
from evaluator.files import hold, write_text
from evaluator.sandbox.engine import Engine, EngineError
from evaluator.submission.image import Needs

LIMITS = Limits(size=4 << 20, depth=4, values=60_000)
"""Of a record."""


@dataclass(frozen=True)
class Record:
    """An image of a machine.

    Attributes:
        node: the machine; ``image``: its name, empty until it is there; ``bytes``: by which it is larger than its base.
        used: when a job asked for it last, seconds since 1970; ``packages``: SHA-256 of the packages that did, in order.
    """

    node: str
    image: str
    bytes: int
    used: float
    packages: tuple[str, ...]


def file_of(folder: Path, needs: Needs, node: str = "") -> Path:
    """The record of what a submission asks for on a machine; ``node``: empty for this."""
    decides = json.dumps([*asdict(needs).values(), node or socket.gethostname()])
    return folder / f"{hashlib.sha256(decides.encode()).hexdigest()[:32]}.json"


def enter(folder: Path, needs: Needs, package: str, now: float, image: str = "", size: int = 0) -> None:
    """Note that a job of a package asks for an image, and after it was built which it is. ``size``: bytes.

    Raises:
        OSError: it cannot be written.
    """
    file = file_of(folder, needs)
    with _alone(folder):
        before = read(file)
        there = () if before is None else before.packages
        packages = there if package in there else (*there, package)
        if not image and before is not None:
            image, size = before.image, before.bytes
        record = Record(socket.gethostname(), image, size, now, packages)
        write_text(file, json.dumps(asdict(record), indent=1) + "\n")


def read(file: Path) -> Record | None:
    """A record; None where there is none, or it is not understood: then its image is only never removed."""
    try:
        found = read_json(file, LIMITS)
        return Record(
            node=str(found["node"]),
            image=str(found["image"]),
            bytes=int(found["bytes"]),
            used=float(found["used"]),
            packages=tuple(map(str, found["packages"])),
        )
    except (ConfigurationError, OSError, KeyError, TypeError, ValueError):
        return None


def records(folder: Path) -> list[tuple[Path, Record]]:
    """The records of this machine."""
    found = [(file, record) for file in sorted(folder.glob("*.json")) if (record := read(file)) is not None]
    return [(file, record) for file, record in found if record.node == socket.gethostname()]


@contextmanager
def removing(file: Path) -> Iterator[Record | None]:
    """The record as it is now, for somebody who removes its image: no job can ask for the image while the block runs."""
    with _alone(file.parent):
        yield read(file)


def in_use(engine: Engine, record: Record) -> bool:
    """Whether a container of an image is there.

    Raises:
        OSError: no engine answers.
    """
    there = engine.image(record.image) if record.image else None
    return there is not None and bool(engine.ask("GET", "/containers/json", all="1", filters={"ancestor": [str(there["Id"])]}))


def remove_image(engine: Engine, record: Record) -> None:
    """Remove an image. Nothing happens where it is gone.

    Raises:
        OSError: no engine answers, or it refuses.
    """
    if not record.image:
        return
    try:
        engine.ask("DELETE", f"/images/{record.image}")
    except EngineError as error:
        if error.status != 404:
            raise OSError(0, str(error)) from None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    held = hold(folder)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.close(held)
