"""What a value is, in plain words, for messages about what a submission gave or returned."""

from __future__ import annotations

from functools import cached_property
from typing import Any

LAZY = (map, filter, zip, enumerate)
"""What gives its values only when it is asked for them; so do the objects of ``itertools``."""


def kind_of(value: Any) -> str:
    """``an int``, ``a list``, ``a property``, ``nothing (None)``."""
    if value is None:
        return "nothing (None)"
    if isinstance(value, (property, cached_property)):
        return "a property"
    name = type(value).__name__[:100]
    return f"{'an' if name[:1].lower() in 'aeiou' and name[:1] else 'a'} {name}"


def is_lazy(value: Any) -> bool:
    """Whether nothing of it has run yet: a ``map``, ``filter``, ``zip`` or ``enumerate``, or an iterator of ``itertools``."""
    return isinstance(value, LAZY) or (type(value).__module__ == "itertools" and hasattr(type(value), "__next__"))
