"""Strokes on paper, scanned and reduced to black and white: images whose bytes are the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from evaluator.data.numerals.strokes import Stroke
from evaluator.data.painted.canvas import field, lattice
from evaluator.data.painted.exact import Draws

LEAST, MOST = 40, 192
"""Pixels per side of an image."""
PAPER, MARKER, PENCIL = 255, 0, 64
"""Gray values: all that a scanned page has left."""
EDGE = 1.2
"""Pixels over which ink fades at an edge, before it is reduced."""
_GRAIN = 64
"""Cells of worn ink over ``MOST`` pixels."""

Lines = Literal["none", "grid", "columns"]


@dataclass(frozen=True)
class Page:
    """Paper, pen and scanner.

    Attributes:
        rows, columns: pixels of the image.
        filled: height of a capital letter, as a share of the image's. ``centre``: where the numeral's middle lies, in shares.
        ink: gray value of the pen. ``worn``: share of the ink that is lost in the dry places of a stroke, 0 to 1.
        lines: printed on the paper. ``broken``: share of a printed line that is lost.
        crowded: chance of a neighbour whose edge is in the image; ``specks``: dirt, on average.
        shade: how far a shadow covers the image, 0 for none.
    """

    rows: int
    columns: int
    filled: float
    centre: tuple[float, float]
    ink: int
    worn: float
    lines: Lines
    broken: float
    crowded: float
    specks: float
    shade: float = 0.0


def scanned(strokes: Sequence[Stroke], page: Page, draws: Draws, beside: Sequence[Stroke] = ()) -> np.ndarray:
    """The image of strokes: uint8 (rows, columns).

    What does not fit into the width is made smaller; what reaches over an edge is cut. ``beside``: a neighbour on the page.
    """
    rows, columns = page.rows, page.columns
    left, top, right, bottom = _edges(strokes)
    scale = min(page.filled * rows, 0.97 * columns / max(right - left, 0.1))
    x, y = page.centre[0] * columns - (left + right) / 2 * scale, page.centre[1] * rows - (top + bottom) / 2 * scale
    ink = np.zeros((rows, columns), np.float32)
    for stroke in strokes:
        _draw(ink, stroke, x, y, scale)
    if beside:
        other = _edges(beside)
        part = draws.uniform(0.0, 0.22) * columns
        shift = part - other[2] * scale if draws.random() < 0.4 else columns - part - other[0] * scale
        for stroke in beside:
            _draw(ink, stroke, shift, y + draws.uniform(-0.1, 0.1) * rows, scale)
    if page.worn:
        dry = field(lattice(draws, _GRAIN), MOST)[:rows, :columns]
        ink *= np.float32(1) - np.float32(page.worn) * np.minimum(np.maximum(dry + np.float32(0.55), 0), 1)
    _print_lines(ink, page, draws)
    if page.shade:
        _shade(ink, page.shade, draws)
    image = np.where(ink > np.float32(0.5), np.uint8(page.ink), np.uint8(PAPER)).astype(np.uint8)
    for _ in range(draws.poisson(page.specks)):
        row, column, side = draws.integer(rows), draws.integer(columns), 1 + draws.integer(2)
        image[row : row + side, column : column + side] = page.ink
    return image


def _edges(strokes: Sequence[Stroke]) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the lines' middles."""
    xs = [x for stroke in strokes for x, _ in stroke.points]
    ys = [y for stroke in strokes for _, y in stroke.points]
    return min(xs, default=0.0), min(ys, default=0.0), max(xs, default=1.0), max(ys, default=1.0)


def _draw(ink: np.ndarray, stroke: Stroke, shift_x: float, shift_y: float, scale: float) -> None:
    """Cover the canvas along a line; ink does not add up where lines cross."""
    rows, columns = ink.shape
    points = [(shift_x + x * scale, shift_y + y * scale) for x, y in stroke.points]
    steps = len(points) - 1
    for number, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        radius = max(0.6, scale * (stroke.radius[0] + (stroke.radius[1] - stroke.radius[0]) * number / steps))
        reach = radius + EDGE + 1
        left, right = max(0, int(min(x0, x1) - reach)), min(columns, int(max(x0, x1) + reach) + 2)
        top, bottom = max(0, int(min(y0, y1) - reach)), min(rows, int(max(y0, y1) + reach) + 2)
        if left >= right or top >= bottom:
            continue
        x = (np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x0))[None, :]
        y = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - y0))[:, None]
        dx, dy = np.float32(x1 - x0), np.float32(y1 - y0)
        length = float(dx * dx + dy * dy)
        along = (x * dx + y * dy) * np.float32(1 / length if length > 1e-9 else 0.0)
        along = np.minimum(np.maximum(along, np.float32(0)), np.float32(1))
        away_x, away_y = x - along * dx, y - along * dy
        distance = np.sqrt(away_x * away_x + away_y * away_y)
        cover = (np.float32(radius) - distance) * np.float32(1 / EDGE) + np.float32(0.5)
        target = ink[top:bottom, left:right]
        np.maximum(target, np.minimum(np.maximum(cover, np.float32(0)), np.float32(1)), out=target)


def _print_lines(ink: np.ndarray, page: Page, draws: Draws) -> None:
    """Lines of the paper, thin and in dashes where the scanner lost them."""
    if page.lines == "none":
        return
    rows, columns = ink.shape
    step = draws.uniform(0.35, 0.6) * rows
    for vertical in (True, False) if page.lines == "grid" else (True,):
        length, across = (rows, columns) if vertical else (columns, rows)
        place = draws.uniform(0, step)
        while place < across:
            at, along = int(place), 0
            while along < length:
                dash = 2 + draws.integer(10)
                if draws.random() >= page.broken:
                    where = (slice(along, along + dash), at) if vertical else (at, slice(along, along + dash))
                    ink[where] = 1
                along += dash
            place += step


def _shade(ink: np.ndarray, shade: float, draws: Draws) -> None:
    """A shadow from one corner: solid there, and dots towards the light."""
    rows, columns = ink.shape
    x = np.linspace(0, 1, columns, dtype=np.float32)[None, :]
    y = np.linspace(0, 1, rows, dtype=np.float32)[:, None]
    x = x if draws.random() < 0.5 else np.float32(1) - x
    y = y if draws.random() < 0.5 else np.float32(1) - y
    grain = np.float32(0.25) * draws.normals(rows, columns)
    ink[(x + y) * np.float32(0.5) + grain < np.float32(shade)] = 1
