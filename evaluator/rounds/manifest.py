"""``SHA256SUMS`` of what goes out, in the form that ``sha256sum --check`` reads."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from evaluator.files import write_text
from evaluator.rounds.terms import SUMS


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 (hex) of every file below a folder by its path, but of the manifest itself."""
    found = {}
    for here, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = Path(here) / name
            if path != folder / SUMS:
                with open(path, "rb") as file:
                    found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def write(folder: Path) -> int:
    """Write the manifest, whole or not at all. Returns the number of files."""
    found = digests(folder)
    write_text(folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(found.items())))
    return len(found)


def differences(folder: Path) -> tuple[list[str], int]:
    """Where a folder is not what its manifest says, a sentence each; and the number of files that were compared."""
    file = folder / SUMS
    if not file.is_file():
        return [f"publish/{SUMS} is missing. Run `round open` again"], 0
    pairs = (line.partition("  ") for line in file.read_text("utf-8", "replace").splitlines())
    wanted = {name: digest for digest, _, name in pairs}
    seen = digests(folder)
    lines = [f"publish/{name} is missing. Put it back" for name in sorted(wanted.keys() - seen.keys())]
    lines += [f"publish/{name} was not there when the round opened. Remove it" for name in sorted(seen.keys() - wanted.keys())]
    changed = sorted(name for name in seen.keys() & wanted.keys() if seen[name] != wanted[name])
    return lines + [f"publish/{name} was changed after the round opened. Put it back" for name in changed], len(wanted)
