"""The portable tier: a process of its own, no privileges needed.

What it stops: disturbance by prints, exceptions and crashes; anything that outlives the run; the evaluator's environment and open
descriptors being inherited. What it does not stop: the worker runs as the same user, so it can read every file that this user can
read, label files included, and can signal this user's processes. Judge strangers' code in a stronger tier.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from evaluator.sandbox.cgroup import ControlGroup
from evaluator.sandbox.guarded import GUARD, GuardedWorker, GuardSpec, launch, worker_command
from evaluator.sandbox.tier import Environment, WorkerSpec


class ProcessSandbox:
    """Tier ``process``.

    Args:
        cgroups: limit memory and processes by a control group where this user may make a group. Otherwise they are watched.
    """

    name = "process"
    promises: frozenset[str] = frozenset()

    def __init__(self, cgroups: bool = True) -> None:
        self._cgroups = cgroups

    def start(self, spec: WorkerSpec) -> GuardedWorker:
        """See ``Sandbox.start``."""

        def command(channel: int, control: int) -> list[str]:
            processes = ("--processes", str(spec.limits.processes))
            return [sys.executable, "-I", "-S", str(GUARD), str(control), *processes, "--", *worker_command(channel)]

        environment = Environment().build(spec, dict(os.environ))
        guard_spec = GuardSpec(limits=spec.limits, scratch=spec.scratch)
        group = ControlGroup.make(spec.limits) if self._cgroups else None
        if group is not None:
            guard_spec = replace(guard_spec, group=group, join=group.add, left=group.close)
        return launch(command, guard_spec, cwd=spec.scratch, environment=environment)
