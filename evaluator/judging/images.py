"""Images of submissions (``requirements = "image"``): a process that builds one, what became of it, and how the engine is.

A job builds its image before its run begins, in a process of its own (``python -m evaluator image build``) that is looked at like a
run: the lease is renewed meanwhile, and the process ends with its judge, and with it the engine's work. Equal lists are built once
on a machine, whoever asks first.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evaluator.bounded import read_json
from evaluator.errors import ConfigurationError, Verdict
from evaluator.files import write_text
from evaluator.judging.jobs import Job
from evaluator.judging.place import Place
from evaluator.judging.resources import lack_of_disk
from evaluator.runner.turns import environment
from evaluator.sandbox.docker import IMAGE_VARIABLE, checked_image
from evaluator.sandbox.engine import Engine
from evaluator.submission.image import LABEL, ImageError, base_image, needs_of
from evaluator.submission.package import ANSWER, read_package
from evaluator.text import json_text

FRESH = 5.0
"""Seconds for which what the engine said holds."""
QUICK = 10.0
"""Seconds for its answer: a judge that waits for it renews no lease."""
MOST_LOG = 2 << 20
"""Bytes of a build's log that are read."""


@dataclass(frozen=True)
class Outcome:
    """What became of a build.

    Attributes:
        image: name of the image; empty where there is none.
        id: its identifier; ``bytes``: by which it is larger than its base; ``built``: whether it was built now.
        verdict: of a build that failed; ``reason``: why, in a sentence; ``seconds``: that a build took.
    """

    image: str = ""
    id: str = ""
    bytes: int = 0
    built: bool = False
    seconds: float = 0.0
    verdict: str = ""
    reason: str = ""

    @property
    def theirs(self) -> bool:
        """Whether the participant's lists are at fault."""
        return bool(self.verdict) and self.verdict != Verdict.INFRASTRUCTURE


@dataclass(frozen=True)
class EngineState:
    """How the engine is. ``why``: it cannot be used, or empty; ``images``: of submissions that it has, ``bytes``: of them."""

    why: str
    images: int = 0
    bytes: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {"engine": not self.why, "why": self.why, "images": self.images, "bytes": self.bytes}


@dataclass(eq=False)
class Builder:
    """Builds the images of a judge's submissions, on the engine of this machine.

    Args:
        engine: None for the engine that the docker tier takes.
    """

    place: Place
    engine: Engine | None = None
    _asked: float = field(default=-FRESH, init=False)
    _lack: str = field(default="", init=False)
    _root: Path | None = field(default=None, init=False)

    @property
    def base(self) -> str:
        """The name of the image that all others are made of; empty for the kit's usual names."""
        return self.place.rules.image.base or os.environ.get(IMAGE_VARIABLE, "")

    def check(self) -> None:
        """Check that images can be built here.

        Raises:
            ConfigurationError: no engine answers, or it has no image of this version of the kit.
        """
        try:
            engine = self.connected()
            name, _ = base_image(engine, self.base)
            checked_image(engine, name)
        except OSError as error:
            raise ConfigurationError(f'{self.place.root}/judge.toml: requirements is "image"; {error}') from None

    def wanted(self, job: Job, folder: Path) -> bool:
        """Whether a submission asks for anything: only then an image is built. An answer never does, since nothing of it runs.

        Args:
            folder: of the submission, unpacked.

        Raises:
            ImageError: a list names something that cannot be installed.
        """
        return bool(needs_of(folder)) and read_package(self.place.packages / f"{job.sha256}.zip").kind != ANSWER

    def command(self, folder: Path, log: Path) -> list[str]:
        """The command that builds the image of a submission, or finds it, and prints what became of it as JSON."""
        options = [*self.place.rules.image.options(self.place.root), "--log", str(log), "--json"]
        if self.base and not self.place.rules.image.base:
            options += ["--base", self.base]
        return [sys.executable, "-m", "evaluator", "image", "build", str(folder), *options]

    def environment(self) -> dict[str, str]:
        """What that command is started with: a build takes its turn like a training, and no clock of another job runs meanwhile."""
        return environment(self.place.rules.resources.clocks)

    def run_in(self, outcome: Outcome | None) -> dict[str, str]:
        """What a run is started with that happens in the image of a build; None for a submission that asks for nothing."""
        name = self.base if outcome is None else outcome.id
        return {IMAGE_VARIABLE: name} if name else {}

    def lack(self, now: float) -> str:
        """Why no image can be built or used now, in words: no engine, or no room on its disk; else empty."""
        if not 0 <= now - self._asked < FRESH:
            began = time.monotonic()
            self._lack = self._lacks()
            self._asked = now + time.monotonic() - began
        return self._lack

    def full(self) -> str:
        """Why no build may go on, in words: the engine's disk is nearly full; else empty. The engine is not asked."""
        if self._root is None:
            return ""
        with contextlib.suppress(OSError):  # a folder that this user may not look into
            return lack_of_disk(self._root, self.place.rules.resources)
        return ""

    def _lacks(self) -> str:
        try:
            engine = self.connected()
            if self._root is None:
                self._root = Path(str(engine.ask("GET", "/info", patience=QUICK).get("DockerRootDir") or "/"))
            else:
                engine.ask("GET", "/_ping", patience=QUICK)
        except OSError as error:
            return str(error)
        return self.full()

    def state(self) -> EngineState:
        """How the engine is now."""
        try:
            engine = self.connected()
            _, base = base_image(engine, self.base)
            found = engine.ask("GET", "/images/json", filters={"label": [LABEL], "dangling": ["false"]}) or []
        except OSError as error:
            return EngineState(str(error))
        below = int(base.get("Size") or 0)
        return EngineState("", len(found), sum(max(0, int(of.get("Size") or 0) - below) for of in found))

    def connected(self) -> Engine:
        """The engine.

        Raises:
            OSError: ``DOCKER_HOST`` names the engine of another machine.
        """
        self.engine = self.engine or Engine()
        return self.engine


