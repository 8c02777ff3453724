"""Charts of ``evaluator.sections`` as SVG: bars, dots with intervals, curves, flows of ranks, clouds of points.

In bars and dots every row has its name and its figure on a line of their own above what is drawn, so that long names overlap
nothing. A chart is ``svg.WIDTH`` units wide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from markupsafe import Markup

from evaluator.report.colours import span_of
from evaluator.report.html.svg import (
    SERIES,
    WIDTH,
    element,
    figures,
    line,
    mark,
    number,
    picture,
    rectangle,
    ticks,
    width_of,
    words,
)
from evaluator.sections import Bars, Cloud, Curves, Dots, Flow, Value

EDGE = 8.0
"""Units between the edge of a picture and what is drawn."""
MOST_ROWS = 60
"""Rows of a chart; further rows are in the tables only."""


def bars(of: Bars) -> Markup:
    """Bars on the tracks of their limits. All tracks share one scale."""
    longest = max((bar.limit for bar in of.bars), default=1.0) or 1.0
    room = WIDTH - 2 * EDGE
    parts, y = [], 4.0
    for bar in of.bars[:MOST_ROWS]:
        parts += heading(y, bar.label, bar.text)
        used = min(max(bar.value, 0.0), longest)
        parts.append(rectangle(EDGE, y + 17, room * bar.limit / longest, 9, "track"))
        parts.append(rectangle(EDGE, y + 17, max(room * used / longest, 1.0 if used else 0.0), 9, "bar"))
        if bar.value > bar.limit:
            parts.append(line(EDGE + room * bar.limit / longest, y + 14, EDGE + room * bar.limit / longest, y + 29, "limit"))
        y += 36
    said = "; ".join(f"{bar.label}: {bar.text}" for bar in of.bars[:MOST_ROWS])
    return picture(y, f"{of.title}. {said}", parts)


def heading(y: float, label: str, text: str) -> list[Markup]:
    """Name and figure of a row."""
    most = WIDTH - 2 * EDGE - width_of(text) - 8
    return [words(EDGE, y + 11, label, most=most), words(WIDTH - EDGE, y + 11, text, "figure", "end")]


def dots(of: Dots) -> Markup:
    """Rows of dots with intervals over one scale."""
    series = of.series[:SERIES]
    rows = range(min(len(of.rows), MOST_ROWS))
    low, high = of.ends or _ends([v for s in series for v in s.values if v is not None], of.mark)
    left, right = EDGE + 6, WIDTH - EDGE - 6

    def at(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (right - left)

    step = 10.0
    parts: list[Markup] = []
    y = 4.0
    for row in rows:
        parts += heading(y, of.rows[row], of.texts[row])
        for place, one in enumerate(series):
            middle = y + 22 + place * step
            parts.append(line(left, middle, right, middle, "rule"))
            value = one.values[row]
            if value is not None:
                parts += _whiskers(value, at, middle, place)
                parts.append(mark(place, at(value.mean), middle))
        y += 26 + step * len(series)
    if of.mark is not None and low <= of.mark <= high:
        parts.insert(0, line(at(of.mark), 2, at(of.mark), y, "limit"))
    parts += list(_scale(ticks(low, high, 4), at, y))
    y += 18
    if of.mark is not None and of.mark_label:
        half = EDGE + min(width_of(of.mark_label), WIDTH - 2 * EDGE) / 2
        middle = min(max(at(of.mark), half), WIDTH - half)
        parts.append(words(middle, y + 12, of.mark_label, "axis", "middle", WIDTH - 2 * EDGE))
        y += 16
    said = "; ".join(f"{of.rows[row]}: {of.texts[row]}" for row in rows)
    return picture(y, f"{of.title}. {said}", parts)


def _whiskers(value: Value, at: Callable[[float], float], y: float, place: int) -> list[Markup]:
    if value.low is None or value.high is None:
        return []
    return [line(at(value.low), y, at(value.high), y, f"spread l{place}")]


def _ends(values: Sequence[Value], mark: float | None) -> tuple[float, float]:
    """The ends of a scale that holds all values and intervals, and a little more."""
    every = [x for v in values for x in (v.mean, v.low, v.high) if x is not None and math.isfinite(x)]
    low, high = span_of([*every, *([] if mark is None else [mark])])
    return low - (high - low) * 0.04, high + (high - low) * 0.04


def _scale(places: list[float], at: Callable[[float], float], y: float) -> Iterator[Markup]:
    for value, text in zip(places, figures(places), strict=True):
        yield line(at(value), y - 2, at(value), y + 2, "tick")
        half = width_of(text) / 2
        yield words(min(max(at(value), half), WIDTH - half), y + 14, text, "axis", "middle")


def curves(of: Curves) -> Markup:
    """Curves with their points and intervals; the name of the upper axis stands above it, so that it is read without turning."""
    shown = of.curves[:SERIES]
    points = [point for curve in shown for point in curve.points]
    low, high = _ends([value for _, value in points], None)
    least, most = span_of([x for x, _ in points])
    least, most = least - (most - least) * 0.06, most + (most - least) * 0.06
    ups, acrosses = ticks(low, high, 7), ticks(least, most, 6)
    left = EDGE + max((width_of(text) for text in figures(ups)), default=20.0) + 4
    right, top, bottom = WIDTH - EDGE, 26.0, 214.0

    def across(x: float) -> float:
        return left + (x - least) / (most - least) * (right - left)

    def up(value: float) -> float:
        return bottom - (min(max(value, low), high) - low) / (high - low) * (bottom - top)

    parts = [words(EDGE, 13, of.up, "axis")]
    for tick, text in zip(ups, figures(ups), strict=True):
        parts.append(line(left, up(tick), right, up(tick), "rule"))
        parts.append(words(left - 5, up(tick) + 4, text, "axis", "end"))
    parts += list(_scale(acrosses, across, bottom + 4))
    parts.append(words((left + right) / 2, bottom + 36, of.across, "axis", "middle"))
    for place, curve in enumerate(shown):
        path = "L".join(f"{number(across(x))} {number(up(value.mean))}" for x, value in curve.points)
        parts.append(element("path", {"d": Markup(f"M{path}"), "class": f"curve l{place} d{place}"}))
        for x, value in curve.points:
            if value.low is not None and value.high is not None:
                parts.append(line(across(x), up(value.low), across(x), up(value.high), f"spread l{place}"))
            parts.append(mark(place, across(x), up(value.mean)))
    said = "; ".join(f"{c.name}: " + ", ".join(f"{v.mean:.3f} at {x:g}" for x, v in c.points) for c in shown)
    return picture(bottom + 44, f"{of.title}. {said}", parts)


def numbered(stages: Sequence[str]) -> list[str]:
    """The stages of a flow in words, with the number that stands above each in the picture."""
    return [f"{number}: {stage}" for number, stage in enumerate(stages, 1)]


def flow(of: Flow) -> Markup:
    """Lines from rank to rank. Rows that keep their rank are pale; the others have colours, and a mark at every stage.

    The names stand at the left in the order of the first stage, and a row that shares a rank there is led to it.
    """
    step, top = 19.0, 26.0
    rows = range(min(len(of.rows), MOST_ROWS))
    deepest = max((rank for row in rows for rank in of.ranks[row]), default=1.0)
    names, left, right = 112.0, 138.0, WIDTH - EDGE - 26

    def across(stage: int) -> float:
        return left + stage / max(len(of.stages) - 1, 1) * (right - left)

    def down(rank: float) -> float:
        return top + (rank - 0.5) * step

    parts: list[Markup] = []
    for stage in range(len(of.stages)):
        parts.append(words(across(stage), 13, str(stage + 1), "axis", "middle"))
        parts.append(line(across(stage), 19, across(stage), down(deepest) + 6, "rule"))
    moved = [row for row in rows if len(set(of.ranks[row])) > 1]
    for row in sorted(rows, key=lambda row: row in moved):
        ranks, place = of.ranks[row], moved.index(row) % SERIES if row in moved else None
        points = [(names + 6, down(row + 1)), *((across(stage), down(rank)) for stage, rank in enumerate(ranks))]
        path = "L".join(f"{number(x)} {number(y)}" for x, y in points)
        kind = "still" if place is None else f"curve l{place} d{place}"
        parts.append(element("path", {"d": Markup(f"M{path}"), "class": kind}))
        if place is not None:
            parts += [mark(place, x, y, 3.2) for x, y in points[1:]]
        parts.append(words(EDGE, down(row + 1) + 4, of.rows[row], most=names - EDGE))
    # Rows that share a rank share its number.
    for rank in sorted({of.ranks[row][-1] for row in rows}):
        parts.append(words(right + 8, down(rank) + 4, f"{rank:g}", "figure"))
    said = "; ".join(f"{of.rows[row]}: " + ", ".join(f"{rank:g}" for rank in of.ranks[row]) for row in rows)
    return picture(down(max(deepest, len(rows))) + 14, f"{of.title}. {said}", parts)


def cloud(of: Cloud) -> Markup:
    """Points of a plane. The points of a kind are one path, because a picture of thousands of elements is slow."""
    height = 280.0
    (x0, y0), (x1, y1) = (of.points.min(axis=0), of.points.max(axis=0)) if len(of.points) else ((0.0, 0.0), (1.0, 1.0))
    scale = min((WIDTH - 2 * EDGE) / max(x1 - x0, 1e-9), (height - 2 * EDGE) / max(y1 - y0, 1e-9))
    middle = (x0 + x1) / 2, (y0 + y1) / 2
    places = [
        (WIDTH / 2 + (float(x) - middle[0]) * scale, height / 2 - (float(y) - middle[1]) * scale) for x, y in of.points.tolist()
    ]
    chosen = {i for _, members in of.groups for i in members}
    rest = "".join(f"M{number(x)} {number(y)}h0" for i, (x, y) in enumerate(places) if i not in chosen)
    parts = [element("path", {"d": Markup(rest or "M0 0"), "class": "points rest"})]
    for place, (_, members) in enumerate(of.groups):
        drawn = "".join(f"M{number(places[i][0])} {number(places[i][1])}h0" for i in members)
        if drawn:
            parts.append(element("path", {"d": Markup(drawn), "class": f"points ring g{place}"}))
            parts.append(element("path", {"d": Markup(drawn), "class": f"points g{place}"}))
    said = "; ".join(f"{name}: {len(members)} points" for name, members in of.groups)
    return picture(height, f"{of.title}. {said}; {of.rest}: {len(places) - len(chosen)} points", parts)
