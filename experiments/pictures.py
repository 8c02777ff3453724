"""The pictures of the page of results: differences to random, scores by budget, the proxy against full training.

They need matplotlib, which is in requirements-dev.txt. With the same version of it, equal results give equal files. The metadata of
every file says from which cells it was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.files import replaced
from evaluator.history.groups import Condition
from evaluator.purchase.metrics import NAMES
from evaluator.purchase.rounds import Pair
from evaluator.scoring.curves import cost_curve
from evaluator.scoring.intervals import t_interval
from evaluator.scoring.observations import collapsed
from experiments.levels import plain
from experiments.page import PICTURES, Results, drawn, in_both
from experiments.summary import Table, overall, titles
from experiments.tables import glance

BETTER, WORSE, NOISE, INK, CEILING = "#0b6fa4", "#c8501e", "#9a9a9a", "#333333", "#4d4d4d"
"""Colours that people with colour blindness can tell apart, too."""
QUALITIES = ("#0b6fa4", "#d98200", "#5b8c2a", "#8a4fa3")
"""Colours of the curves, by label quality."""
MARKERS = "osD^vP*X<>"
ACROSS = 4
"""Panels of the curves in a row."""
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "path",  # every reader sees labels as wide as they were laid out
    "svg.hashsalt": "results",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.edgecolor": "#bbbbbb",
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw(results: Results, folder: Path, source: str) -> list[Path]:
    """Draw every picture that the results allow, as SVG; their paths. ``source`` is written into each file's metadata.

    Raises:
        ImportError: matplotlib is missing; it is in requirements-dev.txt.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    written = []
    folder.mkdir(parents=True, exist_ok=True)
    with plt.rc_context(SETTINGS):
        for name, figure in _figures(results):
            path = folder / name
            with replaced(path, "wb") as file:
                figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None, "Description": source})
            plt.close(figure)
            written.append(path)
    return written


def _figures(results: Results) -> Iterator[tuple[str, Any]]:
    for proxy in (False, True):
        if levels := [plain(table) for table, _ in results.levels(proxy) if table["differences"]]:
            yield PICTURES[proxy, "levels"], differences(levels, proxy, "data sets and seeds")
        tables = [pair for pair in results.tables(proxy) if pair[0]["differences"]]
        if tables:
            yield PICTURES[proxy, "differences"], differences([table for table, _ in tables], proxy)
            yield PICTURES[proxy, "curves"], curves(tables, proxy)
    if panels := drawn(results):
        yield PICTURES[True, "scatter"], scatter(panels)


def differences(tables: Sequence[Table], proxy: bool, over: str = "seeds") -> Any:
    """Forest plot: a panel per condition, a row per strategy, the best mean at the top, differences within noise in grey."""
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    names = [row[0] for row in glance(tables).rows]
    across = min(4, len(tables))
    down = math.ceil(len(tables) / across)
    height = 0.27 * len(names) + 0.9
    size = (1.6 + 2.7 * across, down * height + 1.2)
    figure, axes = plt.subplots(down, across, figsize=size, sharex=True, sharey=True, squeeze=False, layout="constrained")
    for place, title, table in zip(axes.flat, titles(tables), tables, strict=False):
        rows = overall(table)
        place.axvline(0, color=INK, linewidth=1, zorder=1)
        for y, name in enumerate(names):
            row = rows.get(name)
            if row is None or row["difference"] is None:
                continue
            found = row["difference"]
            colour = {"better": BETTER, "worse": WORSE}.get(row["finding"], NOISE)
            if found["low"] is not None:
                place.plot([found["low"], found["high"]], [y, y], color=colour, linewidth=2, solid_capstyle="butt", zorder=2)
            place.plot(found["mean"], y, "o", color=colour, markersize=5.5, zorder=3)
        place.set_title(_lines(title))
        place.grid(axis="x", color="#e8e8e8", linewidth=0.8)
        place.set_axisbelow(True)
        place.tick_params(length=0)
        place.spines["left"].set_visible(False)
    axes[0, 0].set_yticks(range(len(names)), names)
    axes[0, 0].set_ylim(len(names) - 0.4, -0.6)
    for place in list(axes.flat)[len(tables) :]:
        place.set_visible(False)
    table = tables[0]
    what = f"{NAMES[table['metric']]} less that of {table['reference']}, mean over pairs; 95 % intervals over {over}"
    figure.suptitle(_title(tables, proxy, what), x=0.01, ha="left", fontsize=12)
    handles = [
        Line2D([], [], color=colour, marker="o", linewidth=2, label=label)
        for colour, label in ((BETTER, "better"), (NOISE, "within noise"), (WORSE, "worse (Holm-corrected)"))
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize=9)
    return figure


