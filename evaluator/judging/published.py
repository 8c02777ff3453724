"""A board as data, beside its pages: ``board.json`` with all that a line shows, and ``board.csv`` with a row for each line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from evaluator.judging.board import LEVEL, STEP, Line, Scored, data_scored, newest_version, not_yet, version_before
from evaluator.scoring.intervals import Interval
from evaluator.tables import Metric
from evaluator.text import json_text, one_line, spreadsheet

SCHEMA = 1
"""Version of ``board.json``. It is raised when a key changes its meaning."""
COLUMNS = (
    *("part", "rank", "ties", "participant", "submission", "name", "score", "low", "high", "collapsed", "seeds", "score_before"),
    *("version", "version_before", "metric", "metric_version", "received", "sent", "package"),
)
"""Of ``board.csv``. ``score`` is the value of the metric, ``low`` and ``high`` its interval, ``collapsed`` the number of cells
whose model learnt nothing, ``received`` seconds since 1970."""


def as_json(
    title: str, parts: Mapping[str, Sequence[Scored]], lines: Mapping[str, Sequence[Line]], metric: Metric, now: float
) -> str:
    """The text of ``board.json``.

    Args:
        title: of the competition. ``parts``: judged submissions by part; ``lines``: the board of each part.
        now: when it is written, seconds since 1970.
    """
    content = {
        "schema": SCHEMA,
        "competition": one_line(title),
        "written": now,
        "metric": {"name": metric.name, "label": metric.label, "higher_is_better": metric.higher_is_better},
        "level": LEVEL,
        "step": STEP,
        "parts": {part: _part(found, lines[part]) for part, found in parts.items()},
    }
    return json_text(content, indent=1, allow_nan=False) + "\n"


def as_csv(parts: Mapping[str, Sequence[Scored]], lines: Mapping[str, Sequence[Line]], metric: Metric) -> str:
    """The text of ``board.csv``. A text that a spreadsheet would compute has an apostrophe before it."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for part in parts:
        for line in lines[part]:
            of, value = line.shown, line.shown.value
            before = None if line.before is None else line.before.value
            row = {
                "part": part,
                "rank": line.rank,
                "ties": line.ties,
                "participant": of.participant,
                "submission": of.number,
                "name": of.name,
                "score": None if value is None else value.mean,
                "low": None if value is None else value.low,
                "high": None if value is None else value.high,
                "collapsed": of.collapsed,
                "seeds": " ".join(map(str, sorted(of.scores))),
                "score_before": None if before is None else before.mean,
                "version": of.version,
                "version_before": None if line.before is None else line.before.version,
                "metric": metric.name,
                "metric_version": of.metric_version or None,
                "received": of.received,
                "sent": line.sent,
                "package": of.package,
            }
            writer.writerow(["" if row[name] is None else spreadsheet(row[name]) for name in COLUMNS])
    return out.getvalue()


def _part(found: Sequence[Scored], lines: Sequence[Line]) -> dict[str, Any]:
    newest, old = newest_version(found), version_before(found)
    return {
        "version": newest[0].version if newest else None,
        "version_before": next(iter(old.values())).version if old else None,
        "metric_versions": sorted({of.metric_version for of in newest if of.metric_version}),
        "data": data_scored(newest),
        "judged": len(newest),
        "not_yet_judged_anew": not_yet(found),
        "lines": [_line(line) for line in lines],
    }


def _line(line: Line) -> dict[str, Any]:
    of = line.shown
    return {
        "rank": line.rank,
        "ties": line.ties,
        "participant": one_line(of.participant),
        "submission": of.number,
        "name": one_line(of.name),
        "score": _interval(of.value),
        "collapsed": of.collapsed,
        "seeds": sorted(of.scores),
        "before": None if line.before is None else _interval(line.before.value),
        "verdict": of.verdict,
        "received": of.received,
        "sent": line.sent,
        "package": of.package,
        "links": {name: one_line(address, 600) for name, address in of.detail.get("links", {}).items()},
    }


def _interval(value: Interval | None) -> dict[str, Any] | None:
    return None if value is None else {"mean": value.mean, "low": value.low, "high": value.high, "n": value.n}
