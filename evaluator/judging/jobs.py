"""What a queue speaks of: packages that were sent, jobs that a worker has, the room that a node has for them, and quotas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from evaluator.errors import ConfigurationError

DAY = 86_400.0
Part = Literal["public", "private"]
State = Literal["waiting", "running", "done", "failed", "cancelled"]
Giving = Literal["", "1", "drain"]
"""Whether jobs are given: yes; no (paused); no, and every judge ends when what it runs has ended (drained)."""


@dataclass(frozen=True)
class Quota:
    """How much a participant may send.

    Attributes:
        a_day: submissions a day (UTC) that are judged; those that failed by our fault do not count.
        refused: packages a day that are refused; what comes beyond that is not even kept.
        chosen: submissions that may be judged on the private part at the end.
        attempts: how often a job is tried that fails by our fault.
        pause: seconds before the second try; every further try waits twice as long as the one before, and none longer than a day.

    Raises:
        ConfigurationError: a number makes no sense.
    """

    a_day: int = 5
    refused: int = 50
    chosen: int = 3
    attempts: int = 3
    pause: float = 60.0

    def __post_init__(self) -> None:
        for name in ("a_day", "refused", "chosen", "attempts"):
            if (value := getattr(self, name)) < 1:
                raise ConfigurationError(f"{name} is {value}; expected 1 or more")
        if not 0 <= self.pause < DAY:
            raise ConfigurationError(f"pause is {self.pause:g}; expected 0 or more seconds, less than a day")

    def wait(self, tries: int) -> float:
        """Seconds before the next try of a job that failed by our fault so many times."""
        return min(DAY, self.pause * 2.0 ** min(max(tries - 1, 0), 100))

    @property
    def longest(self) -> float:
        """The most seconds that a job ever waits for its next try."""
        return self.wait(self.attempts - 1)


@dataclass(frozen=True)
class Sent:
    """A submission as it was received.

    Attributes:
        sha256: of the package; ``digest``: of the files that travel, by which results know it.
        received: seconds since 1970.
    """

    sha256: str
    participant: str
    name: str
    track: str
    digest: str
    received: float


@dataclass(frozen=True)
class Job:
    """What a worker has claimed.

    Attributes:
        attempt: counts from 1; ``lease``: when it ends, unless it is renewed.
    """

    id: int
    submission: int
    sha256: str
    participant: str
    name: str
    track: str
    part: Part
    version: int
    attempt: int
    worker: str
    lease: float


@dataclass(frozen=True)
class Held:
    """A job that runs on a node.

    Attributes:
        memory: bytes that are reserved for it; ``used``: that it had when its lease was renewed last.
    """

    id: int
    part: Part
    memory: int
    used: int


@dataclass(frozen=True)
class Admitted:
    """Whether a node takes a further job. ``why``: why not, or empty; ``memory``: bytes that are reserved for it."""

    why: str = ""
    memory: int = 0


Admit = Callable[[Sequence[Held], Part], Admitted]
"""Given the jobs that run on the node, and the part of the next job."""


class Lost(Exception):
    """A job belongs to another worker, or to nobody: what was found is not counted."""
