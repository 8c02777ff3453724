"""The keys of files that the kit writes: those that ``docs/results-format.md`` names, and those of a content."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results-format.md"
SPLITS = ("training", "unlabelled", "validation", "test", "debug")
METRICS = ("macro_f1", "accuracy", "hamming_loss")


def documented(heading: str, end: str = "\n## ") -> set[str]:
    """The keys in the first column of the table below ``heading``."""
    section = (
        PAGE.read_text(encoding="utf-8").split(f"\n##{heading if heading[0] == '#' else ' ' + heading}", 1)[1].split(end, 1)[0]
    )
    return set(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE))


def paths(value: Any, prefix: str, opaque: set[str], classes: list[str]) -> set[str]:
    """Every key of a result as a dotted path; objects in ``opaque`` are not looked into."""
    if prefix in opaque:
        return {f"{prefix}.*"}
    if isinstance(value, dict):
        found = set()
        for key, member in value.items():
            for group, name in ((classes, "<class>"), (SPLITS, "<split>"), (METRICS, "<metric>")):
                # A name is a placeholder where all its siblings are of the same group, so `training` stays itself at the top.
                if set(value) <= set(group):
                    key = name
            found |= paths(member, f"{prefix}.{key}" if prefix else key, opaque, classes)
        return found
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return set().union(*(paths(member, f"{prefix}[]", opaque, classes) for member in value))
    return {prefix}
