"""A sealed room that is a container: the worker runs inside the image built from the project's Dockerfile.

The container has no network, a read-only root, no capabilities and no way to gain any, an unprivileged user, and the limits of
memory, processes and processors that the engine sets by control groups. It holds the image's interpreter and packages; of the kit
it sees ``run.py``, the worker package and the strategies of this checkout, its submission, weights, and a home in memory. Files of
a phase come by descriptor when the phase begins. Its first process is the guard; when that ends, the kernel ends every other.

The evaluator needs the engine of its own machine, and must see that engine's processes: run it on the machine, not in a container.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import socket
import struct
import tempfile
import time
from pathlib import Path
from typing import Any

from evaluator import __version__
from evaluator.machine import cores
from evaluator.sandbox.channel import HostChannel
from evaluator.sandbox.container import OWNER_LABEL, Container, owner, sweep
from evaluator.sandbox.engine import Engine
from evaluator.sandbox.guarded import GUARD, KIT_ROOT, SHOWN, GuardedWorker, GuardSpec, Lines, worker_command
from evaluator.sandbox.logs import LogReader
from evaluator.sandbox.readonly import Content, Opener
from evaluator.sandbox.room import HOME, MOUNTS, NOBODY, SHARED_MEMORY_BYTES, environment_of, places
from evaluator.sandbox.scratch import scratch_folder
from evaluator.sandbox.seccomp import filters
from evaluator.sandbox.tier import PROMISES, WorkerSpec

IMAGE_VARIABLE = "DATA_CENTRIC_KIT_IMAGE"
VERSION_LABEL = "org.opencontainers.image.version"
LAUNCHER = Path(__file__).with_name("launcher.py")
START_SECONDS = 60.0
HIDDEN = ("/home", "/root", "/var/log")
"""Folders of the image that a worker must not see."""
BUILD = "docker build -t data-centric-kit ."


class DockerSandbox:
    """Tier ``docker``.

    Args:
        gpu: give the container all NVIDIA devices (needs the NVIDIA container toolkit).
        image: name or identifier of the image; None for the image that ``DATA_CENTRIC_KIT_IMAGE`` names, else
            ``data-centric-kit:<version>``, else ``data-centric-kit``.
        engine: None for the machine's.

    Raises:
        OSError: no engine answers, this user may not use it, there is no image, or it is of another version of the kit.
    """

    name = "docker"
    promises = frozenset(PROMISES)

    def __init__(self, gpu: bool = False, image: str | None = None, engine: Engine | None = None) -> None:
        self._engine = engine or Engine()
        self._gpu = gpu
        self._user = f"{NOBODY}:{NOBODY}" if os.geteuid() == 0 else f"{os.getuid()}:{os.getgid()}"
        self._image = checked_image(self._engine, image or os.environ.get(IMAGE_VARIABLE))
        self._cpus = int(self._engine.ask("GET", "/info")["NCPU"])
        self._filters = filters(gpu)
        # Root can make read-only mounts; other users need bubblewrap for them.
        self._opener = Opener(shutil.which("bwrap"))
        sweep(self._engine)

    def opened(self, file: Path | Content) -> int:
        """See ``Sandbox.opened``."""
        return self._opener.opened(file)

    def start(self, spec: WorkerSpec) -> GuardedWorker:
        """See ``Sandbox.start``."""
        shown = places(spec)
        ends = _Ends()
        container = None
        try:
            with scratch_folder() as folder, _Door(folder) as door:
                container = Container(self._engine, self._description(spec, shown, door.folder))
                container.run(spec.limits)
                door.hand_over(container, ends.theirs, _order(spec))
            ends.close_theirs()
            guard_spec = GuardSpec(
                limits=spec.limits,
                room=True,
                group=container if container.limited else None,
                mounts=MOUNTS,
                filters=self._filters,
                seen=lambda path: shown.get(path, str(path)),
                left=container.remove,
            )
            return GuardedWorker(container, ends.taken(), guard_spec)
        except BaseException:
            ends.close()
            if container is not None:
                container.remove()
            raise

    def _description(self, spec: WorkerSpec, shown: dict[Path, str], door: Path) -> dict[str, Any]:
        """The container as the engine wants it described."""
        limits = spec.limits
        ours = {LAUNCHER: "/room/launcher.py", GUARD: "/room/guard.py", door: "/room/door", KIT_ROOT / "run.py": "/kit/run.py"}
        ours |= {KIT_ROOT / "evaluator" / part: f"/kit/evaluator/{part}" for part in SHOWN}
        mounts = [_bind(path, place) for path, place in (ours | shown).items()]
        # The image's own copy of the kit is hidden, so that the worker runs ours.
        memory = dict.fromkeys(("/kit", *HIDDEN), "ro,nosuid,nodev,mode=755,size=64k")
        # The machine has a few thousand pseudo-terminals for everybody, and no strategy needs one.
        memory["/dev/pts"] = "ro,nosuid,noexec,mode=755,size=64k"
        # By owner, not by mode: runc gives a mounted file system the mode of the folder it covers. A little more than the limit
        # of files, so that it is the watch that ends a worker with too many, in words.
        uid, _, gid = self._user.partition(":")
        owned = f"uid={uid},gid={gid},mode=700"
        memory[HOME] = f"rw,exec,nosuid,nodev,{owned},size={limits.disk},nr_inodes={limits.files + 1024}"
        host: dict[str, Any] = {
            "AutoRemove": True,
            "CapDrop": ["ALL"],
            "CgroupnsMode": "private",
            "IpcMode": "private",
            "LogConfig": {"Type": "none"},  # what the worker prints goes through our own pipe, capped
            "Memory": limits.memory,
            "MemorySwap": limits.memory,
            "Mounts": mounts,
            "NanoCpus": min(limits.cpus, self._cpus, cores()) * 10**9,
            "NetworkMode": "none",
            "PidsLimit": limits.processes,
            "ReadonlyRootfs": True,
            "SecurityOpt": ["no-new-privileges"],
            "ShmSize": SHARED_MEMORY_BYTES,
            "Tmpfs": memory,
        }
        if self._gpu:
            host["DeviceRequests"] = [{"Count": -1, "Capabilities": [["gpu"]]}]
        return {
            "Image": self._image,
            "Entrypoint": ["python", "-I", "-S", "-B", "/room/launcher.py", "/room/door/socket"],
            "Cmd": [],
            "User": self._user,
            "Hostname": "worker",
            "WorkingDir": "/",
            "NetworkDisabled": True,
            "Labels": {OWNER_LABEL: owner()},
            "HostConfig": host,
        }


class _Ends:
    """Both ends of the channel, of the guard's line and of the log."""

    def __init__(self) -> None:
        self.channel, theirs = socket.socketpair()
        self.control, guard_end = socket.socketpair()
        self.log, log_write = os.pipe()
        self.theirs: tuple[int, ...] = (theirs.detach(), guard_end.detach(), log_write)

    def close_theirs(self) -> None:
        """Close our copies: the container has its own, and ours would hide that it has closed them."""
        theirs, self.theirs = self.theirs, ()
        for descriptor in theirs:
            os.close(descriptor)

    def taken(self) -> Lines:
        """Our ends, for a worker that will close them."""
        log, self.log = self.log, -1
        return Lines(self.control, HostChannel(self.channel), LogReader(log))

    def close(self) -> None:
        """Close what was not taken."""
        self.close_theirs()
        if self.log >= 0:
            os.close(self.log)
            self.channel.close()
            self.control.close()


