"""The first paragraphs of the page, computed: which strategies beat random, by how much, where, and which trainings collapsed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Any

from evaluator.purchase.metrics import NAMES
from evaluator.report.comparison.blocks import overall_pair

Table = dict[str, Any]
"""An element of ``tables`` in a comparison's report."""
Model = tuple[Any, ...]
"""What the tables of one set of trained models have in common: ``model``."""


def sentences(report: dict[str, Any], elsewhere: Collection[bool] = ()) -> list[str]:
    """A paragraph on full trainings, on the proxy, and on where the differences are; each says if there is nothing to compare.

    Args:
        elsewhere: kinds (whether it is the proxy) of which the page has results over data sets: without others, nothing is said.
    """
    full, proxy = ([table for table in report["tables"] if table["proxy"] == kind] for kind in (False, True))
    told = {
        False: f"**Full training.** {_beaten(full)}",
        True: f"**Proxy** (a linear head on frozen embeddings; do not compare its scores with others). {_beaten(proxy)}"
        f"{_trust(proxy)}",
    }
    there = {False: full, True: proxy}
    said = [text for kind, text in told.items() if there[kind] or kind not in elsewhere]
    return [*said, f"**Where.** {_where(full or proxy)}"]


def collapsed(tables: Sequence[Table]) -> list[str]:
    """A paragraph on the cells whose score needs no learning; none where there are no such cells."""
    by: Counter[str] = Counter()
    for table in tables:
        by.update({row["name"]: row["collapsed"] for row in table["strategies"] if row["collapsed"]})
    if not by:
        return []
    scored = sum(row["scored"] for table in tables for row in table["strategies"])
    named = ", ".join(f"`{name}` {n}" for name, n in sorted(by.items()))
    fell = sum(by.values())
    verb, those = ("is", "it") if fell == 1 else ("are", "them")
    return [
        f"**Collapsed.** {fell:,} of {scored:,} scored cells {verb} no better than the best constant answer ({named}). Tables mark "
        f"with ! what rests on {those}."
    ]


def titles(tables: Sequence[Table]) -> list[str]:
    """``clean labels, test split`` for every table; with profile or pipeline where it is not the same for all."""
    differing = [name for name in ("profile", "pipeline") if len({table[name] for table in tables}) > 1]
    found = []
    for table in tables:
        quality = table["label_quality"]
        of = f" ({', '.join(table[name] for name in differing)})" if differing else ""
        found.append(f"{'clean labels' if quality == 1 else f'label quality {quality:g}'}, {table['score_split']} split{of}")
    return found


def overall(table: Table) -> dict[str, dict[str, Any]]:
    """Difference to the reference over the pairs, by strategy."""
    return {row["strategy"]: row for row in table["differences"] if row["pair"] == overall_pair(table)}


def _beaten(tables: Sequence[Table]) -> str:
    tables = [table for table in tables if table["differences"]]
    if not tables:
        return "No cells are stored yet that could be compared."
    rows = {
        name: [overall(table)[name] | {"model": model(table)} for table in tables if name in overall(table)]
        for name in sorted({name for table in tables for name in overall(table)})
    }
    seeds = _counted([row["difference"]["n"] if row["difference"] else 0 for found in rows.values() for row in found])
    pairs = _counted([len(table["over_pairs"]) for table in tables])
    models = len({model(table) for table in tables})
    conditions = "the one condition" if models == 1 else f"{models} conditions"
    splits = "" if models == len(tables) else ", each scored on two splits: a finding counts where both have it, and once"
    head = (
        f"Over {conditions}{splits} (pairs: {pairs}, seeds: {seeds}; {NAMES[tables[0]['metric']]}, paired by seed, one correction "
        "for the whole page)"
    )
    better, worse = _named(rows, "better"), _named(rows, "worse")
    if better:
        text = f"{head} {len(better)} of {_strategies(rows)} beat `random` beyond noise: {', '.join(better)}."
    else:
        text = f"{head} **none** of {_strategies(rows)} beats `random` beyond noise."
    text += f" Worse than `random`: {', '.join(worse)}." if worse else ""
    smallest = [row["plan"]["smallest"]["value"] for found in rows.values() for row in found if row["plan"]]
    if smallest:
        text += f" The smallest true difference that these seeds can show is {_spread(smallest, '{:.3f}')}, by strategy."
    return text


