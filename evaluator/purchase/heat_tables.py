"""A heat map as tables: in colour for a terminal, and as Markdown.

The colours repeat the figures, so nothing is lost without them.
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
from evaluator.purchase.metrics import NAMES
from evaluator.report.colours import SCORE, ink, shade, span_of
from evaluator.report.console import hanging, label
from evaluator.report.format import MARK, mixed
from evaluator.tables import Block
from evaluator.text import one_line
from evaluator.words import counted, number

KEY = 24
"""Width of the colour key, in characters."""


def show_heat_map(console: Console, heat: HeatMap, title: str = "") -> None:
    """Print a table per submission, side by side as far as the width allows. All tables have the same colour scale."""
    scale = score_span([heat])
    hanging(console, title or heat_title(heat))
    tables = [_table(heat, row, scale) for row in heat["submissions"]]
    console.print(Columns(tables, padding=(1, 4)))
    low, high = scale
    if scores([heat]):
        key = Text(f"  {NAMES[heat['metric']]}: {low:.3f} ", style="dim")
        for i in range(KEY):
            key.append(" ", style=f"on {shade(SCORE, i / (KEY - 1))}")
        console.print(key.append(f" {high:.3f}, the same colours for all submissions"))
    for note in heat_notes(heat):
        hanging(console, f"  {note}", "dim")
    console.print()


def heat_blocks(heat: HeatMap) -> Iterator[Block]:
    """A table per submission, without colours."""
    for row in heat["submissions"]:
        lines = [
            (budget_name(heat, i), *("; ".join(words(cell, heat["seeds"])) for cell in cells))
            for i, cells in enumerate(matrix(heat, row))
        ]
        headers = ("labels \\ time", *(time_name(heat, j) for j in range(len(heat["minutes"]))))
        yield Block(f"{heat_title(heat)}: {row['submission']}", headers, tuple(lines))


def heat_title(heat: HeatMap) -> str:
    """The title of a map."""
    return f"{NAMES[heat['metric']]}, labels and time by label budget and time"


def heat_notes(heat: HeatMap) -> list[str]:
    """How the figures were computed, one line each."""
    seeds = heat["seeds"]
    unscaled = heat["labels"] == heat["budgets"] and heat["seconds_allowed"] == [60 * minutes for minutes in heat["minutes"]]
    scaled = "" if unscaled else " In brackets: values as scaled by the profile."
    first = "One seed: an interval needs 2 seeds or more."
    if seeds > 1:
        first = (
            f"Mean over {seeds} seeds (or n, if given); ± half of the t interval over seeds of that place, without a correction."
        )
    of = "labels: share of the budget that was bought; time: share of the time that was used; of scored cells."
    found = [first, of + scaled]
    if any(cell["score"] and cell["score"]["n"] < scored(cell) for row in heat["submissions"] for cell in row["cells"]):
        found.append("n 1 of 5: the same labels were bought on all 5 seeds; they are one observation, which has no interval.")
    fell = sum(cell["score"].get("collapsed", 0) for row in heat["submissions"] for cell in row["cells"] if cell["score"])
    if fell:
        found[0] += f" {MARK}: {counted(fell, 'cell')} collapsed: no better than the best constant answer."
    return found


def matrix(heat: HeatMap, row: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The places of one submission, as rows (label budgets) of columns (times)."""
    across = len(heat["minutes"])
    return [row["cells"][start : start + across] for start in range(0, len(row["cells"]), across)]


def words(cell: dict[str, Any], seeds: int) -> list[str]:
    """The lines in a place: score, labels, time, and how many cells it lacks."""
    if cell["score"] is None:
        return holes(cell)
    found = [
        plus_minus(cell["score"], "{:.3f}"),
        f"labels {percent(cell['bought_share'])}",
        f"time {percent(cell['seconds_share'])}",
    ]
    return found + lacking(cell, seeds)


def holes(cell: dict[str, Any]) -> list[str]:
    """The lines in a place without a score: how its cells failed, or that none was run."""
    if not cell["failed"]:
        return ["not run"]
    return ["failed", *(f"{n} {verdict}" for verdict, n in cell["failed"].items())]


def lacking(cell: dict[str, Any], seeds: int) -> list[str]:
    """Lines that say of how many observations the mean is, if there are fewer than ``seeds``, and what collapsed; may be empty."""
    fell = mixed(cell["score"]).split("; ") if cell["score"].get("collapsed") else []
    n = cell["score"]["n"]
    if n >= seeds:
        return fell
    return [f"n {n}" + (f" of {scored(cell)}" if n < scored(cell) else ""), *fell]


def scored(cell: dict[str, Any]) -> int:
    """How many cells of a place were scored; files of older kits do not say how many of them are copies."""
    return int(cell.get("scored", cell["score"]["n"] if cell["score"] else 0))


def plus_minus(interval: dict[str, Any], form: str) -> str:
    """``0.512 ±0.014``; only the mean without an interval, and with a mark where a seed collapsed."""
    mean = form.format(interval["mean"])
    if interval.get("collapsed"):
        return mean + MARK
    return mean if interval["high"] is None else f"{mean} ±{interval['high'] - interval['mean']:.3f}"


def percent(share: float | None) -> str:
    """``98%``; a dash if the share is unknown."""
    return "-" if share is None else f"{share:.0%}"


def scores(maps: Sequence[HeatMap]) -> list[float]:
    """The mean scores of all places of all maps."""
    return [cell["score"]["mean"] for heat in maps for row in heat["submissions"] for cell in row["cells"] if cell["score"]]


def score_span(maps: Sequence[HeatMap]) -> tuple[float, float]:
    """The ends of the colour scale that all submissions share."""
    return span_of(scores(maps))


def _table(heat: HeatMap, row: dict[str, Any], scale: tuple[float, float]) -> Table:
    table = Table(title=label(row["submission"], "bold"), title_justify="left", box=None, padding=(0, 1, 0, 0), pad_edge=False)
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
    text = Text("\n".join([one_line(text, 60) for text in lines] + [""] * (height - len(lines))), justify="center")
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
    return f"{minutes:g} min" if seconds == 60 * minutes else f"{minutes:g} min ({number(seconds)} s)"
