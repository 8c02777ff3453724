"""Rows of tables of stored cells: which submission of whom, under a name that no other row has; and which rows are shown.

A row is an entry (``entries``), or, for cells without an entry, the name in their spec. Two contents of one owner and label are two
*editions* of a submission. Without an owner they count as editions only if they lay in the same folder: a label alone may be that
of two people.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from evaluator.errors import ConfigurationError
from evaluator.history.entries import Entry, place_text
from evaluator.text import name as short
from evaluator.words import meant

LISTED = 12
"""Stored submissions that an error names."""

Source = tuple[str, str]
"""Name and digest, as a spec holds them."""


@dataclass(frozen=True)
class Person:
    """A submission of somebody: a row of a table.

    Attributes:
        owner, label, digest: as in ``Entry``; the label of cells without an entry is the name in their spec.
        folder: where it lay last; ``time``: when it was evaluated last. Both are empty without an entry.
        name: in the spec of its cells; None if all cells of the digest are its own.
        aliases: further names by which it can be asked for.
    """

    owner: str
    label: str
    digest: str
    folder: str = ""
    time: str = ""
    name: str | None = None
    aliases: frozenset[str] = frozenset()

    def has(self, source: Source) -> bool:
        """Whether a cell of that name and digest is one of its cells."""
        return source[1] == self.digest and self.name in (None, source[0])

    def called(self, text: str) -> bool:
        """Whether ``text`` names it: label, owner/label, plain name, the beginning of its digest (8 digits or more), its folder."""
        start = len(text) >= 8 and self.digest.startswith(text)
        named = text in (self.label, f"{self.owner}/{self.label}", *self.aliases)
        return named or start or (bool(self.folder) and self.folder == place_text(Path(text)))

    @property
    def edition_of(self) -> tuple[str, ...] | None:
        """What is equal in all editions of one submission; None if it is unknown which edition is the latest."""
        if not self.time:
            return None
        return (self.owner, self.label) if self.owner else ("", self.label, self.folder)


@dataclass(frozen=True)
class Shown:
    """Which rows a table shows. By default all of them.

    Attributes:
        names: only rows that one of these texts names (``Person.called``); empty for all.
        keep: rows of these names are shown whatever the other attributes say, e.g. the reference.
        since: only rows that were evaluated at that time (``moment``) or later; empty for all.
        latest: of several editions of a submission only the latest, unless one is named by its digest.
        failed: submissions of which no cell was scored, too. If there are no others, they are shown in any case.
    """

    names: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    since: str = ""
    latest: bool = False
    failed: bool = True

    def kept(self, person: Person) -> bool:
        """Whether a row is shown whatever happens."""
        exactly = [text for text in self.names if len(text) >= 8 and person.digest.startswith(text)]
        return bool(exactly) or any(person.called(text) for text in self.keep)

    def takes(self, person: Person) -> bool:
        """Whether a row is asked for by name and time."""
        if self.kept(person):
            return True
        named = not self.names or any(person.called(text) for text in self.names)
        return named and (not self.since or person.time >= self.since)


EVERYTHING = Shown()


@dataclass(frozen=True)
class Hidden:
    """How many rows a table does not show: earlier ``editions``, submissions that ``failed`` in every cell."""

    editions: int = 0
    failed: int = 0


NONE_HIDDEN = Hidden()


def since(text: str) -> str:
    """A date or a time (ISO 8601; local where no zone is named) as ``moment`` writes it.

    Raises:
        ConfigurationError: it is neither.
    """
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        raise ConfigurationError(
            f"--since is {short(text)!r}; it must be a date or a time, e.g. 2026-11-26 or 2026-11-26T21:00"
        ) from None


def people(sources: Iterable[Source], entries: Iterable[Entry]) -> list[Person]:
    """The rows that cells of these names and digests belong to, sorted.

    Entries of one owner, label and digest are one row, with the folder of the last evaluation.
    """
    names: dict[str, set[str]] = defaultdict(set)
    for name, digest in sources:
        names[digest].add(name)
    of: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.digest in names:
            of[entry.label, entry.owner, entry.digest].append(entry)
            names[entry.digest].discard(entry.name)
    found = []
    for (label, owner, digest), same in of.items():
        last = max(same, key=lambda entry: (entry.last, entry.folder))
        found.append(Person(owner, label, digest, last.folder, last.last, None, frozenset(entry.name for entry in same)))
    found += [Person("", name, digest, name=name) for digest, left in names.items() for name in left]
    return sorted(found, key=lambda person: (person.label, person.owner, person.digest, person.time))


def check_names(names: Sequence[str], known: Sequence[Person]) -> None:
    """Check that every text names a stored submission.

    Raises:
        ConfigurationError: one does not.
    """
    for text in names:
        if not any(person.called(text) for person in known):
            labels = sorted({person.label for person in known})
            listed = ", ".join(map(short, labels[:LISTED])) + (f" and {len(labels) - LISTED} more" if len(labels) > LISTED else "")
            raise ConfigurationError(
                f"compare: no stored submission is called {short(text)!r}; stored are: {listed or 'none'}{meant(text, labels)}. "
                "Name a label, owner/label, the beginning of a digest, or the folder of a submission"
            )


def shown_names(labels: Sequence[tuple[str, str, str]]) -> tuple[str, ...]:
    """A name for every row of a table, different for all. ``labels``: label, owner and digest of each.

    A label that occurs more than once gets the owner, the beginning of the digest, or both; else a number.
    """
    of: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for row in labels:
        of[row[0]].append(row)
    found: list[str] = []
    for label, owner, digest in labels:
        same, marks = of[label], []
        if len(same) > 1:
            owners = [row[1] for row in same]
            marks += [short(owner, 32)] if owner and len(set(owners)) > 1 else []
            marks += [digest[:8]] if not marks or owners.count(owner) > 1 else []
        found.append(f"{label} ({', '.join(marks)})" if marks else label)
    counts: dict[str, int] = defaultdict(int)
    for i, shown in enumerate(found):
        counts[shown] += 1
        found[i] = f"{shown} [{counts[shown]}]" if counts[shown] > 1 else shown
    return tuple(found)


def fold(rows: Sequence[Person], scored: Collection[Person], shown: Shown) -> tuple[list[Person], Hidden]:
    """The rows of one table that are shown, and how many are not. ``scored``: the rows that have a scored cell."""
    failed = set() if shown.failed else {row for row in rows if row not in scored and not shown.kept(row)}
    failed = set() if len(failed) == len(rows) else failed
    left = [row for row in rows if row not in failed]
    newest: dict[tuple[str, ...], Person] = {}
    for row in left:
        key = row.edition_of
        if key is not None and (key not in newest or (row.time, row.digest) > (newest[key].time, newest[key].digest)):
            newest[key] = row
    folded = {row for row in left if row.edition_of is not None and newest[row.edition_of] != row and not shown.kept(row)}
    folded = folded if shown.latest else set()
    return [row for row in left if row not in folded], Hidden(len(folded), len(failed))
