"""A heat map as a picture: score, labels and time of every submission, and the difference of its score to the reference's.

It needs matplotlib (requirements-dev.txt), which only this module imports. With one version of matplotlib, equal maps give equal
files.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.purchase.heat import HeatMap
from evaluator.purchase.heat_tables import (
    budget_name,
    heat_notes,
    holes,
    lacking,
    matrix,
    percent,
    plus_minus,
    score_span,
    time_name,
)
from evaluator.purchase.metrics import NAMES
from evaluator.report.colours import DIFFERENCE, LABELS, SCORE, TIME, ink, shade
from evaluator.report.page import write_page
from evaluator.text import name, one_line
from evaluator.words import ending, number

OPTION = "--heat-map"
ENDINGS = (".svg", ".png")
DOTS = 150
"""Dots per inch of a PNG."""
PLACE = (1.0, 0.62)
"""Width and height of one place of the grid, in inches: room for three lines of text."""
FAILED, EMPTY, LINE, INK = "#e3e0dc", "#ffffff", "#8c8780", "#333333"
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "path",
    "text.parse_math": False,  # a submission may be called a$x_$b, which is no formula
    "svg.hashsalt": "heat map",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.edgecolor": "#bbbbbb",
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "hatch.color": LINE,
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True)
class Panel:
    """One of the matrices that are drawn for every submission.

    Attributes:
        title: above the matrix; ``ramp``: the colours of its scale.
        ends: values at the two ends of the scale; ``form``: format string for them.
        value: gives the value of a place on the scale, or None.
        words: gives the text in a place.
        against_reference: whether the matrix shows differences to the reference; a difference is bold if its interval excludes 0.
    """

    title: str
    ramp: tuple[str, ...]
    ends: tuple[float, float]
    form: str
    value: Callable[[dict[str, Any]], float | None]
    words: Callable[[dict[str, Any]], str]
    against_reference: bool = False

    def colour(self, cell: dict[str, Any]) -> str | None:
        """The colour of a place; None if it has no value."""
        value, (low, high) = self.value(cell), self.ends
        return None if value is None else shade(self.ramp, (value - low) / (high - low))

    def bold(self, cell: dict[str, Any]) -> bool:
        """Whether the interval of the difference excludes 0."""
        found = cell["minus_reference"] if self.against_reference else None
        return found is not None and found["low"] is not None and (found["low"] > 0 or found["high"] < 0)


def check_picture(path: Path) -> None:
    """Check that a picture can be written, before anything is run for it.

    Raises:
        ConfigurationError: the name has another ending than ``ENDINGS``, its folder does not exist, or matplotlib is not installed.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ConfigurationError(f"{OPTION} {path} {ending(path.name)}; expected {' or '.join(ENDINGS)}")
    if not path.absolute().parent.is_dir():
        raise ConfigurationError(f"{OPTION} {path}: the folder {path.parent} does not exist; make it first, or name another file")
    _matplotlib()


def draw_heat_maps(path: Path, maps: Sequence[tuple[str, HeatMap]], source: str) -> None:
    """Draw maps below each other, each under its heading and with a colour scale of its own.

    Args:
        path: an ``.svg`` or ``.png`` file.
        maps: (heading, map) of each.
        source: written into the file's metadata.

    Raises:
        ConfigurationError: as ``check_picture``; ``maps`` is empty; or the file cannot be written.
    """
    check_picture(path)
    if not maps:
        raise ConfigurationError(f"{OPTION} {path}: no cells form a grid of two budgets x two times; run --pairs grid:... first")
    matplotlib = _matplotlib()
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    kind = path.suffix.lower()[1:]
    source = one_line(source)
    known = {"svg": {"Date": None, "Description": source}, "png": {"Description": source}}[kind]
    content = io.BytesIO()
    with plt.rc_context(SETTINGS):
        figure = _figure(plt, maps)
        figure.savefig(content, format=kind, dpi=DOTS, facecolor="white", metadata=known)
        plt.close(figure)
    write_page(path, content.getvalue(), OPTION)


def panels(heat: HeatMap) -> list[Panel]:
    """The panels that are drawn for every submission."""
    metric, seeds = NAMES[heat["metric"]], heat["seeds"]

    def less(cell: dict[str, Any]) -> str:
        found = cell["minus_reference"]
        few = [f"n {found['n']}"] if found["n"] < seeds else []
        return "\n".join([plus_minus(found, "{:+.3f}").replace(" ", "\n"), *few])

    def scored(cell: dict[str, Any]) -> str:
        return "\n".join([plus_minus(cell["score"], "{:.3f}").replace(" ", "\n"), *lacking(cell, seeds)])

    found = [
        Panel(metric, SCORE, score_span([heat]), "{:.3f}", lambda cell: cell["score"] and cell["score"]["mean"], scored),
        Panel(
            "labels bought, of the budget",
            LABELS,
            (0.0, 1.0),
            "{:.0%}",
            lambda cell: cell["bought_share"],
            lambda cell: f"{percent(cell['bought_share'])}\n{number(cell['bought'], 4)}",
        ),
        Panel(
            "time used, of the clock",
            TIME,
            (0.0, 1.0),
            "{:.0%}",
            lambda cell: cell["seconds_share"],
            lambda cell: f"{percent(cell['seconds_share'])}\n{_seconds(cell['seconds'])}",
        ),
    ]
    leads = [abs(c["minus_reference"]["mean"]) for row in heat["submissions"] for c in row["cells"] if c["minus_reference"]]
    if leads:
        most = max(leads) or 1.0
        found.append(
            Panel(
                f"{metric} less {name(heat['reference'], 32)}",
                DIFFERENCE,
                (-most, most),
                "{:+.3f}",
                lambda cell: cell["minus_reference"] and cell["minus_reference"]["mean"],
                less,
                against_reference=True,
            )
        )
    return found


