"""What a participant prints: kept, capped, and never in the way."""

from __future__ import annotations

import codecs
import contextlib
import os
import selectors
import threading
from collections import deque
from collections.abc import Callable

HEAD_CAP = 256 * 1024
TAIL_CAP = 256 * 1024


class CappedLog:
    """The first and the last bytes of a stream; the bytes left out between them are counted."""

    def __init__(self, head: int = HEAD_CAP, tail: int = TAIL_CAP) -> None:
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._caps = (head, tail)
        self.total = 0

    def write(self, data: bytes) -> None:
        """Take ``data``; memory stays below both caps plus one read."""
        self.total += len(data)
        room = self._caps[0] - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            self._tail.append(data)
            self._tail_size += len(data)
            while self._tail and self._tail_size - len(self._tail[0]) >= self._caps[1]:
                self._tail_size -= len(self._tail.popleft())

    def text(self) -> str:
        """The log as text, with a line that says how many bytes are left out, where any are."""
        tail = b"".join(self._tail)[-self._caps[1] :]
        dropped = self.total - len(self._head) - len(tail)
        gap = f"\n[... {dropped} bytes left out ...]\n".encode() if dropped else b""
        return (bytes(self._head) + gap + tail).decode("utf-8", errors="replace")


class LogReader:
    """Drains the worker's stdout and stderr on a thread of its own, so that a full pipe never stops the worker."""

    def __init__(self, *descriptors: int) -> None:
        self.log = CappedLog()
        self._selector = selectors.DefaultSelector()
        for descriptor in descriptors:
            os.set_blocking(descriptor, False)
            self._selector.register(descriptor, selectors.EVENT_READ)
        self._follower: Callable[[str], None] | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drain, name="worker-log", daemon=True)
        self._thread.start()

    def follow(self, follower: Callable[[str], None]) -> None:
        """Pass on what was printed and what will be, as it comes. ``follower`` is called on the thread that reads."""
        with self._lock:
            self._follower = follower
            self._pass_on(bytes(self.log.text(), "utf-8"))

    def _pass_on(self, data: bytes) -> None:
        if self._follower is not None:
            try:
                self._follower(self._decoder.decode(data))
            except Exception:  # a full disk, e.g.: what was printed is kept all the same
                self._follower = None

    def close(self) -> str:
        """Read what is still there, stop, and return the text. Called when every writer is dead; waits for no other process."""
        self._stop.set()
        self._thread.join(timeout=5)
        return self.log.text()

    def _drain(self) -> None:
        while self._selector.get_map():
            ready = self._selector.select(0.05)
            if not ready and self._stop.is_set():
                break
            for key, _ in ready:
                with contextlib.suppress(BlockingIOError):
                    data = os.read(key.fd, 1 << 16)
                    if data:
                        with self._lock:
                            self.log.write(data)
                            self._pass_on(data)
                    else:
                        self._selector.unregister(key.fd)
                        os.close(key.fd)
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()
