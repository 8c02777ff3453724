"""A submission's ``apt.txt``: Debian packages that it needs, a name a line. Nothing is installed here.

The kit's own image has a file of the same form. A judge that builds an image for each submission installs what stands in it
(``image``); every other judge installs nothing. The file is a stranger's, and its names become words of a command: what is no name
of a package is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from evaluator.bounded import BoundsError, read_bytes
from evaluator.text import name as harmless

FILE = "apt.txt"
MAX_BYTES = 16 * 1024
MAX_PACKAGES = 100
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{1,80}(=[A-Za-z0-9][A-Za-z0-9.+:~-]{0,80})?")
"""Debian Policy 5.6.7 and 5.6.12: a name, and a version if one is asked for."""


@dataclass(frozen=True)
class Apt:
    """What a file holds. ``packages``: names, in order; ``faults``: by line, what cannot be a package, in words."""

    packages: tuple[str, ...] = ()
    faults: tuple[tuple[int, str], ...] = ()


def apt_file(submission: Path) -> Path:
    """Where the ``apt.txt`` of a submission lies, if it has one: at the top of its folder, or beside its file."""
    return (submission if submission.is_dir() else submission.parent) / FILE


def read_apt(submission: Path) -> Apt:
    """The packages that the submission at ``submission`` asks for; empty without such a file. Never raises for what lies there."""
    try:
        text = read_bytes(apt_file(submission), MAX_BYTES).decode("utf-8-sig")
    except BoundsError:
        return Apt(faults=((0, f"it is no regular file of at most {MAX_BYTES:,} bytes. Shorten it"),))
    except (FileNotFoundError, NotADirectoryError):
        return Apt()
    except OSError as error:
        return Apt(faults=((0, f"it cannot be read ({error.strerror}). Mend it or remove it"),))
    except UnicodeDecodeError:
        return Apt(faults=((0, "it is not text in UTF-8. Save it as UTF-8"),))
    return parse_apt(text)


def parse_apt(text: str) -> Apt:
    """The packages in a text: a name a line, ``#`` begins a comment."""
    packages: dict[str, None] = {}
    faults: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.partition("#")[0].strip()
        if not bare:
            continue
        if not _PACKAGE.fullmatch(bare):
            hint = f"; did you mean {bare.lower()!r}?" if _PACKAGE.fullmatch(bare.lower()) else ". Write one name a line"
            faults.append((number, f"{harmless(bare)!r} is no name of a Debian package, e.g. libgl1 or ffmpeg=7:5.1.6-0{hint}"))
        elif bare not in packages:
            packages[bare] = None
    if len(packages) > MAX_PACKAGES:
        faults.append((0, f"it names {len(packages)} packages; at most {MAX_PACKAGES} are installed. Leave out what is not needed"))
    return Apt(tuple(packages), tuple(faults))
