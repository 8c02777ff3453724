"""Pushed tags: a participant's repository is looked at from time to time, and every tag ``submission-...`` is taken in once.

A tag becomes a package like any other: the same quota, the same checks, the same receipt. What was judged is a commit: a tag that
is moved afterwards is not judged again, and its owner is told so once. The looking is done by a process of its own, so that a
slow network holds up no clock and no lease.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from evaluator.errors import ConfigurationError, SubmissionError
from evaluator.files import unheld
from evaluator.judging import feedback
from evaluator.judging.inbox import Taken, fault_of_ours, taken, write_feedback
from evaluator.judging.place import Place
from evaluator.judging.queue import Queue
from evaluator.judging.repositories import RepositoryError, Tag, Unreached, bring, tags
from evaluator.judging.resources import lack_of_disk
from evaluator.judging.shortages import shortage
from evaluator.submission.package import write_package
from evaluator.text import one_line

EVERY = 30.0
"""Seconds between two looks at all repositories."""
TRIES = 3
"""How often a tag is tried that cannot be fetched."""


@dataclass(eq=False)
class Watch:
    """Looks at the repositories of ``[git]``. ``told``: is given what cannot be reached, a line each, when that changes."""

    place: Place
    queue: Queue
    told: Callable[[str], None]
    _tries: dict[tuple[str, Tag], int] = field(default_factory=dict)
    _faults: dict[str, str] = field(default_factory=dict)

    def look(self, now: Callable[[], float] = time.time) -> Iterator[Taken]:
        """Look at every repository once, and take in what is new. Nothing is begun while the disk is nearly full."""
        for participant, address in sorted(self.place.rules.git.items()):
            if lack_of_disk(self.place.root, self.place.rules.resources):
                return
            fault = ""
            try:
                for tag in tags(address):
                    yield from self._seen(participant, address, tag, now())
            except (RepositoryError, Unreached, OSError) as error:
                fault = one_line(str(error), 500)
            except sqlite3.Error:
                raise
            except Exception as error:
                fault = fault_of_ours(error)
            if fault != self._faults.get(participant, ""):
                self.told(f"the repository of {participant}: {fault or 'it can be read again'}")
                self._faults[participant] = fault

    def _seen(self, participant: str, address: str, tag: Tag, now: float) -> Iterator[Taken]:
        found = self.queue.rows("SELECT object, moved FROM tag WHERE participant = ? AND name = ?", participant, tag.name)
        if found:
            if tag.commit not in (found[0]["object"], found[0]["moved"]):
                yield self._moved(participant, tag, found[0]["object"], now)
            return
        yield from self._taken(participant, address, tag, now)

    def _taken(self, participant: str, address: str, tag: Tag, now: float) -> Iterator[Taken]:
        with tempfile.TemporaryDirectory(prefix=".tag-", dir=self.place.tags) as scratch:
            package = Path(scratch) / f"{tag.name}.zip"
            try:
                inside = Path(scratch) / "files"
                inside.mkdir()
                folder = bring(address, tag, inside)
                write_package(folder, self.place.rules.track, package)
            except Unreached as error:
                tries = self._tries[participant, tag] = self._tries.get((participant, tag), 0) + 1
                if tries < TRIES:
                    raise
                yield self._refused(participant, tag, f"it could not be fetched: {error}", now)
                return
            except (RepositoryError, SubmissionError, ConfigurationError) as error:
                yield self._refused(participant, tag, str(error).replace(str(Path(scratch) / "files") + "/", ""), now)
                return
            except OSError:
                raise
            except Exception as error:  # what a repository holds never ends the watch over the others
                why = f"{fault_of_ours(error)} while it looked at this tag. Tell the organiser, and push another when it is mended"
                yield self._refused(participant, tag, why, now)
                return
            made = taken(self.place, self.queue, participant, package, now)
        # Last: a judge that is killed before takes the same package again, which counts once.
        self._note(participant, tag, now, "tag taken", made.submission)
        yield made

    def _refused(self, participant: str, tag: Tag, why: str, now: float) -> Taken:
        why = one_line(why, 1_000)
        write_feedback(self.place, participant, f"{tag.name}-receipt", feedback.receipt(tag.name, tag.commit, now, why, []))
        self._note(participant, tag, now, "tag refused", None, why)
        return Taken(participant, tag.name, 0, why)

    def _moved(self, participant: str, tag: Tag, before: str, now: float) -> Taken:
        why = f"the tag was taken at commit {before[:12]}, and now names {tag.commit[:12]}; a tag is judged once. Push a new tag"
        write_feedback(self.place, participant, f"{tag.name}-moved", feedback.receipt(tag.name, tag.commit, now, why, []))
        with self.queue.change() as db:
            db.execute("UPDATE tag SET moved = ? WHERE participant = ? AND name = ?", (tag.commit, participant, tag.name))
            detail = {"participant": participant, "tag": tag.name, "commit": tag.commit, "before": before}
            self.queue.tell(db, now, "tag moved", detail=detail)
        return Taken(participant, tag.name, 0, why)

    def _note(self, participant: str, tag: Tag, now: float, what: str, submission: int | None, why: str = "") -> None:
        with self.queue.change() as db:
            db.execute(
                "INSERT OR IGNORE INTO tag (participant, name, object, seen) VALUES (?, ?, ?, ?)",
                (participant, tag.name, tag.commit, now),
            )
            detail = {"participant": participant, "tag": tag.name, "commit": tag.commit} | ({"why": why} if why else {})
            self.queue.tell(db, now, what, submission, detail=detail)


def watch(place: Place, queue: Queue, told: Callable[[str], None], *, once: bool = False) -> None:
    """Look at the repositories until the process is ended; with ``once``, a single time.

    Where several judges work in a folder, one of them looks at a time.
    """
    place.tags.mkdir(exist_ok=True)
    looking = Watch(place, queue, told)
    lacks = ""
    while True:
        try:
            _look(looking, told)
            lacks = ""
        except (sqlite3.Error, OSError) as error:
            if once or not (lack := shortage(error)):
                raise
            if lack != lacks:  # once, and not at every look
                told(f"no tag is taken in: {lack} ({error})")
            lacks = lack
        if once:
            return
        time.sleep(EVERY)


def _look(looking: Watch, told: Callable[[str], None]) -> None:
    with unheld(looking.place.tags) as free:
        if free:
            for one in looking.look():
                said = f"refused: {one.refused}" if one.refused else f"submission {one.submission}"
                told(f"{one.participant}: {one.package}: {said}")
