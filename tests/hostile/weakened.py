"""Tiers that are not tight, on purpose: they prove that the suite sees a hole where there is one. Nothing else uses them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evaluator.sandbox import room
from evaluator.sandbox.bubblewrap import BubblewrapSandbox
from evaluator.sandbox.tier import Environment, WorkerSpec


class _Leaky(Environment):
    def build(self, spec: WorkerSpec, source: dict[str, str], home: str, weights: str | None) -> dict[str, str]:
        return dict(os.environ) | super().build(spec, source, home, weights)


class _Weakened(BubblewrapSandbox):
    """bubblewrap with some of its options left out, or some more."""

    def __init__(self, without: tuple[str, ...] = (), shown: Path | None = None) -> None:
        super().__init__()
        self._without, self._shown = without, shown

    def _room(self, spec: WorkerSpec, seen: dict[Path, str], passwd: int) -> Iterator[str]:
        options = [option for option in super()._room(spec, seen, passwd) if option not in self._without]
        if self._shown is not None:
            at = options.index("--remount-ro")
            parents = [str(parent) for parent in reversed(self._shown.parents) if parent != Path("/")]
            made = [part for parent in parents for part in ("--perms", "0755", "--dir", parent)]
            options[at:at] = [*made, "--ro-bind", str(self._shown), str(self._shown)]
        yield from options


def make(name: str, plan: dict[str, Any]) -> BubblewrapSandbox:
    """``environment`` is passed through; the ``network`` is shared; the folder of the ``labels`` is shown."""
    if name == "environment":
        room.Environment = _Leaky  # type: ignore[misc]
        return BubblewrapSandbox()
    if name == "network":
        return _Weakened(without=("--unshare-net",))
    if name == "labels":
        return _Weakened(shown=Path(plan["house"]) / "data")
    raise ValueError(name)
