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
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType


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


def load_entry(path: Path) -> ModuleType:
    """Import the entry of the submission at ``path``. Whatever the participant's import raises goes through."""
    entry = entry_file(path)
    folder = entry.parent
    sys.path.insert(0, str(folder))
    package = folder / "__init__.py"
    if path.is_dir() and package.is_file():
        # A name that cannot shadow an installed package, whatever the folder is called.
        name = "submission_" + "".join(c if c.isalnum() else "_" for c in folder.name)
        module = _import(name, package, [str(folder)])
        if entry != package:
            module = importlib.import_module(f"{name}.{entry.stem}")
        return module
    return _import(f"submission_{entry.stem}", entry, None)


def _import(name: str, file: Path, search: list[str] | None) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=search)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def find_class(module: ModuleType, folder: Path, marker: str, base: str, interface: str) -> type:
    """The only candidate of rule 2 in ``module``.

    Args:
        folder: of the submission.
        marker: the hook that makes a class a candidate.
        base: name of the kit's base class, and ``interface`` the module that has it; for messages.

    Raises:
        SubmissionNotFound: there is no candidate, or more than one.
    """
    found: list[type] = []
    for value in vars(module).values():
        if inspect.isclass(value) and callable(getattr(value, marker, None)) and _written_in(value, folder):
            found.append(value)
    found = list(dict.fromkeys(found))
    leaves = [c for c in found if not any(other is not c and issubclass(other, c) for other in found)]
    place = Path(module.__file__ or "?").name
    if len(leaves) == 1:
        if getattr(getattr(leaves[0], marker), "__module__", None) == interface:
            raise SubmissionNotFound(
                f"{place}: the class {leaves[0].__name__} has no {marker} of its own{_meant(leaves, marker)}; override {marker}"
            )
        return leaves[0]
    if not leaves:
        written = [value for value in vars(module).values() if inspect.isclass(value) and _written_in(value, folder)]
        raise SubmissionNotFound(
            f"{place} holds no class with a {marker}{_meant(written, marker)}; write a class that subclasses {base} "
            f"(from {interface} import {base})"
        )
    names = ", ".join(sorted(c.__name__ for c in leaves))
    raise SubmissionNotFound(f"{place} holds {len(leaves)} classes with a {marker} ({names}); leave one class in it")


def _meant(classes: list[type], marker: str) -> str:
    """The method whose name is most like that of the marker, in words: it was probably misspelt. Empty without such a method."""
    named = {name: of.__name__ for of in classes for name in vars(of) if callable(vars(of)[name])}
    near = get_close_matches(marker, named, n=1, cutoff=0.7)
    return f", but {near[0]} in the class {named[near[0]]} (did you mean {marker}?)" if near else ""


def _written_in(candidate: type, folder: Path) -> bool:
    module = sys.modules.get(candidate.__module__)
    file = getattr(module, "__file__", None)
    return file is not None and Path(file).resolve().is_relative_to(folder.resolve())
