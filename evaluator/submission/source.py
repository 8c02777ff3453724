"""A submission on disk: which files it consists of, and the digest over them. Nothing of it is imported or parsed.

The rule, the same in every isolation tier:

- Of a **folder** every file below it travels, by ``travel``; links by ``tree``. The folder may itself be a link.
- Of a **file** it and the modules and packages beside it travel that it imports, directly or by another of them, as far as their
  text says so (``imports``). No other file beside it travels: put data files into a package, or submit a folder.

What travels is what the digest covers, and what a worker gets is a copy of it (``staging``).
"""

from __future__ import annotations

import hashlib
import os
import stat
import sysconfig
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from evaluator.errors import SubmissionError, Verdict
from evaluator.submission.imports import modules, uses_strategies
from evaluator.submission.travel import kind
from evaluator.submission.tree import Item, Tree, shown
from evaluator.words import meant
from evaluator.worker.loader import SubmissionNotFound, entry_name

STRATEGIES = Path(__file__).resolve().parents[1] / "strategies"
NEVER_BESIDE = frozenset({"run", "__init__", "__main__"})
"""Modules that a submission of one file does not find beside it: ``run`` is the kit's there, or the submission itself."""
OF_THE_KIT = ("evaluator", "worker", "standins.py")
"""Where this file lies beside a submission, ``evaluator`` is the kit's own package, which a worker has anyway."""
GIVEN = "file"
"""Stands in the place of an isolation tier where an answer came as files, and nothing was run."""
MAX_SEARCHED = 8 << 20
"""Bytes of sources that are searched for imports, for a submission of one file."""
MOST_BESIDE = 1000
"""Names of a folder among which one is looked for that may have been meant."""
SUFFIXES = tuple(dict.fromkeys((".py", str(sysconfig.get_config_var("EXT_SUFFIX")), ".abi3.so", ".so")))
"""Endings of a module's file."""


@dataclass(frozen=True)
class Source:
    """A submission on disk.

    Attributes:
        path: the folder or file that was named.
        name: its plain name, for tables.
        digest: SHA-256 over the names and bytes of its files (the module's docstring says which), and of the kit's strategies where
            they are imported; a changed submission is another submission. Where the submission cannot be read, a hash over the
            reason.
        fault: why it cannot be read, if so; ``verdict``: of its cells then.
        answer: whether it is an answer that came as files (``answers``), of which nothing is run.
    """

    path: Path
    name: str
    digest: str
    fault: str = ""
    verdict: Verdict = Verdict.OK
    answer: bool = False


def read_source(path: Path) -> Source:
    """Look at the submission at ``path``.

    Raises:
        SubmissionError: there is none, no entry file can be told, or a file may not travel or cannot be read.
    """
    with opened(path) as submission:
        return Source(submission.path, submission.name, submission.digest())


def looked_at(path: Path, read: Callable[[Path], Source] = read_source) -> Source:
    """As ``read``; where that raises, a source with its ``fault``."""
    try:
        return read(path)
    except SubmissionError as error:
        name = path.absolute().name
        name = name if name.isprintable() else ascii(name)[1:-1]
        digest = hashlib.sha256(b"cannot be read\0" + os.fsencode(f"{path.absolute()}\0{error}")).hexdigest()[:32]
        return Source(path.absolute(), name, digest, str(error), error.verdict)


@dataclass(frozen=True)
class Submission:
    """An open submission.

    Attributes:
        path: that was named, absolute; ``name``: plain name; ``items``: what travels, in the order of the digest.
    """

    path: Path
    name: str
    items: tuple[Item, ...]
    tree: Tree

    def digest(self, copied: Callable[[Item], AbstractContextManager[BinaryIO | None]] = lambda item: nullcontext()) -> str:
        """The digest over the files. ``copied``: gives a file for every item, into which its bytes are written on the way.

        Raises:
            SubmissionError: a file has changed, or cannot be read.
        """
        digest, strategies = hashlib.sha256(), False
        for item in self.items:
            name = os.fsencode(item.name)
            digest.update(len(name).to_bytes(4, "big") + name + item.size.to_bytes(8, "big"))
            kept = b""
            with copied(item) as file:
                for part in self.tree.read(item):
                    digest.update(part)
                    if file is not None:
                        file.write(part)
                    if item.name.endswith(".py"):
                        kept += part
            strategies = strategies or uses_strategies(kept)
        for own in sorted(STRATEGIES.glob("*.py")) if strategies else ():
            name, content = os.fsencode(f"evaluator.strategies/{own.name}"), own.read_bytes()
            digest.update(len(name).to_bytes(4, "big") + name + len(content).to_bytes(8, "big") + content)
        return digest.hexdigest()[:32]


