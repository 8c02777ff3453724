"""What a person sees of a round: the rows of a check, and a forecast."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from evaluator.report.console import hanging, line, titled
from evaluator.rounds.check import Checked
from evaluator.rounds.forecast import HOUR, Forecast, Load
from evaluator.rounds.terms import Terms
from evaluator.words import counted, number

COLOURS = {"good": "green", "warning": "yellow", "found": "bold red"}


def show_check(console: Console, checked: Checked) -> None:
    """Print the rows, and below them what was found."""
    table = Table("check", "compared", "result")
    for row in checked.rows:
        told = "good" if row.state == "good" else f"{row.state}: {row.count:,}"
        table.add_row(line(row.name), line(row.compared), Text(told, COLOURS[row.state]))
    titled(console, f"{checked.terms.name}: what is hidden against what goes out", table)
    for row in checked.rows:
        for text in (*row.found, *([f"and {row.more:,} more"] if row.more else [])):
            hanging(console, f"{row.name}: {text}", COLOURS[row.state])


def show_forecast(console: Console, terms: Terms, found: Forecast) -> None:
    """Print a forecast."""
    expected = terms.expected
    bound = "at least " if any(part and part.unmeasured_trainings for part in (found.public, found.private)) else ""
    table = Table("", f"expected: {expected.a_day:g} a day each", f"worst: {terms.quota.a_day} a day each")

    def add(name: str, value: object) -> None:
        table.add_row(name, *(f"{value(of)}" for of in (found.expected, found.worst)))  # type: ignore[operator]

    add("a submission, public part", lambda of: f"{bound}{_time(of.submission)}")
    if found.private is not None:
        add("a submission, private part", lambda of: f"{bound}{_time(of.private_submission)}")
    add("submissions a day", lambda of: number(of.a_day))
    add("a day on each node", lambda of: f"{bound}{_time(of.node_day)}")
    add("core time a day", lambda of: f"{bound}{number(of.core_day / HOUR)} core hours")
    add("a day's work fits in a day", _fits(bool(bound)))
    add("judged after the deadline", lambda of: f"{bound}{_time(of.queue)}")
    if found.private is not None:
        add("the private part", lambda of: f"{bound}{_time(of.private)}")
    add("the whole round", lambda of: f"{bound}{number(of.core_round / HOUR)} core hours")
    people = (
        f"{counted(expected.participants, 'participant')}, {counted(expected.nodes, 'node')} of {counted(expected.cores, 'core')}"
    )
    side = f"{counted(found.public.expected.at_once, 'training')} of a submission at once"
    titled(console, f"forecast: {people}, {side}, {number(terms.days)} days", table)
    for note in found.notes:
        hanging(console, note, "yellow")


def _fits(bounded: bool):  # type: ignore[no-untyped-def]
    def told(of: Load) -> str:
        return ("perhaps" if bounded else "yes") if of.fits else "no"

    return told


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{number(seconds)} s"
    return f"{number(seconds / 60)} min" if seconds < HOUR else f"{number(seconds / HOUR)} h"
