"""A submission's files: found, bounded, and hashed, without importing any of them."""

from __future__ import annotations

import ast
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import SubmissionError
from evaluator.worker.loader import SubmissionNotFound, entry_file

STRATEGIES = Path(__file__).resolve().parents[1] / "strategies"
IGNORED = {"__pycache__", ".git", ".venv", ".ipynb_checkpoints"}


@dataclass(frozen=True)
class Source:
    """A submission on disk.

    Attributes:
        path: the folder or file that was named.
        name: its plain name, for tables.
        digest: SHA-256 over the names and bytes of its files, for a single file also of the modules beside it that it imports, and
            of the kit's strategies where they are imported; a changed submission is another submission.
    """

    path: Path
    name: str
    digest: str


def read_source(path: Path) -> Source:
    """Look at the submission at ``path``.

    Raises:
        SubmissionError: there is none, no entry file can be told, or a file cannot be read.
    """
    path = path.expanduser().absolute()
    if not str(path).isprintable():
        raise SubmissionError(f"the submission {str(path)!a}: its path holds characters that cannot be shown; rename it")
    try:
        entry_file(path)
        files = _imported_beside(path) if path.is_file() else sorted(_files(path, set()))
        named = {file.relative_to(path.parent if path.is_file() else path).as_posix(): file for file in files}
        if any("evaluator.strategies" in _modules(file) for file in files if file.suffix == ".py"):
            named |= {f"evaluator.strategies/{file.name}": file for file in sorted(STRATEGIES.glob("*.py"))}
        digest = hashlib.sha256()
        for place, file in named.items():
            name, content = os.fsencode(place), file.read_bytes()
            digest.update(len(name).to_bytes(4, "big") + name + len(content).to_bytes(8, "big") + content)
    except SubmissionNotFound as error:
        raise SubmissionError(f"the submission {path}: {error}") from None
    except OSError as error:
        raise SubmissionError(f"the submission {path} cannot be read: {error}") from None
    return Source(path, path.stem if path.is_file() else path.name, digest.hexdigest()[:32])


def _files(folder: Path, above: set[Path]) -> list[Path]:
    """Every file below ``folder``, links followed, as an import would; but never round in a circle."""
    here = folder.resolve()
    if here in above:
        return []
    found = []
    for path in folder.iterdir():
        if path.name in IGNORED or path.suffix == ".pyc":
            continue
        if path.is_dir():
            found += _files(path, above | {here})
        elif path.is_file():
            found.append(path)
    return found


def _imported_beside(entry: Path) -> list[Path]:
    """``entry`` and the modules and packages of its folder that it imports, directly or by another of them."""
    found: set[Path] = set()
    waiting = [entry]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.add(file)
        for name in _imports(file) if file.suffix == ".py" else ():
            module, package = entry.parent / f"{name}.py", entry.parent / name
            if module.is_file():
                waiting.append(module)
            elif package.is_dir():
                waiting += _files(package, set())
    return sorted(found)


def _imports(file: Path) -> set[str]:
    """First names of what a file imports from its surroundings."""
    # These two are the kit's own in every worker, whatever lies beside the submission.
    return {name.split(".")[0] for name in _modules(file)} - {"run", "evaluator"}


def _modules(file: Path) -> set[str]:
    """Modules that a file imports, and their parents; none where it is no Python, which its own import will say better."""
    try:
        nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (SyntaxError, ValueError, RecursionError):
        return set()
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {".".join(parts[:depth]) for parts in (name.split(".") for name in names) for depth in range(1, len(parts) + 1)}
