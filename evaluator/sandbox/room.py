"""What the two tiers with a room of its own for the worker have in common: where things lie in it, and who lives there."""

from __future__ import annotations

from pathlib import Path

from evaluator.sandbox.tier import Environment, WorkerSpec

NOBODY = 65534
"""User and group of a worker whose evaluator is root."""
HOME = "/scratch"
WEIGHTS = "/weights"
SHARED_MEMORY_BYTES = 1 << 30
MOUNTS = (HOME, "/dev/shm")
"""The file systems that the worker may write. They lie in memory, are of bounded size, and end with the room."""


def places(spec: WorkerSpec) -> dict[Path, str]:
    """Where the worker finds what it is given. Names say what a thing is and nothing about the host."""
    shown = {spec.submission: f"/submission/{spec.submission.name}"}
    if spec.weights is not None:
        shown[spec.weights] = WEIGHTS
    return shown


def environment_of(spec: WorkerSpec, source: dict[str, str]) -> dict[str, str]:
    """The environment variables of a worker in a room; ``source`` is the evaluator's environment."""
    return Environment().build(spec, source, HOME, None if spec.weights is None else WEIGHTS)
