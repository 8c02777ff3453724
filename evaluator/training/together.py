"""Several trainings side by side on one CUDA device, in threads of one process, each on a stream of its own.

A step of a small network leaves most of a large device idle, and graphs on several streams fill it. Each training gives the bits
that it gives alone:

- what torch has once per process (the default random generator, the capture of a graph) is used by one thread at a time:
  ``process``;
- memory is handed out by what a pipeline needs, and who does not fit waits: ``Room``. A training that runs out of memory beside
  others starts again by itself, and only then with fewer images at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

import torch

process = threading.RLock()
"""Held while something of torch is used that the whole process has once."""

SHARE = 0.9
"""Of the memory that was free before the first training, for all of them: the rest is for predictions and what allocators waste."""


class Entry:
    """A training in a room.

    Args:
        need: bytes that it will take; asked only where others are there.

    Attributes:
        shared: whether another training was in the room at any time since the last ``Room.alone``.
    """

    def __init__(self, need: Callable[[], int]) -> None:
        self._need = need
        self.shared = False

    @cached_property
    def need(self) -> int:
        return self._need()


class Room:
    """The memory of a device, for the trainings of this process.

    Args:
        free: bytes that could be taken now.
    """

    def __init__(self, free: Callable[[], int]) -> None:
        self._free, self._capacity = free, 0
        self._changed = threading.Condition()
        self._inside: list[Entry] = []
        self._wanted_alone = 0
        self._closed = False

    @contextmanager
    def taken(self, need: Callable[[], int]) -> Iterator[Entry]:
        """A place for a training of that need; waits until there is room. Whoever is alone has room in any case."""
        entry = Entry(need)
        self._enter(entry)
        try:
            yield entry
        finally:
            self._leave(entry)

    def alone(self, entry: Entry) -> None:
        """Wait until no other training is inside, and let none in until this one has left.

        Its own memory must be given back before: others may wait for it.
        """
        with self._changed:
            self._wanted_alone += 1
            self._leave(entry)
            self._changed.wait_for(lambda: not self._inside and not self._closed)
            self._wanted_alone -= 1
            self._closed = True
            entry.shared = False
            self._inside.append(entry)

    def _enter(self, entry: Entry) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._closed and not self._wanted_alone and self._fits(entry))
            if not self._inside:
                self._capacity = int(SHARE * self._free())
            self._inside.append(entry)
            if len(self._inside) > 1:
                for each in self._inside:
                    each.shared = True

    def _leave(self, entry: Entry) -> None:
        with self._changed:
            if entry in self._inside:
                self._inside.remove(entry)
                if not self._inside:
                    self._closed = False
            self._changed.notify_all()

    def _fits(self, entry: Entry) -> bool:
        return not self._inside or sum(each.need for each in (*self._inside, entry)) <= self._capacity


_ROOMS: dict[torch.device, Room] = {}


def room_of(where: torch.device, free: Callable[[], int]) -> Room:
    """The room of a device; ``free`` as ``Room``, where it is the first time that anybody asks.

    With nothing free trainings take turns. On the CPU they do, in the threads of a process: torch's generator serves one of them.
    """
    with process:
        return _ROOMS.setdefault(where, Room(free))
