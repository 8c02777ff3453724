"""What the two tiers with a room of its own for the worker have in common: where things lie in it, and who lives there."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from evaluator.sandbox.tier import WorkerSpec

NOBODY = 65534
"""User and group of a worker whose evaluator is root."""
SHARED_MEMORY_BYTES = 1 << 30
MOUNTS = ("/scratch", "/dev/shm")
"""File systems in memory that the worker may write."""


def places(spec: WorkerSpec) -> dict[Path, str]:
    """Where the worker finds what it is given. Names say what a thing is and nothing about the host."""
    shown = {spec.submission: f"/submission/{spec.submission.name}"}
    shown |= {path: f"/images/{number}{path.suffix}" for number, path in enumerate(dict.fromkeys(spec.readable))}
    if spec.weights is not None:
        shown[spec.weights] = "/weights"
    return shown


def naming(spec: WorkerSpec, shown: dict[Path, str]) -> Callable[[Path], str]:
    """How the worker names a file of the host: by ``shown``, or as a file of its scratch folder."""
    return lambda path: shown.get(path, f"/scratch/{path.name}" if path.parent == spec.scratch else str(path))


def make_checkpoint(spec: WorkerSpec) -> Path:
    """Make the checkpoint folder, the part of scratch that outlives a worker within its run; nobody's, where we are root."""
    checkpoint = spec.scratch / "checkpoint"
    checkpoint.mkdir(exist_ok=True)
    if os.geteuid() == 0:
        os.chown(checkpoint, NOBODY, NOBODY)
        checkpoint.chmod(0o700)
    return checkpoint
