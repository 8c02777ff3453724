"""What the page of a submission shows: its verdict and scores, what it used, and curves; of the private part its score alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evaluator.errors import Verdict
from evaluator.judging.board import LEVEL, Line, Scored
from evaluator.judging.figures import from_stored
from evaluator.judging.pages.board import latest
from evaluator.judging.pages.shown import (
    anchor,
    data_text,
    ends_of,
    first_large,
    links,
    moment,
    score,
    seeds_text,
    strip,
    versions_text,
)
from evaluator.report.format import verdicts
from evaluator.report.html.render import chart
from evaluator.scoring.intervals import Interval, mean_of_seeds
from evaluator.tables import Metric
from evaluator.text import name as harmless


def submission_page(
    title: str, parts: Mapping[str, Sequence[Scored]], lines: Mapping[str, Line], metric: Metric, word: str
) -> dict[str, Any]:
    """What ``submission.html`` needs beside the drawn figures (``sections``).

    Args:
        title: of the competition. ``parts``: the results of this submission by part, one for each version of the rules.
        lines: of the participant on the board of each part, where there is one. ``word``: what the track calls a task.
    """
    newest = {part: next(iter(latest(found).values())) for part, found in parts.items() if found}
    of = newest.get("public") or next(iter(newest.values()))
    tasks, ends = _tasks(newest.get("public"), metric, word)
    shown = {str(cell.get(word)) for cell in of.detail.get("cells", [])}
    versions = sorted({one.version for found in parts.values() for one in found}, reverse=True)
    return {
        "competition": title,
        "root": "../",
        "here": "",
        "heading": harmless(of.name),
        "number": of.number,
        "participant": harmless(of.participant),
        "anchor": anchor(of.participant),
        "sent": f"{moment(of.received)} UTC",
        "cards": _cards(newest, lines, metric),
        "warnings": _warnings(newest, word),
        "word": word,
        "label": first_large(metric.label),
        "level": f"{LEVEL:.0%}",
        "ends": [metric.text(end) for end in ends],
        "tasks": tasks,
        "more_tasks": len(shown) > len(tasks),
        "versions": _versions(parts, versions, metric) if len(versions) > 1 else [],
        "facts": _facts(of),
        "links": links(of),
    }


def _cards(newest: Mapping[str, Scored], lines: Mapping[str, Line], metric: Metric) -> list[dict[str, Any]]:
    """The figures at the top of the page."""
    cards: list[dict[str, Any]] = []
    for part, of in newest.items():
        at = f", {part} part" if len(newest) > 1 else ""
        value = score(of.value, metric, of.collapsed) or {"mean": "no score", "span": "", "mark": ""}
        seeds = len(of.scores)
        cards.append(
            {
                "name": f"{first_large(metric.label)}{at}",
                "value": value["mean"],
                "more": " ".join(filter(None, (value["span"], value["mark"]))),
                "bad": of.value is None,
            }
        )
        cards.append({"name": f"Verdict{at}", "value": of.verdict, "more": "", "bad": of.verdict != Verdict.OK})
        line = lines.get(part)
        if line is not None and line.shown.number == of.number:
            more = f"tie of {line.ties}" if line.ties > 1 else ""
            cards.append({"name": f"Rank{at}", "value": str(line.rank), "more": more, "bad": False})
        elif line is not None:
            more = f"the board shows submission {line.shown.number}"
            cards.append({"name": f"Rank{at}", "value": "none", "more": more, "bad": False})
        if part == "public" and seeds:
            cards.append({"name": "Seeds", "value": str(seeds), "more": "", "bad": False})
    return cards


def _warnings(newest: Mapping[str, Scored], word: str) -> list[str]:
    return [
        f"The {part} part ended with the verdict {of.verdict}: "
        + (
            "the packages that it asks for could not be installed, so nothing ran."
            if of.detail.get("unbuilt")
            else f"a cell failed, so there is no score over all {word}s."
        )
        for part, of in newest.items()
        if of.verdict != Verdict.OK and of.value is None
    ]


def _tasks(of: Scored | None, metric: Metric, word: str) -> tuple[list[dict[str, Any]], tuple[float, float]]:
    """A row for every task of the public part that is not hidden. Of results that do not say which are, there is none."""
    known = set((of.detail.get("known") if of is not None else None) or ())
    by_task: dict[str, list[Mapping[str, Any]]] = {}
    for cell in of.detail.get("cells", []) if of is not None else ():
        if cell.get(word) in known:
            by_task.setdefault(str(cell[word]), []).append(cell)
    values = {task: _value(cells) for task, cells in by_task.items()}
    ends = ends_of(list(values.values()), metric)
    return [
        {
            "name": harmless(task),
            "score": score(values[task], metric),
            "bar": strip(values[task], ends),
            "verdict": verdicts([cell["verdict"] for cell in cells]),
            "bad": any(cell["verdict"] != Verdict.OK for cell in cells),
        }
        for task, cells in by_task.items()
    ], ends


def _value(cells: Sequence[Mapping[str, Any]]) -> Interval | None:
    """The mean over the seeds of a task, each the mean over its pipelines; None where a cell failed."""
    if any(cell["score"] is None for cell in cells):
        return None
    seeds: dict[int, list[float]] = {}
    for cell in cells:
        seeds.setdefault(cell["seed"], []).append(float(cell["score"]))
    return mean_of_seeds([float(np.mean(of)) for of in seeds.values()], LEVEL)


def figures_of(public: Sequence[Scored]) -> list[Any]:
    """The figures that the page of a submission shows, as they are stored, of its results of the public part."""
    newest = next(iter(latest(public).values()), None)
    return [] if newest is None else list(newest.detail.get("figures") or ())


def sections(figures: Sequence[Any]) -> list[dict[str, Any]]:
    """Stored figures, drawn."""
    found = []
    for section in from_stored(figures):
        charts = []
        for part in section.parts:
            drawn, legend = chart(part)  # type: ignore[arg-type]  # from_stored gives no other kinds
            charts.append({"title": first_large(part.title), "caption": part.caption, "drawn": drawn, "legend": legend})
        found.append({"title": section.title, "charts": charts, "notes": section.notes})
    return found


def _versions(parts: Mapping[str, Sequence[Scored]], versions: Sequence[int], metric: Metric) -> list[dict[str, Any]]:
    return [
        {
            "version": version,
            "part": part,
            "score": score(of.value, metric, of.collapsed),
            "verdict": of.verdict,
            "judged": moment(of.judged),
        }
        for version in versions
        for part, found in parts.items()
        for of in found
        if of.version == version
    ]


def _facts(of: Scored) -> list[tuple[str, str]]:
    pipelines = dict.fromkeys(str(row["pipeline"]) for row in of.detail.get("rows", []) if "pipeline" in row)
    rows = [
        ("Versions", versions_text([of])),
        ("Seeds", seeds_text(list(of.scores))),
        ("Pipelines", ", ".join(pipelines)),
        ("Data (SHA-256)", data_text([of])),
        ("Package (SHA-256)", of.package),
        ("Judged", f"{moment(of.judged)} UTC" if of.judged is not None else ""),
    ]
    return [(name, text) for name, text in rows if text]
