"""Outlines of a submission's sources, made by a process of its own with limits (``evaluator.worker.outline``); nothing is run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import msgspec

from evaluator.worker import outline

MOST_DEATHS = 3
"""How often the process may die before the remaining sources are given up."""
TOO_MUCH = "the parser of Python died of it"


@dataclass(frozen=True)
class Method:
    """A method.

    Attributes:
        kind: ``a generator``, ``a coroutine``, ``an asynchronous generator``, or empty.
        decorators: names, without arguments.
        parameters: (name, ``positional`` if it is positional only, else ``plain``, whether it has a default); ``self`` included.
        many: it takes ``*args``; ``rest``: it takes ``**kwargs``.
    """

    name: str
    line: int
    kind: str
    decorators: list[str]
    parameters: list[tuple[str, str, bool]]
    many: bool
    rest: bool


@dataclass(frozen=True)
class Class:
    """A class at the top of a module.

    Attributes:
        bases: names as they are written, without subscripts.
        odd: it has decorators, a metaclass or other keywords, so it may not be what is written.
        others: names that are assigned in it; ``?`` where it holds other statements.
        values: of these names those of a number, a text, a list and the like: what it is, and its line.
    """

    name: str
    line: int
    bases: list[str]
    odd: bool
    methods: list[Method]
    others: list[str]
    values: dict[str, tuple[str, int]] = field(default_factory=dict)

    def method(self, name: str) -> Method | None:
        """The method of that name; of several the last, as Python takes it."""
        return self._methods.get(name)

    def assigns(self, name: str) -> bool:
        """Whether ``name`` is one of ``others``."""
        return name in self._others

    # Looked up for every class that builds on this one, so that a list of a stranger's is gone through once.
    @cached_property
    def _methods(self) -> dict[str, Method]:
        return {method.name: method for method in self.methods}

    @cached_property
    def _others(self) -> frozenset[str]:
        return frozenset(self.others)


@dataclass(frozen=True)
class Outline:
    """What one source says.

    Attributes:
        file: its path in the submission.
        fault: why it does not compile, in words; empty if it does; ``fault_line``: where, 0 if unknown.
        imports: (module, level, line, when): ``start`` where importing the file imports it, ``guarded`` where it may be missing or
            a condition decides, ``later`` in a function, ``hidden`` by ``import_module``.
        bound: names that ``from module import name`` gives at the top: (module, level, name).
        classes: at the top, also in blocks there.
        used: names of attributes and strings that name one, so that a method that is called somewhere is known.
        strings: (text, line) of constants that look like a path or a file's name.
        dynamic: names at the top may be made by running it (a star import, a call).
    """

    file: str
    fault: str = ""
    fault_line: int = 0
    imports: list[tuple[str, int, int, str]] = field(default_factory=list)
    bound: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    classes: list[Class] = field(default_factory=list)
    used: list[str] = field(default_factory=list)
    strings: list[tuple[str, int]] = field(default_factory=list)
    dynamic: bool = False


def outlines(sources: Mapping[str, bytes], seconds: float) -> dict[str, Outline]:
    """The outline of every source, by file; of a source that ended the process an outline with a fault.

    Args:
        seconds: largest duration of all. What is not reached in time has no outline.
    """
    deadline = time.monotonic() + seconds
    found: dict[str, Outline] = {}
    waiting = dict(sources)
    for _ in range(MOST_DEATHS):
        if not waiting or time.monotonic() >= deadline:
            break
        made, ended = _process(waiting, deadline - time.monotonic())
        found |= made
        waiting = {name: source for name, source in waiting.items() if name not in made}
        if ended and waiting:
            name = next(iter(waiting))
            found[name] = Outline(name, fault=TOO_MUCH)
            del waiting[name]
    return found


def _process(sources: Mapping[str, bytes], seconds: float) -> tuple[dict[str, Outline], bool]:
    """Outlines of the sources that a new process came to, and whether it ended before the time was over."""
    frames = (
        len(encoded).to_bytes(4, "big") + len(source).to_bytes(4, "big") + encoded + source
        for encoded, source in ((name.encode(), source) for name, source in sources.items())
    )
    # Without site: no packages, no user's files, and it starts in 20 ms.
    command = [sys.executable, "-I", "-S", "-B", str(Path(outline.__file__))]
    ended = True
    try:
        run = subprocess.run(
            command, input=b"".join(frames), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=seconds, check=False
        )
        said = run.stdout
    except subprocess.TimeoutExpired as error:
        said, ended = error.stdout or b"", False
    except OSError:
        return {}, False
    found = {}
    for line in said.split(b"\n"):
        try:
            made = msgspec.json.decode(line, type=Outline)
        except (msgspec.MsgspecError, RecursionError):
            continue  # the last line may be cut short
        found[made.file] = made
    return found, ended
