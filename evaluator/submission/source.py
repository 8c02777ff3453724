"""A submission's files: found, bounded, and hashed, without importing any of them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from evaluator.errors import SubmissionError
from evaluator.worker.loader import SubmissionNotFound, entry_file

IGNORED = {"__pycache__", ".git", ".venv", ".ipynb_checkpoints"}


@dataclass(frozen=True)
class Source:
    """A submission on disk.

    Attributes:
        path: the folder or file that was named.
        name: its plain name, for tables.
        digest: SHA-256 over the names and bytes of its files; a changed submission is another one.
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
    try:
        entry_file(path)
        files = [path] if path.is_file() else sorted(_files(path))
        digest = hashlib.sha256()
        for file in files:
            name = file.relative_to(path.parent if path.is_file() else path).as_posix().encode()
            content = file.read_bytes()
            digest.update(len(name).to_bytes(4, "big") + name + len(content).to_bytes(8, "big") + content)
    except SubmissionNotFound as error:
        raise SubmissionError(f"the submission {path}: {error}") from None
    except OSError as error:
        raise SubmissionError(f"the submission {path} cannot be read: {error}") from None
    return Source(path, path.stem if path.is_file() else path.name, digest.hexdigest()[:32])


def _files(folder: Path) -> list[Path]:
    found = []
    for path in folder.iterdir():
        if path.name in IGNORED or path.suffix == ".pyc":
            continue
        if path.is_dir() and not path.is_symlink():
            found += _files(path)
        elif path.is_file():
            found.append(path)
    return found