def curves(tables: Sequence[tuple[Table, Condition]], proxy: bool) -> Any:
    """Score by labels bought: a panel per strategy, a colour per label quality, on the validation split where it was scored."""
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    split = "validation" if any(table["score_split"] == "validation" for table, _ in tables) else tables[0][0]["score_split"]
    shown = [(table, condition) for table, condition in tables if table["score_split"] == split]
    names = [row[0] for row in glance([table for table, _ in tables]).rows]
    down = math.ceil(len(names) / ACROSS)
    figure, axes = plt.subplots(
        down, ACROSS, figsize=(11.6, 2.1 * down + 1.3), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    handles = []
    for (table, condition), colour in zip(shown, QUALITIES, strict=False):
        quality = "clean labels" if table["label_quality"] == 1 else f"label quality {table['label_quality']:g}"
        labels, heights = _curve(table, condition, table["reference"])
        ceiling = _ceiling(table)
        for place, name in zip(axes.flat, names, strict=False):
            _, own = _curve(table, condition, name)
            if not own:
                continue
            if own[0].low is not None:
                band = [[point.low for point in own], [point.high for point in own]]
                place.fill_between(labels, *band, color=colour, alpha=0.18, linewidth=0)
            place.plot(labels, [point.mean for point in own], "-o", color=colour, linewidth=1.8, markersize=4)
            place.plot(labels, [point.mean for point in heights], linestyle=(0, (4, 2)), color=colour, linewidth=1.2)
            if ceiling is not None:
                place.axhline(ceiling, color=colour, linewidth=1, linestyle=":")
        handles += [Line2D([], [], color=colour, marker="o", markersize=4, linewidth=1.8, label=quality)]
    handles += [
        Line2D([], [], color=CEILING, linestyle=(0, (4, 2)), linewidth=1.2, label=f"{shown[0][0]['reference']}"),
        Line2D([], [], color=CEILING, linestyle=":", linewidth=1, label=_ceiling_label([table for table, _ in shown])),
    ]
    for place, name in zip(axes.flat, names, strict=False):
        place.set_title(name)
        place.grid(color="#eeeeee", linewidth=0.8)
        place.set_xticks(labels)
        place.tick_params(length=0, labelbottom=True)
    for place in list(axes.flat)[len(names) :]:
        place.set_visible(False)
    metric = NAMES[shown[0][0]["metric"]]
    title = _title(
        [table for table, _ in shown], proxy, f"{metric} by labels bought, {split} split; bands: 95 % intervals over seeds"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles), frameon=False, fontsize=9)
    return figure


