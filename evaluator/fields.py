"""What the fields of a stored record say of themselves, and how stored values become fields again.

``docs/results-format.md`` and ``docs/schemas/`` are generated from the types and from the texts here.
"""

from __future__ import annotations

from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

SCHEMA = 3
"""Version of every file of results: cells, answers, runs, sweeps, comparisons. It is raised when a key of one of them changes its
meaning. Kit 0.1 and 0.2 wrote cells of version 1, and other files of versions 1 and 2."""


def doc(text: str) -> msgspec.Meta:
    """Describes a field, as ``Annotated[type, doc(...)]``: the text for the JSON Schema and for ``docs/results-format.md``."""
    return msgspec.Meta(description=text)


def count(text: str) -> msgspec.Meta:
    """Describes a whole number, 0 or more; a stored value that not every reader of JSON holds to the bit is not read."""
    return msgspec.Meta(description=text, ge=0, le=2**53)


def share(text: str) -> msgspec.Meta:
    """Describes a number from 0 to 1; a stored value beyond them is not read."""
    return msgspec.Meta(description=text, ge=0, le=1)


def duration(text: str) -> msgspec.Meta:
    """Describes a number of seconds, 0 or more; more than three thousand years are not read."""
    return msgspec.Meta(description=text, ge=0, le=1e11)


def read_field(value: Any, kind: Any) -> Any:
    """A stored value as the type of its field; types of the kit read themselves with ``from_dict``.

    Raises:
        msgspec.ValidationError: the value is of another type. Whatever ``from_dict`` raises.
    """
    kind = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    return kind.from_dict(value) if hasattr(kind, "from_dict") else msgspec.convert(value, kind)


_TYPES: dict[type, dict[str, Any]] = {}


def types_of(cls: type) -> dict[str, Any]:
    """The resolved annotations of a class; computed once per class."""
    if cls not in _TYPES:
        _TYPES[cls] = get_type_hints(cls, include_extras=True)
    return _TYPES[cls]
