"""The evaluator's end of the private channel: every read has a deadline, every frame is checked against a closed schema.

The base messages are the same for every track. A track adds its own requests and fields with a ``Schema``.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evaluator.text import visible_lines
from evaluator.worker.frames import FrameError, FrameReader, encode
from evaluator.worker.plain import kind_of


class ChannelTimeout(Exception):
    """The deadline passed before a whole frame arrived (or before ours was taken)."""


class ChannelEnded(Exception):
    """The worker's end is closed: the process is gone, or has closed its descriptor."""


class ProtocolError(Exception):
    """The worker sent something that is not a message of this channel."""


Fields = Mapping[str, type | tuple[type, ...]]
"""Names of fields, and the types that each may have."""

LARGEST = 2**63 - 1
"""Largest absolute value of a number in a message."""
LONGEST_LIST = 64
"""Most members of a list in a message; they are integers."""
TEXT_CAP = 4_000
TEXT_CAPS = {"trace": 20_000, "full_trace": 20_000}
"""Longest text of a field in characters, ``TEXT_CAP`` where the field is not listed: these texts are shown to people."""


BOUNDED = frozenset((bool, int, float, str, list))
"""Types that a field may have: for each of them ``_check_type`` or ``_plain`` bounds the value."""


def _types(types: type | tuple[type, ...]) -> tuple[type, ...]:
    return types if isinstance(types, tuple) else (types,)


@dataclass(frozen=True)
class Message:
    """One checked message of a worker. ``blob`` is raw bytes whose length the receiver still has to check."""

    kind: str
    fields: dict[str, Any]
    blob: bytes


@dataclass(frozen=True)
class Schema:
    """The messages that a worker may send. A message of another kind, or with another field, is refused.

    Attributes:
        required: per kind of message, the fields that it must have. A kind that is not listed here is unknown.
        optional: per kind, the fields that it may have.

    ``base | more`` gives a schema with the messages and fields of both.

    Raises:
        ValueError: a field has a type whose size no rule of this module bounds.
    """

    required: Mapping[str, Fields] = field(default_factory=dict)
    optional: Mapping[str, Fields] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for fields in (*self.required.values(), *self.optional.values()):
            for name, types in fields.items():
                if not types or not set(_types(types)) <= BOUNDED:
                    allowed = ", ".join(sorted(kind.__name__ for kind in BOUNDED))
                    raise ValueError(f"the field {name!r} has the type {types}; fields are of {allowed}")

    def __or__(self, other: Schema) -> Schema:
        """Both together.

        Raises:
            ValueError: the two disagree about the types of a field.
        """
        return Schema(_merged(self.required, other.required), _merged(self.optional, other.optional))

    def check(self, fields: dict[str, Any], blob: bytes) -> Message:
        """The message in a frame: ``fields`` is its JSON object (``t`` names the kind), ``blob`` its binary part.

        Raises:
            ProtocolError: the kind or a field is unknown, a field is missing, or a value has a wrong type or is too large.
        """
        fields = dict(fields)
        kind = fields.pop("t")
        required, optional = self.required.get(kind), self.optional.get(kind, {})
        if required is None:
            raise ProtocolError(f"a message of the unknown kind {kind[:40]!r}")
        for name in required:
            if name not in fields:
                raise ProtocolError(f"a {kind!r} message without {name!r}")
        for name, value in fields.items():
            types = required.get(name) or optional.get(name)
            if types is None:
                raise ProtocolError(f"a {kind!r} message with the unknown field {name[:40]!r}")
            _check_type(kind, name, value, types)
        return Message(kind, {name: _plain(name, value) for name, value in fields.items()}, blob)


BASE = Schema(
    required={
        "hello": {"pid": int, "numpy": str, "python": str},
        "progress": {"fraction": (int, float)},
        "failed": {"error": str, "message": str, "trace": str},
        "part": {},
        "done": {},
    },
    optional={"failed": {"full_trace": str}},
)
"""What every worker may say, whatever its track.

``part`` is a piece of the checkpoint that it was told to hand over; ``full_trace`` is the traceback with the frames of the worker,
where ``trace`` leaves some out.
"""


