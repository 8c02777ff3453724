"""A sealed room for Linux: mount, process, network, IPC, host name and user namespaces of its own, made by bubblewrap.

The worker sees the interpreter and its packages, the system's libraries, ``run.py``, the worker package and the strategies, its
submission, weights, and a home of bounded size in memory. Files of a phase come by descriptor when the phase begins. It sees
nothing else of the host: no label, no result, no other process, no network. Nothing that it writes lies on the host, so nothing has
to be cleared away after it. Started by root it runs as ``nobody``. When the room's first process dies the kernel ends every process
in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import numpy as np

from evaluator.sandbox.cgroup import ControlGroup
from evaluator.sandbox.guarded import GUARD, KIT_ROOT, SHOWN, GuardedWorker, GuardSpec, launch, worker_command
from evaluator.sandbox.readonly import Content, Opener
from evaluator.sandbox.room import HOME, MOUNTS, NOBODY, SHARED_MEMORY_BYTES, environment_of, places
from evaluator.sandbox.seccomp import filters
from evaluator.sandbox.tier import PROMISES, WorkerSpec
from evaluator.text import as_command

SYSTEM = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/bin", "/usr/share/zoneinfo", "/lib", "/lib32", "/lib64", "/bin")
HIDDEN = ("/proc/keys", "/proc/key-users", "/proc/kcore", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats")
"""Files of the kernel that speak of the whole machine."""
_PASSWD = f"root:x:0:0::/:/bin/false\nnobody:x:{NOBODY}:{NOBODY}::/scratch:/bin/false\n"


class BubblewrapSandbox:
    """Tier ``bubblewrap``.

    Args:
        gpu: show the NVIDIA devices to the worker.

    Raises:
        OSError: bubblewrap is not installed.
    """

    name = "bubblewrap"
    promises = frozenset(PROMISES)

    def __init__(self, gpu: bool = False) -> None:
        self._program = shutil.which("bwrap")
        if self._program is None:
            raise OSError("the program bwrap is not installed; on Debian: apt-get install bubblewrap")
        self._gpu = gpu
        self._root = os.geteuid() == 0
        self._filters = filters(gpu)
        self._opener = Opener(self._program)

    def opened(self, file: Path | Content) -> int:
        """See ``Sandbox.opened``."""
        return self._opener.opened(file)

    def start(self, spec: WorkerSpec) -> GuardedWorker:
        """See ``Sandbox.start``."""
        shown = places(spec)
        environment = environment_of(spec, dict(os.environ))
        passwd = _pipe(_PASSWD.encode())
        # Root's guard has still to make a namespace, and nothing that root owns is in the worker's reach. The guard of an ordinary
        # user, and the first process of its room, are of the worker's own user, so the filters hold for them as well.
        programs = [] if self._root else [_pipe(program) for program in self._filters]
        # As file objects, which may be closed twice: the start and the end may both close them.
        info_read, info_write = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), "rw", strict=True))

        def command(channel: int, control: int) -> list[str]:
            inside = worker_command(channel, worker="/kit/evaluator/worker/__main__.py")
            guard = [sys.executable, "-I", "-S", "/guard.py", str(control), *(["--user", str(NOBODY)] if self._root else []), "--"]
            return [
                str(self._program),
                *self._room(spec, shown, passwd),
                *("--info-fd", str(info_write.fileno())),
                *(word for program in programs for word in ("--add-seccomp-fd", str(program))),
                "--",
                *guard,
                *inside,
            ]

        group = ControlGroup.make(spec.limits)

        def left() -> None:
            _wait_for_end(info_read, info_write)
            if group is not None:
                group.close()

        guard_spec = GuardSpec(
            limits=spec.limits,
            room=True,
            group=group,
            join=group.add if group is not None else None,
            mounts=MOUNTS,
            filters=self._filters if self._root else (),
            seen=lambda path: shown.get(path, str(path)),
            left=left,
        )
        try:
            keep = (passwd, info_write.fileno(), *programs)
            worker = launch(command, guard_spec, cwd=Path("/"), environment=environment, keep=keep)
        except OSError:
            info_read.close()
            raise
        finally:
            info_write.close()
            for descriptor in (passwd, *programs):
                os.close(descriptor)
        return worker

    def hindrance(self) -> tuple[str, str] | None:
        """What keeps a worker from starting, if it can be seen in the files that it needs: the cause, and what to do."""
        package = Path(str(np.__file__)).parent
        shown = [*map(Path, SYSTEM), *interpreter_places()]
        if not any(package.is_relative_to(place) for place in shown):
            return (
                f"numpy lies in {package}, which is no part of this environment, so the room does not show it",
                "install the kit's packages into the environment itself (pip install -r requirements.txt)",
            )
        if not self._root:
            return None
        needed = [GUARD, KIT_ROOT / "run.py", *(KIT_ROOT / "evaluator" / part for part in SHOWN)]
        needed += [*(KIT_ROOT / "evaluator" / "worker").glob("*.py"), Path(os.path.realpath(sys.executable))]
        needed += [package, package / "__init__.py"]
        closed = [path for path in needed if not _open_to_all(path)]
        if not closed:
            return None
        return (
            f"the worker runs as nobody, who may not read {closed[0]} (made under a umask such as 077)",
            f"let others read it: {as_command('chmod', '-R', 'go+rX', _top(closed[0]))}",
        )

    def _room(self, spec: WorkerSpec, shown: dict[Path, str], passwd: int) -> Iterator[str]:
        """bubblewrap's options, in the order in which it builds the room."""
        yield from ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
        # The guard is the room's first process: it takes no signal from the worker, and there is no other process beside the two.
        # bubblewrap's own first process would be of an ordinary worker's own user, which could write into its memory.
        yield from ("--hostname", "worker", "--die-with-parent", "--new-session", "--as-pid-1")
        if self._root:
            # Real root makes the room; the guard keeps what it needs to become the user nobody and to kill that user's processes.
            yield from ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_KILL")
        else:
            yield from ("--unshare-user", "--disable-userns", "--uid", str(NOBODY), "--gid", str(NOBODY))
        inside = [*interpreter_places(), Path("/kit/evaluator/worker"), Path("/submission/x"), Path("/etc/x")]
        inside += map(Path, SYSTEM)
        parents = {parent for place in inside for parent in place.parents if parent != Path("/")}
        for parent in sorted(parents):
            # Parents that bubblewrap makes by itself are closed to everybody but root.
            yield from ("--perms", "0755", "--dir", str(parent))
        for folder in SYSTEM:
            if os.path.islink(folder):
                yield from ("--symlink", os.readlink(folder), folder)
            elif os.path.isdir(folder):
                yield from ("--ro-bind", folder, folder)
        for place in interpreter_places():
            if self._root and not _open_to_all(place):
                # A folder of root's alone, e.g. of a mktemp: the worker, who is nobody, is shown what lies in it.
                yield from ("--perms", "0755", "--dir", str(place))
                for inner in sorted(place.iterdir()):
                    yield from ("--ro-bind-try", str(inner), str(inner))
            else:
                yield from ("--ro-bind", str(place), str(place))
        for file in ("ld.so.cache", "localtime"):
            yield from ("--ro-bind-try", f"/etc/{file}", f"/etc/{file}")
        yield from ("--ro-bind-data", str(passwd), "/etc/passwd")
        yield from (
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--perms",
            "1777",
            "--size",
            str(SHARED_MEMORY_BYTES),
            "--tmpfs",
            "/dev/shm",
        )
        # Pseudo-terminals are counted over the whole machine, and what is typed into them is counted nowhere.
        yield from ("--size", "4096", "--tmpfs", "/dev/pts", "--remount-ro", "/dev/pts")
        if self._gpu:
            for device in sorted(Path("/dev").glob("nvidia*")):
                yield from ("--dev-bind-try", str(device), str(device))
            yield from ("--ro-bind-try", "/usr/local/nvidia", "/usr/local/nvidia", "--ro-bind-try", "/sys", "/sys")
        yield from ("--ro-bind", str(GUARD), "/guard.py", "--ro-bind", str(KIT_ROOT / "run.py"), "/kit/run.py")
        for part in SHOWN:
            yield from ("--ro-bind", str(KIT_ROOT / "evaluator" / part), f"/kit/evaluator/{part}")
        for path, name in shown.items():
            yield from ("--ro-bind", str(path), name)
        yield from ("--perms", "1777", "--size", str(spec.limits.disk), "--tmpfs", HOME)
        for hidden in HIDDEN:
            if os.path.exists(hidden):
                yield from ("--ro-bind", "/dev/null", hidden)
        yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", HOME)


