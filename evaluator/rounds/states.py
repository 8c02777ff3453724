"""Opening and closing a round. The change of state is written last, so that a command that was killed can be run again."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections.abc import Iterator
from dataclasses import dataclass

from evaluator.errors import ConfigurationError
from evaluator.files import hold_aloud
from evaluator.judging import place
from evaluator.judging.queue import Queue
from evaluator.rounds import manifest
from evaluator.rounds.check import Checked
from evaluator.rounds.terms import FILE, Folder, Terms, said, set_keys
from evaluator.text import as_command


@dataclass(frozen=True)
class Closed:
    """What there is to do after a round was closed.

    Attributes:
        at: when it was closed; ``before``: whether an earlier command closed it.
        waiting: jobs that are still to be done.
    """

    at: datetime.datetime
    before: bool
    waiting: int


@contextlib.contextmanager
def alone(folder: Folder) -> Iterator[None]:
    """No other command changes the state meanwhile; another one waits.

    Raises:
        ConfigurationError: it is no folder of a round, or its folder ``keep`` is gone.
    """
    if not folder.keep.is_dir():
        folder.terms()  # of another folder it says that
        raise ConfigurationError(
            f"{folder.keep}: there is no such folder; the one with the round's secret and hidden data was expected. Put it back"
        )
    # Not the round's own folder: it may be open to readers, who could lock it; nobody else may enter ``keep``.
    lock = hold_aloud(folder.keep.resolve())
    try:
        yield
    finally:
        os.close(lock)


def require_may_open(folder: Folder, now: datetime.datetime) -> Terms:
    """The terms of a round that may be opened now, or is open already.

    Raises:
        ConfigurationError: it is closed, it is too early, or its end has passed.
    """
    terms, file = folder.terms(), folder.root / FILE
    if terms.state == "closed":
        raise ConfigurationError(f"{file}: state is closed since {said(terms.closed)}; expected new. Make a new round")
    if terms.state == "new" and terms.opens is not None and now < terms.opens:
        raise ConfigurationError(
            f"{file}: opens is {said(terms.opens)}, and it is {said(now)}. Wait, or correct it there and in README.md"
        )
    if terms.state == "new" and terms.closes is not None and now >= terms.closes:
        raise ConfigurationError(f"{file}: closes is {said(terms.closes)}, which has passed; expected a later time. Correct closes")
    return terms


def open_round(folder: Folder, checked: Checked, now: datetime.datetime) -> int:
    """Open a round that was checked: its manifest is written, the judge's folder made, and the state changed.

    Returns:
        The number of published files. A round that is open stays as it is.

    Raises:
        ConfigurationError: the check found something, or another command changed the state.
    """
    if not checked.good:
        wrong = ", ".join(row.name for row in checked.rows if row.state == "found")
        raise ConfigurationError(f"{folder.root}: the check found faults in {wrong}; expected none. Mend them, and open again")
    terms = require_may_open(folder, now)
    if terms.state == "open":
        return manifest.differences(folder.publish)[1]
    count = manifest.write(folder.publish)
    place.Place.of(folder.judge)
    set_keys(folder.root / FILE, {"state": '"open"', "opened": said(now)})
    return count


def close_round(folder: Folder, now: datetime.datetime, early: bool = False) -> Closed:
    """Close a round: nothing is taken any more, and the state changes. A round that is closed stays as it is.

    Args:
        early: although its end has not come.

    Raises:
        ConfigurationError: it was never opened, or its end has not come.
    """
    terms, file = folder.terms(), folder.root / FILE
    if terms.state == "new":
        first = as_command("python", "-m", "evaluator", "round", "open", folder.root)
        raise ConfigurationError(f"{file}: state is new; expected open. Run `{first}` first")
    judge = place.Place.of(folder.judge)
    queue = Queue(judge.queue, judge.rules.quota)
    try:
        counts = queue.counts()
    finally:
        queue.close()
    waiting = counts.get("waiting", 0) + counts.get("running", 0)
    if terms.state == "closed" and terms.closed is not None:
        return Closed(terms.closed, True, waiting)
    if not early and (terms.closes is None or now < terms.closes):
        end = f"closes is {said(terms.closes)}" if terms.closes else "it has no end (closes)"
        raise ConfigurationError(f"{file}: {end}, and it is {said(now)}; wait, or close it before its time with --early")
    # A deadline that has passed stays: what came until then was taken by right.
    last = now if terms.closes is None else min(now, terms.closes)
    set_keys(folder.judge / place.FILE, {"deadline": said(last)})
    set_keys(file, {"state": '"closed"', "closed": said(now)})
    return Closed(now, False, waiting)
