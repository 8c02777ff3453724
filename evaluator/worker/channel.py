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

from .frames import FrameReader, encode

ATOMIC = 4096
"""Bytes that a socket takes in one piece."""
MOST_FILES = 16
"""Most files that one message brings."""


class ChannelClosed(Exception):
    """The evaluator has closed the channel; there is nothing left to do in this process."""


class ChannelBroken(RuntimeError):
    """A request was interrupted while it was being sent, so that no later message could be told from it."""


class WorkerChannel:
    """Blocking requests over the inherited socket. Threads may share it; a forked child may not.

    An exception may arrive while a request waits for its answer (a signal's handler, KeyboardInterrupt, an exception that another
    thread sends), and take with it bytes that had been read. Requests are numbered and answers bear the number, so an answer that
    nobody waited for is never taken for another. The evaluator says nothing unasked, so the frame that is waited for ends where the
    stream ends for now: that is how it is found behind the rest of a frame whose beginning was lost.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.setblocking(True)
        self._reader = FrameReader()
        self._descriptors: list[int] = []
        self._lock = threading.Lock()
        self._requests = 0
        self._writing = False
        self._reading = False
        self.pid = os.getpid()

    def send(self, message: dict[str, Any], blob: bytes | memoryview = b"") -> None:
        """Send one frame that expects no answer."""
        frame = encode(message, blob)
        with self._lock:
            self._write(frame)

    def request(self, message: dict[str, Any], blob: bytes | memoryview = b"") -> tuple[dict[str, Any], bytes]:
        """Send one frame and wait for the answer; no other thread's frame comes between."""
        with self._lock:
            self._requests += 1
            number = self._requests
            self._write(encode({**message, "n": number}, blob))
            return self._read(number)

    def receive(self) -> tuple[dict[str, Any], bytes]:
        """Wait for the evaluator's next order."""
        with self._lock:
            return self._read(None)

    def _write(self, frame: bytes) -> None:
        if self._writing:
            raise ChannelBroken(
                "an earlier call to the evaluator was interrupted while it was sent, so nothing can be asked any more; "
                "do not raise exceptions from signal handlers or other threads into what asks it, such as register_progress"
            )
        # A small frame goes as a whole or not at all; either way the next can follow it.
        self._writing = len(frame) > ATOMIC
        try:
            self._socket.sendall(frame)
        except OSError as error:
            raise ChannelClosed(f"the evaluator closed the channel ({error})") from None
        self._writing = False

    def _read(self, number: int | None) -> tuple[dict[str, Any], bytes]:
        """The next frame that bears ``number``: the answer to a request, or with None the next order."""
        interrupted, self._reading = self._reading, True
        while True:
            frame = self._reader.last(number) if interrupted else self._reader.next()
            if frame is None:
                self._receive()
            elif frame[0].get("n") == number:
                break
        self._reading = False
        message, blob = frame
        for name in message.pop("files", ()):
            message[name] = path_of(self._descriptors.pop(0))
        return message, blob

    def _receive(self) -> None:
        data, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 18, MOST_FILES)
        self._descriptors += descriptors
        if not data:
            raise ChannelClosed("the evaluator closed the channel")
        self._reader.feed(data)


def path_of(descriptor: int) -> str:
    """A path by which this process, and those that it starts, can open what the descriptor stands for."""
    # With our number instead of "self", so that processes that we start find it as well.
    return f"/proc/{os.getpid()}/fd/{descriptor}" if sys.platform.startswith("linux") else f"/dev/fd/{descriptor}"
