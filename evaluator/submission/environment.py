"""A submission's ``requirements.txt``, compared with the packages of this environment. Nothing is installed.

The evaluator runs a submission with the packages that are there. What the file asks for and the environment does not have is named
before a run, so that an ``ImportError`` after an hour is no surprise. The file is a stranger's: it is read within bounds, and what
is quoted of it is short and harmless to show.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from evaluator.bounded import BoundsError, read_bytes
from evaluator.text import name as harmless
from evaluator.text import one_line, without_logins

FILE = "requirements.txt"
MAX_BYTES = 64 * 1024
MAX_LINES = 500
"""Lines that are read; further lines are counted."""
MAX_LINE = 500
"""Characters of a line that is parsed."""
MAX_BRACKETS = 20
"""Opening brackets of a line that is parsed: the parser calls itself for each."""
NAMED = 8
"""Findings of one submission that are named in its warning; further findings are counted."""

_COMMENT = re.compile(r"(^|\s)#.*$")
_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://|^(git|hg|svn|bzr)\+|^\.{0,2}/")


@dataclass(frozen=True)
class Finding:
    """A line of ``requirements.txt`` that this environment does not meet, or that cannot be checked.

    Attributes:
        line: its number; 0 where the whole file is meant.
        problem: what is wrong, in words; harmless to show.
        unmet: whether the environment lacks what the line asks for. False: it could not be checked.
    """

    line: int
    problem: str
    unmet: bool

    @property
    def text(self) -> str:
        """Half a sentence: ``line 3: torch>=3 is asked for, and 2.15.0 is installed``."""
        return f"line {self.line}: {self.problem}" if self.line else self.problem


class NoRequirement(ValueError):
    """A line is no requirement that can be read. The message says why, in words that quote nothing of the line."""


def parsed(line: str) -> tuple[Requirement, bool]:
    """A single requirement, and whether its marker asks for it on this machine. Every reader of such lines goes through here.

    Args:
        line: without a comment and without options.

    Raises:
        NoRequirement: it is too long, too deeply nested, or not understood.
    """
    if len(line) > MAX_LINE:
        raise NoRequirement(f"it has {len(line):,} characters; at most {MAX_LINE} are read")
    if line.count("(") > MAX_BRACKETS:
        raise NoRequirement(f"it has {line.count('('):,} opening brackets; at most {MAX_BRACKETS} are read")
    try:
        asked = Requirement(line)
        return asked, asked.marker is None or asked.marker.evaluate()
    # A stranger wrote the line. What the library raises for one differs between its versions (InvalidRequirement,
    # UndefinedComparison, InvalidVersion, RecursionError, ...), and some of it quotes the line with marks on lines of their own.
    except Exception:
        raise NoRequirement("it is no requirement that can be read, e.g. numpy>=2") from None


def requirements_file(submission: Path) -> Path:
    """Where the ``requirements.txt`` of a submission lies, if it has one: at the top of its folder, or beside its file."""
    return (submission if submission.is_dir() else submission.parent) / FILE


def installed_version(package: str) -> str | None:
    """The version of an installed package; None if there is none of that name."""
    try:
        return version(package)
    except (PackageNotFoundError, ValueError):
        return None


def read_requirements(submission: Path, installed: Callable[[str], str | None] = installed_version) -> list[Finding]:
    """What the submission at ``submission`` asks for and this environment does not have; empty without such a file.

    Args:
        installed: gives the version of an installed package, or None.
    """
    path = requirements_file(submission)
    try:
        raw = read_bytes(path, MAX_BYTES)
    except BoundsError:
        return [Finding(0, f"it is no regular file of at most {MAX_BYTES:,} bytes, so it was not checked", False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        return [Finding(0, f"it cannot be read ({error.strerror}), so it was not checked", False)]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return [Finding(0, "it is not text in UTF-8, so it was not checked", False)]
    return unmet(text, installed)


def unmet(text: str, installed: Callable[[str], str | None] = installed_version) -> list[Finding]:
    """The lines of a ``requirements.txt`` that an environment does not meet, in order.

    Comments, continued lines, environment markers and pip's options are understood as pip does; what an option or an address
    would bring is not looked at, and the line is named as not checked.
    """
    found = [finding for number, line in _joined(text) if (finding := _checked(number, line, installed)) is not None]
    if (many := len(text.splitlines())) > MAX_LINES:
        found.append(Finding(0, f"it has {many:,} lines; only the first {MAX_LINES} were checked", False))
    return found


def logical_lines(text: str) -> list[tuple[int, str]]:
    """The lines that say something, each with the number of its first line: continued lines joined, comments taken off."""
    return [(number, bare) for number, line in _joined(text) if (bare := _COMMENT.sub("", line).strip())]


def _joined(text: str) -> Iterator[tuple[int, str]]:
    lines = text.splitlines()
    number = 0
    while number < min(len(lines), MAX_LINES):
        first, line = number + 1, lines[number]
        number += 1
        while line.endswith("\\") and number < min(len(lines), MAX_LINES) and len(line) <= MAX_LINE:
            line = line[:-1] + lines[number]
            number += 1
        yield first, line


def warning(label: str, findings: list[Finding]) -> str:
    """One sentence that names what is not met, for a person; empty without a finding. ``label``: of the submission."""
    if not findings:
        return ""
    named = "; ".join(finding.text for finding in findings[:NAMED])
    more = f"; and {len(findings) - NAMED} more" if len(findings) > NAMED else ""
    lacks = any(finding.unmet for finding in findings)
    what = "asks for packages that this environment does not have" if lacks else "was not checked completely"
    advice = " Install them, or change the file" if lacks else ""
    return f"{harmless(label)}: its {FILE} {what}: {named}{more}.{advice}"


def _checked(number: int, line: str, installed: Callable[[str], str | None]) -> Finding | None:
    """What is wrong with a line; None if nothing is."""
    if len(line) > MAX_LINE:
        return Finding(number, f"it has {len(line):,} characters, so it was not checked; at most {MAX_LINE} are read", False)
    bare = _COMMENT.sub("", line).strip()
    if not bare:
        return None
    shown = one_line(without_logins(bare), 80)
    if bare.startswith("-") or _ADDRESS.search(bare):
        return Finding(number, f"{shown} is an option or an address, which is not checked", False)
    bare = re.split(r"\s--[a-z]", bare, maxsplit=1)[0].strip()  # options of one requirement, e.g. --hash
    try:
        asked, wanted = parsed(bare)
    except NoRequirement as error:
        return Finding(number, f"{shown}: {error}", False)
    if not wanted:
        return None
    if asked.url is not None:
        return Finding(number, f"{shown} is an address, which is not checked", False)
    there = installed(canonicalize_name(asked.name))
    if there is None:
        return Finding(number, f"{shown} is asked for, and not installed", True)
    try:
        met = asked.specifier.contains(Version(there), prereleases=True)
    except InvalidVersion:
        return Finding(number, f"{shown} is asked for, and the installed version {one_line(there, 40)} cannot be compared", False)
    return None if met else Finding(number, f"{shown} is asked for, and {one_line(there, 40)} is installed", True)