def model(table: Table) -> Model:
    """What is equal in tables of the same trained models: all of their condition but the scored split."""
    return table["profile"], table["pipeline"], table["label_quality"]


def _strategies(rows: dict[str, Any]) -> str:
    return f"{len(rows)} strateg{'y' if len(rows) == 1 else 'ies'}"


def _named(rows: dict[str, list[dict[str, Any]]], finding: str) -> list[str]:
    """The strategies with this finding, the largest difference first: in how many conditions, and the range over all conditions.

    The range of the significant differences alone would be too large. Splits of the same trained models are one condition, which
    has a finding if every split has it: a second split of the same models is no replication.
    """
    found = []
    for name, of in rows.items():
        models: dict[Any, list[str]] = {}
        for row in of:
            models.setdefault(row["model"], []).append(row["finding"])
        shown = sum(set(findings) == {finding} for findings in models.values())
        means = [row["difference"]["mean"] for row in of if row["difference"]]
        if shown:
            within = f" in {shown} of {len(models)}" if len(models) > 1 else ""
            where = ", all conditions" if len(of) > 1 else ""
            found.append((-max(map(abs, means)), f"`{name}`{within} ({_spread(means, '{:+.3f}')}{where})"))
    return [text for _, text in sorted(found)]


def _trust(tables: Sequence[Table]) -> str:
    rows = [row for table in tables for row in table["stand_in"] or ()]
    known = [row["tau"] for row in rows if row["tau"]["value"] is not None]
    if not known:
        return " How well its order of strategies agrees with that of full trainings is not measured." if tables else ""
    lows = [tau["low"] for tau in known if tau["low"] is not None]
    said = f" (the lowest interval begins at {min(lows):.2f})" if lows else ""
    values = _spread([tau["value"] for tau in known], "{:.2f}")
    return f" Its order agrees with that of full trainings by a Kendall's tau-b of {values}{said}."


def _where(tables: Sequence[Table]) -> str:
    tests = [
        (table, row)
        for table in tables
        for row in table["differences"]
        if row["pair"] in {p["pair"] for p in table["pairs"]} and row["p_holm"] is not None
    ]
    if len({row["pair"] for _, row in tests}) < 2:
        return "Fewer than two pairs have the two seeds that a test needs, so pairs cannot be compared."
    wins, losses = (sum(row["finding"] == word for _, row in tests) for word in ("better", "worse"))
    whose = "the proxy's" if tables[0]["proxy"] else "the"
    text = f"Of {whose} {len(tests)} comparisons on single pairs, {wins} are better than `random` and {losses} are worse."
    if not wins:
        return text
    parts = [
        _shares(tests, lambda table, row: f"{'clean labels' if table['label_quality'] == 1 else 'noisy labels'}"),
        _shares(tests, lambda table, row: f"{table['score_split']} split"),
        _shares(tests, lambda table, row: row["pair"]),
    ]
    return f"{text} Better, by condition: {'; '.join(part for part in parts if part)}."


def _shares(tests: Sequence[tuple[Table, dict[str, Any]]], place: Callable[[Table, dict[str, Any]], str]) -> str:
    """``clean labels 3 of 20, noisy labels 1 of 20``; empty where all tests are in one place."""
    total = Counter(place(table, row) for table, row in tests)
    better = Counter(place(table, row) for table, row in tests if row["finding"] == "better")
    return ", ".join(f"{name} {better[name]} of {n}" for name, n in total.items()) if len(total) > 1 else ""


def _counted(values: Sequence[int]) -> str:
    """``5`` or ``3 to 5``."""
    return _spread(values, "{}")


def _spread(values: Sequence[float], form: str) -> str:
    texts = list(dict.fromkeys(form.format(value) for value in (min(values), max(values))))
    return " to ".join(texts)
