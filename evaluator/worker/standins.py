"""What a submission finds under plain names, in the worker and in every process that it starts.

The names of a submission win: it may have a ``run.py`` and packages called ``evaluator`` or ``trainer`` of its own. The worker's
package is out of its way, under the name ``_dck_worker``. What the kit offers to submissions fills in what they lack:

- ``run`` is the submission's ``run.py``; names that it lacks are those of the kit's, so ``from run import ZEWDPCBaseRun`` works in
  it. Without a ``run.py`` it is the kit's.
- ``evaluator`` is the submission's package of that name, or an empty package. ``evaluator.strategies`` and ``evaluator.worker`` are
  the kit's where the submission has none. ``evaluator.dataset`` and ``evaluator.exceptions`` are the submission's, or empty; names
  of 2022 in them always mean the kit's classes, because its objects are what the phases are given.

Each of these names has a file in ``importable/``, the first folder of ``sys.path``, and each calls ``replace``. They are files
and not a hook of the import system, because processes that multiprocessing, joblib or a data loader starts anew inherit
``sys.path`` and no more, and must find a function of the submission by the same name. The submission's folder is the second of
``sys.path``.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from .tracks import TRACKS

WORKER = Path(__file__).resolve().parent
IMPORTABLE = WORKER / "importable"
KIT = WORKER.parents[1]
ENTRY, PACKAGE = "submission_entry", "submission_package"
"""Names of an entry, and of a folder that is a package, whose own name is taken or cannot be imported, e.g. ``my-own.py``."""


def active() -> bool:
    """Whether plain names are resolved here: in a worker and what it starts, not where the kit itself loads a submission."""
    return str(IMPORTABLE) in sys.path


def show(folder: Path) -> None:
    """Put the submission's folder on ``sys.path``, before everything but the stand-ins; its parent last, for packages."""
    place = sys.path.index(str(IMPORTABLE)) + 1 if active() else 0
    sys.path.insert(place, str(folder))
    if active() and (folder / "__init__.py").is_file():
        sys.path.append(str(folder.parent))


def shown() -> Path:
    """The folder of the submission."""
    return Path(sys.path[sys.path.index(str(IMPORTABLE)) + 1])


def importable_name(name: str, file: Path, otherwise: str) -> str:
    """The name by which every process of the submission finds ``file``: ``name``, unless something else is imported by it."""
    spec = None
    if name.isidentifier():
        with contextlib.suppress(ImportError, AttributeError, ValueError):
            spec = importlib.util.find_spec(name)
    found = spec.origin if spec is not None else None
    return name if found is not None and Path(found).resolve() in (file.resolve(), IMPORTABLE / "run.py") else otherwise


def load(name: str, file: Path, search: list[str] | None = None, fallback: Callable[[str], Any] | None = None) -> ModuleType:
    """Import a file as the module ``name``, in place of what has that name now.

    Args:
        search: where submodules lie, for a package. ``fallback``: gives attributes that the module lacks.
    """
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=search)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if fallback is not None:
        vars(module)["__getattr__"] = fallback
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def replace(name: str) -> None:
    """Replace the stand-in ``name``, which is being imported, by the module that is meant."""
    {
        PACKAGE: _package,
        "run": _run,
        "evaluator": _evaluator,
        "evaluator.strategies": _strategies,
        "evaluator.worker": _worker,
    }.get(name, lambda: _old(name))()


def _package() -> None:
    load(PACKAGE, shown() / "__init__.py", [str(shown())])


def _run() -> None:
    own, kit = shown() / "run.py", interface()

    def of_the_kit(name: str) -> Any:
        if name in kit.__all__:
            return getattr(kit, name)
        raise AttributeError(f"module 'run' has no attribute {name!r}")

    def of_the_package(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        package = importable_name(own.parent.name, own.parent / "__init__.py", PACKAGE)
        # While the entry is imported it has only a part of its names; the kit's fill the gap.
        entry = importlib.import_module(f"{package}.run")
        return vars(entry)[name] if name in vars(entry) else of_the_kit(name)

    if not own.is_file():
        sys.modules["run"] = kit
    elif (own.parent / "__init__.py").is_file():
        # It is imported as a part of its package, once; under this name as well, e.g. for pickles.
        module = ModuleType("run", kit.__doc__)
        vars(module).update(__file__=kit.__file__, __all__=kit.__all__, __getattr__=of_the_package)
        sys.modules["run"] = module
    else:
        load("run", own, fallback=of_the_kit)


def interface() -> ModuleType:
    """The kit's ``run.py``."""
    name = f"{__package__}.interface"
    if name not in sys.modules:
        path, others = [*sys.path], {n: m for n, m in sys.modules.items() if n.split(".")[0] == "evaluator"}
        try:
            _worker_as_evaluators()
            load(name, KIT / "run.py")
        finally:
            sys.path[:] = path
            for found in [n for n in sys.modules if n.split(".")[0] == "evaluator"]:
                del sys.modules[found]
            sys.modules.update(others)
    return sys.modules[name]


def _evaluator() -> None:
    own = shown() / "evaluator"
    inits = (own / "__init__.py", own.with_suffix(".py"), KIT / "evaluator" / "__init__.py")
    load("evaluator", next(file for file in inits if file.is_file()), [str(IMPORTABLE / "evaluator"), str(own)])


def _strategies() -> None:
    folder = shown() / "evaluator" / "strategies"
    if not folder.is_dir():
        folder = KIT / "evaluator" / "strategies"
    _load_part("evaluator.strategies", folder)


def _worker() -> None:
    folder = shown() / "evaluator" / "worker"
    if folder.is_dir() or folder.with_suffix(".py").is_file():
        _load_part("evaluator.worker", folder)
    else:
        _worker_as_evaluators()


def _worker_as_evaluators() -> None:
    """Let ``evaluator.worker`` mean this package, so that its classes exist once, whatever they are called by."""
    assert __package__ is not None
    for track in TRACKS.values():
        importlib.import_module(track, __package__)
    for name, module in list(sys.modules.items()):
        if name == __package__ or name.startswith(f"{__package__}."):
            sys.modules[f"evaluator.worker{name.removeprefix(__package__)}"] = module


def _old(name: str) -> None:
    """A module whose names of 2022 are the kit's classes."""
    place = shown().joinpath(*name.split("."))
    module = _load_part(name, place)
    for track in TRACKS.values():
        old = getattr(importlib.import_module(track, __package__), "OLD_NAMES", {})
        vars(module).update(old.get(name, {}))


def _load_part(name: str, place: Path) -> ModuleType:
    """Import the package or the module at ``place``; an empty module where there is neither."""
    if (place / "__init__.py").is_file():
        return load(name, place / "__init__.py", [str(place)])
    if place.with_suffix(".py").is_file():
        return load(name, place.with_suffix(".py"))
    sys.modules[name] = module = ModuleType(name)
    if place.is_dir():
        vars(module)["__path__"] = [str(place)]
    return module
