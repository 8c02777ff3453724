"""A Docker engine for a measurement or a test, and in it the project's image, built on a base made of this machine's files.

The engine is the ``dockerd`` that is installed (on Debian: docker.io). No registry is needed: the base holds the running
interpreter, numpy, pip, a shell and the few commands that the Dockerfile uses, with the libraries that they are linked to. torch is
left out: a worker needs numpy only.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from evaluator import __version__
from evaluator.sandbox.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
IMAGE = f"data-centric-kit:{__version__}"
BASE = "dck-test-base:1"
COMMANDS = ("sh", "grep", "mkdir", "chown", "cp", "rm", "useradd")
LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "__pycache__"}
LEFT_OUT |= {"site-packages", "dist-packages"}
PASSWD = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"


class NoEngine(Exception):
    """No engine can run here; the message says why."""


@dataclass(frozen=True)
class Running:
    """A running engine that has the project's image; ``seconds`` of every step of its making, by name."""

    engine: Engine
    image: str
    seconds: dict[str, float]


@contextmanager
def running_engine() -> Iterator[Running]:
    """Start an engine in a temporary folder and build the image; at the end both are removed.

    Raises:
        NoEngine: the engine cannot be started on this machine.
    """
    seconds: dict[str, float] = {}
    # A short path: the engine's own sockets are below it, and their paths have a limit.
    folder = Path(tempfile.mkdtemp(prefix="dck-engine-"))
    try:
        with _stopwatch(seconds, "engine"):
            process, engine = _start(folder)
        try:
            with _stopwatch(seconds, "base"):
                make_base(engine, folder)
            with _stopwatch(seconds, "image"):
                build(engine, IMAGE)
            yield Running(engine, IMAGE, seconds)
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _stopwatch(seconds: dict[str, float], name: str) -> Iterator[None]:
    start = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - start, 1)


def _start(folder: Path) -> tuple[subprocess.Popen[bytes], Engine]:
    program = shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/local/sbin")
    if program is None:
        raise NoEngine("the program dockerd is not installed (Debian: apt-get install docker.io)")
    if os.geteuid() != 0:
        raise NoEngine("only root can start dockerd")
    log = folder / "log"
    # vfs copies every layer and works everywhere; overlay2 does not work on top of another overlay.
    for driver in ("overlay2", "vfs"):
        options = {
            "storage-driver": driver,
            "data-root": folder / "data",
            "exec-root": folder / "exec",
            "pidfile": folder / "pid",
            "host": f"unix://{folder}/socket",
            "bridge": "none",
            "iptables": "false",
        }
        with open(log, "wb") as file:
            process = subprocess.Popen(
                [program, *(f"--{name}={value}" for name, value in options.items())],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=os.environ | {"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"},
                start_new_session=True,
                # The engine ends with this process, even where it is killed.
                preexec_fn=lambda: ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0),
            )
        engine = Engine(folder / "socket")
        deadline = time.monotonic() + 40
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                engine.ask("GET", "/_ping")
                return process, engine
            time.sleep(0.1)
        _stop(process)
        shutil.rmtree(folder / "data", ignore_errors=True)
    lines = [line for line in log.read_text(errors="replace").splitlines() if "level=info" not in line]
    raise NoEngine(f"dockerd does not run here: {' | '.join(lines[-3:])[-600:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _stream(engine: Engine, path: str, body: Path | bytes, **query: str) -> list[dict[str, object]]:
    """Send a tar file to the engine; the lines of its answer."""
    connection = http.client.HTTPConnection("engine", timeout=300)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(engine.path))
    with contextlib.closing(connection), io.BytesIO(body) if isinstance(body, bytes) else open(body, "rb") as file:
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        headers = {"Content-Type": "application/x-tar", "Content-Length": str(size)}
        # An engine that refuses does not read to the end; its answer says why.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", f"{path}?{urlencode(query)}", file, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
    lines = [json.loads(line) for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line]
    if answer.status >= 400 or errors:
        said = "".join(str(line.get("stream", "")) for line in lines)[-2000:]
        raise RuntimeError(f"the engine refused {path}: {answer.status} {errors or text[-500:]}\n{said}")
    return lines


# -- the base image


def make_base(engine: Engine, folder: Path) -> None:
    """Import a root file system made of this machine's files as ``BASE``."""
    path = folder / "base.tar"
    with tarfile.open(path, "w") as tar:
        _fill(tar)
    changes = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    repo, tag = BASE.split(":")
    _stream(engine, "/images/create", path, fromSrc="-", repo=repo, tag=tag, changes=changes)
    path.unlink()


