"""The clock that the phases share. It belongs to the evaluator; what a worker says about time is never used."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

UNLIMITED = 7 * 86_400.0
"""Seconds in place of a limit that is not enforced; what waits for a deadline takes no infinite number."""


class Clock:
    """Counts seconds while a phase runs, against one limit.

    Args:
        limit: seconds that may be used in all.
        now: a monotonic clock in seconds.
    """

    def __init__(self, limit: float, now: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self._now = now
        self._used = 0.0
        self._since: float | None = None
        self._free = 0.0

    @property
    def used(self) -> float:
        """Seconds counted so far, the running phase included."""
        return self._used + (max(0.0, self._now() - self._since - self._free) if self._since is not None else 0.0)

    @property
    def remaining(self) -> float:
        """Seconds left, at least 0."""
        return max(0.0, self.limit - self.used)

    @property
    def deadline(self) -> float:
        """The moment of the monotonic clock at which nothing is left, if a phase keeps running."""
        unused = 0.0 if self._since is None else max(0.0, self._since + self._free - self._now())
        return self._now() + self.limit - self.used + unused

    @contextmanager
    def running(self, free: float = 0.0) -> Iterator[None]:
        """Count from here to the end of the block, without a pause.

        Args:
            free: seconds of the block that are not counted.

        Raises:
            RuntimeError: the clock runs already.
        """
        if self._since is not None:
            raise RuntimeError("the clock runs already")
        self._since, self._free = self._now(), free
        try:
            yield
        finally:
            self._used, self._since = self.used, None


class ShownClock(Clock):
    """A clock that only counts: what is left comes to 0 at the limit, and no deadline ends anything. For debugging."""

    @property
    def deadline(self) -> float:
        """A moment that nobody waits for."""
        return self._now() + UNLIMITED
