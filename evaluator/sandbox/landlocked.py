"""The tier ``process`` under Landlock: for machines on which neither a namespace nor a container can be made, such as the inside of
somebody else's container.

What it stops beside what ``process`` stops: opening any file but the interpreter, the system's libraries, the kit's worker, the
submission, its weights and its scratch folder; writing anywhere but in that folder and in shared memory; reading or tracing the
evaluator; TCP (ABI 4); signals to other processes, and abstract sockets (ABI 6). What it does not stop: the worker is of the
evaluator's own user. It sees which paths and processes exist, and can change modes, owners and times of files that it cannot open.
It can send datagrams, connect to sockets in files, and use shared memory that others of its user made. Behind some sockets a
program reads files for whoever connects (an engine of containers, the user's systemd); ``exposed`` says which of them are here.
``docs/threat-model.md`` has the table.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from evaluator.sandbox.bubblewrap import SYSTEM, interpreter_places
from evaluator.sandbox.guarded import KIT_ROOT, SHOWN
from evaluator.sandbox.landlock import abi
from evaluator.sandbox.process import ProcessSandbox
from evaluator.sandbox.seccomp import filters
from evaluator.sandbox.sockets import reachable
from evaluator.sandbox.tier import WorkerSpec

LEAST = 3
"""The first ABI that rules truncation (Linux 6.2); before it a worker could empty files that it cannot open."""
READABLE = (
    *("/etc/ld.so.cache", "/etc/localtime", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/version", "/proc/filesystems"),
    *("/proc/sys/vm", "/proc/sys/kernel", "/sys/devices/system"),
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


class LandlockSandbox(ProcessSandbox):
    """Tier ``landlock``.

    Args:
        cgroups: as of ``ProcessSandbox``.
        gpu: show the NVIDIA devices to the worker.

    Raises:
        OSError: this kernel has no Landlock of ABI 3, or libseccomp is missing.
    """

    name = "landlock"
    promises: frozenset[str] = frozenset({"contents", "calls"})

    def __init__(self, cgroups: bool = True, gpu: bool = False) -> None:
        found = abi()
        if found < LEAST:
            seen = f"offers Landlock's ABI {found}" if found else "has no Landlock, or it is switched off"
            raise OSError(f"this kernel {seen}; ABI {LEAST} was expected, which Linux 6.2 brought")
        super().__init__(cgroups, gpu)
        self._filters = filters(gpu)  # promised, so a missing library is no way to do without
        self._gpu = gpu

    def _guard_options(self, spec: WorkerSpec, scratch: Path) -> tuple[str, ...]:
        return ("--landlock", json.dumps(self.places(spec, scratch)))

    def exposed(self) -> str:
        """What a submission reaches here that the tier does not rule, in a sentence with what to do; empty if nothing was found."""
        if not (found := reachable()):
            return ""
        named = ", ".join(f"{what} ({path})" for what, path in found)
        return (
            f"isolation: the tier landlock does not rule sockets in files, and a submission can connect to {named} as this user, "
            "and by that may read labels. Judge strangers in bubblewrap or docker, or as a user who may not connect to "
            f"{'it' if len(found) == 1 else 'them'}."
        )

    def places(self, spec: WorkerSpec, scratch: Path) -> list[tuple[str, str]]:
        """What a worker may do where, as ``landlock.restrict`` takes it. Its own folder in /proc is added by the guard."""
        read = [*SYSTEM, *map(str, interpreter_places()), str(Path(str(np.__file__)).parent), str(KIT_ROOT / "run.py")]
        read += [str(KIT_ROOT / "evaluator" / part) for part in SHOWN] + [str(spec.submission), *READABLE]
        read += [] if spec.weights is None else [str(spec.weights)]
        devices = list(DEVICES)
        if self._gpu:
            devices += [f"/dev/{name}" for name in sorted(os.listdir("/dev")) if name.startswith("nvidia")]
            read += ["/proc/driver", "/proc/devices", "/sys", "/usr/local/nvidia"]
        return [
            ("list", "/proc"),
            *(("read", path) for path in dict.fromkeys(read)),
            *(("device", path) for path in devices),
            ("write", "/dev/shm"),
            ("write", str(scratch)),
        ]
