"""What a submission imports, held against what is installed here and promised; and its files that hide a library.

Nothing is imported.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.metadata import packages_distributions
from pathlib import Path

from evaluator.bounded import read_bytes
from evaluator.errors import ConfigurationError
from evaluator.places import ROOT
from evaluator.submission.findings import Finding
from evaluator.submission.hooks import Sources
from evaluator.submission.source import SUFFIXES

LISTS = ("requirements.txt", "requirements.lock")
"""The kit's lists: what it needs, and what that needs in turn."""
KITS_OWN = frozenset({"run", "evaluator"})
"""Modules that every worker finds."""
_LINE = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)")


def check_imports(sources: Sources, asks: bool = False) -> Iterator[Finding]:
    """Modules that are not installed (errors where the start of the submission needs them), and those that nothing promises.

    Args:
        asks: whether the submission runs in an image of its own, with packages that are not installed here; then none is an error.
    """
    told: set[str] = set()
    usual = sorted(_usual())
    for file, surely in sources.reached().items():
        outline = sources.of.get(file)
        for module, level, line, when in outline.imports if outline else ():
            first = module.partition(".")[0]
            own = sources.module(first, 0, file) is not None or _of_folder(sources, first)
            if level or when in ("guarded", "hidden") or not first or first in told or first in KITS_OWN or own:
                continue
            told.add(first)
            where = f"{file}, line {line}"
            if not installed(first):
                certain = surely and when == "start" and not asks
                near = get_close_matches(first, usual, 1, 0.75)
                advice = f"Did you mean {near[0]}?" if near else "Install it into the kit's environment, or bring the module along"
                text = f"imports {first}, which is neither installed nor a module of the submission. {advice}"
                yield Finding("error" if certain else "warning", where, text)
            elif packages := _unpromised(first):
                text = f"imports {first}; it is installed here ({packages}), but requirements.txt does not name it. "
                yield Finding("warning", where, f"{text}Ask the organiser whether the judging machine has it")


def check_names(sources: Sources) -> Iterator[Finding]:
    """Modules and packages of the submission that have the name of a library: its imports may find them instead of the library."""
    named: dict[str, str] = {}
    for file in sources.of:
        named.setdefault(file.partition("/")[0].removesuffix(".py"), file)
    usual = _usual()
    for name, file in named.items():
        sources.tick()
        # The entry, too: its folder comes first on the path, so a library that imports random gets an entry random.py, whether or
        # not the submission itself asks for random. Of what is built into the interpreter no file is ever looked for.
        if name in KITS_OWN or name not in usual or name in sys.builtin_module_names:
            continue
        what = "a module of Python" if name in sys.stdlib_module_names else "a library"
        place = f"{name}/" if "/" in file else file
        text = f"it has the name of {what}, so import {name} may find it instead, in libraries, too. Rename it"
        yield Finding("warning", place, text)


def _of_folder(sources: Sources, first: str) -> bool:
    """Whether a folder of the submission has that name: a package without an ``__init__.py``, or one of compiled modules."""
    return first in sources.folders or any(f"{first}{suffix}" in sources.of for suffix in SUFFIXES)


@lru_cache(4_096)  # names are a stranger's, and a judge lives for months
def installed(name: str) -> bool:
    """Whether a module of that name can be imported here, by its file or by the metadata of a package."""
    if name in sys.stdlib_module_names or name in sys.builtin_module_names or not name.isidentifier():
        return True
    for folder in sys.path:
        # Not where the kit was started (``python -m``): no worker finds modules there, and what lies in it is nobody's business.
        if folder and folder not in (str(ROOT), _began()):
            if any(os.path.isfile(os.path.join(folder, name + suffix)) for suffix in SUFFIXES):
                return True
            if os.path.isdir(os.path.join(folder, name)):
                return True
    return name in _providers()


@cache
def _began() -> str:
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


@cache
def _providers() -> Mapping[str, list[str]]:
    return packages_distributions()


@cache
def _promised() -> frozenset[str]:
    """Names of the packages of the kit's lists; empty where the kit is used without its checkout."""
    found = set()
    for name in LISTS:
        try:
            text = read_bytes(Path(ROOT) / name, 1 << 20).decode("utf-8", "replace")
        except (OSError, ConfigurationError):
            continue
        found |= {_plain(match[1]) for line in text.splitlines() if (match := _LINE.match(line))}
    return frozenset(found)


def _unpromised(name: str) -> str:
    """The packages that provide a module, if none of them is promised; else empty."""
    providers = [] if name in sys.stdlib_module_names else _providers().get(name, [])
    if not providers or not _promised() or any(_plain(package) in _promised() for package in providers):
        return ""
    return ", ".join(sorted(set(providers))[:3])


def _usual() -> set[str]:
    """Names that a slip of the hand may have meant: packages that are promised, and well-known modules of Python."""
    return {name for name, packages in _providers().items() if any(_plain(p) in _promised() for p in packages)} | {
        name for name in sys.stdlib_module_names if not name.startswith("_")
    }


def _plain(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()
