"""What one worker and everything it starts may use, and how a broken limit is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from evaluator.errors import ConfigurationError

GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """Limits over the whole tree of a worker's processes.

    Attributes:
        memory: bytes of memory that is the tree's own (anonymous, shared and temporary files in memory; not the mapped image
            cache).
        processes: processes and threads.
        disk: bytes in the scratch folder.
        files: files and folders in the scratch folder.
        cpus: processors, where the tier can bind to them.
    """

    memory: int = 16 * GIB
    processes: int = 1024
    disk: int = 4 * GIB
    files: int = 200_000
    cpus: int = 4

    def __post_init__(self) -> None:
        for name in ("memory", "processes", "disk", "files", "cpus"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"the limit {name} is {getattr(self, name)}; it must be 1 or more")


@dataclass(frozen=True)
class Breach:
    """A limit that was broken, with the figure that broke it."""

    limit: Literal["memory", "processes", "disk", "files", "depth", "descriptors", "mappings"]
    seen: int
    allowed: int

    def __str__(self) -> str:
        if self.limit in ("memory", "disk"):
            return f"{self.limit}: {self.seen / GIB:.2f} GiB used, {self.allowed / GIB:.2f} GiB allowed"
        if self.limit == "depth":
            return f"files: folders {self.seen} levels deep, {self.allowed} allowed"
        if self.limit == "descriptors":
            return f"files: {self.seen} open at once, {self.allowed} allowed"
        return f"{self.limit}: {self.seen} seen, {self.allowed} allowed"


class LimitGroup(Protocol):
    """A control group that holds a worker's limits, as seen by those who run the worker. ``version`` is 1 or 2, for the record."""

    version: int

    def kill(self) -> None:
        """Kill everything in the group; returns when it is dead. May be called again."""
        ...

    def breach(self) -> Breach | None:
        """The limit that the kernel enforced so far, if any; also after ``kill``."""
        ...
