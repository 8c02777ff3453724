"""What measured: hardware, system, versions, load and command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evaluator.machine import cores, processor


def described(*packages: str) -> dict[str, Any]:
    """Hardware, system, Python, load and command, for the record; and the versions of ``packages``, which are not imported.

    ``load`` holds the averages of 1, 5 and 15 minutes: 1 is one busy core. ``memory_gib`` is 0 where the system does not say.

    Raises:
        PackageNotFoundError: a package is not installed.
    """
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_gib": int((_line_of("/proc/meminfo", "MemTotal") or "0").split()[0]) >> 20,
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "load": [round(value, 2) for value in os.getloadavg()],
        "command": command(),
    }


def command() -> str:
    """The command line of this process, as a person would type it."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    program = f"-m {spec.name.removesuffix('.__main__')}" if spec is not None else sys.argv[0]
    return shlex.join(["python", *program.split(), *sys.argv[1:]])


def _line_of(path: str, key: str) -> str:
    """The value of the first line ``key: value`` of a file of the system; empty where there is none."""
    file = Path(path)
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(key)), "")