def _like(path: Path) -> str:
    """What beside a path that does not exist may have been meant, as the end of a sentence: mostly ``.py`` was left out."""
    try:
        with os.scandir(path.parent) as entries:
            beside = [entry.name for entry in islice(entries, MOST_BESIDE) if entry.name.isprintable()]
    except OSError:
        return ""
    python = f"{path.name}.py"
    return f"; did you mean {python!r}?" if python in beside else meant(path.name, beside)


@contextmanager
def opened(path: Path) -> Iterator[Submission]:
    """The submission at ``path`` with its files, found but not read.

    Raises:
        SubmissionError: as ``read_source``.
    """
    path = path.expanduser().absolute()
    if not str(path).isprintable():
        raise SubmissionError(f"the submission {str(path)!a}: its path holds characters that cannot be shown. Rename it")
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        advice = f"give a .py file, a folder with a run.py, or an answer{_like(path)}"
        raise SubmissionError(f"the submission {shown(path, ())} does not exist ({error.strerror}); {advice}") from None
    if stat.S_ISDIR(mode):
        if not path.resolve().name:
            raise SubmissionError(f"the submission {path}: it is the root of the file system; give a folder with a run.py")
        with Tree(path) as tree:
            items = tree.everything()
            _check_entry(path, tree, items)
            yield Submission(path, plain_name(path), tuple(items), tree)
        return
    if not stat.S_ISREG(mode):
        raise SubmissionError(f"the submission {path}: it is {kind(mode)}; give a .py file, or a folder with a run.py")
    if path.suffix != ".py":
        raise SubmissionError(f"the submission {path}: it is no Python file; give a .py file, or a folder with a run.py")
    with Tree(path.parent) as tree:
        yield Submission(path, path.stem, tuple(_with_imported(tree, path.name)), tree)


def plain_name(path: Path) -> str:
    """The name of a folder, also of ``..`` and ``/``."""
    return (path.resolve().name if path.name in ("", "..") else path.name) or "submission"


def _check_entry(path: Path, tree: Tree, items: list[Item]) -> None:
    top = {item.name: item for item in items if len(item.place) == 1}
    try:
        entry_name(top, plain_name(path), lambda: tree.content(top["__init__.py"]))
    except SubmissionNotFound as error:
        left = [f"{name} is {why}" for name, why in tree.left.items() if name.endswith(".py")]
        beside = f" ({'; '.join(left[:3])}, so it does not count)" if left else ""
        raise SubmissionError(f"the submission {path}: {error}{beside}") from None


def _with_imported(tree: Tree, entry: str) -> list[Item]:
    """The entry, and the modules and packages beside it that it imports, directly or by another of them; sorted by path."""
    found: dict[str, Item] = {}
    asked: set[str] = set(NEVER_BESIDE)
    waiting = [tree.file((entry,))]
    searched = 0
    while waiting:
        item = waiting.pop()
        if item.name in found:
            continue
        found[item.name] = item
        if not item.name.endswith(".py"):
            continue
        searched += item.size
        if searched > MAX_SEARCHED:
            more = f"more than {MAX_SEARCHED:,} bytes of sources in all would be searched for imports"
            raise SubmissionError(f"{shown(tree.root, item.place)}: with it {more}. Submit a folder instead of a file")
        for name in sorted(modules(tree.content(item)) - asked):
            asked.add(name)
            waiting += _beside(tree, name)
    return sorted(found.values(), key=lambda item: item.place)


def _beside(tree: Tree, name: str) -> list[Item]:
    """The files of a module or package at the top of a folder; none where there is no such module.

    A folder counts as a package where a source lies in it, or in a folder directly in it: ``import data`` in a comment does not
    take a folder of images along.
    """
    if name == OF_THE_KIT[0] and tree.holds(OF_THE_KIT):
        return []
    found = [tree.file((f"{name}{suffix}",)) for suffix in SUFFIXES if tree.there(f"{name}{suffix}") == stat.S_IFREG]
    if tree.there(name) == stat.S_IFDIR and tree.holds_sources(name):
        found += tree.below((name,))
    return found
