"""Where a judge works: a folder with ``judge.toml``, its inbox and outbox, the packages that it took in, results and the queue.

```
judge.toml            what is judged, by which rules
public.toml           the public part: options of a sweep (docs/organisers.md)
private.toml          the private part, if there is one
inbox/<participant>/  packages that wait to be taken in
outbox/<participant>/ what goes back
packages/             every package that was taken in, by its SHA-256
submissions/          the same, unpacked
results/              cells and answers, a folder for each part
runs/                 summary and log of every attempt
images/               which images were built for whom, where requirements is "image"
tags/                 what was fetched of participants' repositories, if [git] names some
queue.db              what is to be done, what was done, and when
```

``inbox`` and ``outbox`` are what participants reach; the rest is for the judge alone.
"""

from __future__ import annotations

import datetime
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from evaluator.bounded import read_toml
from evaluator.errors import ConfigurationError
from evaluator.judging.image_rules import ImageRules
from evaluator.judging.jobs import Part, Quota
from evaluator.judging.repositories import check_address, check_participant
from evaluator.judging.resources import Resources
from evaluator.judging.retention import Retention
from evaluator.toml_keys import check_keys, place_of, place_of_value, typed
from evaluator.words import meant

FILE = "judge.toml"
REQUIREMENTS = ("fixed", "image")
TIERS = ("bubblewrap", "docker", "landlock", "process", "auto")


@dataclass(frozen=True)
class Rules:
    """The content of ``judge.toml``.

    Attributes:
        name: of the competition; ``track``: what kind it is.
        public, private: files of the parts, beside ``judge.toml``; ``private`` may be empty.
        sandbox: the isolation tier; without one that hides files from strangers, a judge does not start.
        deadline: seconds since 1970 after which packages are refused; None for none.
        version: of the rules and the judging code; raise it and ``rescore`` to judge everything anew.
        quota: see ``Quota``.
        participants: who may send; empty for every folder of the inbox.
        largest: bytes of a package.
        hours: after which one attempt is given up as a fault of ours.
        requirements: what becomes of a submission's own ``requirements.txt``: ``fixed``, nothing (the kit's packages are those that
            it has), or ``image``, an image is built for it, as ``image`` says (see ``ImageRules``).
        resources, retention: see there; ``git``: repositories whose tags are judged, by participant.
        answers: whether answers are judged, too (a ledger, rankings, a table of edits). They know no clock and no sandbox, so a
            round whose point is either judges code alone.

    Raises:
        ConfigurationError: a value makes no sense.
    """

    name: str
    track: str = "purchase"
    public: str = "public.toml"
    private: str = ""
    sandbox: str = "bubblewrap"
    deadline: float | None = None
    version: int = 1
    quota: Quota = field(default_factory=Quota)
    participants: tuple[str, ...] = ()
    largest: int = 100 << 20
    hours: float = 12.0
    requirements: str = "fixed"
    image: ImageRules = field(default_factory=ImageRules)
    resources: Resources = field(default_factory=Resources)
    retention: Retention = field(default_factory=Retention)
    git: Mapping[str, str] = field(default_factory=dict)
    answers: bool = False

    def __post_init__(self) -> None:
        if self.sandbox not in TIERS:
            raise ConfigurationError(
                f"sandbox is {self.sandbox!r}{meant(self.sandbox, TIERS) or '; it must be ' + ', '.join(TIERS)}"
            )
        if self.requirements not in REQUIREMENTS:
            raise ConfigurationError(
                f"requirements is {self.requirements!r}{meant(self.requirements, REQUIREMENTS) or '; it must be fixed or image'}"
            )
        if self.requirements == "image" and self.sandbox != "docker":
            raise ConfigurationError(
                'requirements is "image"; images are for the tier docker, and sandbox is '
                f'"{self.sandbox}". Write sandbox = "docker", or requirements = "fixed"'
            )
        if self.requirements != "image" and self.image != ImageRules():
            raise ConfigurationError(
                'image is a table on how images are built, and requirements is "fixed", so none is. Write requirements = "image", '
                "or take the table out"
            )
        for participant, address in self.git.items():
            check_participant(participant, self.participants)
            check_address(participant, address)
        for name, value, least in (("version", self.version, 1), ("largest", self.largest, 1)):
            if value < least:
                raise ConfigurationError(f"{name} is {value}; expected {least} or more")
        if not 0 < self.hours <= 24 * 30:
            raise ConfigurationError(f"hours is {self.hours:g}; expected more than 0, and at most a month")
        for name, file in (("public", self.public), ("private", self.private)):
            if Path(file).name != file or (file and not file.endswith(".toml")):
                raise ConfigurationError(f"{name} is {file!r}; expected the name of a TOML file beside {FILE}")


