"""Two versions of the rules side by side: what a rescore changes, and when a board may show the new version.

Old results are kept. A board changes to a new version when everything that was judged under the old is judged under the new, too,
so that no board compares those who were judged anew already with those who wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluator.judging.board import Line, Scored, board
from evaluator.report.console import label, titled
from evaluator.report.console import line as line_of
from evaluator.report.format import figure
from evaluator.tables import Metric


@dataclass(frozen=True)
class Change:
    """A participant under two versions.

    Attributes:
        old, new: the lines of the two boards; None where the participant is not on that board.
    """

    participant: str
    old: Line | None
    new: Line | None

    @property
    def ranks(self) -> int | None:
        """By how many ranks the participant rose; below 0 if it fell, None if it is on a single board."""
        return None if self.old is None or self.new is None else self.old.rank - self.new.rank

    @property
    def score(self) -> float | None:
        """The change of the metric's own mean; None as above."""
        old, new = _mean(self.old), _mean(self.new)
        return None if old is None or new is None else new - old

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "participant": self.participant,
            "old": _side(self.old),
            "new": _side(self.new),
            "change_of_score": self.score,
            "ranks_risen": self.ranks,
        }


def _side(line: Line | None) -> dict[str, Any] | None:
    if line is None:
        return None
    return {"submission": line.shown.number, "rank": line.rank, "ties": line.ties, "score": _mean(line)}


def _mean(line: Line | None) -> float | None:
    return None if line is None or line.shown.value is None else line.shown.value.mean


def versions(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """The versions of the rules that results are of, the oldest first. ``rows``: of ``Queue.results``, as everywhere here."""
    return sorted({int(row["version"]) for row in rows})


def unsettled(rows: Sequence[Mapping[str, Any]], version: int) -> set[int]:
    """Submissions that have a result of an older version, and none of ``version`` yet."""
    there = {row["submission"] for row in rows if row["version"] == version}
    return {row["submission"] for row in rows if row["version"] < version} - there


def settled(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The results that a board may show: without those of versions under which not everything was judged yet."""
    found = versions(rows)
    newest = next((version for version in reversed(found) if not unsettled(rows, version)), found[0] if found else 0)
    return [row for row in rows if row["version"] <= newest]


def changes(found: Sequence[Scored], old: int, new: int) -> list[Change]:
    """Every participant under two versions, in the order of the new board; those who are on the old board alone come last."""
    lines = {
        version: {line.participant: line for line in board([of for of in found if of.version == version])} for version in (old, new)
    }
    names = [*lines[new], *(name for name in lines[old] if name not in lines[new])]
    return [Change(name, lines[old].get(name), lines[new].get(name)) for name in names]


def show_changes(console: Console, found: Sequence[Change], metric: Metric, old: int, new: int) -> None:
    """Print a table: rank and score under both versions, and what changed."""
    table = Table(box=None, pad_edge=False)
    table.add_column("participant")
    for title in (f"v{old} rank", f"v{old} {metric.label}", f"v{new} rank", f"v{new} {metric.label}", "change", "ranks"):
        table.add_column(title, justify="right")
    for change in found:
        risen = "" if change.ranks is None else f"{change.ranks:+d}" if change.ranks else "="
        moved = "" if change.score is None else f"{change.score:+.{metric.decimals}f}"
        sides = [text for line in (change.old, change.new) for text in (_rank(line), _figure(line, metric))]
        table.add_row(label(change.participant), *map(line_of, (*sides, moved, risen)))
    titled(console, f"Versions {old} and {new} of the rules", table)


def _rank(line: Line | None) -> str:
    return "" if line is None else f"{line.rank}{' (tie)' if line.ties > 1 else ''}"


def _figure(line: Line | None, metric: Metric) -> str:
    if line is None or line.shown.value is None:
        return "no score"
    value = line.shown.value
    return figure({"mean": value.mean, "low": value.low, "high": value.high, "n": value.n}, metric.decimals)
