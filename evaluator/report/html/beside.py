"""Other stored submissions beside that of a run, as far as they may be compared with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluator.bounded import RECORD, BoundsError, read_bytes
from evaluator.history.comparable import shared_rules
from evaluator.history.groups import READ, sort_cells
from evaluator.history.index import read_index
from evaluator.history.reading import known
from evaluator.report.collapsed import comparison_note
from evaluator.report.comparison.asked import Asked
from evaluator.report.comparison.blocks import overall_block, overall_pair
from evaluator.report.comparison.figures import comparison_report
from evaluator.report.format import brief, figure
from evaluator.report.html.render import Tabled
from evaluator.sections import Dots, Series, Value
from evaluator.track import Track, Tracks
from evaluator.words import counted

MOST_CELLS = 2_000
"""Stored cells of others that are read for a report."""
MOST_ROWS = 24

Cell = Mapping[str, Any]


def beside(results: Path, tracks: Tracks, track: Track, own: Sequence[Cell]) -> Tabled | None:
    """The section; None where nothing can be compared. ``own``: the run's cells of one submission, pipeline and condition."""
    if not own or track.not_compared(own[0]["spec"]):
        return None
    others, more = _others(results, tracks, track, own)
    found = [c for c in sort_cells([dict(c) for c in (*own, *others)], tracks, mixed_versions=False)[0] if len(c.strategies) > 1]
    if not others or not found:
        return None
    condition = found[0]
    digest = own[0]["spec"]["submission_digest"]
    this = next((name for name in condition.strategies if condition.digests[name] == digest), None)
    report = comparison_report([condition], [], Asked(reference=this))
    table = report["tables"][0]
    metric = track.metric(table["metric"])
    means = [row for row in table["means"] if row["pair"] == overall_pair(table)]
    means.sort(key=lambda row: (row["interval"] is None, -(row["interval"] or {"mean": 0})["mean"], row["strategy"]))
    findings = {row["strategy"]: row["finding"] for row in table["differences"] if row["pair"] == overall_pair(table)}
    rows = means[:MOST_ROWS]
    rows += [row for row in means[MOST_ROWS:] if row["strategy"] == this]
    over = table["over_pairs"]
    at = f"mean over the {counted(len(over), track.task_word)} that all have" if len(over) > 1 else f"at {over[0]}"
    n = {row["seeds"] for row in rows if row["interval"]}
    seeds = f"{min(n)} to {max(n)} seeds" if len(n) > 1 else counted(max(n, default=0), "seed")
    chart = Dots(
        f"{metric.score_label} of stored submissions",
        f"{at[0].upper()}{at[1:]}; {seeds}; lines: 95 % t-interval. Words: against this submission, paired by seed.",
        tuple(f"▸ {row['strategy']} (this one)" if row["strategy"] == this else row["strategy"] for row in rows),
        tuple(_text(row, findings, metric.decimals) for row in rows),
        (Series(metric.score_label, tuple(Value.of(row["interval"]) for row in rows)),),
        decimals=metric.decimals,
    )
    notes = ["Only cells of the same data, rules, pipeline, versions of the libraries and draws are shown; compare has more."]
    notes += comparison_note(table, track)
    notes += [f"{metric.turned}."] if metric.turned else []
    notes += [f"{more:,} further stored cells were not read."] if more else []
    notes += [f"{len(means) - len(rows)} further submissions are in the table only."] if len(means) > len(rows) else []
    return Tabled("Beside what is stored", (chart, overall_block(table, metric)), tuple(notes))


def _text(row: Mapping[str, Any], findings: Mapping[str, str], decimals: int) -> str:
    interval = row["interval"]
    mean = brief(interval, decimals)
    return f"{mean}, {findings[row['strategy']]}" if row["strategy"] in findings else figure(interval, decimals)


def _others(results: Path, tracks: Tracks, track: Track, own: Sequence[Cell]) -> tuple[list[dict[str, Any]], int]:
    """Stored cells of others under the rules of ``own``, and the number of candidates that were not read."""
    spec, ours = own[0]["spec"], {cell["cell"] for cell in own}
    like = {"track": spec["track"], "profile": spec["profile"]["name"], "pipeline": spec["pipeline"]["name"]}
    like |= {"score_split": spec["score_split"], "secret": spec.get("secret", "")}
    tasks = {cell["spec"]["task"] for cell in own}
    rows = [
        digest
        for digest, row in sorted(read_index(results, tracks).cells.items())
        if digest not in ours
        and row["submission_digest"] != spec["submission_digest"]
        and row["task"] in tasks
        and all(row[name] == value for name, value in like.items())
    ]
    only = {*READ, *track.figure_members}
    rules = _rules(track, own[0])
    found = []
    for digest in rows[:MOST_CELLS]:
        try:
            cell, _ = known(read_bytes(results / "cells" / f"{digest}.json", RECORD.size), digest, tracks, only)
        except (OSError, BoundsError):
            continue
        if cell is not None and _rules(track, cell) == rules:
            found.append(cell)
    return found, len(rows[MOST_CELLS:])


def _rules(track: Track, cell: Cell) -> tuple[Any, ...]:
    spec = cell["spec"]
    return shared_rules(track, spec, cell["versions"] or {}), spec["pipeline"], spec["weights"]
