"""Files that somebody else wrote, read within bounds: bytes, JSON and TOML. A byte-order mark before them is no part of them.

A JSON text of a few kilobytes can be nested so deep that whatever walks through its value fails, can hold a number that takes
seconds to read, or unfold to fifty times its size in memory. So a text is measured before it is parsed, and what is beyond its
limits is refused in words. Standard library only.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_EXPONENT = re.compile(rb"[eE]\+?0*[1-9][0-9]{2}")
_ONE_DIGIT = bytes.maketrans(b"123456789", b"0" * 9)
MOST_DOTS = 2_000
"""Of one line of TOML. The time to read a dotted key grows with the square of its parts."""


class BoundsError(ConfigurationError, ValueError):
    """A file or a text of somebody else is not what it should be, or is beyond its limits. The message names the file."""


class NotJsonError(BoundsError):
    """A text is not JSON at all: cut short, in another encoding, or with a number that JSON does not have."""


@dataclass(frozen=True)
class Limits:
    """How large a JSON or TOML text may be.

    Attributes:
        size: bytes.
        depth: lists and objects within each other; ``[[1]]`` has 2.
        digits: of a number, before and after its point each.
        values: members of all lists and objects together. Every value costs up to a hundred bytes of memory.
    """

    size: int = 64 * 2**20
    depth: int = 24
    digits: int = 60
    values: int = 2_000_000


RECORD = Limits()
"""Stored results and caches: the largest honest cell has the ledger of a whole pool, some ten thousand members of ten values."""
SMALL = Limits(size=64 * 2**10, depth=8, values=10_000)
"""What a person writes by hand: a manifest, a plan, a pipeline."""


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of a regular file. Links are followed; a pipe is not waited for, and a file that grows is not read for ever.

    Raises:
        BoundsError: it is no regular file, or has more than ``most`` bytes.
        OSError: it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise BoundsError(f"{path} is not a regular file; a file was expected. Put one there, or name another")
    with open(descriptor, "rb") as file:
        if status.st_size <= most:
            content = file.read(most + 1)
            if len(content) <= most:
                return content
        raise BoundsError(f"{path} has {status.st_size} bytes or more; at most {most} are read. Make it shorter, or name another")


def read_json(path: Path, limits: Limits = RECORD, *, once: bool = False) -> Any:
    """The value of a JSON file. ``once``: as of ``parse_json``.

    Raises:
        BoundsError: it is no regular file, not JSON in UTF-8 (``NotJsonError``), or beyond ``limits``; the message names the file.
        OSError: it cannot be read.
    """
    return parse_json(read_bytes(path, limits.size), str(path), limits, once=once)


def parse_json(text: bytes | str, name: str = "the text", limits: Limits = RECORD, *, once: bool = False) -> Any:
    """The value of a JSON text. ``name``: what errors call it.

    NaN, infinities and numbers that become infinite (1e999) are refused; of two members of one name the last counts, or with
    ``once`` both are refused.

    Raises:
        BoundsError: the text is not JSON in UTF-8, or beyond ``limits``.
    """
    try:
        raw = text.encode() if isinstance(text, str) else text
    except UnicodeEncodeError:
        raise _no_json(name, "it holds half of a surrogate pair") from None
    if why := _beyond(raw, limits):
        raise _refused(name, why)
    try:
        found = json.loads(
            raw.decode("utf-8-sig"),
            parse_constant=_no_number,
            parse_float=_finite if _EXPONENT.search(raw) else None,
            object_pairs_hook=partial(_each_once, name) if once else None,
        )
    except RecursionError:
        raise _refused(name, f"is nested more than {limits.depth} deep") from None
    except ValueError as error:
        raise _no_json(name, str(error)) from None
    if too_deep(found, limits.depth):
        raise _refused(name, f"is nested more than {limits.depth} deep")
    return found


def _each_once(name: str, members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        twice = Counter(name for name, _ in members).most_common(1)[0][0]
        raise BoundsError(f"{name}: {repr(twice)[:60]} stands there twice; expected it once. Remove one")
    return found


def _beyond(raw: bytes, limits: Limits) -> str:
    """In which limit a text is not before it is parsed, in words; empty if it is within all. Linear in its length."""
    if len(raw) > limits.size:
        return f"has {len(raw)} bytes; at most {limits.size} are read"
    run = b"0" * (limits.digits + 1)
    many, long = _values(raw) > limits.values, run in raw.translate(_ONE_DIGIT)
    if many or long:  # what stands in quotes does not count
        bare = _STRING.sub(b'""', raw)
        if many and _values(bare) > limits.values:
            return f"holds more than {limits.values} values"
        if long and run in bare.translate(_ONE_DIGIT):
            return f"holds a number of more than {limits.digits} digits"
    return ""


def _values(raw: bytes) -> int:
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def read_toml(path: Path, limits: Limits = SMALL) -> dict[str, Any]:
    """The value of a TOML file.

    Raises:
        BoundsError: it is no regular file, not TOML in UTF-8, or beyond ``limits``; the message names the file.
        OSError: it cannot be read.
    """
    raw = read_bytes(path, limits.size)
    if any(line.count(b".") > MOST_DOTS for line in raw.splitlines()):
        raise BoundsError(f"{path} has a line of more than {MOST_DOTS} dots; no option needs that. Break the line")
    try:
        found = tomllib.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise BoundsError(f"{path}: this is not valid TOML ({str(error)[:200]}); correct that line") from None
    if too_deep(found, limits.depth):
        raise BoundsError(f"{path} is nested more than {limits.depth} deep; no option is. Correct it")
    return found


def too_deep(value: Any, depth: int) -> bool:
    """Whether lists and dicts in ``value`` lie within each other more than ``depth`` times."""
    level = [value]
    for _ in range(depth):
        level = [
            member
            for outer in level
            if isinstance(outer, (list, dict))
            for member in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(member, (list, dict))
        ]
        if not level:
            return False
    return True


def _refused(name: str, why: str) -> BoundsError:
    return BoundsError(f"{name} {why}; nothing like it was expected. Mend it, or remove it")


def _no_json(name: str, why: str) -> NotJsonError:
    return NotJsonError(f"{name} is not JSON ({why[:200]}); expected JSON in UTF-8. Mend it, or remove it")


def _no_number(name: str) -> Any:
    raise ValueError(f"JSON has no number {name}")


def _finite(text: str) -> float:
    found = float(text)
    if found - found != 0:
        raise ValueError(f"the number {text[:40]} is larger than any that a program holds")
    return found
