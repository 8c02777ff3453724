"""What is hashed is what runs: a worker gets a fresh copy of the submission, made for one session, and never the original.

The copy holds the files of the rule (``source``) and no others, in new inodes, so nothing that an earlier session left in the page
cache of its files is found by the next. The digest is computed again from the bytes that are copied.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from evaluator.errors import SubmissionError, Verdict
from evaluator.sandbox.scratch import scratch_folder
from evaluator.submission.source import Submission, opened
from evaluator.submission.tree import Item, Parts

MODE = 0o555
"""Of every file and folder: whoever runs in the room can read them, whatever the modes of the originals. Files may be executed, all
of them, so that no bit decides what runs which the digest does not cover."""
IN_A_ROOM = "/submission"
"""Where tiers with a room of their own show the submission."""


_NOT_FOUND = re.compile(r"^FileNotFoundError in .*No such file or directory: '([^'\n]{1,1000})'")


@dataclass(frozen=True)
class Staged:
    """A copy of a submission for one session.

    Attributes:
        path: of the copy, a folder; ``original``: the folder that the copy stands for.
        file: name of the submission's file, where it is one file; else empty.
    """

    path: Path
    original: Path
    file: str = ""

    def named(self, text: str) -> str:
        """A text in which paths of the copy are replaced by those of the original, e.g. a traceback."""
        for place in (str(self.path), f"{IN_A_ROOM}/{self.path.name}"):
            text = text.replace(f"{place}/", f"{self.original}/")
        return text

    def explained(self, reason: str) -> str:
        """A reason with what to do, where a file of the submission was not found in the room; paths are those of the original.

        Nothing is looked for beside the original: what lies there is not told to the submission.
        """
        missing = _NOT_FOUND.search(reason)
        if missing is None:
            return reason
        name = missing[1].removeprefix(f"{self.original}/")
        parts = Path(name).parts
        if name.startswith("/") or ".." in parts or not parts:
            return reason
        if (self.path / name).exists():
            advice = (
                f"{name} lies in the submission's folder, and the working folder is another: use Path(__file__).parent / {name!r}"
            )
        elif self.file:
            advice = f"only {self.file} and the modules that it imports travel with a submission of one file. Hand in the folder"
        else:
            return reason
        return f"{reason}; {advice}"


@dataclass(frozen=True)
class Own:
    """A submission that runs where it lies, in the place of a ``Staged`` copy."""

    path: Path

    @staticmethod
    def named(text: str) -> str:
        """The text as it is: it names the submission's own files."""
        return text


@contextmanager
def staged(path: Path, digest: str = "") -> Iterator[Staged]:
    """A copy of the submission at ``path``, read-only, as a folder of the submission's own name; removed at the end.

    A submission of one file becomes a folder that holds it and the modules beside it that it imports.

    Args:
        digest: that the submission had when it was read; empty if it was not read before.

    Raises:
        SubmissionError: it cannot be read, or is not what it was; the verdict says whose fault that is.
        OSError: no folder can be made, or too little is free around it.
    """
    with scratch_folder() as scratch:
        try:
            with opened(path) as submission:
                copy = _copied(submission, scratch)
        except SubmissionError as error:
            if digest and error.verdict is not Verdict.INFRASTRUCTURE:  # it could be read before
                raise _changed(path, str(error)) from None
            raise
        if digest and copy.digest != digest:
            what = "its files, or the kit's strategies that it imports"
            raise _changed(path, f"{what}, have the digest {copy.digest[:12]}; before it was {digest[:12]}")
        yield Staged(copy.path, submission.tree.root, "" if submission.path.is_dir() else submission.path.name)


def _changed(path: Path, seen: str) -> SubmissionError:
    """The verdict is ours: in a room of its own no submission reaches its own files, so somebody else has changed them."""
    told = f"the submission {path} changed during the evaluation: {seen}. Run again, and change nothing meanwhile"
    return SubmissionError(told, Verdict.INFRASTRUCTURE)


@dataclass(frozen=True)
class _Copy:
    path: Path
    digest: str


def _copied(submission: Submission, scratch: Path) -> _Copy:
    """Copy what travels into a new folder in ``scratch``."""
    root = scratch / submission.name
    folders: dict[Parts, Path] = {(): root}
    try:
        needed = sum(item.size for item in submission.items)
        space = os.statvfs(scratch)
        if needed > space.f_bavail * space.f_frsize:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        root.mkdir()
        for item in submission.items:
            for depth in range(1, len(item.place)):
                place = item.place[:depth]
                if place not in folders:
                    folders[place] = root.joinpath(*place)
                    folders[place].mkdir()
        digest = submission.digest(lambda item: _new_file(root, item))
        for folder in folders.values():
            folder.chmod(MODE)
    except OSError as error:
        raise SubmissionError(
            f"the submission {submission.path}: no copy of it can be made in {scratch.parent} ({error.strerror}). Free some space"
            " there, or set TMPDIR to another folder",
            Verdict.INFRASTRUCTURE,
        ) from None
    return _Copy(root, digest)


@contextmanager
def _new_file(root: Path, item: Item) -> Iterator[BinaryIO]:
    with open(root.joinpath(*item.place), "xb") as file:
        yield file
        os.fchmod(file.fileno(), MODE)