def _fill(tar: tarfile.TarFile) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    library = f"usr/local/lib/{version}"
    packages = f"{library}/site-packages"
    folders = [
        "etc",
        "tmp",
        "proc",
        "sys",
        "dev",
        "root",
        "usr/bin",
        "usr/sbin",
        "usr/lib",
        "usr/local/bin",
        "usr/local/lib",
        "var/log",
    ]
    # Parents, too: some engines make folders that are not named readable to root only.
    parents = {str(parent) for name in folders for parent in Path(name).parents} - {"."}
    for name in sorted({*folders, *parents}):
        _add(tar, name, mode=0o1777 if name == "tmp" else 0o755)
    for name, target in {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib"}.items():
        _add(tar, name, link=target)
    _add(tar, "etc/passwd", PASSWD.encode())
    _add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n")
    programs = []
    for command in COMMANDS:
        found = shutil.which(command, path="/usr/bin:/bin:/usr/sbin:/sbin")
        if found is None:
            raise NoEngine(f"the base image needs the command {command}, which this machine lacks")
        programs.append(Path(found).resolve())
        tar.add(programs[-1], f"usr/bin/{command}")
    interpreter = Path(sys.executable).resolve()
    tar.add(interpreter, f"usr/local/bin/{version}")
    _add(tar, "usr/local/bin/python", link=version)
    standard = Path(sysconfig.get_path("stdlib")).resolve()
    tar.add(standard, library, filter=_kept(library))
    _add(tar, packages)
    package = Path(np.__file__).parent
    for place in (package, package.with_name("numpy.libs")):
        if place.exists():
            tar.add(place, f"{packages}/{place.name}", filter=_kept(packages))
    if (pip := find_spec("pip")) is not None and pip.origin is not None:  # for images of a submission
        tar.add(Path(pip.origin).parent, f"{packages}/pip", filter=_kept(packages))
    # Debian's interpreter calls the folder by another name.
    _add(tar, f"{library}/dist-packages", link="site-packages")
    modules = [*(standard / "lib-dynload").glob("*.so"), *package.rglob("*.so")]
    for soname, path in sorted(_libraries([interpreter, *programs, *modules], package.with_name("numpy.libs")).items()):
        tar.add(path.resolve(), f"usr/lib/{soname}")


def _kept(below: str) -> Callable[[tarfile.TarInfo], tarfile.TarInfo | None]:
    """A filter for members of a tar file below a folder: drops what no worker needs; the rest belongs to root and is readable."""

    def keep(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        parts = member.name.removeprefix(below).split("/")
        if any(part in LEFT_OUT or part.startswith("config-") for part in parts):
            return None
        member.uid = member.gid = 0
        member.mode |= 0o444 | (0o111 if member.isdir() else 0)
        return member

    return keep


def _libraries(programs: list[Path], own: Path) -> dict[str, Path]:
    """Libraries that the programs are linked to, by name, without those in numpy's own folder ``own``."""
    found: dict[str, Path] = {}
    text = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True).stdout
    for line in text.splitlines():
        match = re.match(r"\s+(?:(\S+) => )?(/\S+) \(0x", line)
        if match and not Path(match[2]).resolve().is_relative_to(own):
            found[Path(match[1] or match[2]).name] = Path(match[2])
    return found


def _add(tar: tarfile.TarFile, name: str, data: bytes | None = None, link: str = "", mode: int = 0o755) -> None:
    member = tarfile.TarInfo(name)
    member.mode = 0o644 if data is not None else mode
    member.type = tarfile.SYMTYPE if link else tarfile.DIRTYPE if data is None else tarfile.REGTYPE
    member.linkname = link
    member.size = len(data or b"")
    tar.addfile(member, io.BytesIO(data or b""))


# -- the project's image


def build(engine: Engine, name: str, text: str | None = None) -> None:
    """Build an image from the project's Dockerfile, or from ``text``, with the files that it copies and nothing else."""
    text = text or (ROOT / "Dockerfile").read_text()
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        _add(tar, "Dockerfile", text.encode())
        sources = {part for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for part in line.split()}
        for source in sorted(sources):
            tar.add(ROOT / source, source, filter=lambda member: None if "__pycache__" in member.name else member)
    arguments = json.dumps({"BASE_IMAGE": BASE, "TORCH": "present"})
    _stream(engine, "/build", context.getvalue(), t=name, buildargs=arguments, networkmode="none", rm="1", forcerm="1")