def scatter(panels: Sequence[tuple[Table, Table]]) -> Any:
    """Difference to random by the proxy (x) and by full training (y): a panel per condition, a point per strategy."""
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    names = sorted({name for mine, theirs in panels for name in in_both(mine, theirs)})
    look = {name: (plt.get_cmap("tab10")(i % 10), MARKERS[(i + i // 10) % 10]) for i, name in enumerate(names)}
    across = min(2, len(panels))
    down = math.ceil(len(panels) / across)
    figure, axes = plt.subplots(
        down, across, figsize=(3.6 * across + 2.2, 3.3 * down + 0.8), sharex=True, sharey=True, squeeze=False, layout="constrained"
    )
    for place, title, (mine, theirs) in zip(axes.flat, titles([theirs for _, theirs in panels]), panels, strict=False):
        place.axvline(0, color="#bbbbbb", linewidth=1)
        place.axhline(0, color="#bbbbbb", linewidth=1)
        for name in in_both(mine, theirs):
            colour, marker = look[name]
            x, y = overall(mine)[name]["difference"], overall(theirs)[name]["difference"]
            bars = {"xerr": _half(x), "yerr": _half(y)}
            place.errorbar(x["mean"], y["mean"], **bars, fmt=marker, color=colour, markersize=7, elinewidth=0.8, alpha=0.9)
        taus = [row["tau"]["value"] for row in mine["stand_in"] if row["pipeline"] == theirs["pipeline"]]
        tau = f"tau-b {taus[0]:.2f}" if taus and taus[0] is not None else "tau-b not measured"
        place.set_title(f"{_lines(title)}\n{tau}")
        place.locator_params(axis="x", nbins=5)
        place.grid(color="#eeeeee", linewidth=0.8)
        place.tick_params(length=0)
    for place in list(axes.flat)[len(panels) :]:
        place.set_visible(False)
    mine, theirs = panels[0]
    figure.supxlabel(f"difference to random by {mine['pipeline']} ({NAMES[mine['metric']]})", fontsize=10)
    figure.supylabel(f"difference to random by full training ({theirs['pipeline']})", fontsize=10)
    figure.suptitle("The proxy against full training: a point per strategy, 95 % intervals", x=0.01, ha="left", fontsize=12)
    handles = [Line2D([], [], color=look[n][0], marker=look[n][1], linestyle="", markersize=7, label=n) for n in names]
    figure.legend(handles=handles, loc="outside right center", frameon=False)
    return figure


def _curve(table: Table, condition: Condition, name: str) -> tuple[list[float], list[Any]]:
    """Labels bought, and for each the mean score with its interval over observations.

    Empty where there are not two budgets, or no common seed, or where a cell of the strategy failed.
    """
    pairs = table["over_pairs"]
    scores = condition.scores(table["metric"]).on(pairs).without_failures()
    labels = [Pair.parse(pair).labels for pair in pairs]
    if len(set(labels)) < 2:
        return [], []
    scale = condition.rules["profile"]["budget_scale"]
    budgets, heights = cost_curve(scores, labels)
    own = heights[scores.index(name)]
    copies = scores.over_pairs().numbers[scores.index(name), 0]
    own = collapsed(np.where(np.isnan(own).any(axis=0), np.nan, own), copies)
    whole = own[:, ~np.isnan(own).any(axis=0)]
    return [round(budget * scale) for budget in budgets], [t_interval(values) for values in whole] if whole.size else []


def _ceiling(table: Table) -> float | None:
    if table["ceiling"] is None or not table["ceiling"]["everything"]:
        return None
    found = [row["interval"] for row in table["means"] if row["strategy"] == table["ceiling"]["strategy"] and row["interval"]]
    if not found:
        return None
    return found[0]["without"] if found[0]["without"] is not None else found[0]["mean"]


def _ceiling_label(tables: Sequence[Table]) -> str:
    """What the line of the ceiling is: where some of its trainings collapsed, the mean of the others."""
    fell = sum(row["collapsed"] for table in tables for row in table["strategies"] if _is_ceiling(table, row["name"]))
    return "ceiling: the whole pool" + (f" (without {fell} trainings that collapsed)" if fell else "")


def _is_ceiling(table: Table, name: str) -> bool:
    return table["ceiling"] is not None and table["ceiling"]["strategy"] == name


def _half(interval: dict[str, Any]) -> float:
    return 0.0 if interval["high"] is None else interval["high"] - interval["mean"]


def _title(tables: Sequence[Table], proxy: bool, what: str) -> str:
    kind = "PROXY" if proxy else "Full training"
    pipelines, profiles = (sorted({table[name] for table in tables}) for name in ("pipeline", "profile"))
    of = f"profile {profiles[0]}" if len(profiles) == 1 else f"profiles {', '.join(profiles)}"
    return f"{kind} ({', '.join(pipelines)}, {of})\n{what[:1].upper()}{what[1:]}"


def _lines(text: str) -> str:
    return text.replace(", ", "\n", 1)