def builder_of(place: Place) -> Builder | None:
    """What builds images for a judge; None where its rules say that none are built."""
    return Builder(place) if place.rules.requirements == "image" else None


def files_of(stem: str) -> tuple[Path, Path]:
    """Where the outcome and the log of the build of an attempt lie. ``stem``: of the attempt's files."""
    return Path(f"{stem}.image.json"), Path(f"{stem}.image.log")


def outcome_of(stem: str, status: int | None = None) -> Outcome:
    """What became of the build of an attempt.

    Args:
        status: exit status of its process; None where only what it left is looked at.

    Returns:
        Of a process that failed otherwise, an outcome with the verdict ``INFRASTRUCTURE``.
    """
    file, _ = files_of(stem)
    if status in (None, 0, 1):
        try:
            found = read_json(file)
            if "verdict" in found:
                return Outcome(verdict=str(Verdict(found["verdict"])), reason=_text(found["reason"]))
            return Outcome(
                image=_text(found["image"]),
                id=_text(found["id"]),
                bytes=int(found["bytes"]),
                built=bool(found["built"]),
                seconds=float(found["seconds"]),
            )
        except (ConfigurationError, OSError, KeyError, TypeError, ValueError):
            pass  # it ended before it wrote what came of it, or was killed while it did: our fault, as below
    return Outcome(
        verdict=str(Verdict.INFRASTRUCTURE), reason=f"the build of its image ended with status {status}; {stem}.log says why"
    )


def note_failure(stem: str, error: ImageError) -> str:
    """Keep that no build was begun, since a list can never be installed. Returns why that could not be kept, or empty."""
    try:
        write_text(files_of(stem)[0], json_text({"verdict": str(error.verdict), "reason": str(error).partition("\n")[0]}))
    except OSError as trouble:
        return str(trouble)
    return ""


def log_end(stem: str) -> str:
    """The end of the log of a build; empty where there is none."""
    try:
        with open(files_of(stem)[1], "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - MOST_LOG))
            return file.read(MOST_LOG).decode("utf-8", "replace")
    except OSError:
        return ""


def hidden_names(place: Place) -> tuple[str, ...]:
    """Names of a judge that a build may say and that must not go back."""
    return (*place.rules.image.hidden(), str(place.root), socket.gethostname())


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value
