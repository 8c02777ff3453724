"""Tables that ``compare`` does not show: strategies by condition and by pair, hidden pairs, agreement with full training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from evaluator.history.groups import Condition
from evaluator.report.agreement import coefficient
from evaluator.report.comparison.blocks import against
from evaluator.report.format import signed
from evaluator.scoring.comparisons import Finding, means
from evaluator.tables import Block
from experiments.summary import Table, overall, titles


def glance(tables: Sequence[Table]) -> Block:
    """Strategy by condition: difference and finding, the best mean first."""
    rows = [overall(table) for table in tables]
    means = {
        name: float(np.mean([row[name]["difference"]["mean"] for row in rows if name in row and row[name]["difference"]] or [-1.0]))
        for name in {name for row in rows for name in row}
    }
    order = sorted(means, key=lambda name: (-means[name], name))
    cells = tuple((name, *(_short(row.get(name)) for row in rows)) for name in order)
    reference = next((table["reference"] for table in tables if table["reference"]), "random")
    headers = ("strategy", *titles(tables))
    counted = "data sets" if all("data_sets" in table for table in tables) else "seeds"
    return Block(f"difference to {reference} over the pairs (macro F1; n: {counted})", headers, cells)


def by_pair(table: Table) -> Block:
    """Strategy by pair: difference and finding."""
    rows = {(row["strategy"], row["pair"]): row for row in table["differences"]}
    order = sorted(overall(table), key=lambda name: -_mean(overall(table)[name]))
    cells = tuple((name, *(_short(rows.get((name, pair["pair"]))) for pair in table["pairs"])) for name in order)
    headers = ("strategy", *(f"{pair['pair']} ({pair['budget']} labels)" for pair in table["pairs"]))
    return Block(f"difference to {table['reference']}, pair by pair", headers, cells)


def public_less_hidden(table: Table, condition: Condition) -> Block | None:
    """How much every strategy loses on hidden pairs, paired by seed; None where all pairs are public, or all are hidden."""
    public = condition.track.public_tasks(condition.rules["profile"])
    known, hidden = ([p["pair"] for p in table["pairs"] if (p["pair"] in public) == kind] for kind in (True, False))
    if not known or not hidden:
        return None
    scores = condition.scores(table["metric"])
    less = means(scores.contrast(known, hidden, "public less hidden"))
    rows = [(found.strategy, signed(asdict(found.interval)), str(found.interval.n)) for found in less if found.interval]
    title = f"public minus hidden pairs (hidden: {', '.join(hidden)})"
    return Block(title, ("strategy", "public minus hidden", "n"), tuple(rows))


def agreement(tables: Sequence[tuple[Table, Condition]]) -> Block:
    """How well the proxy's order of strategies agrees with that of full trainings, condition by condition."""
    rows = []
    none: dict[str, Any] = {"pipeline": "none stored", "tau": None, "strategies": (), "pairs": (), "seeds": ()}
    for name, (table, _) in zip(titles([table for table, _ in tables]), tables, strict=True):
        for row in table["stand_in"] or (none,):
            counts = (str(len(row[what])) for what in ("strategies", "pairs", "seeds"))
            rows.append((name, row["pipeline"], tau_text(row["tau"]), *counts))
    headers = ("condition", "full training", "Kendall's tau-b", "strategies", "pairs", "seeds")
    return Block("", headers, tuple(rows))


def _short(row: dict[str, Any] | None) -> str:
    """``+0.012 [+0.004, +0.020] better``, bold where it is not within noise."""
    if row is None or row["difference"] is None:
        return "failed cells" if row is not None and row["finding"] == Finding.FAILED else "not run"
    difference, _, finding = against(row)
    shown = {"within noise": "noise"}.get(finding.removesuffix(" ?"), finding)
    n = row["difference"]["n"]
    return f"**{difference} {shown}** (n {n})" if shown.startswith(("better", "worse")) else f"{difference} {shown} (n {n})"


def tau_text(tau: dict[str, Any] | None) -> str:
    """Kendall's tau-b without noise and its interval, and as measured; or why it is missing."""
    if tau is None or tau["value"] is None:
        return "not measured" if tau is None else f"not measured ({tau['reason']})"
    return f"{coefficient(tau)}, {tau['measured']:.2f} as measured"


def _mean(row: dict[str, Any]) -> float:
    return -np.inf if row["difference"] is None else row["difference"]["mean"]
