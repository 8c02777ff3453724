"""One correction over all tables of a report: everything that they call better or worse holds one error together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evaluator.scoring.comparisons import Finding
from evaluator.scoring.families import inherited
from evaluator.scoring.paired import fewest_seeds
from evaluator.scoring.scores import OVER_PAIRS

LOSES = {Finding.BETTER: "loses more", Finding.WORSE: "loses less"}
"""Findings on the difference public minus hidden: a strategy whose difference is larger than the reference's loses more."""
FAILED = "failed cells"
"""In the place of a finding: a strategy with failed cells has none, because it would be judged by what it survived."""
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class OverSets:
    """A table over data sets (``levels.level_table``), and those of its data sets that the report shows by themselves."""

    table: Mapping[str, Any]
    each: Sequence[Mapping[str, Any]] = ()


def correct_together(tables: Sequence[Mapping[str, Any]], over_sets: Sequence[OverSets], alpha: float) -> None:
    """Correct all tests of all tables as one tree (``scoring.families``), and write what is found then into their rows.

    A branch is a strategy of a table: its gate is the difference over the pairs, and behind it stand its differences on single
    pairs, of areas, and of public minus hidden pairs. Of a table over data sets the gate is the difference over the data sets, and
    behind it stands everything that tables of its data sets say of the strategy. Changes ``p_holm``, ``family`` and ``finding`` of
    the rows.
    """
    of_sets = {id(table) for of in over_sets for table in of.each}
    branches = [branch for of in over_sets for branch in _branches_over_sets(of)]
    branches += [branch for table in tables if id(table) not in of_sets for branch in _branches(table)]
    first, then, sizes = inherited([_p(gate) for gate, _ in branches], [[_p(row) for row in rows] for _, rows in branches])
    shared = sum(not math.isnan(p) or size > 0 for p, size in zip(first, sizes, strict=True))
    for (gate, rows), at_gate, behind, size in zip(branches, first, then, sizes, strict=True):
        if "levels" in gate:
            decide_over_sets(gate, at_gate, shared, alpha)
        else:
            _decide(gate, at_gate, shared, alpha)
        for row, p in zip(rows, behind, strict=True):
            _decide(row, p, shared * size, alpha)
    for table in tables:
        _copy_single(table)
        for row in (table["public_minus_hidden"] or {}).get("differences", ()):
            row["finding"] = str(LOSES.get(row["finding"], row["finding"]))


def _branches_over_sets(of: OverSets) -> Iterator[tuple[Row, list[Row]]]:
    """The gate of every strategy of a table over data sets, and what stands behind it; strategies of single data sets that the
    table lacks have gates of their own."""
    single = [branch for table in of.each for branch in _branches(table)]
    held = {row["strategy"] for row in of.table["differences"]}
    for gate in of.table["differences"]:
        mine = [(first, rows) for first, rows in single if first["strategy"] == gate["strategy"]]
        yield gate, [row for first, rows in mine for row in (first, *rows)]
    yield from ((first, rows) for first, rows in single if first["strategy"] not in held)


def _branches(table: Mapping[str, Any]) -> Iterator[tuple[Row, list[Row]]]:
    """The gate of every strategy of a table, and what stands behind it."""
    single = table["over_pairs"] if len(table["over_pairs"]) == 1 else ()
    hidden = (table["public_minus_hidden"] or {}).get("differences", ())
    others = [row for row in table["differences"] if row["pair"] != OVER_PAIRS and row["pair"] not in single]
    others += [row for area in table["areas"] for row in area["differences"]] + list(hidden)
    for gate in table["differences"]:
        if gate["pair"] == OVER_PAIRS:
            yield gate, [row for row in others if row["strategy"] == gate["strategy"]]


def _copy_single(table: Mapping[str, Any]) -> None:
    """With a single pair, the difference over the pairs is that on the pair: one test, which is not counted twice."""
    if len(table["over_pairs"]) != 1:
        return
    gates = {row["strategy"]: row for row in table["differences"] if row["pair"] == OVER_PAIRS}
    for row in table["differences"]:
        if row["pair"] == table["over_pairs"][0]:
            row |= {name: gates[row["strategy"]][name] for name in ("p_holm", "family", "finding")}


def _p(row: Row) -> float:
    p = (row["levels"] or {"p": None})["p"] if "levels" in row else row["p"]
    return float("nan") if p is None else float(p)


def decide_over_sets(row: Row, p: float, family: int, alpha: float) -> None:
    """Write a corrected p (NaN: not tested) and what follows from it into a row over data sets.

    The rule is that of differences over seeds (``scoring.paired.decide``), with the means of the data sets as observations.
    """
    row |= {"p_holm": None if math.isnan(p) else float(p), "family": family}
    levels = row["levels"]
    if row["failed"]:
        row["finding"] = FAILED
    elif levels is None:
        row["finding"] = "no seed in common"
    elif row["p_holm"] is None:
        row["finding"] = "no spread"
    elif levels["data_sets"] < fewest_seeds(alpha):
        row["finding"] = str(Finding.FEW_SETS)
    else:
        shown = p < alpha and levels["p_flip"] < alpha and not levels["low"] <= 0 <= levels["high"]
        found = (Finding.BETTER if levels["mean"] > 0 else Finding.WORSE) if shown else Finding.NOISE
        row["finding"] = str(found)


def _decide(row: Row, p: float, family: int, alpha: float) -> None:
    """Write a corrected p and what follows from it into a row. What was not tested, or has too few seeds, keeps its finding."""
    if row["p"] is None:
        return
    row |= {"p_holm": p, "family": family}
    if row["finding"] == Finding.FEW:
        return
    interval = row["difference"]
    apart = interval["low"] > 0 or interval["high"] < 0
    found = Finding.NOISE
    if apart and p < alpha and row["p_permutation"] < alpha:
        found = Finding.BETTER if interval["mean"] > 0 else Finding.WORSE
    row["finding"] = str(found)
