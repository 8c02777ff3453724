"""Values of a bundle's ``competition.yaml`` as the server's forms take them: texts, whole numbers, yes or no, instants."""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evaluator.text import one_line

LARGEST = 2**31 - 1
"""Of a whole number in the server's tables."""
_YES_OR_NO = ("true", "false", "t", "f", "yes", "no", "y", "n", "on", "off", "1", "0", "1.0", "0.0")


@dataclass(frozen=True, order=True)
class Problem:
    """Something that is wrong with a bundle.

    Attributes:
        kind: ``error`` where the server or its worker refuses it; ``warning`` where it is taken and does harm.
        check: which check found it, by a short name; ``place``: file and key, such as ``competition.yaml: phases[0].start``.
        text: what was seen; what was expected. What to do.
    """

    kind: Literal["error", "warning"]
    check: str
    place: str
    text: str


Problems = Iterator[Problem]


def error(check: str, place: str, text: str) -> Problem:
    """A problem for which a bundle is refused."""
    return Problem("error", check, place, text)


def warning(check: str, place: str, text: str) -> Problem:
    """A problem with which a bundle is taken."""
    return Problem("warning", check, place, text)


def shown(value: Any) -> str:
    """A value of a stranger's, for a message."""
    return one_line(repr(value), 80)


def text_of(value: Any) -> str | None:
    """A value as the server's form for texts takes it: numbers become texts; None for what is no text."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return str(value).strip()


def is_key(value: Any) -> bool:
    """Whether it is a key as the server gives them to its data, tasks and queues, a UUID."""
    try:
        uuid.UUID(str(value))
    except ValueError:
        return False
    return True


def check_text(check: str, place: str, value: Any, most: int = 0, *, needed: bool = True) -> Problems:
    """A text that is there, is not empty, and has at most ``most`` characters (0: any number). Not ``needed``: or null."""
    if value is None and not needed:
        return
    found = text_of(value)
    if found is None or (not found and needed):
        yield error(check, place, f"it is {shown(value)}; a text that is not empty was expected. Write one")
    elif most and len(found) > most:
        yield error(check, place, f"it has {len(found):,} characters; the server takes {most}. Make it shorter")


def check_yes_or_no(place: str, value: Any) -> Problems:
    """True or false, or a word for it."""
    if not isinstance(value, bool) and str(value).lower() not in _YES_OR_NO:
        yield error("yes or no", place, f"it is {shown(value)}; true or false was expected. Write that")


def whole(value: Any) -> int | None:
    """A whole number as the server's form takes it, from a number or a text; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    text = re.sub(r"\.0*\s*$", "", str(value)).strip()
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,12}", text) else None


def check_whole(check: str, place: str, value: Any, *, needed: bool = True, least: int | None = 0) -> Problems:
    """A whole number of ``least`` or more (None: any). Not ``needed``: or null."""
    if value is None and not needed:
        return
    found = whole(value)
    if found is None or (least is not None and found < least) or abs(found) > LARGEST:
        bound = "a whole number" if least is None else f"a whole number from {least} to {LARGEST}"
        yield error(check, place, f"it is {shown(value)}; {bound} was expected. Write one")


def instant(place: str, value: Any) -> tuple[datetime.datetime | None, list[Problem]]:
    """The instant that the server understands, and what is wrong with the value. It takes a date, quoted or not; of a time without
    quotation marks it keeps the day alone, and of a time zone nothing."""
    if value is None or value == "":
        return None, []
    if isinstance(value, datetime.date):
        found = datetime.datetime.combine(value, datetime.time())
        lost = isinstance(value, datetime.datetime) and value.time() != datetime.time()
        text = f"it is {value}, not quoted; the server keeps the day alone and takes {found}. Put it into quotation marks"
        return found, [warning("time of day", place, text)] if lost else []
    try:
        parsed = datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        text = f"it is {shown(value)}; an instant such as '2026-12-31 23:59:00' was expected. Write it so"
        return None, [error("dates", place, text)]
    plain = parsed.replace(tzinfo=None)
    if parsed.utcoffset():
        text = f"it is {shown(value)}; the server drops the time zone and takes {plain} UTC. Write it in UTC"
        return plain, [warning("time zone", place, text)]
    return plain, []


def mappings(check: str, place: str, value: Any, of: str) -> tuple[list[tuple[str, Mapping[str, Any]]], list[Problem]]:
    """The members of a list with the place of each, and what is wrong: it is no list, or a member is no mapping."""
    if not isinstance(value, list):
        return [], [error(check, place, f"it is {shown(value)}; a list of {of} was expected. Write one")]
    found, problems = [], []
    for number, member in enumerate(value):
        at = f"{place}[{number}]"
        if isinstance(member, Mapping):
            found.append((at, member))
        else:
            problems.append(error(check, at, f"it is {shown(member)}; keys and values were expected. Write them"))
    return found, problems
