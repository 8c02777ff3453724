"""Finds the participant's class by the hook that marks it. The rule, in full:

1. ``--submission`` names a Python file, or a folder. In a folder the entry is ``run.py`` if there is one, else ``__init__.py`` if
   it is not empty, else the file with the folder's name, else the only ``.py`` file; hidden files do not count. A folder with an
   ``__init__.py`` is imported as a package (relative imports work); the folder itself is on ``sys.path`` either way. A submission
   of one file reaches the worker as a folder of its name, with the modules beside it that it imports.
2. A candidate is a class that the entry holds under its own name, that is written in the submission's files, and that has the
   track's marker hook. A class that another candidate builds on is no candidate (so an edited base class counts by itself, and does
   not count where it is subclassed).
3. There must be exactly one candidate, and its hook must be written in the submission, not inherited from the kit's base class.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType

from .plain import kind_of
from .standins import ENTRY, PACKAGE, active, importable_name, load, show


class SubmissionNotFound(Exception):
    """No entry file, no candidate, or more than one; the message says which were seen and what to do."""


def entry_file(path: Path) -> Path:
    """The file that rule 1 picks.

    Raises:
        SubmissionNotFound: there is no such file, or more than one.
    """
    if path.is_file():
        if path.suffix != ".py":
            raise SubmissionNotFound(f"{path.name} is no Python file; give a .py file, or a folder with a run.py")
        return path
    if path.exists() and not path.is_dir():
        raise SubmissionNotFound(f"{path} is neither a file nor a folder; give a .py file, or a folder with a run.py")
    if not path.is_dir():
        raise SubmissionNotFound(f"{path} does not exist; give a .py file, or a folder with a run.py")
    files = [p.name for p in path.glob("*.py") if p.is_file()]
    return path / entry_name(files, path.name, (path / "__init__.py").read_bytes)


def entry_name(files: Iterable[str], folder: str, package: Callable[[], bytes]) -> str:
    """The entry of a folder by rule 1.

    Args:
        files: names of the files that lie directly in it; ``folder``: its own name.
        package: reads its ``__init__.py``; called only where there is one.

    Raises:
        SubmissionNotFound: as ``entry_file``.
    """
    names = sorted(name for name in files if name.endswith(".py") and not name.startswith("."))
    if "run.py" in names:
        return "run.py"
    if "__init__.py" in names and package().strip():
        return "__init__.py"
    if f"{folder}.py" in names:
        return f"{folder}.py"
    others = [name for name in names if name != "__init__.py"]
    if len(others) == 1:
        return others[0]
    seen = ", ".join(others[:10]) + (f" and {len(others) - 10} more" if len(others) > 10 else "") or "no .py file"
    raise SubmissionNotFound(f"the folder {folder} holds {seen}; put the class into run.py there")


loaded: ModuleType | None = None
"""The entry of the submission that this process has loaded."""


def load_entry(path: Path) -> ModuleType:
    """Import the entry of the submission at ``path``. Whatever the participant's import raises goes through.

    In a worker the entry has a name by which processes that the submission starts find it, too: its own name, where nothing else
    has that (``standins``). Elsewhere it has a name that changes nothing in this process.
    """
    global loaded
    entry = entry_file(path)
    folder = entry.parent
    show(folder)
    package = folder / "__init__.py"
    if path.is_dir() and package.is_file():
        # Never the name of an installed package, whatever the folder is called.
        name = "submission_" + "".join(c if c.isalnum() else "_" for c in folder.name)
        if active():
            name = importable_name(folder.name, package, PACKAGE)
            module = importlib.import_module(name)
        else:
            module = load(name, package, [str(folder)])
        if entry != package:
            module = importlib.import_module(f"{name}.{entry.stem}")
    elif active():
        module = importlib.import_module(importable_name(entry.stem, entry, ENTRY))
    else:
        module = load(f"submission_{entry.stem}", entry)
    loaded = module
    return module


def find_class(module: ModuleType, folder: Path, marker: str, base: str, interface: str) -> type:
    """The only candidate of rule 2 in ``module``.

    Args:
        folder: of the submission.
        marker: the hook that makes a class a candidate.
        base: name of the kit's base class, and ``interface`` the module that has it.

    Raises:
        SubmissionNotFound: there is no candidate, or more than one.
    """
    found = [value for value in _classes(module, folder) if callable(getattr(value, marker, None)) and not _is_protocol(value)]
    # By the list of its bases: a class may have its own idea of what ``issubclass`` says.
    leaves = [c for c in found if not any(other is not c and c in other.__mro__ for other in found)]
    place = Path(module.__file__ or "?").name
    if len(leaves) == 1:
        if inherits(leaves[0], marker, base, folder):
            raise SubmissionNotFound(
                f"{place}: the class {leaves[0].__name__} has no {marker} of its own{_meant(leaves, marker)}; override {marker}"
            )
        return leaves[0]
    if not leaves:
        for other in _classes(module, folder):
            value = inspect.getattr_static(other, marker, None)
            if value is not None and not callable(value) and not isinstance(value, (staticmethod, classmethod)):
                raise SubmissionNotFound(
                    f"{place}: {marker} of the class {other.__name__} is {kind_of(value)}; a method was expected. "
                    f"Write def {marker}(self, ...)"
                )
        meant = _meant(_classes(module, folder), marker)
        raise SubmissionNotFound(
            f"{place} holds no class with a {marker}{meant}; write a class that subclasses {base} (from {interface} import {base})"
        )
    names = ", ".join(sorted(c.__name__ for c in leaves))
    raise SubmissionNotFound(f"{place} holds {len(leaves)} classes with a {marker} ({names}); leave one class in it")


def inherits(candidate: type, hook: str, base: str, folder: Path) -> bool:
    """Whether a class has a hook from the kit's base class (named ``base``) alone, and so none of its own."""
    owner = next((c for c in candidate.__mro__ if hook in vars(c)), None)
    return owner is not None and owner.__name__ == base and not _written_in(owner, folder)


def _classes(module: ModuleType, folder: Path) -> list[type]:
    """The classes that a module holds and that are written in the submission, each once. A generic alias is no class."""
    # By the type of the value: isinstance also asks the value itself, and ``list[int]`` says that it is a class.
    classes = {id(value): value for value in vars(module).values() if type in type(value).__mro__}
    return [value for value in classes.values() if _written_in(value, folder)]


def _is_protocol(candidate: type) -> bool:
    """Whether a class only describes what other classes have (``typing.Protocol``)."""
    return bool(vars(candidate).get("_is_protocol", False))


def _meant(classes: list[type], marker: str) -> str:
    """The method whose name is most like that of the marker, in words: it was probably misspelt. Empty without such a method."""
    named = {name: of.__name__ for of in classes for name in vars(of) if callable(vars(of)[name])}
    near = get_close_matches(marker, named, n=1, cutoff=0.7)
    return f", but {near[0]} in the class {named[near[0]]} (did you mean {marker}?)" if near else ""


def _written_in(candidate: type, folder: Path) -> bool:
    module = sys.modules.get(candidate.__module__)
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(folder.resolve())
