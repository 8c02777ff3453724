"""How a cost grows along an axis: the fitted power, its limit, the table and the picture.

A cost that is a constant plus a linear part has a power below 1 that rises towards 1. The power is therefore fitted over the upper
part of an axis, its last ``UPPER`` sizes, where the part that grows fastest is largest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.stats import t

from evaluator.files import replaced
from evaluator.report.format import markdown_rows
from evaluator.scoring.intervals import Interval, t_interval
from evaluator.tables import Block

UPPER = 3
"""Number of sizes, at the end of an axis, that the power is fitted over."""
LINEAR, FLAT = 1.1, 0.1
"""Highest power of what may grow linearly, and of what may not grow; 0.1 of each is for noise."""
AXES = {"pool": "images in the pool", "labels": "labels bought", "pixels": "pixels of an image"}
PANELS = {
    ("cell", "pool"): "start of a cell",
    ("memory", "pool"): "memory",
    ("once", "pool"): "once per evaluation",
    ("purchase", "labels"): "purchase, ledger, result",
    ("training", "labels"): "training",
    ("size", "pixels"): "image size",
}
"""The parts of a run and the axis that each is measured along: a panel and a table each."""
COLOURS = ("#0b6e99", "#c2410c", "#3f7d20", "#7a3e9d", "#8a6d00", "#555555", "#d6478b")


@dataclass(frozen=True)
class Slope:
    """The power p of a cost that grows as size ** p, with its 95 % interval; it was fitted over ``sizes``."""

    power: float
    low: float
    high: float
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Series:
    """A cost, measured at several sizes.

    Attributes:
        part, axis: a key of ``PANELS``.
        samples: figures by size, one per repetition; equally many where sizes took turns.
        unit: ``s`` or ``MiB``.
        limit: the highest power allowed, ``LINEAR`` or ``FLAT``; None where there is no limit.
        note: how the figures were obtained, where they are not seconds by the clock.

    Raises:
        ValueError: fewer than two sizes, a size without a figure, or a figure that is not above 0.
    """

    name: str
    part: str
    axis: str
    samples: Mapping[int, Sequence[float]]
    unit: Literal["s", "MiB"] = "s"
    limit: float | None = LINEAR
    note: str = ""

    def __post_init__(self) -> None:
        if (self.part, self.axis) not in PANELS or self.unit not in ("s", "MiB"):
            raise ValueError(f"{self.name}: there is no panel for {self.part!r} along {self.axis!r}, or no unit {self.unit!r}")
        if len(self.samples) < 2 or any(size <= 0 or not len(values) for size, values in self.samples.items()):
            raise ValueError(f"{self.name}: a power needs at least two sizes above 0, each with a figure")
        for size, values in self.samples.items():
            if not all(math.isfinite(value) and value > 0 for value in values):
                raise ValueError(f"{self.name}: the figures at {size} are {list(values)}; expected numbers above 0")

    def medians(self) -> dict[int, float]:
        """Median by size, in order of size."""
        return {size: float(np.median(self.samples[size])) for size in sorted(self.samples)}

    def slope(self) -> Slope:
        """Least squares through the logarithms of all figures in the upper part, with the t-interval of the slope.

        Two figures give no interval: its bounds are then infinite.
        """
        sizes = tuple(sorted(self.samples))[-UPPER:]
        x = np.log([size for size in sizes for _ in self.samples[size]])
        y = np.log([value for size in sizes for value in self.samples[size]])
        spread = float(((x - x.mean()) ** 2).sum())
        power = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
        free = len(x) - 2
        if free == 0:
            return Slope(power, -math.inf, math.inf, sizes)
        rest = y - y.mean() - power * (x - x.mean())
        half = float(t.ppf(0.975, free)) * math.sqrt(float((rest**2).sum()) / free / spread)
        return Slope(power, power - half, power + half, sizes)

    def verdict(self) -> str:
        """``ok``; ``too steep`` where the whole interval is over the limit; ``unclear`` where only the power is."""
        slope = self.slope()
        if self.limit is None or slope.power <= self.limit:
            return "ok"
        return "too steep" if slope.low > self.limit else "unclear"

    def added(self) -> Interval:
        """How much more the largest size costs than the smallest, paired by turn: mean and 95 % t-interval.

        Raises:
            ValueError: the two sizes were not measured equally often.
        """
        sizes = sorted(self.samples)
        first, last = (np.asarray(self.samples[size], float) for size in (sizes[0], sizes[-1]))
        if len(first) != len(last):
            raise ValueError(f"{self.name}: {len(first)} and {len(last)} figures make no pairs; measure both sizes equally often")
        return t_interval(last - first)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the fitted power; ``from_dict`` reads them back."""
        slope = self.slope()
        interval = [value if math.isfinite(value) else None for value in (slope.low, slope.high)]
        fitted = {"power": slope.power, "interval": interval, "over": list(slope.sizes), "verdict": self.verdict()}
        plain = {name: getattr(self, name) for name in ("name", "part", "axis", "unit", "limit", "note")}
        return plain | fitted | {"samples": {str(size): list(self.samples[size]) for size in sorted(self.samples)}}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Series:
        """The series of a stored file."""
        fields = {name: plain[name] for name in ("name", "part", "axis", "unit", "limit", "note")}
        return cls(samples={int(size): values for size, values in plain["samples"].items()}, **fields)


