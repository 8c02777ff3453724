"""Where every thread of the worker is just before the time limit of an order passes, written into the worker's log.

Python's watchdog (``faulthandler.dump_traceback_later``) reads the stacks of threads that go on running meanwhile. A thread that
calls deep functions then returns the memory that is being read, and the process dies of a segmentation fault, shortly before its
limit. So a thread of Python writes them first, while it holds the interpreter's lock and nothing else runs. The watchdog follows
only where that thread could not get the lock: then code in C holds it, and no stack changes.
"""

from __future__ import annotations

import _thread
import contextlib
import faulthandler
import functools
import math
import os
from collections.abc import Iterator
from time import monotonic

HEADER = b"Timeout (without the thread that writes this)!\n"
"""Begins what the thread writes, as the watchdog's own text begins: ``evaluator.sandbox.stacks.TIMEOUT``."""
_PATIENCE = 0.9
"""Share of the time between the first attempt and the limit after which the watchdog follows. With many busy threads it takes a
tenth of a second to get the lock; the watchdog must not come before."""


class _Stacks:
    """Has the stacks of all threads written to the log at a moment, unless it is cleared before.

    A forked child has neither the thread nor the watchdog, and whatever ends them would wait there for ever. So both rest while a
    process is forked, and go on in the parent.
    """

    def __init__(self) -> None:
        self._limit = self._ahead = math.inf
        self._waiting: _thread.LockType | None = None
        os.register_at_fork(before=self._rest, after_in_parent=self._start, after_in_child=self._forget)

    def set(self, limit: float, ahead: float) -> None:
        """Write them ``ahead`` seconds before ``limit`` seconds have passed."""
        self._limit, self._ahead = monotonic() + limit, ahead
        self._start()

    def clear(self) -> None:
        """Do not write them."""
        self._forget()
        self._rest()

    def _forget(self) -> None:
        self._limit = math.inf

    def _rest(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        if self._waiting is not None:
            self._waiting.release()
            self._waiting = None

    def _start(self) -> None:
        first, last = self._limit - self._ahead, self._limit - self._ahead * (1 - _PATIENCE)
        left = first - monotonic()
        if not 0 < left < math.inf:
            return
        waiting, begun = _thread.allocate_lock(), _thread.allocate_lock()
        waiting.acquire()
        begun.acquire()
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # a submission may have closed the log, or uses all threads
            faulthandler.dump_traceback_later(last - monotonic(), file=2)
            # Not a thread of `threading`: a submission that counts or joins all threads does not see it.
            _thread.start_new_thread(self._write, (waiting, begun, left, last))
            self._waiting = waiting
            # Until it runs, Python lists it under the number of the thread that made it, and an exception that a submission sends
            # to its own main thread (PyThreadState_SetAsyncExc) is delivered to the new thread.
            begun.acquire()

    def _write(self, waiting: _thread.LockType, begun: _thread.LockType, left: float, last: float) -> None:
        begun.release()
        if waiting.acquire(timeout=left) or self._waiting is not waiting:
            return
        # From here on the main thread finds nothing to end.
        self._waiting = None
        if monotonic() >= last:
            return
        faulthandler.cancel_dump_traceback_later()
        with contextlib.suppress(OSError, ValueError):
            os.write(2, HEADER)
            faulthandler.dump_traceback(file=2)


_stacks = functools.cache(_Stacks)


@contextlib.contextmanager
def stacks_before(limit: float, ahead: float | None = None) -> Iterator[None]:
    """Have the stacks of all threads written to the log just before ``limit`` seconds have passed, should the block take as long.

    Args:
        limit: seconds from now; 0 for none.
        ahead: how long before the limit they are written, in seconds. By default a quarter of a second, or a twentieth of a short
            limit.

    No signal is sent and nothing of the submission is run: a submission is not told that its time is over.
    """
    try:
        if limit > 0:
            _stacks().set(limit, min(0.25, limit / 20) if ahead is None else ahead)
        yield
    finally:
        _stacks().clear()