@dataclass(frozen=True)
class Place:
    """A judge's folder. ``of(...)`` reads it; the folders below it are made where they are missing."""

    root: Path
    rules: Rules

    @classmethod
    def of(cls, root: Path) -> Place:
        """The folder, with its rules read and checked.

        Raises:
            ConfigurationError: there is no ``judge.toml``, it is not good, or a part that it names is missing.
        """
        root = root.expanduser().absolute()
        file = root / FILE
        if not file.is_file():
            raise ConfigurationError(f"{root}: there is no {FILE}; a judge's folder was expected. docs/organisers.md shows one")
        rules = _read_rules(file)
        for part in ("public", *(["private"] if rules.private else [])):
            if not (root / getattr(rules, part)).is_file():
                raise ConfigurationError(
                    f"{place_of(file, part)}: {part} names {getattr(rules, part)}, which is not there. Write it"
                )
        if rules.image.wheels and not (root / rules.image.wheels).is_dir():
            raise ConfigurationError(
                f"{place_of(file, 'wheels', 'image')}: [image] wheels names {rules.image.wheels}, which is no folder; expected one "
                "with .whl files. Make it"
            )
        made = cls(root, rules)
        more = (made.images,) if rules.requirements == "image" else ()
        for folder in (made.inbox, made.outbox, made.packages, made.submissions, made.runs, made.results("public"), *more):
            folder.mkdir(parents=True, exist_ok=True)
        for hidden in (made.packages, made.submissions, made.runs, root / "results", *more):
            hidden.chmod(0o700)
        return made

    def exposed(self) -> tuple[Path, ...]:
        """Files that decide hidden tasks and draws, and that other users of the machine may read."""
        parts: tuple[Part, ...] = ("public", "private") if self.rules.private else ("public",)
        files = [self.sweep("private")] if self.rules.private else []
        for part in parts:
            try:
                secret = read_toml(self.sweep(part)).get("secret")
            except ConfigurationError:  # what is wrong with the file is said where its options are read
                continue
            if isinstance(secret, str):
                files.append(self.root / Path(secret).expanduser())
        return tuple(file for file in dict.fromkeys(files) if _read_by_others(file))

    @property
    def inbox(self) -> Path:
        """Packages that wait, a folder for each participant."""
        return self.root / "inbox"

    @property
    def outbox(self) -> Path:
        """What goes back, a folder for each participant."""
        return self.root / "outbox"

    @property
    def packages(self) -> Path:
        """Every package that was taken in."""
        return self.root / "packages"

    @property
    def submissions(self) -> Path:
        """The packages, unpacked."""
        return self.root / "submissions"

    @property
    def runs(self) -> Path:
        """Summary and log of every attempt."""
        return self.root / "runs"

    @property
    def images(self) -> Path:
        """Which images were built for whom."""
        return self.root / "images"

    @property
    def tags(self) -> Path:
        """What was fetched of participants' repositories."""
        return self.root / "tags"

    @property
    def queue(self) -> Path:
        """The file of the queue."""
        return self.root / "queue.db"

    def results(self, part: Part) -> Path:
        """Cells and answers of a part."""
        return self.root / "results" / part

    def sweep(self, part: Part) -> Path:
        """The options of a part."""
        return self.root / (self.rules.public if part == "public" else self.rules.private)


def _read_by_others(file: Path) -> bool:
    """Whether the group of a file, or everybody, may read it and come to it through the folders above."""
    try:
        rights = file.stat().st_mode
        above = [folder.stat().st_mode for folder in file.resolve().parents]
    except OSError:
        return False
    everybody = rights & stat.S_IROTH and all(mode & stat.S_IXOTH for mode in above)
    return bool(everybody or (rights & stat.S_IRGRP and all(mode & (stat.S_IXGRP | stat.S_IXOTH) for mode in above)))


_HINTS: dict[str, Any] = {
    "name": str,
    "track": str,
    "public": str,
    "private": str,
    "sandbox": str,
    "version": int,
    "participants": tuple[str, ...],
    "largest": int,
    "hours": float,
    "requirements": str,
    "git": dict[str, str],
    "answers": bool,
}
_TABLES: dict[str, tuple[type, str, dict[str, Any]]] = {
    "quota": (Quota, "a quota", {"a-day": int, "refused": int, "chosen": int, "attempts": int, "pause": float}),
    "resources": (Resources, "a table of resources", {"jobs": int, "cells": int, "clocks": int, "memory": float, "disk": float}),
    "retention": (
        Retention,
        "a table of retention",
        dict.fromkeys(("packages", "submissions", "logs", "predictions", "images"), float),
    ),
    "image": (
        ImageRules,
        "a table on images",
        {"base": str, "network": str, "index": str, "wheels": str, "sources": bool}
        | dict.fromkeys(("seconds", "memory", "largest"), float),
    ),
}
"""Tables of ``judge.toml``: what they are read as, what they are called, and their keys with types."""


def _read_rules(file: Path) -> Rules:
    plain = read_toml(file)
    check_keys(file, plain, [name.name for name in fields(Rules)], "a judge")
    given = typed(file, plain, _HINTS)
    if "name" not in given:
        raise ConfigurationError(f'{file}: it has no key name; write name = "..." with the name of the competition')
    if "deadline" in given:
        given["deadline"] = _instant(file, given["deadline"])
    found: dict[str, Any] = {}
    for name, (kind, called, hints) in _TABLES.items():
        table = given.pop(name, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"{place_of(file, name)}: {name} is no table; write [{name}] and its keys below it")
        check_keys(file, table, hints, called, name)
        values = {key.replace("-", "_"): value for key, value in typed(file, table, hints, name).items()}
        try:
            found[name] = kind(**values)
        except ConfigurationError as error:
            raise ConfigurationError(f"{place_of_value(file, plain, str(error))}: [{name}] {error}") from None
    try:
        return Rules(**given, **found)
    except ConfigurationError as error:
        raise ConfigurationError(f"{place_of_value(file, plain, str(error))}: {error}") from None


def _instant(file: Path, value: Any) -> float:
    if not isinstance(value, datetime.datetime) or value.tzinfo is None:
        raise ConfigurationError(
            f"{place_of(file, 'deadline')}: deadline is no time with a time zone; write e.g. deadline = 2026-12-31T23:59:00Z"
        )
    return value.timestamp()
