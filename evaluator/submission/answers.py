"""An answer in the place of code: files that say what a submission would have answered, and nothing that runs.

A track says what its answers look like (``Track.given``). Here is what all of them share: which files they are, within the bounds
of a submission (``tree``), and the digest over them, which is that of a folder of code with the same files. Code and answers are
told apart by one rule: where a Python file travels, it is code.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from evaluator.submission.findings import Finding, Findings, in_order
from evaluator.submission.source import Source, Submission, plain_name
from evaluator.submission.tree import MAX_LOOKS, Item, Tree
from evaluator.text import name as harmless
from evaluator.words import counted

SOURCES = (".py", ".pyi", ".ipynb", ".so")
"""Endings of files that are code. A folder that holds one of them is not taken for an answer."""
MOST_LEFT = 200
"""Names that stay at home which are kept for a person to read."""


@dataclass(frozen=True)
class AnswerFiles:
    """The files of an answer, before it is held against any task.

    Attributes:
        path: that was named, absolute; ``name``: plain name; ``root``: the folder that ``files`` lie in.
        files: paths with slashes below ``root``, sorted; ``left``: what stays at home, with the reason.
        digest: over the files, as of a submission; ``bytes``: of all of them.
        said: what it holds, in words; ``found``: what is wrong with it, as far as the files alone say so.
    """

    path: Path
    name: str
    root: Path
    files: tuple[str, ...]
    left: tuple[tuple[str, str], ...]
    digest: str
    bytes: int
    said: str
    found: tuple[Finding, ...] = ()

    @property
    def source(self) -> Source:
        """As a competitor of a run."""
        return Source(self.path, self.name, self.digest, answer=True)

    @property
    def findings(self) -> Findings:
        """What ``validate`` shows of it."""
        return Findings(self.name, str(self.path), in_order(self.found), self.left, len(self.files), self.bytes)

    @contextmanager
    def opened(self) -> Iterator[Submission]:
        """Its files, found but not read.

        Raises:
            SubmissionError: a file is gone, or may not travel.
        """
        with Tree(self.root) as tree:
            yield Submission(self.path, self.name, tuple(tree.file(tuple(name.split("/"))) for name in self.files), tree)


@dataclass(frozen=True)
class Candidate:
    """What lies at a path that may be an answer: no code is among it.

    Attributes:
        path: absolute; ``root``: the folder that ``items`` lie in; ``single``: whether a file was named, and not a folder.
        items: what travels, sorted by path; ``left``: what stays behind.
    """

    path: Path
    root: Path
    single: bool
    items: tuple[Item, ...]
    left: tuple[tuple[str, str], ...]

    def names(self) -> tuple[str, ...]:
        """The paths of the files, with slashes."""
        return tuple(item.name for item in self.items)

    def answer(self, files: Sequence[str], said: str, found: Sequence[Finding] = (), unused: str = "") -> AnswerFiles:
        """The answer that consists of these files.

        Args:
            unused: why files that are there and not named stay at home, in words.

        Raises:
            SubmissionError: a file is not there, or may not travel.
        """
        left = [*self.left, *((name, unused) for name in self.names() if name not in set(files))][:MOST_LEFT]
        name = self.path.stem if self.single else plain_name(self.path)
        bare = AnswerFiles(self.path, name, self.root, tuple(sorted(set(files))), tuple(left), "", 0, said, tuple(found))
        with bare.opened() as submission:
            digest, size = submission.digest(), sum(item.size for item in submission.items)
        return AnswerFiles(bare.path, bare.name, bare.root, bare.files, bare.left, digest, size, said, bare.found)


def candidate(path: Path, endings: Sequence[str]) -> Candidate | None:
    """What lies at ``path``, if it may be an answer whose files have one of ``endings``; None for code, and where nothing is.

    Raises:
        SubmissionError: a file may not travel, or there are too many.
    """
    path = path.expanduser().absolute()
    if path.is_dir():
        if not path.resolve().name or _code_at_the_top(path):
            return None
        with Tree(path) as tree:
            items = tuple(item for item in tree.everything() if not item.place[0].startswith("."))
            left = tuple(sorted(tree.left.items()))
        if any(item.name.endswith(SOURCES) for item in items) or not any(item.name.endswith(tuple(endings)) for item in items):
            return None
        return Candidate(path, path, False, items, left)
    if not path.is_file() or path.suffix not in endings:
        return None
    with Tree(path.parent) as tree:
        return Candidate(path, path.parent, True, (tree.file((path.name,)),), ())


def _code_at_the_top(folder: Path) -> bool:
    """Whether a source lies directly in a folder, as in nearly every submission of code: then it need not be walked."""
    try:
        with os.scandir(folder) as entries:
            return any(entry.name.endswith(SOURCES) and not entry.name.startswith(".") for entry in islice(entries, MAX_LOOKS))
    except OSError:
        return False


def strangers(names: Sequence[str], expected: str) -> Iterator[Finding]:
    """An error for every file that has no place in an answer. ``expected``: what was expected, and what to do, in words."""
    for name in names[:5]:
        yield Finding("error", harmless(name, 200), f"it has no place in an answer; {expected}")
    if len(names) > 5:
        yield Finding("error", "files", f"{counted(len(names) - 5, 'more file')} have no place in an answer; {expected}")
