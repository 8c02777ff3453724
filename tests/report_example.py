"""Records whose every text is hostile, made from their types; and that text."""

from __future__ import annotations

import dataclasses
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

FORGED = "621:17  OK       12 of 12  0.999"
HOSTILE = (
    f"=Q[red]x[/red]\x1b]0;T\x07\x9b2J\x7f\u202e\u200b|<b>`$x_$ :smile:\n{FORGED}\nresults: /forged\r\n\ud800" + " " * 90 + FORGED
)
"""Begins with ``=Q``, so that tests find it."""


def example(kind: Any, depth: int = 0) -> Any:
    """A JSON value of a type whose texts are all hostile, keys too."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return example(inner[0], depth)
    if origin is Literal:
        return inner[0]
    if origin in (Union, types.UnionType):
        return example(next(k for k in inner if k is not type(None)), depth)
    if origin in (list, tuple):
        return [example(inner[0], depth)] if inner else []
    if origin is dict:
        return {HOSTILE: example(inner[1], depth)}
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind, include_extras=True)
        return {f.name: example(hints[f.name], depth + 1) for f in dataclasses.fields(kind)}
    return {str: HOSTILE, int: 2, float: 0.5, bool: True}.get(kind, {})
