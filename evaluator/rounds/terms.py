"""A competition round as a folder: where everything lies, and ``round.toml``, the terms of the round and its state.

```
round.toml      the terms: dates, quotas, what is expected; and the state
publish/        what goes out: a README, public.toml, aicrowd.json, round.json, data/; SHA256SUMS once the round is open
keep/           what stays here: secrets, hidden data, hidden.json, judge/ (see evaluator.judging.place), cache/
inbox/, outbox/ what participants reach: those of the judge, outside of keep/
```

``round new`` writes it, and a person may change ``round.toml`` until the round is open. ``state``, ``opened`` and ``closed`` are
changed by ``round open`` and ``round close`` alone.
"""

from __future__ import annotations

import datetime
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from evaluator.bounded import SMALL, read_bytes, read_toml
from evaluator.errors import ConfigurationError
from evaluator.files import write_text
from evaluator.judging.jobs import Quota
from evaluator.judging.place import TIERS
from evaluator.text import one_line
from evaluator.toml_keys import check_keys, place_of, place_of_value, typed
from evaluator.words import meant

FILE = "round.toml"
PUBLISH, KEEP, JUDGE = "publish", "keep", "judge"
PUBLIC, PRIVATE = "public.toml", "private.toml"
SECRET = "round.secret"
"""The secret that everything hidden follows from, in ``keep``."""
HIDDEN, FACTS, SUMS, README, DATA = "hidden.json", "round.json", "SHA256SUMS", "README.md", "data"
STATES = ("new", "open", "closed")
MOST_NAME = 80
MOST = {"participants": 100_000, "nodes": 10_000, "at-once": 1_024, "cores": 4_096}
"""Largest numbers of what is expected; more is a slip of the hand."""


@dataclass(frozen=True)
class Expected:
    """What a forecast is made of.

    Attributes:
        participants: people or teams that send something.
        a_day: submissions of each a day, on average; the quota of a day is the worst case.
        nodes: machines that judge. A submission's clock is alone on a machine.
        at_once: trainings side by side on one machine; ``cores``: of one machine.

    Raises:
        ConfigurationError: a number makes no sense.
    """

    participants: int = 10
    a_day: float = 1.0
    nodes: int = 1
    at_once: int = 1
    cores: int = 4

    def __post_init__(self) -> None:
        for key, most in MOST.items():
            value = getattr(self, key.replace("-", "_"))
            if not 1 <= value <= most:
                raise ConfigurationError(f"{key} is {value}; expected 1 to {most:,}")
        if not 0 < self.a_day <= 1_000:
            raise ConfigurationError(f"a-day is {self.a_day:g}; expected more than 0, and at most 1,000")


@dataclass(frozen=True)
class Terms:
    """The content of ``round.toml``.

    Attributes:
        name: of the competition; ``track``: what kind it is; ``profile``: whose rules hold, in words.
        state: ``new``, ``open`` or ``closed``.
        made, opened, closed: when the folder was made, and when its state changed; None: it did not.
        opens: before it the round is not opened; ``closes``: packages that come later are refused. None: at any time.
        sandbox: the isolation tier of the judge; ``answers``: whether it takes answers in files in the place of code, too.
        expected, quota: see there.

    Raises:
        ConfigurationError: a value makes no sense.
    """

    name: str
    track: str
    profile: str
    made: datetime.datetime
    state: str = "new"
    opens: datetime.datetime | None = None
    closes: datetime.datetime | None = None
    opened: datetime.datetime | None = None
    closed: datetime.datetime | None = None
    sandbox: str = "bubblewrap"
    answers: bool = False
    expected: Expected = field(default_factory=Expected)
    quota: Quota = field(default_factory=Quota)

    def __post_init__(self) -> None:
        if not self.name.strip() or one_line(self.name, MOST_NAME) != self.name:
            shown = one_line(self.name, MOST_NAME)
            raise ConfigurationError(f"name is {shown!r}; expected a text of 1 to {MOST_NAME} characters in one line")
        if self.state not in STATES:
            raise ConfigurationError(
                f"state is {self.state!r}; expected {', '.join(STATES)}. `round open` and `round close` set it"
            )
        if self.sandbox not in TIERS:
            raise ConfigurationError(
                f"sandbox is {self.sandbox!r}{meant(self.sandbox, TIERS) or '; it must be ' + ', '.join(TIERS)}"
            )
        if self.opens and self.closes and self.closes <= self.opens:
            raise ConfigurationError(f"closes is {said(self.closes)}; expected a time after opens, {said(self.opens)}")

    @property
    def days(self) -> float:
        """Days from opening to closing; 1 where the round has no end."""
        start = self.opened or self.opens or self.made
        return 1.0 if self.closes is None else max(0.0, (self.closes - start).total_seconds() / 86_400)


@dataclass(frozen=True)
class Folder:
    """A round's folder on disk."""

    root: Path

    @property
    def publish(self) -> Path:
        """What goes out."""
        return self.root / PUBLISH

    @property
    def keep(self) -> Path:
        """What stays here."""
        return self.root / KEEP

    @property
    def judge(self) -> Path:
        """The folder that the verb ``judge`` works in."""
        return self.keep / JUDGE

    @property
    def exchange(self) -> tuple[Path, Path]:
        """The judge's inbox and outbox. They lie beside ``keep``, which nobody else may enter, and are linked from there."""
        return self.root / "inbox", self.root / "outbox"

    @property
    def cache(self) -> Path:
        """Decoded images and embeddings, also of hidden data."""
        return self.keep / "cache"

    def terms(self) -> Terms:
        """The terms of the round.

        Raises:
            ConfigurationError: there is no ``round.toml``, or it is not good; the message names file and line.
        """
        if not (self.root / FILE).is_file():
            raise ConfigurationError(
                f"{self.root}: there is no {FILE}; a round's folder was expected. Make one with `python -m evaluator round new`"
            )
        return read_terms(self.root / FILE)


