"""The board as a site of plain files: a page with the lines, and a page for every submission. Nothing is needed to show it.

Pages are written one by one, each whole or not at all, the board last: whoever reads meanwhile finds every page that a link leads
to. They hold what a participant may know of others: names, ranks, scores with their intervals, verdicts, and times.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from evaluator.errors import Verdict
from evaluator.files import write_text
from evaluator.judging.board import LEVEL, Line, Scored, board, newest_version
from evaluator.report.format import figure
from evaluator.report.html.render import Page, Tabled, render
from evaluator.scoring.intervals import Interval, t_interval
from evaluator.sections import Dots, Series, Value
from evaluator.tables import Block, Metric
from evaluator.text import name as harmless
from evaluator.words import counted

BOARD = "index.html"
PAGES = "submissions"
MOST_DOTS = 40
"""Participants in the picture of a board; the table has all."""


def write_site(
    folder: Path,
    title: str,
    parts: Mapping[str, Sequence[Scored]],
    metric: Metric,
    word: str,
    now: float,
) -> int:
    """Write the site into a folder, which is made where it is missing.

    Args:
        title: of the competition.
        parts: judged submissions by the name of the part (``public``, ``private``), in the order of the page; a part that is not
            published is not in it.
        metric: that ranks; ``word``: what the track calls a task.

    Returns:
        The number of pages.
    """
    (folder / PAGES).mkdir(parents=True, exist_ok=True)
    count = 0
    for part, found in parts.items():
        for of in newest_version(found):
            write_text(folder / PAGES / page_name(part, of), render(_page(title, part, of, metric, word)), durable=False)
            count += 1
    lines = {part: board(found) for part, found in parts.items()}
    write_text(folder / BOARD, render(_board(title, parts, lines, metric, now)))
    return count + 1


def page_name(part: str, of: Scored) -> str:
    """The file of a submission's page."""
    return f"{re.sub(r'[^a-z]', '', part)}-{of.number}-v{of.version}.html"


def _board(
    title: str, parts: Mapping[str, Sequence[Scored]], lines: Mapping[str, Sequence[Line]], metric: Metric, now: float
) -> Page:
    sections = [_part(part, parts[part], lines[part], metric) for part in parts]
    people = len({of.participant for found in parts.values() for of in found})
    judged = len({of.number for found in parts.values() for of in newest_version(found)})
    lead = f"{counted(people, 'participant')}, {counted(judged, 'judged submission')}; {_time(now)}. Ranked by {metric.label}."
    return Page(title, lead, sections=tuple(sections))


def _part(part: str, found: Sequence[Scored], lines: Sequence[Line], metric: Metric) -> Tabled:
    heading = f"{part[:1].upper()}{part[1:]} part"
    if not lines:
        return Tabled(heading, notes=("No submission has a score yet.",))
    rows = tuple(
        (
            f"{line.rank}{' (tie)' if line.ties > 1 else ''}",
            _link(f"{PAGES}/{page_name(part, line.shown)}", harmless(line.participant)),
            _figure(line.shown.value, metric),
            str(len(line.shown.scores)),
            harmless(line.shown.name),
            _time(line.shown.received).removesuffix(" UTC"),
            str(line.sent),
        )
        for line in lines
    )
    headers = ("rank", "participant", metric.score_label if not metric.higher_is_better else metric.label, "seeds")
    table = Block("board", (*headers, "submission", "sent (UTC)", "of"), rows)
    shown = lines[:MOST_DOTS]
    values = tuple(_value(line.shown.value) for line in shown)
    picture = Dots(
        title=f"{metric.label} with its interval",
        caption=f"Mean over seeds, and its {LEVEL:.0%} interval. Lines of one rank are not told apart by these seeds.",
        rows=tuple(f"{line.rank}  {harmless(line.participant)}" for line in shown),
        texts=tuple(_figure(line.shown.value, metric) for line in shown),
        series=(Series(metric.label, values),),
        decimals=metric.decimals,
    )
    newest = newest_version(found)
    data = sorted({f"{split} {digest[:12]}" for of in newest for split, digest in of.data.items()})
    failed = len({of.participant for of in newest} - {line.participant for line in lines})
    notes = [
        "A participant is shown with the submission that was best when it was sent: a later submission takes its place only if it "
        "is better beyond the noise of the seeds (the Ladder of Blum and Hardt, 2015). of: submissions that were judged.",
        f"rank: 1 + the number of participants who are better beyond noise ({LEVEL:.0%}, paired by seed, each comparison by "
        "itself: of a hundred between equals about five are called by chance). Equal ranks are ties.",
        f"Rules of version {newest[0].version}; data: {', '.join(data) or 'not stored'}.",
    ]
    if failed:
        notes.append(f"{counted(failed, 'participant')} without a scored submission: not on the board.")
    older = len(found) - len(newest)
    if older:
        notes.append(f"{counted(older, 'result')} of earlier versions of the rules: kept by the organiser, and on no board.")
    return Tabled(heading, (picture, table), tuple(notes))


def _page(title: str, part: str, of: Scored, metric: Metric, word: str) -> Page:
    cells = of.detail.get("cells", [])
    by_task: dict[str, list[Mapping[str, Any]]] = {}
    for cell in cells:
        by_task.setdefault(str(cell.get(word, "")), []).append(cell)
    hidden = part != "public"  # which tasks there are is not told of the private part
    rows = []
    for number, (task, of_task) in enumerate(sorted(by_task.items()), 1):
        values = [float(cell["score"]) for cell in of_task if cell["score"] is not None]
        verdicts: dict[str, int] = {}
        for cell in of_task:
            verdicts[cell["verdict"]] = verdicts.get(cell["verdict"], 0) + 1
        interval = t_interval(values, LEVEL) if len(values) == len(of_task) else None
        told = ", ".join(f"{count} {verdict}" if len(of_task) > 1 else verdict for verdict, count in verdicts.items())
        rows.append((f"{word} {number}" if hidden else harmless(task), _figure(interval, metric), told))
    whose = f"submission {of.number} of {harmless(of.participant)}"
    lead = f"{whose}, sent {_time(of.received)}; {part} part, rules of version {of.version}"
    scores = () if of.value is None else ((_figure(of.value, metric), f"{metric.label}, mean over {len(of.scores)} seeds"),)
    warnings = () if of.verdict == Verdict.OK else (f"verdict {of.verdict}: a cell failed, so there is no score over all {word}s",)
    back = Block("", ("",), ((_link(f"../{BOARD}", f"all participants of {title}"),),))
    table = Block(f"by {word}", (word, metric.label, "verdict"), tuple(rows))
    return Page(f"{harmless(of.name)}", lead, scores, warnings, (Tabled(f"Every {word}", (table,)), Tabled("Board", (back,))))


def _figure(value: Interval | None, metric: Metric) -> str:
    if value is None:
        return "no score"
    return figure({"mean": value.mean, "low": value.low, "high": value.high, "n": value.n}, metric.decimals)


def _value(value: Interval | None) -> Value | None:
    return None if value is None else Value(value.mean, value.low, value.high)


def _link(target: str, text: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(escape(target), escape(text))


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
