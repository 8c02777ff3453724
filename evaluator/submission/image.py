"""An image for one submission: the kit's image, and in it what the submission's ``apt.txt`` and ``requirements.txt`` ask for.

The image is built by a Docker engine, from a Dockerfile that is made here. A Dockerfile of the submission is never used, and of all
its files only these two lists take part in the build. There is a network while the image is built, to fetch the packages, and none
when a submission runs in it (``sandbox/docker``). Packages come as wheels only; where an organiser allows to build them, code of
their authors runs. The kit's own packages keep their versions.

An image is named by the digest of what decides it: the base, the lists and the way they are installed. So it is built once.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from evaluator import __version__
from evaluator.bounded import BoundsError, read_bytes
from evaluator.errors import ConfigurationError, SubmissionError, Verdict
from evaluator.files import lock, lock_file, write_text
from evaluator.sandbox.engine import Engine, EngineError
from evaluator.submission.apt import FILE as APT
from evaluator.submission.apt import read_apt
from evaluator.submission.environment import FILE as REQUIREMENTS
from evaluator.submission.environment import MAX_BYTES, MAX_LINE, MAX_LINES, NoRequirement, logical_lines, parsed, requirements_file
from evaluator.text import name as harmless
from evaluator.text import visible_lines, without_logins

REPOSITORY = "data-centric-kit-submission"
LABEL = "data-centric-kit.needs"
"""Label of an image that was made here: the digest of what decides it."""
NETWORKS = ("default", "host", "none")
_HASH = re.compile(r"(?:\s+--hash=[a-z0-9]{3,10}:[0-9a-f]{16,200})+$")
INDEX = re.compile(r"https?://[A-Za-z0-9._~:/@%+-]+")
"""An address of a package index: nothing in it is a word of its own in a command."""
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_OURS = re.compile(
    r"Temporary failure (?:in name resolution|resolving)|Could not resolve|NewConnectionError|ConnectTimeout|ReadTimeout"
    r"|Network is unreachable|Connection (?:refused|timed out|reset)|No space left on device|toomanyrequests|No module named pip\b"
)
"""What a build says where the network, the disk or the base image fails, and not what it was asked for."""
KEPT = 40
"""Lines of a log that an error shows."""
FORGOTTEN = 30.0
"""Seconds in which an engine takes away what a build that failed or was left has made; a container of it ends a moment late."""


class ImageError(SubmissionError):
    """An image could not be built for a submission. ``log``: what the build said, harmless to show; it is the participant's own.

    ``verdict``: ``RUNTIME_ERROR`` where the lists are at fault, ``INFRASTRUCTURE`` where the engine, the network or the disk is.
    """

    def __init__(self, message: str, verdict: Verdict = Verdict.RUNTIME_ERROR, log: str = "") -> None:
        super().__init__(message, verdict)
        self.log = log

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, Verdict, str]]:  # type: ignore[override]
        return type(self), (str(self), self.verdict, self.log)


@dataclass(frozen=True)
class How:
    """How an image is built.

    Attributes:
        network: of the build: ``default`` (the engine's bridge), ``host``, or ``none``.
        index: address of a package index in the place of PyPI; empty for PyPI.
        wheels: folder of wheels that is installed from, without any index.
        sources: whether packages that have no wheel are built, which runs code of their authors.
        seconds: largest duration of a build; ``memory``: bytes that its processes have.
        log_bytes: largest size of its log; ``image_bytes``: by how much the image may be larger than its base.

    Raises:
        ConfigurationError: a value makes no sense.
    """

    network: str = "default"
    index: str = ""
    wheels: Path | None = None
    sources: bool = False
    seconds: float = 900.0
    memory: int = 4 << 30
    log_bytes: int = 1 << 20
    image_bytes: int = 8 << 30

    def __post_init__(self) -> None:
        if self.network not in NETWORKS:
            raise ConfigurationError(f"--network is {self.network!r}; it must be {', '.join(NETWORKS)}")
        if self.index and not INDEX.fullmatch(self.index):
            raise ConfigurationError(
                f"--index-url is {harmless(without_logins(self.index))!r}; expected http:// or https:// and no blanks"
            )
        if self.index and self.wheels is not None:
            raise ConfigurationError("--index-url and --wheels were both given; packages come from one of them. Leave one out")
        if self.wheels is not None and not self.wheels.is_dir():
            raise ConfigurationError(f"--wheels: {self.wheels} is no folder; expected one with .whl files. Name another")
        if not self.seconds > 0 or min(self.memory, self.log_bytes, self.image_bytes) <= 0:
            raise ConfigurationError("the limits of a build must be above 0")


@dataclass(frozen=True)
class Needs:
    """What a submission asks for. ``packages``: of Debian; ``requirements``: lines for pip, as packaging writes them."""

    packages: tuple[str, ...] = ()
    requirements: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.packages or self.requirements)


@dataclass(frozen=True)
class Image:
    """An image that a submission can run in.

    Attributes:
        name: of the image; the base's own where the submission asks for nothing. ``id``: its identifier.
        built: whether it was built now; ``seconds``: that this took; ``bytes``: by which it is larger than its base.
        log: what the build said; empty where nothing was built.
    """

    name: str
    id: str
    built: bool = False
    seconds: float = 0.0
    bytes: int = 0
    log: str = ""


def needs_of(submission: Path) -> Needs:
    """What the submission at ``submission`` (a folder or a file) asks for.

    Raises:
        ImageError: a line cannot be installed; the message names the file, the line and the value.
    """
    apt = read_apt(submission)
    if apt.faults:
        raise _wrong(APT, *apt.faults[0])
    try:
        text = read_bytes(requirements_file(submission), MAX_BYTES).decode("utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return Needs(apt.packages)
    except BoundsError:
        raise _wrong(REQUIREMENTS, 0, f"it is no regular file of at most {MAX_BYTES:,} bytes. Shorten it") from None
    except UnicodeDecodeError:
        raise _wrong(REQUIREMENTS, 0, "it is not text in UTF-8. Save it as UTF-8") from None
    except OSError as error:
        raise _wrong(REQUIREMENTS, 0, f"it cannot be read ({error.strerror}). Mend it or remove it") from None
    if len(text.splitlines()) > MAX_LINES:
        raise _wrong(REQUIREMENTS, 0, f"it has more than {MAX_LINES} lines. Leave out what is not needed")
    return Needs(apt.packages, tuple(_requirement(number, line) for number, line in logical_lines(text)))


def _requirement(number: int, line: str) -> str:
    """A line as pip gets it. Options could lead to other indexes and files, so only a name, versions, extras, markers, hashes."""
    if len(line) > MAX_LINE:
        long = f"it has {len(line):,} characters, so it is no requirement of a name and versions; at most {MAX_LINE} are read"
        raise _wrong(REQUIREMENTS, number, f"{long}. Shorten the line")
    hashes = _HASH.search(line)
    bare = line[: hashes.start()].strip() if hashes else line
    try:
        asked, _ = parsed(bare)
    except NoRequirement:
        asked = None
    if asked is None or asked.url is not None or any(ord(c) < 32 for c in line):
        what = f"{harmless(without_logins(bare))!r} is no requirement of a name and versions, e.g. numpy>=2"
        raise _wrong(REQUIREMENTS, number, f"{what}; addresses, paths and options are not installed. Name packages of the index")
    return str(asked) + (" " + " ".join(hashes[0].split()) if hashes else "")


def _wrong(file: str, line: int, text: str) -> ImageError:
    return ImageError(f"{file}{f', line {line}' if line else ''}: {text}")


def dockerfile(needs: Needs, base: str, how: How, user: str = "", digest: str = "") -> str:
    """The text of the Dockerfile.

    Args:
        base: the image that it begins with; ``user``: whose the image is at the end.
        digest: what the image is known by. It comes first, so that what a build leaves that fails is known by it, too.
    """
    lines = [f"FROM {base}", *([f"LABEL {LABEL}={digest}"] if digest else []), "USER root"]
    if needs.packages:
        names = " ".join(needs.packages)
        lines.append(
            "RUN export DEBIAN_FRONTEND=noninteractive && apt-get update"
            f" && apt-get install -y --no-install-recommends -- {names} && rm -rf /var/lib/apt/lists/*"
        )
    if needs.requirements:
        options = ["--no-cache-dir", "--disable-pip-version-check", "--no-input", "--progress-bar off", "--root-user-action ignore"]
        options += [] if how.sources else ["--only-binary :all:"]
        options += [f"--index-url {how.index}"] if how.index else []
        options += ["--no-index", "--find-links /tmp/needs/wheels"] if how.wheels is not None else []
        lines += [
            "COPY needs /tmp/needs",
            "RUN python -m pip list --format freeze --exclude pip --disable-pip-version-check > /tmp/needs/kit.txt"
            f" && python -m pip install {' '.join(options)} --constraint /tmp/needs/kit.txt -r /tmp/needs/requirements.txt"
            " && rm -rf /tmp/needs",
        ]
    return "\n".join([*lines, f"USER {user or 'root'}", ""])


def digest_of(needs: Needs, base_id: str, how: How) -> str:
    """What decides an image, as 32 hexadecimal digits: its base, what is installed, in which way and from where."""
    decides = asdict(needs) | {"base": base_id, "sources": how.sources, "index": how.index, "wheels": _wheels(how)}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


def _wheels(how: How) -> list[tuple[str, int]]:
    return [] if how.wheels is None else [(file.name, file.stat().st_size) for file in sorted(how.wheels.glob("*.whl"))]


def built_image(
    submission: Path,
    base: str = "",
    *,
    how: How | None = None,
    engine: Engine | None = None,
    log: Path | None = None,
    said: Callable[[str], None] = lambda line: None,
    turn: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Image:
    """An image in which the submission at ``submission`` can run: found, or built.

    Of several processes of this user that want the same image at the same time, the first builds it, and the others find it.

    Args:
        base: name of the kit's image; empty for ``data-centric-kit:<version>``, else ``data-centric-kit``.
        log: file that the log is written to, also of a build that fails; ``said``: called with each line as it comes.
        turn: is entered while it is built; that it waits is on no clock.

    Raises:
        ImageError: the lists cannot be installed, or a limit was reached; with the log.
        OSError: no engine answers, or it has no image of the base's name.
    """
    how, engine = how or How(), engine or Engine()
    needs = needs_of(submission)
    below, found = base_image(engine, base)
    if not needs:
        return Image(below, str(found["Id"]))
    digest = digest_of(needs, str(found["Id"]), how)
    name = f"{REPOSITORY}:{digest}"
    with _alone(digest):
        there = engine.image(name)
        if there is not None and (there["Config"].get("Labels") or {}).get(LABEL) == digest:
            return Image(name, str(there["Id"]), bytes=_grown(there, found))
        text = dockerfile(needs, below, how, str(found["Config"].get("User") or ""), digest)
        with turn():
            return _made(engine, name, text, needs, how, found, log, said)


@contextmanager
def _alone(digest: str) -> Iterator[None]:
    """No other process of this user builds the image of that digest while the block runs."""
    held = lock_file("dck-images", digest)
    try:
        lock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)


def _made(
    engine: Engine,
    name: str,
    text: str,
    needs: Needs,
    how: How,
    base: dict[str, Any],
    log: Path | None,
    said: Callable[[str], None],
) -> Image:
    began, lines = time.monotonic(), _Log(how.log_bytes, said)
    try:
        _build(engine, name, text, needs, how, lines)
    except ImageError as error:
        _forget(engine, f"{LABEL}={name.partition(':')[2]}")
        raise ImageError(str(error), error.verdict, lines.text) from None
    finally:
        if log is not None:
            write_text(log, lines.text)
    made = engine.image(name)
    if made is None:
        raise ImageError("the engine built an image and does not know it", Verdict.INFRASTRUCTURE, lines.text)
    if (size := _grown(made, base)) > how.image_bytes:
        remove(engine, name)
        more = f"what {APT} and {REQUIREMENTS} ask for has {size:,} bytes; at most {how.image_bytes:,} are allowed. Ask for less"
        raise ImageError(more, log=lines.text)
    return Image(name, str(made["Id"]), True, time.monotonic() - began, size, lines.text)


def _forget(engine: Engine, label: str) -> None:
    """Take away the layers of a build that failed, which nothing will use.

    An engine removes the container of a build that was left a moment later, and keeps its layers until then.
    """
    layers = {"dangling": ["true"], "label": [label]}
    deadline = time.monotonic() + FORGOTTEN
    with contextlib.suppress(OSError):
        while True:
            engine.ask("POST", "/images/prune", filters=layers)
            if not engine.ask("GET", "/images/json", filters=layers) or time.monotonic() > deadline:
                return
            time.sleep(0.2)


def remove(engine: Engine, name: str) -> None:
    """Remove an image that was built here; nothing where it is gone."""
    with contextlib.suppress(EngineError):
        engine.ask("DELETE", f"/images/{name}", force="1")


def base_image(engine: Engine, name: str = "") -> tuple[str, dict[str, Any]]:
    """The kit's image: its name, and what the engine knows of it. ``name``: as ``base`` of ``built_image``.

    Raises:
        OSError: no engine answers, or it has no image of that name.
    """
    names = (name,) if name else (f"data-centric-kit:{__version__}", "data-centric-kit")
    for known in names:
        if (found := engine.image(known)) is not None:
            return known, found
    raise OSError(
        f"the Docker engine has no image {' or '.join(names)}; build it, in the kit's folder: docker build -t {names[-1]} ."
    )


def _grown(image: dict[str, Any], base: dict[str, Any]) -> int:
    return max(0, int(image.get("Size") or 0) - int(base.get("Size") or 0))


class _Log:
    """What a build says. Where it is too long, its beginning is dropped, because the end says what went wrong."""

    def __init__(self, most: int, said: Callable[[str], None]) -> None:
        self._most, self._said = most, said
        self._parts: list[str] = []
        self._size = 0
        self._cut = False

    def add(self, text: str) -> None:
        text = _ANSI.sub("", text)
        for line in text.splitlines():
            self._said(visible_lines(line))
        self._parts.append(text)
        self._size += len(text)
        while self._size > self._most and len(self._parts) > 1:
            self._size -= len(self._parts.pop(0))
            self._cut = True

    @property
    def text(self) -> str:
        whole = visible_lines("".join(self._parts)[-self._most :])
        return ("(the beginning was cut)\n" if self._cut else "") + whole

    def end(self, lines: int = KEPT) -> str:
        return "\n".join(self.text.rstrip("\n").split("\n")[-lines:])


@contextmanager
def _context(text: str, needs: Needs, how: How) -> Iterator[IO[bytes]]:
    """The folder of the build as a tar file: the Dockerfile and the list for pip, and wheels where they are given."""
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w") as tar:
            _add(tar, "Dockerfile", text.encode())
            if needs.requirements:
                _add(tar, "needs/requirements.txt", ("\n".join(needs.requirements) + "\n").encode())
            for wheel in sorted(how.wheels.glob("*.whl")) if how.wheels is not None else ():
                tar.add(wheel.resolve(), f"needs/wheels/{wheel.name}", recursive=False, filter=_plain)
        file.seek(0)
        yield file


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.mode = 0o644
    return member


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    member.mode = 0o644
    tar.addfile(member, io.BytesIO(content))


def _build(engine: Engine, name: str, text: str, needs: Needs, how: How, log: _Log) -> None:
    """Build it.

    Raises:
        ImageError: it failed, or took too long.
    """
    asked = {
        "t": name,
        "networkmode": how.network,
        "memory": str(how.memory),
        "memswap": str(how.memory),
        "rm": "1",
        "forcerm": "1",
        "nocache": "1",
    }
    try:
        with _context(text, needs, how) as context:
            for row in engine.stream("/build", context, how.seconds, **asked):
                log.add(str(row.get("stream") or row.get("status") or ""))
                if "error" in row:
                    log.add(str(row["error"]) + "\n")
                    ours = _OURS.search(log.text)
                    why = f"{_files(needs)}: the image could not be built. The last lines of the log:\n{log.end()}"
                    raise ImageError(why, Verdict.INFRASTRUCTURE if ours else Verdict.RUNTIME_ERROR)
    except TimeoutError:
        raise ImageError(
            f"{_files(needs)}: the image was not built within {how.seconds:g} s. Ask for less, or for packages that have wheels"
        ) from None
    except OSError as error:
        raise ImageError(f"the Docker engine failed while it built an image ({error})", Verdict.INFRASTRUCTURE) from None


def _files(needs: Needs) -> str:
    return " and ".join(name for name, there in ((APT, needs.packages), (REQUIREMENTS, needs.requirements)) if there)
