"""The evaluator's end of the private channel: every read has a deadline, every frame is checked against a fixed schema."""

from __future__ import annotations

import selectors
import socket
import time
from dataclasses import dataclass
from typing import Any

from evaluator.worker.frames import FrameError, FrameReader, encode


class ChannelTimeout(Exception):
    """The deadline passed before a whole frame arrived (or before ours was taken)."""


class ChannelEnded(Exception):
    """The worker's end is closed: the process is gone, or has closed its descriptor."""


class ProtocolError(Exception):
    """The worker sent something that is no message of this channel."""


# Per message: the fields it must have, and their types. Anything else in it is refused, so that nothing unread travels along.
SCHEMA: dict[str, dict[str, type | tuple[type, ...]]] = {
    "hello": {"pid": int, "numpy": str, "python": str},
    "buy": {},
    "progress": {"fraction": (int, float)},
    "failed": {"error": str, "message": str, "trace": str},
    "done": {},
}
OPTIONAL: dict[str, dict[str, type | tuple[type, ...]]] = {
    "done": {"class": str, "saves": bool, "loads": bool, "claim": str, "n": int, "clock": bool, "shape": list},
}

LARGEST = 2**63 - 1
"""Largest number in a message."""
TEXT_CAPS = {"trace": 20_000}
"""Longest text of a worker's field in characters, 4,000 where nothing is said: what it says is shown to people."""


@dataclass(frozen=True)
class Message:
    """One checked message of a worker. ``blob`` is raw bytes whose length the receiver still has to check."""

    kind: str
    fields: dict[str, Any]
    blob: bytes


class HostChannel:
    """Frames to and from one worker.

    Args:
        sock: our end of a socket pair; it is made non-blocking.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._reader = FrameReader()
        self._selector = selectors.DefaultSelector()
        self._selector.register(sock, selectors.EVENT_READ)

    def receive(self, deadline: float) -> Message:
        """The next message.

        Args:
            deadline: ``time.monotonic()`` moment after which waiting ends.

        Raises:
            ChannelTimeout, ChannelEnded, ProtocolError.
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
        return _checked(*frame)

    def send(self, message: dict[str, Any], blob: bytes = b"", *, deadline: float) -> None:
        """Send one frame; a worker that does not read cannot hold us longer than the deadline.

        Raises:
            ChannelTimeout, ChannelEnded.
        """
        rest = memoryview(encode(message, blob))
        try:
            while rest:
                try:
                    rest = rest[self._socket.send(rest) :]
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


def _checked(fields: dict[str, Any], blob: bytes) -> Message:
    kind = fields.pop("t")
    schema = SCHEMA.get(kind)
    if schema is None:
        raise ProtocolError(f"a message of the unknown kind {kind[:40]!r}")
    for name, types in schema.items():
        if name not in fields:
            raise ProtocolError(f"a {kind!r} message without {name!r}")
        _check_type(kind, name, fields[name], types)
    optional = OPTIONAL.get(kind, {})
    for name, value in fields.items():
        if name not in schema:
            if name not in optional:
                raise ProtocolError(f"a {kind!r} message with the unknown field {name[:40]!r}")
            _check_type(kind, name, value, optional[name])
    return Message(kind, {name: _plain(name, value) for name, value in fields.items()}, blob)


def _plain(name: str, value: Any) -> Any:
    """Texts cut to their cap, and without characters that would steer a terminal."""
    if not isinstance(value, str):
        return value
    return "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in value[: TEXT_CAPS.get(name, 4_000)])


def _check_type(kind: str, name: str, value: Any, types: type | tuple[type, ...]) -> None:
    wanted = types if isinstance(types, tuple) else (types,)
    right = isinstance(value, wanted) and (bool in wanted or not isinstance(value, bool))
    # A number that no float holds, or a list nested as deep as can be read, would raise only where it is used.
    if isinstance(value, (int, float)):
        right = right and -LARGEST <= value <= LARGEST
    elif isinstance(value, list):
        right = right and len(value) <= 64 and all(type(v) is int and abs(v) <= LARGEST for v in value)
    if not right:
        raise ProtocolError(f"a {kind!r} message whose {name!r} is a {type(value).__name__}")