def _figure(plt: Any, maps: Sequence[tuple[str, HeatMap]]) -> Any:
    sizes = [_size(heat) for _, heat in maps]
    figure = plt.figure(figsize=(max(width for width, _ in sizes), sum(height for _, height in sizes)), layout="constrained")
    figure.get_layout_engine().set(wspace=0.02)
    parts = figure.subfigures(len(maps), 1, height_ratios=[height for _, height in sizes], squeeze=False)[:, 0]
    for part, (heading, heat) in zip(parts, maps, strict=True):
        _condition(plt, part, heading, heat)
    return figure


def _size(heat: HeatMap) -> tuple[float, float]:
    """Width and height of one map, in inches."""
    across = len(panels(heat)) * (PLACE[0] * max(2, len(heat["minutes"])) + 0.35) + 1.3
    down = len(heat["submissions"]) * (PLACE[1] * len(heat["labels"]) + 0.75) + 1.6
    return max(across, 7.5), down


def _condition(plt: Any, part: Any, heading: str, heat: HeatMap) -> None:
    """Draw one map: a heading, a row of panels per submission, and a scale below every column."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    drawn, rows = panels(heat), heat["submissions"]
    bold = f" Bold: the interval of the difference to {name(heat['reference'])} excludes 0." if drawn[-1].against_reference else ""
    part.suptitle(f"{one_line(heading, 200)}\n{heat_notes(heat)[0]}{bold}", x=0.01, ha="left", fontsize=10)
    axes = part.subplots(len(rows), len(drawn), sharex=True, sharey=True, squeeze=False)
    for y, row in enumerate(rows):
        for x, panel in enumerate(drawn):
            _panel(axes[y, x], panel, heat, row)
        axes[y, 0].set_ylabel(f"{name(row['submission'], 32)}\n\nlabel budget", fontsize=9)
        axes[y, 0].yaxis.label.set_fontweight("bold")
    for x, panel in enumerate(drawn):
        axes[0, x].set_title(panel.title, fontweight="bold")
        axes[-1, x].set_xlabel("time")
        ramp = LinearSegmentedColormap.from_list(panel.title, panel.ramp)
        scale = part.colorbar(
            ScalarMappable(Normalize(*panel.ends), ramp), ax=list(axes[:, x]), location="bottom", aspect=30, pad=0.02
        )
        scale.set_ticks([panel.ends[0], sum(panel.ends) / 2, panel.ends[1]])
        scale.set_ticklabels([panel.form.format(tick) for tick in scale.get_ticks()])
        for label, side in zip(scale.ax.get_xticklabels(), ("left", "center", "right"), strict=True):
            label.set_horizontalalignment(side)  # the ends of two neighbouring scales are close to each other
        scale.outline.set_visible(False)
        scale.ax.tick_params(length=0)


def _panel(place: Any, panel: Panel, heat: HeatMap, row: dict[str, Any]) -> None:
    """Draw one matrix; budgets rise upwards. Failed places are hatched; places that were not run are empty, with a dashed frame."""
    from matplotlib.patches import Rectangle

    itself = panel.against_reference and row["submission"] == heat["reference"]
    if itself:
        place.text(0.5, 0.5, "the reference", transform=place.transAxes, ha="center", va="center", color=LINE)
    for i, cells in enumerate([] if itself else matrix(heat, row)):
        for j, cell in enumerate(cells):
            colour = panel.colour(cell)
            look: dict[str, Any]
            text, look = "", {"facecolor": EMPTY, "edgecolor": LINE, "linestyle": (0, (2, 3)), "linewidth": 0.6}
            weight = "bold" if panel.bold(cell) else "normal"
            if colour is not None:
                text, look = panel.words(cell), {"facecolor": colour, "edgecolor": "white", "linewidth": 1.2}
            elif cell["score"] is None:
                text = "\n".join(one_line(text, 60) for text in holes(cell))
                look |= {"facecolor": FAILED, "hatch": "///", "linestyle": "-"} if cell["failed"] else {}
            place.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, **look))
            box = {"facecolor": FAILED, "edgecolor": "none", "pad": 1} if colour is None and cell["failed"] else None
            look_of_text = {
                "fontsize": 7.5 if colour else 6.5,
                "fontweight": weight,
                "color": ink(colour or EMPTY),
                "linespacing": 1.1,
                "bbox": box,
            }
            place.text(j, i, text, ha="center", va="center", **look_of_text)
    place.set_xlim(-0.5, len(heat["minutes"]) - 0.5)
    place.set_ylim(-0.5, len(heat["labels"]) - 0.5)
    place.set_xticks(range(len(heat["minutes"])), [time_name(heat, j).replace(" (", "\n(") for j in range(len(heat["minutes"]))])
    place.set_yticks(range(len(heat["labels"])), [budget_name(heat, i).replace(" (", "\n(") for i in range(len(heat["labels"]))])
    place.tick_params(length=0)
    for side in place.spines.values():
        side.set_visible(False)


def _seconds(used: float) -> str:
    """``4.8 s``, ``54 s``, ``17.0 min``."""
    if used >= 600:
        return f"{used / 60:.1f} min"
    return f"{used:.0f} s" if used >= 10 else f"{used:.1f} s"


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise ConfigurationError(
            f"{OPTION} needs matplotlib, which is not installed; run `pip install matplotlib` (or -r requirements-dev.txt)"
        ) from None
    return matplotlib
