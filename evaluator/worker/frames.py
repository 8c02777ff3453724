"""Frames on the private channel: the format that both halves speak.

A frame is two big-endian 32-bit lengths, a JSON object of the first length and raw bytes of the second. There is no pickle: bytes
from a worker are parsed or refused, never executed. Both lengths are checked against a cap before anything is allocated.
"""

from __future__ import annotations

import contextlib
import json
import struct
from typing import Any

_LENGTHS = struct.Struct("!II")
HEADER_CAP = 256 * 1024
"""Longest JSON part in bytes. Tracebacks and messages are cut well below it."""
BLOB_CAP = 64 * 1024 * 1024
"""Longest binary part in bytes: 1 million images x 8 classes of float64."""
PART = 8 << 20
"""Bytes of a checkpoint that go in one frame, in either direction."""


class FrameError(Exception):
    """The bytes are not a frame of this channel."""


def encode(message: dict[str, Any], blob: bytes | memoryview = b"") -> bytes:
    """One frame as bytes.

    Raises:
        FrameError: a part is longer than its cap.
    """
    header = json.dumps(message, separators=(",", ":"), allow_nan=False).encode()
    size = len(blob)
    if len(header) > HEADER_CAP or size > BLOB_CAP:
        raise FrameError(f"a frame of {len(header)} + {size} bytes is over the caps of {HEADER_CAP} + {BLOB_CAP} bytes")
    return b"".join((_LENGTHS.pack(len(header), size), header, blob))


class FrameReader:
    """Cuts a byte stream into frames. Feed it what arrived; ask for the next whole frame.

    Memory is bounded by the two caps plus one read: a length over its cap is refused before its bytes are waited for.
    """

    def __init__(self, header_cap: int = HEADER_CAP, blob_cap: int = BLOB_CAP) -> None:
        self._buffer = bytearray()
        self._header_cap = header_cap
        self._blob_cap = blob_cap

    @property
    def pending(self) -> int:
        """Bytes that wait for the rest of their frame."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Take what was read from the channel."""
        self._buffer += data

    def last(self, number: int | None) -> tuple[dict[str, Any], bytes] | None:
        """The frame that bears ``number`` in its member ``n`` (None: that has no such member) and ends where the bytes end.

        What lies before it is dropped: the rest of a frame whose beginning is lost, and frames that nobody waits for any more. None
        where there is no such frame yet.
        """
        for start in range(len(self._buffer) - _LENGTHS.size + 1):
            header_size, blob_size = _LENGTHS.unpack_from(self._buffer, start)
            if start + _LENGTHS.size + header_size + blob_size != len(self._buffer) or header_size > self._header_cap:
                continue
            reader = FrameReader(self._header_cap, self._blob_cap)
            reader.feed(bytes(self._buffer[start:]))
            with contextlib.suppress(FrameError):
                frame = reader.next()
                if frame is not None and frame[0].get("n") == number:
                    self._buffer.clear()
                    return frame
        return None

    def next(self) -> tuple[dict[str, Any], bytes] | None:
        """The next whole frame as (message, blob), or None where more bytes are needed.

        Raises:
            FrameError: a length over its cap, JSON that does not parse, or a message that is not an object with a text ``t``.
        """
        if len(self._buffer) < _LENGTHS.size:
            return None
        header_size, blob_size = _LENGTHS.unpack_from(self._buffer)
        if header_size > self._header_cap or blob_size > self._blob_cap:
            raise FrameError(
                f"a frame announces {header_size} + {blob_size} bytes; the caps are {self._header_cap} + {self._blob_cap}"
            )
        end = _LENGTHS.size + header_size + blob_size
        if len(self._buffer) < end:
            return None
        header = bytes(self._buffer[_LENGTHS.size : _LENGTHS.size + header_size])
        blob = bytes(self._buffer[_LENGTHS.size + header_size : end])
        del self._buffer[:end]
        try:
            message = json.loads(header)
        except (ValueError, RecursionError) as error:
            raise FrameError(f"a frame's header is not JSON ({type(error).__name__})") from None
        if not isinstance(message, dict) or not isinstance(message.get("t"), str):
            raise FrameError("a frame's header is not an object with a text 't'")
        return message, blob
