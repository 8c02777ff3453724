"""What every isolation tier offers: start a worker, talk to it, end it without a trace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from evaluator.sandbox.channel import HostChannel
from evaluator.sandbox.limits import Breach, Limits
from evaluator.sandbox.readonly import Content

PROMISES = {
    "outliving": "whatever the worker does to its guard, nothing of it outlives the run",
    "files": "the worker sees what it is given, read-only, and its scratch folder; no other file of the machine",
    "contents": "of no file but those that it is given the worker can read the content, and it can write only its scratch folder"
    " and shared memory",
    "processes": "the worker neither sees nor signals any process but its own",
    "network": "the worker reaches no network, the machine's own addresses and abstract sockets included",
    "calls": "system calls that no strategy needs are closed: keys, tracing, namespaces, io_uring, odd sockets and others",
    "privileges": "the worker is not root, holds no capabilities, and can gain none",
}
"""What a tier may promise beside what every tier must do."""


@dataclass(frozen=True)
class WorkerSpec:
    """What a worker may see from its start. Files that belong to a phase are given to it when the phase begins
    (``Sandbox.opened``).

    It may write to its home, which is empty at the start, bounded, and gone with the worker.

    Attributes:
        submission: the participant's folder or file.
        weights: a folder of pretrained weights, handed over as ``TORCH_HOME``; None for none.
        seed: enters ``PYTHONHASHSEED``, so that the order of sets repeats.
        threads: OpenMP threads that the worker is told to use.
        limits: of memory, processes and disk, over everything it starts.
    """

    submission: Path
    weights: Path | None = None
    seed: int = 0
    threads: int = 1
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Ended:
    """How a worker's process ended.

    Attributes:
        code: exit status, where it ended by itself.
        signal: signal number, where a signal that was not ours ended it.
        killed: the evaluator ended it.
        breach: the limit that ended it, with the figure that broke it.
        guarded: False where the guard was lost, so that the tree's end cannot be vouched for.
    """

    code: int | None = None
    signal: int | None = None
    killed: bool = False
    guarded: bool = True
    breach: Breach | None = None


class Worker(Protocol):
    """A started worker. ``limited_by`` says what holds its limits: ``cgroup v1``, ``cgroup v2`` or ``watch``."""

    channel: HostChannel
    pid: int
    limited_by: str

    def seen(self, path: Path) -> str:
        """How the worker names the submission."""
        ...

    def end(self) -> Ended:
        """Kill the whole tree if it still runs, wait until nothing of it is left, and say how it ended. May be called again."""
        ...

    def follow(self, follower: Callable[[str], None]) -> None:
        """Pass on what the worker has printed, and what it prints from now on, as it comes."""
        ...

    def log(self) -> str:
        """What the worker printed, capped. Called after ``end``."""
        ...


class Sandbox(Protocol):
    """An isolation tier. ``promises`` are keys of ``PROMISES``: what it must do beside what every tier must do."""

    name: str
    promises: frozenset[str]

    def start(self, spec: WorkerSpec) -> Worker:
        """Start a worker.

        Raises:
            OSError: the worker cannot be started; nothing is left behind.
        """
        ...

    def opened(self, file: Path | Content) -> int:
        """A new descriptor for a worker, to read a file by; the caller closes it. A tier that promises ``files`` sees to it that
        the file cannot be changed through it.

        Raises:
            OSError: the file cannot be opened.
        """
        ...


@dataclass(frozen=True)
class Environment:
    """The environment variables a worker gets: an allow-list, never the evaluator's own environment."""

    passed: tuple[str, ...] = ("LANG", "LC_ALL", "TZ", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH")
    fixed: dict[str, str] = field(default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"})

    def build(self, spec: WorkerSpec, source: dict[str, str], home: str, weights: str | None) -> dict[str, str]:
        """The variables for ``spec``.

        Args:
            source: the evaluator's environment.
            home, weights: as the worker names them.
        """
        threads = str(spec.threads)
        chosen = {name: source[name] for name in self.passed if name in source}
        chosen |= self.fixed | {"HOME": home, "TMPDIR": home, "PYTHONHASHSEED": str(spec.seed % 2**32), "PYTHONUNBUFFERED": "1"}
        chosen |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        if weights is not None:
            chosen["TORCH_HOME"] = weights
        return chosen
