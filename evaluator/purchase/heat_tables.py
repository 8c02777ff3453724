"""The heat map of a budget x time grid as tables: coloured ones for a terminal, and as Markdown.

The colours say nothing that the figures do not say.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.columns import Columns
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from evaluator.purchase.heat import HeatMap
from evaluator.report.colours import SCORE, ink, shade, span_of
from evaluator.report.format import NAMES
from evaluator.tables import Block

KEY = 24
"""Columns of the key to the colours."""


def show_heat_map(console: Console, heat: HeatMap, title: str = "") -> None:
    """A table per submission, beside each other as far as there is room; one scale of colours for all of them."""
    scale = score_span([heat])
    console.print(Text(title or heat_title(heat)))
    tables = [_table(heat, row, scale) for row in heat["submissions"]]
    console.print(Columns(tables, padding=(1, 4)))
    low, high = scale
    if scores([heat]):
        key = Text(f"  {NAMES[heat['metric']]}: {low:.3f} ", style="dim")
        for i in range(KEY):
            key.append(" ", style=f"on {shade(SCORE, i / (KEY - 1))}")
        console.print(key.append(f" {high:.3f}, the same colours for all submissions"))
    for note in heat_notes(heat):
        console.print(Text("  " + note, style="dim"))
    console.print()


def heat_blocks(heat: HeatMap) -> Iterator[Block]:
    """The same without colours, a table per submission."""
    for row in heat["submissions"]:
        lines = [
            (budget_name(heat, i), *("; ".join(words(cell, heat["seeds"])) for cell in cells))
            for i, cells in enumerate(matrix(heat, row))
        ]
        headers = ("labels \\ time", *(time_name(heat, j) for j in range(len(heat["minutes"]))))
        yield Block(f"{row['submission']}: {heat_title(heat)}", headers, tuple(lines))


def heat_title(heat: HeatMap) -> str:
    """What the map shows."""
    return f"{NAMES[heat['metric']]}, labels and time by label budget and time"


def heat_notes(heat: HeatMap) -> list[str]:
    """How the figures came about, a line each."""
    seeds = heat["seeds"]
    unscaled = heat["labels"] == heat["budgets"] and heat["seconds_allowed"] == [60 * minutes for minutes in heat["minutes"]]
    scaled = "" if unscaled else " In brackets: as the profile scales them."
    first = "One seed, and no intervals: one seed decides nothing."
    if seeds > 1:
        first = f"Mean over {seeds} seeds, or n; ±: half of the t interval over seeds, of a single place, without a correction."
    return [first, "labels: share of the budget that was bought; time: share of the clock that was used; of scored cells." + scaled]


def matrix(heat: HeatMap, row: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """Cells of one submission, (labels, minutes)."""
    across = len(heat["minutes"])
    return [row["cells"][start : start + across] for start in range(0, len(row["cells"]), across)]


def words(cell: dict[str, Any], seeds: int) -> list[str]:
    """A place in words, a line each: score, labels, time, and whatever is not as it should be."""
    if cell["score"] is None:
        return holes(cell)
    found = [
        plus_minus(cell["score"], "{:.3f}"),
        f"labels {percent(cell['bought_share'])}",
        f"time {percent(cell['seconds_share'])}",
    ]
    return found + lacking(cell, seeds)


def holes(cell: dict[str, Any]) -> list[str]:
    """A place without a score: how its cells failed, or that none was run."""
    if not cell["failed"]:
        return ["not run"]
    return ["failed", *(f"{n} {verdict}" for verdict, n in cell["failed"].items())]


def lacking(cell: dict[str, Any], seeds: int) -> list[str]:
    """A line where the mean is of fewer seeds than it should be."""
    if cell["score"]["n"] >= seeds:
        return []
    failed = sum(cell["failed"].values())
    return [f"n {cell['score']['n']}" + (f", {failed} failed" if failed else "")]


def plus_minus(interval: dict[str, Any], form: str) -> str:
    """``0.512 ±0.014``; the mean alone without an interval."""
    mean = form.format(interval["mean"])
    return mean if interval["high"] is None else f"{mean} ±{interval['high'] - interval['mean']:.3f}"


def percent(share: float | None) -> str:
    """``98%``; a dash where it is not known."""
    return "-" if share is None else f"{share:.0%}"


def scores(maps: Sequence[HeatMap]) -> list[float]:
    """All mean scores."""
    return [cell["score"]["mean"] for heat in maps for row in heat["submissions"] for cell in row["cells"] if cell["score"]]


def score_span(maps: Sequence[HeatMap]) -> tuple[float, float]:
    """Ends of the scale of colours that all submissions share."""
    return span_of(scores(maps))


def _table(heat: HeatMap, row: dict[str, Any], scale: tuple[float, float]) -> Table:
    table = Table(title=Text(row["submission"], style="bold"), title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("labels ", justify="right", style="dim")
    for j in range(len(heat["minutes"])):
        table.add_column(Text(time_name(heat, j).replace(" (", "\n("), justify="center"), justify="center")
    for i, cells in enumerate(matrix(heat, row)):
        texts = [words(cell, heat["seeds"]) for cell in cells]
        height = max(map(len, texts))
        drawn = (_cell(cell, lines, height, scale) for cell, lines in zip(cells, texts, strict=True))
        table.add_row(budget_name(heat, i), *drawn)
    return table


def _cell(cell: dict[str, Any], lines: list[str], height: int, scale: tuple[float, float]) -> Padding:
    text = Text("\n".join(lines + [""] * (height - len(lines))), justify="center")
    if cell["score"] is None:
        return Padding(text, (0, 1), style="red" if cell["failed"] else "dim")
    low, high = scale
    colour = shade(SCORE, (cell["score"]["mean"] - low) / (high - low))
    return Padding(text, (0, 1), style=f"{ink(colour)} on {colour}")


def budget_name(heat: HeatMap, i: int) -> str:
    labels, budget = heat["labels"][i], heat["budgets"][i]
    return f"{labels}" if labels == budget else f"{labels} ({budget})"


def time_name(heat: HeatMap, j: int) -> str:
    minutes, seconds = heat["minutes"][j], heat["seconds_allowed"][j]
    return f"{minutes:g} min" if seconds == 60 * minutes else f"{minutes:g} min ({seconds:.3g} s)"
