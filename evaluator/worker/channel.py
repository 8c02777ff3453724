"""The worker's end of the private channel: an inherited socket that answers one request at a time.

Files come with the order that they belong to, as descriptors. A message lists their names in ``files``; here each becomes a member
of the message by that name, whose value is a path by which this process and those that it starts can open the file.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from typing import Any

from evaluator.worker.frames import FrameReader, encode

MOST_FILES = 16
"""Most files that one message brings."""


class ChannelClosed(Exception):
    """The evaluator has closed the channel; there is nothing left to do in this process."""


class WorkerChannel:
    """Blocking requests over the inherited socket. Threads may share it; a forked child may not."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)
        self._reader = FrameReader()
        self._descriptors: list[int] = []
        self._lock = threading.Lock()
        self.pid = os.getpid()

    def send(self, message: dict[str, Any], blob: bytes | memoryview = b"") -> None:
        """Send one frame that expects no answer."""
        frame = encode(message, blob)
        with self._lock:
            self._write(frame)

    def request(self, message: dict[str, Any], blob: bytes | memoryview = b"") -> tuple[dict[str, Any], bytes]:
        """Send one frame and wait for the answer; no other thread's frame comes between."""
        frame = encode(message, blob)
        with self._lock:
            self._write(frame)
            return self._read()

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for the evaluator's next order."""
        with self._lock:
            return self._read()

    def _write(self, frame: bytes) -> None:
        try:
            self._socket.sendall(frame)
        except OSError as error:
            raise ChannelClosed(f"the evaluator closed the channel ({error})") from None

    def _read(self) -> tuple[dict[str, Any], bytes]:
        while (frame := self._reader.next()) is None:
            data, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 18, MOST_FILES)
            self._descriptors += descriptors
            if not data:
                raise ChannelClosed("the evaluator closed the channel")
            self._reader.feed(data)
        message, blob = frame
        for name in message.pop("files", ()):
            message[name] = _path(self._descriptors.pop(0))
        return message, blob


def _path(descriptor: int) -> str:
    # With our number instead of "self", so that processes that we start find it as well.
    return f"/proc/{os.getpid()}/fd/{descriptor}" if sys.platform.startswith("linux") else f"/dev/fd/{descriptor}"
