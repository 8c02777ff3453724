"""The trail: every change of state, with who made it, when and why, as a chain in which a change of the past can be seen.

Every event has a hash over its content and the hash of the event before it. Whoever changes, removes or adds an event in the
middle breaks the chain; whoever recomputes the rest of the chain, which everybody can who may write to the file, gets another
**head** (the last hash). So note the head from time to time where the judge's machine cannot write, e.g. in a mail or on the
board's page: ``check`` says whether a head that was noted still stands in the chain. The same check replays the events and
compares what they say with the states and the results in the file, so that a score that was changed by hand is found, too.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from evaluator.text import spreadsheet

NONE = "0" * 64
"""The hash before the first event."""
COLUMNS = ("id", "at", "what", "who", "participant", "submission", "job", "why", "detail", "hash")
"""Of the table that is exported."""
_STATES = {
    "queued": "waiting",
    "claimed": "running",
    "given back": "waiting",
    "stopped": "waiting",
    "done": "done",
    "failed by our fault": "failed",
}
MOST_FAULTS = 20


@dataclass(frozen=True)
class Checked:
    """What a check found. ``events``: how many there are; ``head``: the last hash; ``faults``: what is wrong, a sentence each."""

    events: int
    head: str
    faults: tuple[str, ...]


def digest(event: Sequence[Any], before: str) -> str:
    """The hash of an event: SHA-256, in hexadecimal, of its number, time, what, who, submission, job and detail, and of
    ``before``."""
    return hashlib.sha256(json.dumps([*event, before], ensure_ascii=True).encode()).hexdigest()


def tell(
    db: sqlite3.Connection,
    at: float,
    what: str,
    who: str,
    submission: int | None = None,
    job: int | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add an event, within the caller's transaction."""
    last = db.execute("SELECT id, hash FROM event ORDER BY id DESC LIMIT 1").fetchone()
    number, before = (1, NONE) if last is None else (int(last[0]) + 1, str(last[1]))
    event = (number, float(at), what, who, submission, job, json.dumps(detail or {}, sort_keys=True))
    db.execute(
        "INSERT INTO event (id, at, what, who, submission, job, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (*event, digest(event, before)),
    )


def result_digest(text: str) -> str:
    """The hash of a job's result as it is stored."""
    return hashlib.sha256(text.encode()).hexdigest()


def check(db: sqlite3.Connection, noted: Sequence[str] = ()) -> Checked:
    """Hold the chain, and the states and results of jobs, against the events.

    Args:
        noted: heads that were noted earlier; each must stand in the chain.
    """
    faults: list[str] = []
    before, count, seen = NONE, 0, {NONE}
    states: dict[int, str] = {}
    results: dict[int, str] = {}
    for row in db.execute("SELECT id, at, what, who, submission, job, detail, hash FROM event ORDER BY id"):
        event, found = tuple(row)[:-1], str(row[7])
        count += 1
        if event[0] != count:
            faults.append(f"event {event[0]}: {count} was expected; an event was removed or added")
            count = int(event[0])
        if digest(event, before) != found:
            faults.append(f"event {event[0]} ({event[2]}): its hash is not that of its content and the event before it")
        before = found
        seen.add(found)
        if event[5] is not None and event[2] in _STATES:
            states[event[5]] = _STATES[event[2]]
            results[event[5]] = _noted_result(event[6]) if event[2] == "done" else ""
        if len(faults) >= MOST_FAULTS:
            break
    else:
        faults += _against_jobs(db, states, results)
    faults += [
        f"the head {head[:16]} is not in the chain: what was there when it was noted was changed"
        for head in noted
        if head not in seen
    ]
    return Checked(count, before, tuple(faults[:MOST_FAULTS]))


def _noted_result(detail: str) -> str:
    try:
        return str(json.loads(detail).get("result", ""))
    except (ValueError, AttributeError):
        return ""


def _against_jobs(db: sqlite3.Connection, states: Mapping[int, str], results: Mapping[int, str]) -> list[str]:
    faults = []
    there = set()
    for number, state, result in db.execute("SELECT id, state, result FROM job ORDER BY id"):
        there.add(number)
        said = states.get(number, "unknown")
        if said != state:
            faults.append(f"job {number}: its state is {state}, and by the trail {said}")
        elif results.get(number) and result_digest(result) != results[number]:  # trails of schema 1 do not hold it
            faults.append(f"job {number}: its result is not that which was stored when it was done")
    faults += [f"job {number}: the trail speaks of it, and it is gone" for number in sorted(states.keys() - there)]
    return faults


def events(db: sqlite3.Connection, after: int = 0) -> list[dict[str, Any]]:
    """Every event after the number ``after``, oldest first, with the participant of its submission; ``detail`` is decoded."""
    rows = db.execute(
        "SELECT e.id, e.at, e.what, e.who, s.participant, e.submission, e.job, e.detail, e.hash FROM event e"
        " LEFT JOIN submission s ON s.id = e.submission WHERE e.id > ? ORDER BY e.id",
        (after,),
    ).fetchall()
    names = ("id", "at", "what", "who", "participant", "submission", "job", "detail", "hash")
    found = [dict(zip(names, tuple(row), strict=True)) for row in rows]
    return [event | {"detail": json.loads(event["detail"])} for event in found]


def moment(at: float) -> str:
    """A time as text, UTC, e.g. ``2026-11-27 08:30:00``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def as_csv(found: Sequence[Mapping[str, Any]]) -> str:
    """Events as a table with a header; no cell is a formula to a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for event in found:
        detail = dict(event["detail"])
        why = detail.pop("why", "")
        row = {**event, "at": moment(event["at"]), "why": why, "detail": json.dumps(detail, sort_keys=True) if detail else ""}
        writer.writerow([spreadsheet("" if row[name] is None else row[name]) for name in COLUMNS])
    return out.getvalue()
