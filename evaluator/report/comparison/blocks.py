"""The figures of a condition as tables, which a terminal, Markdown and HTML show alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from evaluator.report.format import MARK, brief, figure, signed
from evaluator.scoring.comparisons import Decider
from evaluator.scoring.gap import NOT_BOUNDED
from evaluator.scoring.scores import OVER_PAIRS
from evaluator.tables import Block, Metric
from evaluator.text import cells
from evaluator.track import Track
from evaluator.words import counted

ABREAST = 10
"""Largest number of columns of the matrix that are shown side by side."""
MATRIX = 12
"""Largest number of strategies in the matrix: those with the most wins."""
_SHORT = {"no seed in common": "no seed"}
"""Findings that would make their column too wide."""


def blocks(report: dict[str, Any], table: dict[str, Any], track: Track, *, folders: bool = False) -> Iterator[Block]:
    """The tables of one condition. ``folders``: with the folders of the submissions, which a page for others does not show."""
    metric = track.metric(table["metric"])
    if len(table["over_pairs"]) > 1:
        yield overall_block(table, metric)
    for row in table["pairs"]:
        figures = track.task_title({name: value for name, value in row.items() if name != "pair"})
        yield _scores(table, row["pair"], f"{metric.score_label} at {row['pair']}" + (f" ({figures})" if figures else ""), metric)
    yield from area_blocks(table, metric)
    yield from hidden_blocks(table, metric)
    yield from matrix_blocks(table)
    yield from plan_blocks(report, table, metric)
    yield from people_blocks(table, folders)


def overall_pair(table: dict[str, Any]) -> str:
    """The value of ``pair`` in rows over all pairs; if there is only one pair, its name."""
    return OVER_PAIRS if len(table["over_pairs"]) > 1 else table["over_pairs"][0]


def overall_block(table: dict[str, Any], metric: Metric) -> Block:
    """Mean over the pairs of every strategy, its difference to the reference, and its share of the gap."""
    over = table["over_pairs"]
    of = f"mean over {counted(len(over), table['word'])} ({', '.join(over)})" if len(over) > 1 else f"at {over[0]}"
    return _scores(table, overall_pair(table), f"{metric.score_label}, {of}", metric)


def _scores(table: dict[str, Any], pair: str, title: str, metric: Metric) -> Block:
    """Mean, difference, finding and share of the gap of every strategy at a pair (or over the pairs), best first."""
    means = {row["strategy"]: row for row in table["means"] if row["pair"] == pair}
    others = {row["strategy"]: row for row in table["differences"] if row["pair"] == pair}
    gap = {row["strategy"]: row for row in table["shares"] if row["pair"] == pair}
    rows = []
    for row in sorted(means.values(), key=_height):
        name = row["strategy"]
        share = gap.get(name)
        rows.append(
            (
                name,
                figure(row["interval"], metric.decimals),
                _observed(row),
                *against(others.get(name), metric.decimals),
                "-" if share is None else _percent(share) + _mark(share),
            )
        )
    headers = ("strategy", "score", "n", f"to {table['reference']}", "p corr.", "finding", "share of gap")
    if not others:
        return Block(title, headers[:3], tuple(row[:3] for row in rows))
    if not any(row["value"] is not None for row in gap.values()):
        return Block(title, headers[:6], tuple(row[:6] for row in rows))
    return Block(title, headers, tuple(rows))


def against(row: dict[str, Any] | None, decimals: int = 3) -> tuple[str, str, str]:
    """The texts of a row of ``differences``: difference with its interval, corrected p, finding."""
    if row is None:
        return "-", "-", "-"
    found = _SHORT.get(row["finding"], row["finding"]) + (" ?" if row.get("doubtful") else "") + _mark(row["difference"])
    p = "-" if row["p_holm"] is None else "<0.001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.3f}"
    p += " s" if row.get("decider") == Decider.SKEW else ""
    return signed(row["difference"], decimals), p, found


def _mark(of: dict[str, Any] | None) -> str:
    """A sign behind what rests on collapsed cells."""
    return f" {MARK}" if of and of.get("collapsed") else ""


def _observed(row: dict[str, Any]) -> str:
    """The number of observations behind a mean, and what is to be known of its cells: ``1 of 7``, ``10, 2 late``, ``3 failed``."""
    n = row["interval"]["n"] if row["interval"] else 0
    marks = [f"{row[name]} {name}" for name in ("failed", "late", "again") if row.get(name)]
    said = f"{n} of {row['seeds']}" if row["interval"] and n < row["seeds"] else str(n)
    return ", ".join([said, *marks] if n or not marks else marks)


def area_blocks(table: dict[str, Any], metric: Metric) -> Iterator[Block]:
    """A table for every curve of ``Track.curves``: the area under it."""
    for area in table["areas"]:
        others = {row["strategy"]: row for row in area["differences"]}
        rows = [
            (row["strategy"], figure(row["interval"], metric.decimals), *against(others.get(row["strategy"]), metric.decimals))
            for row in sorted(area["means"], key=_height)
        ]
        headers = ("strategy", "area", f"to {table['reference']}", "p corr.", "finding")
        yield Block(f"area under the curve: {area['curve']}", headers if others else headers[:2], _cut(rows, others))


def hidden_blocks(table: dict[str, Any], metric: Metric) -> Iterator[Block]:
    """What strategies lose on hidden pairs, smallest loss first. Empty without hidden or without public pairs."""
    found = table["public_minus_hidden"]
    if found is None:
        return
    others = {row["strategy"]: row for row in found["differences"]}
    rows = []
    for row in sorted(found["rows"], key=lambda row: (row["less"]["mean"] if row["less"] else float("inf"), row["strategy"])):
        means = (brief(row[kind], metric.decimals) for kind in ("public", "hidden"))
        n = str(row["less"]["n"] if row["less"] else 0)
        difference = against(others.get(row["strategy"]), metric.decimals)
        rows.append((row["strategy"], *means, signed(row["less"], metric.decimals), n, *difference))
    headers = ("strategy", "public", "hidden", "public - hidden", "n", f"to {table['reference']}", "p corr.", "finding")
    title = f"public minus hidden {table['word']}s ({', '.join(found['public'])} minus {', '.join(found['hidden'])})"
    yield Block(title, headers if others else headers[:5], tuple(row if others else row[:5] for row in rows))


def matrix_blocks(table: dict[str, Any], most: int = MATRIX) -> Iterator[Block]:
    """Tables of the wins, ties and losses of the best strategies, at most so many, against each other; empty if nobody wins."""
    matrix = table["matrix"]
    if matrix is None or not any(map(any, matrix["wins"])):
        return
    names = matrix["strategies"]
    place = sorted(range(len(names)), key=lambda i: (matrix["totals"][i][2] - matrix["totals"][i][0], i))[:most]
    place = place if len(names) > most else list(range(len(names)))
    for start in range(0, len(place), ABREAST):
        columns = place[start : start + ABREAST]
        rows = []
        for i in place:
            cells = ["" if i == j else f"{matrix['wins'][i][j]}-{matrix['ties'][i][j]}-{matrix['wins'][j][i]}" for j in columns]
            rows.append((f"{i + 1} {names[i]}", *cells, "-".join(map(str, matrix["totals"][i]))))
        title = f"wins-ties-losses of the row against the column, over {table['word']}s"
        yield Block(title, ("", *(str(j + 1) for j in columns), "all"), tuple(rows))


def plan_blocks(report: dict[str, Any], table: dict[str, Any], metric: Metric) -> Iterator[Block]:
    """The smallest difference that these seeds can show, and the seeds that the wanted difference needs. Empty without a test."""
    plans = [row for row in table["differences"] if row["pair"] == overall_pair(table) and row["plan"]]
    unique = {row["strategy"]: row for row in plans}
    if unique:
        form = f"{{:.{metric.decimals + 1}f}}"
        headers = ("strategy", "seeds", "sd of difference", "smallest difference shown", f"seeds for {report['wanted']:g}")
        rows = tuple(
            (
                row["strategy"],
                str(row["difference"]["n"]),
                form.format(row["deviation"]),
                _bounded(row["plan"]["smallest"], form),
                _bounded(row["plan"]["seeds"], "{:.0f}"),
            )
            for row in unique.values()
        )
        yield Block(f"what these seeds can show against {table['reference']}, with a power of {report['power']:g}", headers, rows)


def people_blocks(table: dict[str, Any], folders: bool) -> Iterator[Block]:
    """Whose the strategies are, where they lay, and when they were evaluated last. Empty where none of it is stored."""
    shown = ("owner", "folder", "time") if folders else ("owner", "time")
    columns = [name for name in shown if any(row[name] for row in table["strategies"])]
    if columns:
        rows = tuple((row["name"], *(_end(row[name]) or "-" for name in columns)) for row in table["strategies"])
        yield Block("submissions", ("strategy", *columns), rows)


def _end(text: str) -> str:
    """A path or a name; of a long one the end."""
    return text if cells(text) <= 40 else "..." + text[-37:]


def _cut(rows: Sequence[tuple[str, ...]], others: dict[str, Any]) -> tuple[tuple[str, ...], ...]:
    return tuple(row if others else row[:2] for row in rows)


def _height(row: dict[str, Any]) -> tuple[float, str]:
    return (-row["interval"]["mean"] if row["interval"] else float("inf"), row["strategy"])


def _percent(share: dict[str, Any]) -> str:
    if share["value"] is None:
        return NOT_BOUNDED if share["reason"].endswith(NOT_BOUNDED) else "-"
    return f"{share['value']:.0%} [{share['low']:.0%}, {share['high']:.0%}]"


def _bounded(found: dict[str, Any], form: str) -> str:
    value, low, high = ("> 100000" if found[k] is None else form.format(found[k]) for k in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
