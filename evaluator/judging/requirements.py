"""What becomes of a submission's own requirements: ``requirements.txt`` and ``apt.txt``.

The rule is ``requirements = "fixed"``: a judge runs every submission with the packages that the kit has, the same for all. A
submission that asks for a package that is not there is refused at once, with the name of every such package, and it burns no
quota: it would only fail later. Where another version is there than it asks for, and where something cannot be checked, it is
accepted, and its receipt names both: a pin is often only what somebody's own machine had.

With ``requirements = "image"`` an image is built for each submission (``images``), with a network while it is built and none while
it runs. A list of which a line can never be installed is refused at once; what only a build can tell is a result.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from evaluator.bounded import BoundsError, read_bytes
from evaluator.machine import LIBRARIES
from evaluator.submission.environment import FILE, Finding, installed_version, unmet
from evaluator.submission.environment import MAX_BYTES as MOST
from evaluator.submission.image import ImageError, needs_of
from evaluator.text import one_line

APT = "apt.txt"
LISTS = (FILE, APT)
NAMED = 20
"""Packages that a refusal names."""


@dataclass(frozen=True)
class Asked:
    """What a submission asks for and does not get.

    Attributes:
        refused: why it cannot be judged, or empty; ``notes``: what its author should know, a line each.
    """

    refused: str = ""
    notes: tuple[str, ...] = ()


def asked(package: Path, name: str, installed: Callable[[str], str | None] = installed_version) -> Asked:
    """What an unpacked package asks for and the fixed list does not have.

    Args:
        package: folder with the submission's folder and the files beside it; ``name``: of the submission's folder.
        installed: gives the version of an installed package, or None.
    """
    found = [finding for file in (FILE,) for finding in _findings(_first(package, name, file), installed)]
    absent = [finding for finding in found if finding.unmet and finding.problem.endswith("not installed")]
    notes = [f"{FILE}: {finding.text}" for finding in found if finding not in absent]
    apt = _first(package, name, APT)
    if apt is not None and (wanted := _words(apt)):
        notes.append(f"{APT}: {', '.join(wanted)}: the judge installs no packages of the system; what it has is there")
    if not absent:
        return Asked(notes=tuple(notes))
    named = "; ".join(finding.text for finding in absent[:NAMED]) + (
        f"; and {len(absent) - NAMED} more" if len(absent) > NAMED else ""
    )
    there = ", ".join(f"{library} {version}" for library in LIBRARIES if (version := installed(library)))
    why = f"{FILE} asks for packages that this judge does not have: {named}. It installs none; it has {there}"
    return Asked(f"{why}. Do without them, or bring their files along, and take the lines out", tuple(notes))


def installable(folder: Path) -> Asked:
    """Whether an image can be tried for the submission in a folder: every line of its lists is something that can be installed."""
    try:
        needs_of(folder)
    except ImageError as error:
        return Asked(refused=str(error))
    return Asked()


def _first(package: Path, name: str, file: str) -> Path | None:
    """The file in the submission's folder, else beside it; None where there is none."""
    for place in (package / name / file, package / file):
        if place.is_file() and not place.is_symlink():
            return place
    return None


def _findings(path: Path | None, installed: Callable[[str], str | None]) -> list[Finding]:
    if path is None:
        return []
    try:
        return unmet(read_bytes(path, MOST).decode("utf-8-sig"), installed)
    except (BoundsError, OSError, UnicodeDecodeError):
        return [Finding(0, f"it is no text in UTF-8 of at most {MOST:,} bytes, so it was not checked", False)]


def _words(path: Path) -> list[str]:
    try:
        text = read_bytes(path, MOST).decode("utf-8", "replace")
    except (BoundsError, OSError):
        return ["(unreadable)"]
    lines = (re.sub(r"#.*", "", line).strip() for line in text.splitlines())
    return [one_line(line, 60) for line in lines if line][:NAMED]