def _open_to_all(path: Path) -> bool:
    """Whether a worker that runs as ``nobody`` may read a file, or list and enter a folder."""
    with contextlib.suppress(OSError):
        needed = 0o5 if path.is_dir() else 0o4
        return path.stat().st_mode & needed == needed
    return False


def further_packages(paths: Iterable[str], kit: Path = KIT_ROOT) -> set[Path]:
    """Folders of installed packages among the entries of ``sys.path``: a ``.pth`` file adds such a folder to an environment.

    Only a folder that installers write (it holds ``*.dist-info``) and that does not hold the kit: whatever else is on the path may
    hold anything, labels included.
    """
    found = set()
    for text in paths:
        place = Path(text)
        if not place.is_absolute() or kit.is_relative_to(place):
            continue
        with contextlib.suppress(OSError):
            if place.is_dir() and any(place.glob("*.dist-info")):
                found.add(place)
    return found


def interpreter_places() -> list[Path]:
    """Folders of the running interpreter, its standard library and its packages; none that lies in another of them."""
    wanted = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent, Path(os.path.realpath(sys.executable)).parent}
    wanted |= {Path(p) for p in sysconfig.get_paths().values()} | further_packages(sys.path)
    wanted = {p for p in wanted if p.is_dir() and p != Path("/usr") and not any(p.is_relative_to(s) for s in SYSTEM)}
    return sorted(p for p in wanted if not any(p != other and p.is_relative_to(other) for other in wanted))


def _top(path: Path) -> Path:
    """What to open: the kit or the environment that a closed file lies in."""
    tops = [KIT_ROOT, *interpreter_places()]
    return next((top for top in tops if path.is_relative_to(top)), path)


def _pipe(content: bytes) -> int:
    """A descriptor from which a few KiB can be read once."""
    read, write = os.pipe()
    with os.fdopen(write, "wb") as file:
        file.write(content)
    return read


def _wait_for_end(info: IO[str], ours: IO[str]) -> None:
    """Wait until the room's first process is gone; the kernel has then ended all others in it."""
    # After a failed start our own end is still open, and reading would never end.
    ours.close()
    with info:
        text = info.read(4096)
    with contextlib.suppress(ValueError, KeyError, TypeError, OSError):
        descriptor = os.pidfd_open(int(json.loads(text)["child-pid"]))
        try:
            select.select([descriptor], [], [], 10)
            with contextlib.suppress(ChildProcessError):
                # Its parent is gone, so it has become our child.
                os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)
        finally:
            os.close(descriptor)
