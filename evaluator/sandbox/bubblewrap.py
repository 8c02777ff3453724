"""A sealed room for Linux: mount, process, network, IPC, host name and user namespaces of its own, made by bubblewrap.

The worker sees the interpreter and its packages, the system's libraries, ``run.py``, the worker package and the strategies, its
submission, the image caches it was given and a scratch folder of bounded size. It sees nothing else of the host: no label, no
result, no other process, no network. Started by root it runs as ``nobody``. When the room's first process dies the kernel ends
every process in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from evaluator.sandbox.cgroup import ControlGroup
from evaluator.sandbox.guarded import GUARD, KIT_ROOT, SHOWN, GuardedWorker, GuardSpec, launch, worker_command
from evaluator.sandbox.room import MOUNTS, NOBODY, SHARED_MEMORY_BYTES, make_checkpoint, naming, places
from evaluator.sandbox.tier import PROMISES, Environment, WorkerSpec

SYSTEM = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/bin", "/usr/share/zoneinfo", "/lib", "/lib32", "/lib64", "/bin")
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

    def start(self, spec: WorkerSpec) -> GuardedWorker:
        """See ``Sandbox.start``."""
        shown = places(spec)
        environment = Environment().build(spec, dict(os.environ))
        environment |= {"HOME": "/scratch", "TMPDIR": "/scratch"}
        if spec.weights is not None:
            environment["TORCH_HOME"] = "/weights"
        passwd = _text_descriptor(_PASSWD)
        # As file objects, which may be closed twice: the start and the end may both close them.
        info_read, info_write = (os.fdopen(end, mode) for end, mode in zip(os.pipe(), "rw", strict=True))
        checkpoint = make_checkpoint(spec)
        if self._root:
            # The folder around it belongs to root; the user nobody may pass through it to its own folder.
            spec.scratch.chmod(0o711)

        def command(channel: int, control: int) -> list[str]:
            inside = worker_command(channel, worker="/kit/evaluator/worker/__main__.py", root="/kit")
            guard = [sys.executable, "-I", "-S", "/guard.py", str(control), *(["--user", str(NOBODY)] if self._root else []), "--"]
            return [
                str(self._program),
                *self._room(spec, shown, passwd),
                *("--info-fd", str(info_write.fileno())),
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
            scratch=checkpoint,
            mounts=MOUNTS,
            seen=naming(spec, shown),
            left=left,
        )
        try:
            keep = (passwd, info_write.fileno())
            worker = launch(command, guard_spec, cwd=Path("/"), environment=environment, keep=keep)
        except OSError:
            info_read.close()
            raise
        finally:
            info_write.close()
            os.close(passwd)
        return worker

    def _room(self, spec: WorkerSpec, shown: dict[Path, str], passwd: int) -> Iterator[str]:
        """bubblewrap's options, in the order in which it builds the room."""
        yield from ("--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
        yield from ("--hostname", "worker", "--die-with-parent", "--new-session")
        if self._root:
            # Real root makes the room; the guard keeps what it needs to become the user nobody and to kill that user's processes.
            yield from ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_KILL")
        else:
            yield from ("--unshare-user", "--disable-userns", "--uid", str(NOBODY), "--gid", str(NOBODY))
        inside = [*interpreter_places(), Path("/kit/evaluator/worker"), Path("/submission/x"), Path("/images/x"), Path("/etc/x")]
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
        if self._gpu:
            for device in sorted(Path("/dev").glob("nvidia*")):
                yield from ("--dev-bind-try", str(device), str(device))
            yield from ("--ro-bind-try", "/usr/local/nvidia", "/usr/local/nvidia", "--ro-bind-try", "/sys", "/sys")
        yield from ("--ro-bind", str(GUARD), "/guard.py", "--ro-bind", str(KIT_ROOT / "run.py"), "/kit/run.py")
        for part in SHOWN:
            yield from ("--ro-bind", str(KIT_ROOT / "evaluator" / part), f"/kit/evaluator/{part}")
        for path, name in shown.items():
            yield from ("--ro-bind", str(path), name)
        yield from ("--perms", "1777", "--size", str(spec.limits.disk), "--tmpfs", "/scratch")
        yield from ("--bind", str(spec.scratch / "checkpoint"), "/scratch/checkpoint")
        yield from ("--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/scratch")


def interpreter_places() -> list[Path]:
    """Folders of the running interpreter, its standard library and its packages; none that lies in another of them."""
    wanted = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent, Path(os.path.realpath(sys.executable)).parent}
    wanted |= {Path(p) for p in sysconfig.get_paths().values()}
    wanted = {p for p in wanted if p.is_dir() and p != Path("/usr") and not any(p.is_relative_to(s) for s in SYSTEM)}
    return sorted(p for p in wanted if not any(p != other and p.is_relative_to(other) for other in wanted))


def _text_descriptor(text: str) -> int:
    read, write = os.pipe()
    with os.fdopen(write, "w") as file:
        file.write(text)
    return read


def _wait_for_end(info: IO[str], ours: IO[str]) -> None:
    """Wait until the room's first process is gone; the kernel has then ended all others in it."""
    # After a failed start our own end is still open, and reading would never end.
    ours.close()
    with info:
        text = info.read()
    with contextlib.suppress(ValueError, KeyError, ProcessLookupError):
        descriptor = os.pidfd_open(int(json.loads(text)["child-pid"]))
        try:
            select.select([descriptor], [], [], 10)
            with contextlib.suppress(ChildProcessError):
                # Its parent is gone, so it has become our child.
                os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)
        finally:
            os.close(descriptor)
