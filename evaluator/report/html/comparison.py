"""The report of a comparison: the figures of ``python -m evaluator compare`` as one page."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluator.history.groups import Condition
from evaluator.places import DATA
from evaluator.report.comparison.blocks import blocks, overall_pair
from evaluator.report.comparison.headings import heading, marks
from evaluator.report.comparison.notes import notes
from evaluator.report.format import figure
from evaluator.report.html.render import Facts, Page, Tabled, render
from evaluator.report.html.repeat import SHORT, TITLE
from evaluator.report.levels import level_blocks, level_notes
from evaluator.secret import seeds_in_words
from evaluator.sections import Dots, Material, Section, Series, Value
from evaluator.tables import Metric
from evaluator.track import Track, Tracks
from evaluator.words import counted

MOST_ROWS = 40
"""Submissions in a chart; the tables hold all."""


def comparison_html(
    report: Mapping[str, Any], found: Sequence[Condition], tracks: Tracks, results: str, options: Sequence[str]
) -> str:
    """A comparison as HTML, without pictures of single items.

    Args:
        report: as ``comparison_report`` gives it; ``found``: the conditions that it was made of.
        results: name of the folder of results; ``options``: of the command, for the last section.
    """
    both = [*report["levels"], *report["tables"]]
    several = len({table["track"] for table in both}) > 1
    sections: list[Section | Tabled | Facts] = []
    for table in report["levels"]:
        track = tracks.of(table)
        assert track is not None
        title = heading(track, dict(table), several)
        figures = tuple(level_blocks(dict(table), track.metric(table["metric"]), report["wanted"]))
        sections.append(
            Tabled(title[:1].upper() + title[1:], figures, tuple(level_notes(dict(table), report["alpha"], report["family"])))
        )
    for table in report["tables"]:
        track = tracks.of(table)
        assert track is not None  # the report was made of cells of known tracks
        sections += _condition(report, table, track, found, several)
    if report["left_out"]:
        sections.append(Tabled("Left out", (), tuple(report["left_out"])))
    sections.append(_repeat(report, results, options))
    names = {row["name"] for table in report["tables"] for row in table["strategies"]}
    names |= {row["strategy"] for table in report["levels"] for row in table["means"]}
    lead = f"{counted(len(names), 'submission')} in {counted(len(both), 'table')}, from the stored cells of {results}"
    return render(Page(f"Comparison of {counted(len(names), 'submission')}", lead, sections=tuple(sections)))


def _condition(
    report: Mapping[str, Any], table: Mapping[str, Any], track: Track, found: Sequence[Condition], several: bool
) -> list[Section | Tabled]:
    """The sections of one table: means, differences, what the track adds, and the tables themselves."""
    title = heading(track, dict(table), several)
    metric = track.metric(table["metric"])
    best = _best(table)
    sections: list[Section | Tabled] = [
        Tabled(title[:1].upper() + title[1:], tuple(_charts(report, table, metric, best)), tuple(marks(dict(table))))
    ]
    condition = next(c for c in found if c.shown and _is_of(c, table))
    cells: dict[str, list[Mapping[str, Any]]] = {name: [] for name in (*best, *condition.strategies)}
    places = {task: place for place, task in enumerate(condition.tasks)}
    for (name, _, _), cell in sorted(condition.cells.items(), key=lambda item: (places[item[0][1]], item[0][2])):
        cells[name].append(cell)
    material = Material(lambda cell: None, False, DATA, Path())
    own = track.report_sections({name: of for name, of in cells.items() if of}, material)
    more = f" ({title})" if len(report["tables"]) > 1 else ""
    sections += [Section(section.title + more, section.parts, section.notes) for section in own if section.parts]
    tables = [
        *blocks(dict(report), dict(table), track),
        *(block for heat in table["heat_maps"] for block in track.map_blocks(heat)),
    ]
    sections.append(Tabled(f"All figures{more}", tuple(tables), tuple(notes(dict(report), dict(table)))))
    return sections


def _is_of(condition: Condition, table: Mapping[str, Any]) -> bool:
    """Whether a table of a report was made of this condition."""
    own = all(condition.rules[name] == table.get(name, 0) for name in condition.track.conditions)
    same = (condition.track.name, condition.rules["profile"]["name"], condition.pipeline["name"], condition.rules["score_split"])
    return own and same == (table["track"], table["profile"], table["pipeline"], table["score_split"])


def _best(table: Mapping[str, Any]) -> list[str]:
    """The submissions, best mean first; those without a mean are last."""
    means = [row for row in table["means"] if row["pair"] == overall_pair(dict(table))]
    return [
        row["strategy"]
        for row in sorted(
            means, key=lambda row: (row["interval"] is None, -(row["interval"] or {"mean": 0})["mean"], row["strategy"])
        )
    ]


def _charts(report: Mapping[str, Any], table: Mapping[str, Any], metric: Metric, best: Sequence[str]) -> list[Dots]:
    place, over, seeds = overall_pair(dict(table)), table["over_pairs"], counted(len(table["seeds"]), "seed")
    at = f"Mean over {counted(len(over), table['word'])}" if len(over) > 1 else f"At {over[0]}"
    level = f"{100 * (1 - report['alpha']):g} % t-interval"
    means = {row["strategy"]: row["interval"] for row in table["means"] if row["pair"] == place}
    shown = best[:MOST_ROWS]
    charts = [
        Dots(
            f"{metric.score_label}, best first",
            f"{at}; up to {seeds}; lines and brackets: {level} over the seeds.",
            tuple(f"{name} (reference)" if name == table["reference"] else name for name in shown),
            tuple(figure(means[name], metric.decimals) if means[name] else "no score" for name in shown),
            (Series(metric.score_label, tuple(Value.of(means[name]) for name in shown)),),
        )
    ]
    rows = [row for row in table["differences"] if row["pair"] == place]
    rows.sort(key=lambda row: best.index(row["strategy"]) if row["strategy"] in best else len(best))
    if rows:
        rows = rows[:MOST_ROWS]
        charts.append(
            Dots(
                f"Difference to {table['reference']}",
                f"{at}, paired by seed; lines: {level}. Findings after correction.",
                tuple(row["strategy"] for row in rows),
                tuple(_difference(row, metric) for row in rows),
                (Series("difference", tuple(Value.of(row["difference"]) for row in rows)),),
                mark=0.0,
                mark_label=f"no difference to {table['reference']}",
            )
        )
    return charts


def _difference(row: Mapping[str, Any], metric: Metric) -> str:
    found = row["difference"]
    if found is None:
        return str(row["finding"])
    rests = f" ({found['collapsed']} of {found['n']} seeds with a collapse)" if found.get("collapsed") else ""
    return f"{found['mean']:+.{metric.decimals}f}, {row['finding']}{rests}"


def _repeat(report: Mapping[str, Any], results: str, options: Sequence[str]) -> Facts:
    rows: list[tuple[str, str]] = []
    for table in report["tables"]:
        name = f"{table['profile']}, {table['pipeline']}"
        rows.append((name, f"root seed {table['root_seed']}, {seeds_in_words(table['secret'])}, training on {table['device']}"))
        rows.append(("", "data " + ", ".join(f"{split} {digest[:SHORT]}" for split, digest in table["data"].items())))
        rows.append(("", "versions " + ", ".join(f"{name} {value}" for name, value in table["versions"].items())))
        digests = [f"{row['name']} {row['digest'][:SHORT]}" for row in table["strategies"][:20]]
        rows.append(("", "submissions " + ", ".join(digests)))
    command = shlex.join(["python", "-m", "evaluator", "compare", results or ".", *options])
    return Facts(
        TITLE, command, tuple(rows), ("The command reads stored cells alone; it gives the same figures while they are stored.",)
    )
