"""Several trainings side by side on one CUDA device, in threads of one process, each on a stream of its own.

A step of a small network leaves most of a large device idle, and graphs on several streams fill it. Each training gives the bits
that it gives alone:

- what torch has once per process (the default random generator, the capture of a graph) is used by one thread at a time:
  ``process``;
- memory is handed out by what a pipeline needs, and who does not fit waits: ``Room``. Work that runs out of memory beside others
  starts again by itself, and only then with fewer images at a time.

There is a limit that Python cannot lift: where a layer of cuDNN finds no memory to work in, the library takes another algorithm,
if there is one, and keeps to it for as long as the process lives. Its last bits may be others. So ``Room`` gives away less than
there is.

On the CPU trainings of a process take turns, because torch's generator there serves one of them: ``drawing``.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

process = threading.RLock()
"""Held while something of torch is used that the whole process has once."""
drawing = threading.RLock()
"""Held while torch's generator of the CPU, which the process has once, serves one thread. Taken before ``process``, never after."""

SHARE = 0.9
"""Of the memory that was free before the first training, for all of them: the rest is for what allocators waste."""


class Entry:
    """A training, or other work, in a room.

    Args:
        need: bytes that it will take; asked only where others are there.

    Attributes:
        shared: whether other work was in the room at any time since the last ``Room.alone``.
        within: whether it is work of a thread that was inside already. It cannot wait until it is alone, so it is never ``shared``.
        bytes: the need, once it was asked.
    """

    def __init__(self, need: Callable[[], int]) -> None:
        self._need = need
        self.shared = False
        self.within = False
        self.bytes: float | None = None
        self.thread = threading.get_ident()

    def ask(self) -> None:
        """Have the need; what cannot say it waits until nobody else is there."""
        try:
            self.bytes = self._need()
        except Exception:
            self.bytes = math.inf  # its own work will fail of the same, and say so


class Room:
    """The memory of a device, for the work of this process.

    Args:
        free: bytes that could be taken now; 0 where only one can be inside at a time.
    """

    def __init__(self, free: Callable[[], int]) -> None:
        self._free, self._capacity = free, 0
        self._changed = threading.Condition()
        self._inside: list[Entry] = []
        self._wanted_alone = 0
        self._closed = False

    @contextmanager
    def taken(self, need: Callable[[], int]) -> Iterator[Entry]:
        """A place for work of that need; waits until there is room. Whoever is alone has room in any case, and so has whoever is
        inside already: work within work takes what its own thread was given."""
        entry = Entry(need)
        entry.within = any(each.thread == entry.thread for each in tuple(self._inside))
        if not entry.within:
            self._enter(entry)
        around, _HERE.entry = _HERE.entry, entry
        try:
            yield entry
        finally:
            _HERE.entry = around
            if not entry.within:
                self._leave(entry)

    def alone(self, entry: Entry) -> None:
        """Wait until nothing else is inside, and let nothing in until this has left.

        Its own memory must be given back before: others may wait for it.
        """
        with self._changed:
            self._wanted_alone += 1
            try:
                self._leave(entry)
                self._changed.wait_for(lambda: not self._inside and not self._closed)
                self._closed = True
                entry.shared = False
                self._inside.append(entry)
            finally:
                self._wanted_alone -= 1
                self._changed.notify_all()

    def _enter(self, entry: Entry) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._closed and not self._wanted_alone and self._may_fit(entry))
                inside = [*self._inside, entry]
                unknown = [each for each in inside if each.bytes is None] if self._inside else []
                if not unknown:
                    if not self._inside:
                        self._capacity = int(SHARE * self._free())
                    self._inside.append(entry)
                    if len(inside) > 1:
                        for each in inside:
                            each.shared = True
                    return
            for each in unknown:  # takes seconds, in which others may come and leave
                each.ask()

    def _leave(self, entry: Entry) -> None:
        with self._changed:
            if entry in self._inside:
                self._inside.remove(entry)
                if not self._inside:
                    self._closed = False
            self._changed.notify_all()

    def _may_fit(self, entry: Entry) -> bool:
        """Whether there is room, as far as the needs are known."""
        if not self._inside:
            return True
        return self._capacity > 0 and sum(each.bytes or 0 for each in (*self._inside, entry)) <= self._capacity


class _Here(threading.local):
    entry: Entry | None = None


_HERE = _Here()
_ROOMS: dict[torch.device, Room] = {}


def room_of(where: torch.device, free: Callable[[], int]) -> Room:
    """The room of a device; ``free`` as ``Room``, where it is the first time that anybody asks."""
    with process:
        return _ROOMS.setdefault(where, Room(free))


def sharing() -> bool:
    """Whether this thread's innermost work is in a room beside others, and can be done again when it is alone."""
    return _HERE.entry is not None and _HERE.entry.shared
