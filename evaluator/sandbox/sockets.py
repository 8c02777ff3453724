"""Sockets in files behind which a program acts for whoever connects: engines of containers, a user's services, keys, terminals.

No rule of Landlock's that the kit uses says who may connect to a socket in a file, so a submission in the tier ``landlock`` reaches
all that the evaluator's user may connect to. Here the usual ones are looked for, by the names that everybody knows and by those
that the environment gives. Others may be there: what is not found proves nothing.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

PATIENCE = 0.5
"""Seconds for one attempt to connect. A program that lives answers at once: the kernel does it."""
_RUN, _TEMPORARY = Path("/run"), Path("/tmp")


def reachable(environment: Mapping[str, str] | None = None) -> list[tuple[str, Path]]:
    """What this user can connect to of the usual sockets: what is behind it, and where it lies. Nothing is sent.

    Args:
        environment: variables that name sockets; None for those of this process.
    """
    found: dict[Path, tuple[str, Path]] = {}
    for what, path in _usual(os.environ if environment is None else environment):
        try:
            real = path.resolve()
        except (OSError, RuntimeError, ValueError):  # a circle of links, or no path at all
            continue
        if real not in found and _connects(path):
            found[real] = (what, path)
    return list(found.values())


def _usual(environment: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    own = str(os.geteuid())
    # A submission guesses the usual folder, whether the evaluator's environment names it or not.
    folders = [Path(folder) for folder in (environment.get("XDG_RUNTIME_DIR", ""), str(_RUN / "user" / own)) if folder]
    for variable in ("DOCKER_HOST", "CONTAINER_HOST"):
        scheme, _, path = environment.get(variable, "").partition("://")
        if scheme == "unix" and path:
            yield "a container engine", Path(path)
    yield "a Docker engine", Path("/var/run/docker.sock")
    yield "a Podman engine", _RUN / "podman" / "podman.sock"
    yield "a container engine", _RUN / "containerd" / "containerd.sock"
    if home := environment.get("HOME", ""):
        for place in ("run", "desktop"):
            yield "a Docker engine", Path(home) / ".docker" / place / "docker.sock"
    yield "systemd", _RUN / "systemd" / "private"
    for folder in folders:
        yield "a Docker engine", folder / "docker.sock"
        yield "a Podman engine", folder / "podman" / "podman.sock"
        yield "the user's systemd", folder / "systemd" / "private"
        yield "the user's bus", folder / "bus"
    for path in re.findall(r"unix:path=([^,;]+)", environment.get("DBUS_SESSION_BUS_ADDRESS", "")):
        yield "the user's bus", Path(path)
    if agent := environment.get("SSH_AUTH_SOCK", ""):
        yield "an ssh agent", Path(agent)
    # A server of terminals starts programs for whoever connects, and these are under no rule.
    if server := environment.get("TMUX", "").rpartition(",")[0].rpartition(",")[0]:
        yield "a tmux server", Path(server)
    yield "a tmux server", Path(environment.get("TMUX_TMPDIR", "") or _TEMPORARY) / f"tmux-{own}" / "default"


def _connects(path: Path) -> bool:
    try:
        if not path.is_socket():
            return False
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(PATIENCE)
            line.connect(str(path))
    except (BlockingIOError, TimeoutError):
        return True  # somebody listens, and has many to answer
    except (OSError, ValueError):
        return False
    return True
