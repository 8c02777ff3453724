"""The part of the page that speaks of several data sets: both levels of chance, and each data set by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evaluator.report.comparison.blocks import overall_pair
from evaluator.report.format import signed
from evaluator.report.levels import mark
from evaluator.scoring.intervals import t_interval
from evaluator.tables import Block
from experiments.summary import Table, titles


def plain(table: Table) -> Table:
    """A table over data sets in the form of a table of one data set, for overviews; ``n`` is the number of data sets."""
    rows = []
    for row in table["differences"]:
        levels = row["levels"]
        found = None if levels is None else {name: levels[name] for name in ("mean", "low", "high")} | {"n": levels["data_sets"]}
        rows.append(
            {"strategy": row["strategy"], "pair": overall_pair(table), "difference": found, "finding": row["finding"] + mark(row)}
        )
        rows[-1] |= {"finding": row["finding"] + mark(row), "p_holm": row["p_holm"], "plan": None, "doubtful": False}
    return table | {"differences": rows}


def beaten(tables: Sequence[Table]) -> str:
    """Which strategies beat the reference over data sets, and in how many conditions.

    Args:
        tables: of a report whose tests were corrected together (``evaluator.report.families``), because the paragraph names
            strategies of several conditions.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in (row for table in tables for row in table["differences"]):
        rows.setdefault(row["strategy"], []).append(row)
    if not rows:
        return "No cells are stored yet that could be compared."
    sign_of = {"better": 1, "worse": -1}
    shown = {id(row): sign_of.get(row["finding"], 0) for of in rows.values() for row in of}
    sets, seeds = (sorted({len(table[name]) for table in tables}) for name in ("data_sets", "seeds"))
    counts = f"{_span(sets)} data sets nobody tuned on, {_span(seeds)} {'seed' if seeds == [1] else 'seeds'} on each"
    shared = max(row["family"] for of in rows.values() for row in of)
    conditions = f"{len(tables)} condition{'s' * (len(tables) > 1)}"
    head = f"Over {conditions} ({counts}; corrected together with all tests of this page: {shared} strategies under all conditions)"
    parts = []
    for sign, words in ((1, "better than"), (-1, "worse than")):
        found = [
            (
                -sum(shown.get(id(row)) == sign for row in of),
                name,
                [row["levels"]["mean"] for row in of if row["levels"] is not None],
            )
            for name, of in rows.items()
            if any(shown.get(id(row)) == sign for row in of)
        ]
        named = [
            f"`{name}` in {-count} of {len(rows[name])} ({min(means):+.3f} to {max(means):+.3f} over all {len(means)})"
            for count, name, means in sorted(found)
        ]
        verb = "is" if len(named) == 1 else "are"
        parts.append(f"{len(named)} of {len(rows)} strategies {verb} {words} `random`" + (f": {', '.join(named)}" if named else ""))
    levels = [row["levels"] for of in rows.values() for row in of if row["levels"] and row["levels"]["floor"] is not None]
    least = f"{min(v['floor'] for v in levels):.3f} to {max(v['floor'] for v in levels):.3f}" if levels else ""
    floor = f" With any number of seeds on these data sets the half-widths stay at {least}." if levels else ""
    return f"{head}: {'; '.join(parts)}.{floor}"


def by_data_set(table: Table, each: Sequence[Table]) -> Block:
    """Strategy by data set: the difference on each, with its interval over the seeds there. ``each``: tables of one data set."""
    numbers = {number: next((t for t in each if t["data_set"] == number), None) for number in table["data_sets"]}
    rows = []
    for row in table["differences"]:
        texts = []
        for of in numbers.values():
            found = (
                [r for r in of["differences"] if (r["strategy"], r["pair"]) == (row["strategy"], overall_pair(of))] if of else []
            )
            texts.append(signed(found[0]["difference"]) if found else "-")
        rows.append((row["strategy"], *texts))
    headers = ("strategy", *(f"data set {number}" for number in numbers))
    return Block(f"difference to {table['reference']} on each data set; intervals over its seeds", headers, tuple(rows))


def order_kept(tables: Sequence[tuple[Table, Sequence[Table]]]) -> Block:
    """How well the proxy's order agrees with that of full trainings: Kendall's tau-b on each data set, and its mean over them.

    Args:
        tables: a table over data sets and the tables of its data sets, for every condition.
    """
    rows = []
    for name, (_, each) in zip(titles([table for table, _ in tables]), tables, strict=True):
        taus: dict[str, list[float]] = {}
        for table in each:
            for row in table["stand_in"] or ():
                if row["tau"]["value"] is not None:
                    taus.setdefault(row["pipeline"], []).append(row["tau"]["value"])
        for pipeline, values in taus.items():
            found = t_interval(values)
            spread = "" if found.low is None else f" [{found.low:.2f}, {min(found.high or 1.0, 1.0):.2f}]"
            rows.append(
                (name, pipeline, f"{found.mean:.2f}{spread}", f"{np.min(values):.2f} to {np.max(values):.2f}", str(found.n))
            )
        if not taus:
            rows.append((name, "none stored", "not measured", "-", "0"))
    headers = ("condition", "full training", "mean tau-b over data sets", "on single data sets", "data sets")
    return Block("", headers, tuple(rows))


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if values[0] == values[-1] else f"{values[0]} to {values[-1]}"
