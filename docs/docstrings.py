"""Docstrings that the reference cannot be made of: a section that is not understood, an argument that the function does not have.

python -m docs.docstrings    exit 1 where there are any; needs griffe (requirements-docs.txt)
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
_MISSED = re.compile(r"(?:No type or annotation for parameter|Parameter) '([^']+)'")
PACKAGES = ("run", "local_evaluation", "evaluator")


class _Kept(logging.Handler):
    """Keeps what griffe warns of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def faults(packages: tuple[str, ...] = PACKAGES, folder: Path = ROOT) -> list[str]:
    """What griffe says of the docstrings of packages, a line each, with file and line. The sources are read and never imported."""
    import griffe

    logger, kept = logging.getLogger("griffe"), _Kept()
    level, passed_on = logger.level, logger.propagate
    logger.addHandler(kept)
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    try:
        for package in packages:
            for found in _objects(griffe.load(package, search_paths=[folder], resolve_aliases=False)):
                if found.docstring is not None:
                    before = len(kept.said)
                    found.docstring.parse("google")
                    taken = {parameter.name for parameter in getattr(found, "parameters", ())}
                    kept.said[before:] = [text for text in kept.said[before:] if not _several(text, taken)]
    finally:
        logger.removeHandler(kept)
        logger.setLevel(level)
        logger.propagate = passed_on
    return [text.replace(f"{folder}/", "") for text in dict.fromkeys(kept.said)]


def _several(text: str, taken: set[str]) -> bool:
    """Whether griffe only misses several arguments under one description (``x, y: ...``), which the kit's docstrings may have."""
    named = _MISSED.search(text)
    return named is not None and ", " in named[1] and set(named[1].split(", ")) <= taken


def _objects(found: Any) -> Iterator[Any]:
    """An object and everything below it that is written there, not imported."""
    if found.is_alias:
        return
    yield found
    for below in found.members.values():
        yield from _objects(below)


def main() -> int:
    found = faults()
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
