"""Keys of TOML files that a person writes: a misspelt key is refused with its line and with the nearest name. And such files' text.

``tomllib`` keeps no lines, so a key's line is looked for in the text. A file that writes its keys in an unusual way only loses the
line in a message.
"""

from __future__ import annotations

import json
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


_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(plain: Mapping[str, Any]) -> str:
    """A TOML file of plain values: texts, numbers, truth values, lists, and dicts of these. A member that is None is left out.

    Dicts of more than four members become tables below everything else; smaller ones stay in their line.
    """
    tables = {name: value for name, value in plain.items() if isinstance(value, Mapping) and len(value) > 4}
    lines = [f"{_key(name)} = {_value(value)}" for name, value in plain.items() if name not in tables and value is not None]
    for name, table in tables.items():
        lines += ["", f"[{_key(name)}]"]
        lines += [f"{_key(inner)} = {_value(value)}" for inner, value in table.items() if value is not None]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, str):  # a JSON string is a TOML string, but for one control character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(name)} = {_value(inner)}" for name, inner in value.items()) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return repr(value)