def said(moment: datetime.datetime | None) -> str:
    """``2026-11-27T08:00:00Z``; ``-`` for none."""
    return "-" if moment is None else moment.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str, option: str) -> datetime.datetime:
    """The time of an option.

    Raises:
        ConfigurationError: it is no time with a time zone.
    """
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ConfigurationError(f"{option} is {one_line(text, 60)!r}; expected a time with a time zone, e.g. 2026-12-31T23:59:00Z")
    return found


_MOMENTS = ("made", "opens", "closes", "opened", "closed")
_HINTS: dict[str, Any] = {"name": str, "track": str, "profile": str, "state": str, "sandbox": str, "answers": bool}
_EXPECTED: dict[str, Any] = {"participants": int, "a-day": float, "nodes": int, "at-once": int, "cores": int}
_QUOTA: dict[str, Any] = {"a-day": int, "chosen": int}


def read_terms(file: Path) -> Terms:
    """The content of a ``round.toml``.

    Raises:
        ConfigurationError: naming file, line and key.
    """
    plain = read_toml(file)
    check_keys(file, plain, [f.name for f in fields(Terms)], "a round's folder")
    given = typed(file, plain, _HINTS)
    if missing := [key for key in ("name", "track", "profile", "made") if key not in given]:
        raise ConfigurationError(f"{file}: it has no key {missing[0]}; `round new` writes it. Put it back")
    for key in _MOMENTS:
        value = given.get(key)
        if key in given and (not isinstance(value, datetime.datetime) or value.tzinfo is None):
            raise ConfigurationError(
                f"{place_of(file, key)}: {key} is no time with a time zone; write e.g. {key} = 2026-12-31T23:59:00Z"
            )
    for table, hints, kind in (("expected", _EXPECTED, Expected), ("quota", _QUOTA, Quota)):
        own = given.pop(table, {})
        if not isinstance(own, dict):
            raise ConfigurationError(f"{place_of(file, table)}: {table} is no table; write [{table}] and its keys below it")
        check_keys(file, own, hints, f"the table {table}", table)
        values = {key.replace("-", "_"): value for key, value in typed(file, own, hints, table).items()}
        given[table] = _made(file, own, table, lambda kind=kind, values=values: kind(**values))
    return _made(file, plain, "", lambda: Terms(**given))


def _made(file: Path, plain: Mapping[str, Any], table: str, make: Any) -> Any:
    try:
        return make()
    except ConfigurationError as error:
        told = str(error).replace("a_day", "a-day")
        raise ConfigurationError(f"{place_of_value(file, plain, told, table)}: {told}") from None


def terms_text(terms: Terms) -> str:
    """The text of a ``round.toml``."""
    expected, quota = terms.expected, terms.quota
    moments = {key: getattr(terms, key) for key in _MOMENTS}
    lines = [
        "# The terms of this round. Change what you like until it is open; `round check` says what else must be changed then.",
        f"name = {_text(terms.name)}",
        f"track = {_text(terms.track)}",
        f"profile = {_text(terms.profile)}",
        f"sandbox = {_text(terms.sandbox)}",
        *(["answers = true  # answers in files are judged, too"] if terms.answers else []),
        f'state = "{terms.state}"  # new, open, closed: `round open` and `round close` change it',
        *(f"{key} = {said(value)}" for key, value in moments.items() if value is not None),
        "",
        "[expected]  # what the forecast is made of",
        f"participants = {expected.participants}",
        f"a-day = {expected.a_day:g}  # submissions of each a day, on average",
        f"nodes = {expected.nodes}  # machines that judge",
        f"at-once = {expected.at_once}  # trainings side by side on one machine",
        f"cores = {expected.cores}  # of one machine",
        "",
        "[quota]  # of each participant",
        f"a-day = {quota.a_day}",
        f"chosen = {quota.chosen}  # submissions that may have a private part",
    ]
    return "\n".join(lines) + "\n"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def set_keys(file: Path, values: Mapping[str, str]) -> None:
    """Change keys at the top of a TOML file, and nothing else of it: comments and order stay. Written whole or not at all.

    Args:
        values: by key, as TOML writes them. A key that is not there is put before the first table.

    Raises:
        ConfigurationError: the file writes its keys in an unusual way, so that they could not be changed; it is as it was.
    """
    old = read_bytes(file, SMALL.size).decode("utf-8-sig")
    lines = old.splitlines()
    end = next((number for number, line in enumerate(lines) if re.match(r"\s*\[", line)), len(lines))
    for key, value in values.items():
        at = next((number for number in range(end) if re.match(rf"\s*{re.escape(key)}\s*=", lines[number])), None)
        if at is None:
            lines.insert(end - 1 if end and not lines[end - 1].strip() else end, f"{key} = {value}")
            end += 1
        else:
            comment = re.search(r"\s\s#.*$", lines[at])
            lines[at] = f"{key} = {value}{comment[0] if comment else ''}"
    text = "\n".join(lines) + "\n"
    wanted = tomllib.loads(old) | tomllib.loads("\n".join(f"{key} = {value}" for key, value in values.items()))
    try:
        changed = tomllib.loads(text)
    except ValueError:
        changed = {}
    if changed != wanted:
        names = ", ".join(values)
        raise ConfigurationError(f"{file}: {names} could not be changed; expected each key in a line of its own. Write it so")
    write_text(file, text)
