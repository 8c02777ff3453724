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
from evaluator.words import counted
from experiments.summary import Model, Table, model, titles


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
    rows: dict[str, dict[Model, list[dict[str, Any]]]] = {}
    for table in tables:
        for row in table["differences"]:
            rows.setdefault(row["strategy"], {}).setdefault(model(table), []).append(row)
    if not rows:
        return "No cells are stored yet that could be compared."
    sets, seeds = (sorted({len(table[name]) for table in tables}) for name in ("data_sets", "seeds"))
    counts = f"{_span(sets)} data sets nobody tuned on, {_span(seeds)} {'seed' if seeds == [1] else 'seeds'} on each"
    shared = max(row["family"] for of in rows.values() for own in of.values() for row in own)
    models = len({model(table) for table in tables})
    splits = "" if models == len(tables) else ", each scored on two splits: a finding counts where both have it, and once"
    head = (
        f"Over {counted(models, 'condition')}{splits} ({counts}; corrected together with all tests of this page: {shared} "
        "strategies under all conditions, each split a test)"
    )
    parts = []
    for finding in ("better", "worse"):
        found = []
        for name, of in rows.items():
            shown = sum({row["finding"] for row in own} == {finding} for own in of.values())
            means = [row["levels"]["mean"] for own in of.values() for row in own if row["levels"] is not None]
            if shown:
                found.append(
                    (-shown, name, f"in {shown} of {len(of)} ({min(means):+.3f} to {max(means):+.3f} over all {len(means)})")
                )
        named = [f"`{name}` {text}" for _, name, text in sorted(found)]
        verb = "is" if len(named) == 1 else "are"
        whom = f": {', '.join(named)}" if named else ""
        parts.append(f"{len(named)} of {len(rows)} strategies {verb} {finding} than `random`{whom}")
    levels = [row["levels"] for of in rows.values() for own in of.values() for row in own]
    floors = [of["floor"] for of in levels if of and of["floor"] is not None]
    floor = (
        f" By the estimated variances the half-widths would stay at up to {max(floors):.3f} with any number of seeds on these data "
        f"sets; for {sum(of == 0 for of in floors)} of {len(floors)} differences the data sets' part is too small to be told."
        if floors
        else ""
    )
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
    over = "; intervals over its seeds" if len(table["seeds"]) > 1 else ""
    return Block(f"difference to {table['reference']} on each data set{over}", headers, tuple(rows))


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
        measured: dict[str, list[tuple[float, int, str]]] = {}
        for row in (row for table in each for row in table["stand_in"] or ()):
            if row["tau"]["measured"] is not None and row["pipeline"] not in taus:
                measured.setdefault(row["pipeline"], []).append((row["tau"]["measured"], row["tau"]["n"], row["tau"]["reason"]))
        for pipeline, values in taus.items():
            found = t_interval(values)
            spread = "" if found.low is None else f" [{found.low:.2f}, {min(found.high or 1.0, 1.0):.2f}]"
            rows.append(
                (name, pipeline, f"{found.mean:.2f}{spread}", f"{np.min(values):.2f} to {np.max(values):.2f}", str(found.n))
            )
        for pipeline, found_there in measured.items():
            noisy, counts, reasons = zip(*found_there, strict=True)
            text = f"{np.mean(noisy):.2f} as measured over {_span(sorted(set(counts)))} strategies ({reasons[0]})"
            rows.append((name, pipeline, text, f"{min(noisy):.2f} to {max(noisy):.2f}", str(len(noisy))))
        if not taus and not measured:
            rows.append((name, "none stored", "not measured", "-", "0"))
    headers = ("condition", "full training", "mean tau-b over data sets", "on single data sets", "data sets")
    return Block("", headers, tuple(rows))


def _span(values: Sequence[int]) -> str:
    return str(values[0]) if values[0] == values[-1] else f"{values[0]} to {values[-1]}"