def spoken(value: float, unit: str) -> str:
    """A figure in three digits: seconds as µs, ms or s, memory in MiB."""
    if unit == "MiB":
        return f"{_digits(value)} MiB"
    for factor, name in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if abs(value) * factor >= 1:
            return f"{_digits(value * factor)} {name}"
    return f"{value * 1e6:.2g} µs"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _size(size: int) -> str:
    return f"{size:,}"


def tables(series: Iterable[Series]) -> str:
    """Markdown: a table per part, with a column per size, the power, and whether it is within its limit."""
    given = list(series)
    texts = []
    for (part, axis), title in PANELS.items():
        rows = [s for s in given if (s.part, s.axis) == (part, axis)]
        if not rows:
            continue
        sizes = sorted({size for s in rows for size in s.samples})
        heads = [_size(size) if axis != "pixels" else f"{math.isqrt(size)} px" for size in sizes]
        headers = (f"{title}, by {AXES[axis]}", *heads, "power", "within its limit")
        texts.append("\n".join(markdown_rows(Block("", headers, tuple(_row(s, sizes) for s in rows)))))
    return "\n\n".join(texts) + "\n"


def _row(series: Series, sizes: Sequence[int]) -> tuple[str, ...]:
    medians, slope = series.medians(), series.slope()
    cells = [spoken(medians[size], series.unit) if size in medians else "" for size in sizes]
    said = series.verdict()
    if series.limit == FLAT and len({len(values) for values in series.samples.values()}) == 1:
        more = series.added()
        if more.low is not None and more.high is not None:
            mean, low, high = (spoken(value, series.unit) for value in (more.mean, more.low, more.high))
            said += f"; largest minus smallest size: {mean} ({low} to {high})"
    counts = sorted({len(values) for values in series.samples.values()})
    name = f"{series.name} (n = {'/'.join(map(str, counts))}{', ' + series.note if series.note else ''})"
    bounds = f" ({_power(slope.low)} to {_power(slope.high)})" if math.isfinite(slope.low) else ""
    return (name, *cells, f"{_power(slope.power)}{bounds}", said)


def _power(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # never -0.00


def draw(series: Iterable[Series], path: Path, source: str) -> None:
    """The picture as SVG: a panel per part, both axes logarithmic, the power beside each name, and a linear line for comparison.

    ``source`` is written into its metadata: which figures it was drawn from.

    Raises:
        ImportError: matplotlib is missing; it is in requirements-dev.txt.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    given = list(series)
    panels = [(key, [s for s in given if (s.part, s.axis) == key]) for key in PANELS]
    panels = [(key, rows) for key, rows in panels if rows]
    # Text stays text, and equal figures give an equal file.
    settings: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "scale", "font.family": "sans-serif", "font.size": 9}
    with plt.rc_context(settings):
        columns = min(3, len(panels))
        rows_of_panels = math.ceil(len(panels) / columns)
        figure, axes = plt.subplots(rows_of_panels, columns, figsize=(4.4 * columns, 4.5 * rows_of_panels), squeeze=False)
        for place, (key, rows) in zip(axes.flat, panels, strict=False):
            _panel(place, key, rows)
        for place in list(axes.flat)[len(panels) :]:
            place.set_visible(False)
        figure.suptitle(
            f"How cost grows: behind every name its power over the last {UPPER} sizes (1 is linear, 0 does not grow)",
            fontsize=12,
            x=0.01,
            ha="left",
        )
        figure.tight_layout(w_pad=2.5, h_pad=2.0)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path, "wb") as file:
            figure.savefig(file, format="svg", facecolor="white", metadata={"Date": None, "Description": source})
        plt.close(figure)


def _panel(place: Any, key: tuple[str, str], rows: Sequence[Series]) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    lowest, highest = math.inf, -math.inf
    for colour, series in zip(COLOURS * len(rows), rows, strict=False):
        medians = series.medians()
        sizes, values = list(medians), list(medians.values())
        lowest, highest = min(lowest, *values), max(highest, *values)
        steep = "" if series.verdict() == "ok" else f", {series.verdict()}"
        label = f"{series.name}: {_power(series.slope().power)}{steep}"
        place.plot(sizes, values, "-o", color=colour, markersize=4, linewidth=1.6, label=label)
    ends = sorted({size for series in rows for size in series.samples})
    first, last = ends[0], ends[-1]
    # The line for comparison goes through the middle of the panel, near all the others.
    middle = math.sqrt(lowest * highest)
    centre = math.sqrt(first * last)
    place.set_xscale("log")
    place.set_yscale("log")
    reach = max(highest / lowest, last / first) ** 0.5 * 1.4
    place.set_ylim(middle / reach, middle * reach)
    place.plot(
        [first, last],
        [middle * first / centre, middle * last / centre],
        linestyle=(0, (4, 3)),
        color="#b0b0b0",
        linewidth=1.2,
        zorder=0,
        label="linear: 1.00",
    )
    place.set_title(PANELS[key], fontsize=11, fontweight="bold", loc="left")
    place.set_xlabel(AXES[key[1]])
    place.set_xticks(ends, [_size(size) if key[1] != "pixels" else f"{math.isqrt(size)}²" for size in ends])
    place.xaxis.set_minor_locator(NullLocator())
    place.yaxis.set_major_formatter(FuncFormatter(lambda value, _: spoken(value, rows[0].unit)))
    place.grid(True, which="major", color="#e6e6e6", linewidth=0.8)
    for side in ("top", "right"):
        place.spines[side].set_visible(False)
    place.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False, fontsize=8.5)
