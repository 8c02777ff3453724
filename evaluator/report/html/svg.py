"""Pieces of SVG: elements whose attributes and texts are escaped, marks, scales.

Colours are classes of the page's style sheet, so that a picture follows the reader's light or dark setting. Every series has a
mark of its own besides its colour, for people who do not tell colours apart and for prints in grey.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache

from markupsafe import Markup

from evaluator.text import LINE_WIDTH, cells, html, visible

WIDTH = 360
"""Width of every chart in units of its ``viewBox``: about that of a telephone, so that no text is drawn smaller than planned."""
SERIES = 8
"""Number of series that have colours and marks of their own."""
_LETTER = 6.9
"""Widest usual width of a letter at the size of the charts' text, in units. The font is the reader's own."""


def element(name: str, attributes: Mapping[str, object] | None = None, *children: Markup | str) -> Markup:
    """An element; attributes and children that are plain texts are made visible and escaped. ``Markup`` is our own, e.g. a path."""
    parts = [
        f' {key}="{value if isinstance(value, Markup) else _html(str(value), 4_000)}"' for key, value in (attributes or {}).items()
    ]
    inner = "".join([child if isinstance(child, Markup) else _html(child, LINE_WIDTH) for child in children])
    return Markup(f"<{name}{''.join(parts)}>{inner}</{name}>")


@lru_cache(maxsize=8_192)
def _html(text: str, width: int) -> str:
    """``html``, once for each text: names of classes, coordinates and labels come again and again."""
    return html(text, width)


def picture(height: float, said: str, children: Iterable[Markup]) -> Markup:
    """A whole picture ``WIDTH`` units wide. ``said``: for people who do not see it."""
    return picture_of(WIDTH, height, said, children, "chart")


def picture_of(width: float, height: float, said: str, children: Iterable[Markup], kind: str) -> Markup:
    """A whole picture of any size in units, of a class of the style sheet. ``said``: for people who do not see it."""
    head = {"viewBox": f"0 0 {number(width)} {number(height)}", "role": "img", "aria-label": said, "class": kind}
    return element("svg", head, *children)


def words(x: float, y: float, text: str, kind: str = "", anchor: str = "start", most: float = WIDTH) -> Markup:
    """A text, cut in its middle where it would be wider than ``most`` units; the whole text is then shown on hovering."""
    shown = short(text, most)
    inside: list[Markup | str] = [shown] if shown == visible(text) else [shown, element("title", None, text)]
    return element("text", {"x": number(x), "y": number(y), "text-anchor": anchor, "class": kind}, *inside)


def short(text: str, most: float) -> str:
    """A text made visible and cut to a width in units, with an ellipsis in its middle."""
    shown = visible(text[:4_000])
    room = max(int(most / _LETTER), 4)
    if cells(shown) <= room:
        return shown
    head, tail = (room - 1) - (room - 1) // 3, (room - 1) // 3
    while cells(shown[:head]) > room - 1 - (room - 1) // 3:
        head -= 1
    while tail and cells(shown[-tail:]) > (room - 1) // 3:
        tail -= 1
    return shown[:head].rstrip() + "…" + (shown[-tail:] if tail else "")


def width_of(text: str) -> float:
    """About how many units a text takes."""
    return cells(visible(text)) * _LETTER


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A line."""
    return element("path", {"d": Markup(f"M{number(x1)} {number(y1)}L{number(x2)} {number(y2)}"), "class": kind})


def rectangle(x: float, y: float, width: float, height: float, kind: str) -> Markup:
    """A rectangle; one without an area is drawn a hair wide."""
    size = {"x": number(x), "y": number(y), "width": number(max(width, 0.0)), "height": number(height), "rx": "2"}
    return element("rect", size | {"class": kind})


def mark(series: int, x: float, y: float, r: float = 4.0) -> Markup:
    """The mark of a series: its shape and its colour."""
    kind: dict[str, object] = {"class": f"mark s{series % SERIES}"}
    shape = series % SERIES
    if shape == 0:
        return element("circle", {"cx": number(x), "cy": number(y), "r": number(r)} | kind)
    shapes: dict[int, list[tuple[float, float]]] = {
        1: [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2: [(0, -1.2), (1.1, 0.85), (-1.1, 0.85)],
        3: [(0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)],
        4: [(0, 1.2), (1.1, -0.85), (-1.1, -0.85)],
        5: [(-1.3, -0.5), (1.3, -0.5), (1.3, 0.5), (-1.3, 0.5)],
        6: [(-0.5, -1.3), (0.5, -1.3), (0.5, 1.3), (-0.5, 1.3)],
        7: [(-1.1, 0), (-0.55, -1), (0.55, -1), (1.1, 0), (0.55, 1), (-0.55, 1)],
    }
    path = "L".join(f"{number(x + dx * r)} {number(y + dy * r)}" for dx, dy in shapes[shape])
    return element("path", kind | {"d": Markup(f"M{path}Z")})


def swatch(series: int) -> Markup:
    """The mark of a series, for a legend."""
    return element("svg", {"viewBox": "0 0 14 14", "class": "swatch", "aria-hidden": "true"}, mark(series, 7, 7, 4.5))


def number(value: float) -> str:
    """A coordinate, with a tenth of a unit."""
    return f"{value:.1f}".removesuffix(".0")


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round values within a scale, at most so many."""
    span = high - low
    if not span > 0:
        return [low]
    step = 10 ** math.floor(math.log10(span / most))
    step = next(step * factor for factor in (1, 2, 2.5, 5, 10) if span / (step * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def figures(values: list[float]) -> list[str]:
    """The values of a scale as texts with as few decimals as tell them apart."""
    for decimals in range(7):
        texts = [f"{value:.{decimals}f}" for value in values]
        if len(set(texts)) == len(texts) and all(abs(float(t) - v) <= abs(v) * 1e-6 for t, v in zip(texts, values, strict=True)):
            return texts
    return [f"{value:.4g}" for value in values]
