"""Docstrings that the reference cannot be made of: a section that is not understood, an argument that the function does not have.

python -m docs.docstrings    exit 1 where there are any; needs griffe (requirements-docs.txt)
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
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
                    found.docstring.parse("google")
    finally:
        logger.removeHandler(kept)
        logger.setLevel(level)
        logger.propagate = passed_on
    return [text.replace(f"{folder}/", "") for text in dict.fromkeys(kept.said)]


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