class _Door:
    """A listening socket in a folder that only we and one container can reach; removed after use."""

    def __init__(self, scratch: Path) -> None:
        # The scratch folder is ours alone; within it, the container's user must be able to pass.
        scratch.chmod(0o700)
        self.folder = Path(tempfile.mkdtemp(prefix="door-", dir=scratch))
        self.folder.chmod(0o711)
        self._listener = socket.socket(socket.AF_UNIX)
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # By descriptor: the name of a socket is limited to 107 bytes, that of a folder is not.
            self._listener.bind(f"/proc/self/fd/{folder}/socket")
        finally:
            os.close(folder)
        (self.folder / "socket").chmod(0o666)
        self._listener.listen(1)

    def __enter__(self) -> _Door:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        shutil.rmtree(self.folder)

    def hand_over(self, container: Container, descriptors: tuple[int, ...], order: bytes) -> None:
        """Give the descriptors to the container's first process and to no other process.

        Raises:
            OSError: it did not come for them.
        """
        deadline = time.monotonic() + START_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                if not selector.select(0.5):
                    if not container.running():
                        raise OSError(
                            "the container ended before it fetched its descriptors: does its image hold Python 3.11 or newer as"
                            f" `python`, and may its user reach a socket of this machine? Build it again: {BUILD}"
                        )
                    continue
                peer, _ = self._listener.accept()
                with peer:
                    pid, _, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
                    if pid == container.pid:
                        socket.send_fds(peer, [order], list(descriptors))
                        return
        raise OSError(f"the container did not fetch its descriptors within {START_SECONDS:g} s")


def checked_image(engine: Engine, wanted: str | None) -> str:
    """The identifier of the image, so that every worker of this evaluator runs in the same image."""
    names = (wanted,) if wanted else (f"data-centric-kit:{__version__}", "data-centric-kit")
    for name in names:
        image = engine.image(name)
        if image is not None:
            version = (image.get("Config", {}).get("Labels") or {}).get(VERSION_LABEL)
            if version != __version__:
                has = f"is of version {version} of the kit" if version else "names no version of the kit"
                raise OSError(f"the image {name} {has}, this is {__version__}; build it again, in the kit's folder: {BUILD}")
            return str(image["Id"])
    raise OSError(f"the Docker engine has no image {' or '.join(names)}; build it, in the kit's folder: {BUILD}")


def _order(spec: WorkerSpec) -> bytes:
    """What the launcher is sent beside its descriptors."""
    # That variable describes this machine, not the image.
    source = {name: value for name, value in os.environ.items() if name != "LD_LIBRARY_PATH"}
    environment = environment_of(spec, source)
    command = worker_command(0, python="python", worker="/kit/evaluator/worker/__main__.py")
    command[-1] = "{channel}"
    return json.dumps({"command": command, "environment": environment, "folder": HOME}).encode() + b"\n"


def _bind(path: Path, place: str) -> dict[str, Any]:
    return {"Type": "bind", "Source": os.path.abspath(path), "Target": place, "ReadOnly": True}
