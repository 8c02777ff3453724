"""The portable tier: a process of its own, no privileges needed.

What it stops: disturbance by prints, exceptions and crashes; anything that outlives the run; the evaluator's environment and open
descriptors being inherited; on Linux with libseccomp, the system calls that no strategy needs. What it does not stop: the worker
runs as the same user, so it can read and change every file that this user can, label files included, and can signal this user's
processes. Judge strangers' code in a stronger tier.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from evaluator.sandbox.cgroup import ControlGroup
from evaluator.sandbox.guarded import GUARD, GuardedWorker, GuardSpec, launch, worker_command
from evaluator.sandbox.readonly import Content, sealed
from evaluator.sandbox.scratch import scratch_folder
from evaluator.sandbox.seccomp import filters
from evaluator.sandbox.tier import Environment, WorkerSpec


class ProcessSandbox:
    """Tier ``process``.

    Args:
        cgroups: limit memory and processes by a control group where this user may make a group. Otherwise they are watched.
        gpu: leave open what drivers of accelerators use.
    """

    name = "process"
    promises: frozenset[str] = frozenset()

    def __init__(self, cgroups: bool = True, gpu: bool = False) -> None:
        self._cgroups = cgroups
        try:
            self._filters = filters(gpu)
        except OSError:
            self._filters = ()  # the tier that needs nothing promises nothing about system calls

    def start(self, spec: WorkerSpec) -> GuardedWorker:
        """See ``Sandbox.start``."""

        def command(channel: int, control: int) -> list[str]:
            processes = ("--processes", str(spec.limits.processes))
            guard = [sys.executable, "-I", "-S", str(GUARD), str(control), *processes, *options]
            return [*guard, "--", *worker_command(channel)]

        with ExitStack() as stack:
            scratch = stack.enter_context(scratch_folder())
            options = self._guard_options(spec, scratch)
            weights = None if spec.weights is None else str(spec.weights)
            environment = Environment().build(spec, dict(os.environ), str(scratch), weights)
            guard_spec = GuardSpec(limits=spec.limits, scratch=scratch, filters=self._filters)
            group = ControlGroup.make(spec.limits) if self._cgroups else None
            if group is not None:
                guard_spec = replace(guard_spec, group=group, join=group.add)
                stack.callback(group.close)
            return launch(command, replace(guard_spec, left=stack.pop_all().close), cwd=scratch, environment=environment)

    def _guard_options(self, spec: WorkerSpec, scratch: Path) -> tuple[str, ...]:
        """Further options of the guard's command line."""
        return ()

    def opened(self, file: Path | Content) -> int:
        """See ``Sandbox.opened``. The worker is of our own user, and could open the file itself."""
        return sealed(file.data) if isinstance(file, Content) else os.open(file, os.O_RDONLY | os.O_CLOEXEC)