class HostChannel:
    """Frames to and from one worker.

    Args:
        sock: our end of a socket pair; it is made non-blocking.
        schema: messages that are allowed beside those of ``BASE``; ``allow`` replaces them.
    """

    def __init__(self, sock: socket.socket, schema: Schema = Schema()) -> None:
        sock.setblocking(False)
        self.allow(schema)
        self._socket = sock
        self._reader = FrameReader()
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)

    def allow(self, schema: Schema) -> None:
        """From now on, refuse whatever is neither in ``BASE`` nor in ``schema``."""
        self._schema = BASE | schema

    def receive(self, deadline: float) -> Message:
        """The next message.

        Args:
            deadline: ``time.monotonic()`` moment after which waiting ends.

        Raises:
            ChannelTimeout: the deadline passed.
            ChannelEnded: the worker's end is closed.
            ProtocolError: what came is no frame, or does not follow the schema.
        """
        try:
            while (frame := self._reader.next()) is None:
                self._wait(selectors.EVENT_READ, deadline)
                try:
                    data = self._socket.recv(1 << 18)
                except BlockingIOError:
                    continue
                except ConnectionError:
                    data = b""
                if not data:
                    raise ChannelEnded("the worker's end of the channel is closed")
                self._reader.feed(data)
        except FrameError as error:
            raise ProtocolError(str(error)) from None
        return self._schema.check(*frame)

    def send(self, message: dict[str, Any], blob: bytes = b"", *, deadline: float, descriptors: Sequence[int] = ()) -> None:
        """Send one frame; a worker that does not read cannot hold us longer than the deadline.

        Args:
            descriptors: the worker gets copies of these, with the first byte of the frame.

        Raises:
            ChannelTimeout: the deadline passed.
            ChannelEnded: the worker's end is closed.
        """
        rest = memoryview(encode(message, blob))
        unsent = list(descriptors)
        try:
            while rest:
                try:
                    sent = socket.send_fds(self._socket, [rest], unsent) if unsent else self._socket.send(rest)
                    rest, unsent = rest[sent:], []
                except BlockingIOError:
                    self._wait(selectors.EVENT_WRITE, deadline)
        except ConnectionError:
            raise ChannelEnded("the worker's end of the channel is closed") from None

    def close(self) -> None:
        """Close our end; the worker sees the end of its channel."""
        self._selector.close()
        self._socket.close()

    def _wait(self, event: int, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ChannelTimeout
        self._selector.modify(self._socket, event)
        if not self._selector.select(left):
            raise ChannelTimeout


def _merged(ours: Mapping[str, Fields], theirs: Mapping[str, Fields]) -> dict[str, Fields]:
    merged: dict[str, Fields] = {}
    for kind in [*ours, *(kind for kind in theirs if kind not in ours)]:
        left, right = ours.get(kind, {}), theirs.get(kind, {})
        for name in left.keys() & right.keys():
            if left[name] != right[name]:
                raise ValueError(f"the field {name!r} of {kind!r} is declared with two types: {left[name]} and {right[name]}")
        merged[kind] = {**left, **right}
    return merged


def _plain(name: str, value: Any) -> Any:
    """Texts cut to their cap, and without characters that would steer a terminal."""
    if not isinstance(value, str):
        return value
    return visible_lines(value[: TEXT_CAPS.get(name, TEXT_CAP)])


def _check_type(kind: str, name: str, value: Any, types: type | tuple[type, ...]) -> None:
    wanted = _types(types)
    right = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
    # A number that no float holds, or a list nested as deep as can be read, would raise only where it is used.
    if isinstance(value, (int, float)):
        right = right and -LARGEST <= value <= LARGEST
    elif isinstance(value, list):
        right = right and len(value) <= LONGEST_LIST and all(type(v) is int and abs(v) <= LARGEST for v in value)
    if not right:
        raise ProtocolError(f"a {kind!r} message whose {name!r} is {kind_of(value)}")
