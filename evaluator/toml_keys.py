"""Keys of TOML files that a person writes: a misspelt key is refused with its line and with the nearest name.

``tomllib`` keeps no lines, so a key's line is looked for in the text. A file that writes its keys in an unusual way only loses the
line in a message.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from evaluator.bounded import SMALL, read_bytes
from evaluator.errors import ConfigurationError
from evaluator.words import meant

_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(#.*)?")
_KEY = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*[.=]""")
_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80


def place_of(file: Path, key: str, table: str = "") -> str:
    """``pets.toml, line 3`` for a key of a table (empty: of the top); the file alone if the line is not found."""
    try:
        text = read_bytes(file, SMALL.size).decode("utf-8-sig")
    except (OSError, ValueError):
        return str(file)
    where, wanted = "", f"{table}.{key}" if table else key
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.fullmatch(line):
            where = header[1].replace('"', "").replace("'", "")
            if where == wanted or where.startswith(f"{wanted}."):
                return f"{file}, line {number}"
        elif where == table and (found := _KEY.match(line)) and found[1] == key:
            return f"{file}, line {number}"
    return str(file)


def place_of_value(file: Path, given: Mapping[str, Any], message: str, table: str = "") -> str:
    """Where the value stands that a message speaks of (``...: epochs is -1``): file and line, or the file alone.

    Args:
        given: keys and values of the file, or of its ``table``; values that are tables are looked through where they are named.
    """
    for key, value in given.items():
        named = re.search(rf"(?<![\w-]){re.escape(key)}(?: is| has|:)\s", message)
        if named and isinstance(value, Mapping):
            inner = place_of_value(file, value, message[named.start() :], f"{table}.{key}" if table else key)
            return inner if inner != str(file) else place_of(file, key, table)
        if named:
            return place_of(file, key, table)
    return str(file)


def check_keys(file: Path, given: Iterable[str], known: Collection[str], what: str, table: str = "") -> None:
    """Refuse a key that does not exist.

    Args:
        what: has the keys, in words, e.g. ``a round``.
        table: that the keys stand in; empty for the top of the file.

    Raises:
        ConfigurationError: naming file, line, key and the nearest known key, or all known keys.
    """
    for key in given:
        if key not in known:
            said = meant(key, known) or f"; its keys are {', '.join(sorted(known))}"
            raise ConfigurationError(f"{place_of(file, key, table)}: {what} has no key {_REPR.repr(key)}{said}")


def typed(file: Path, given: Mapping[str, Any], hints: Mapping[str, Any], table: str = "") -> dict[str, Any]:
    """The values of ``given`` as the types of ``hints``; keys without a hint are left as they are.

    Raises:
        ConfigurationError: naming file, line, key and value.
    """
    found = dict(given)
    for key, value in given.items():
        if key not in hints:
            continue
        try:
            found[key] = msgspec.convert(value, hints[key])
        except (msgspec.ValidationError, OverflowError) as error:
            raise ConfigurationError(f"{place_of(file, key, table)}: {key} is {_REPR.repr(value)}; {str(error).lower()}") from None
    return found
