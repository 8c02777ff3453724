"""Strokes on paper, photographed: gray images whose bytes are the same on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from evaluator.data.numerals.strokes import Stroke
from evaluator.data.painted.canvas import field, lattice
from evaluator.data.painted.exact import Draws

LEAST, MOST = 12, 160
"""Pixels per side of an image."""


@dataclass(frozen=True)
class Page:
    """Paper, ink and camera.

    Attributes:
        height: pixels of a capital letter. ``margin``: paper on each side, in heights, lowest and highest.
        paper, ink: gray values, 0 (black) to 255. ``patchy``: deviation of the paper's brightness over the image.
        fade: share of the ink that is missing here and there. ``soft``: pixels over which an edge of ink fades.
        noise: deviation of a pixel. ``ruled``: pixels between printed lines; 0 for none.
    """

    height: float
    margin: tuple[float, float]
    paper: float
    ink: float
    patchy: float
    fade: float
    soft: float
    noise: float
    ruled: float


def photographed(strokes: Sequence[Stroke], page: Page, draws: Draws) -> np.ndarray:
    """The image of strokes, cut to them with a margin: uint8 (h, w)."""
    left, top, right, bottom = _edges(strokes)
    sides = [draws.uniform(*page.margin) for _ in range(4)]
    scale = page.height
    width, height = ((right - left) + sides[0] + sides[1]) * scale, ((bottom - top) + sides[2] + sides[3]) * scale
    largest = max(width, height)
    if largest > MOST:
        scale, width, height = scale * MOST / largest, width * MOST / largest, height * MOST / largest
    columns, rows = max(LEAST, int(width)), max(LEAST, int(height))
    ink = np.zeros((rows, columns), np.float32)
    for stroke in strokes:
        points = [((x - left + sides[0]) * scale, (y - top + sides[2]) * scale) for x, y in stroke.points]
        _draw(ink, points, (stroke.radius[0] * scale, stroke.radius[1] * scale), page.soft)
    return _exposed(ink, page, draws)


def _edges(strokes: Sequence[Stroke]) -> tuple[float, float, float, float]:
    xs = [x + side * stroke.radius[0] for stroke in strokes for x, _ in stroke.points for side in (-1, 1)]
    ys = [y + side * stroke.radius[0] for stroke in strokes for _, y in stroke.points for side in (-1, 1)]
    return min(xs, default=0.0), min(ys, default=0.0), max(xs, default=1.0), max(ys, default=1.0)


def _draw(ink: np.ndarray, points: Sequence[tuple[float, float]], radius: tuple[float, float], soft: float) -> None:
    """Cover the canvas along a line through ``points``, in pixels; ink does not add up where strokes cross."""
    rows, columns = ink.shape
    steps = len(points) - 1
    for number, ((x0, y0), (x1, y1)) in enumerate(pairwise(points)):
        first = max(0.35, radius[0] + (radius[1] - radius[0]) * number / steps)
        reach = first + soft + 1
        left, right = max(0, int(min(x0, x1) - reach)), min(columns, int(max(x0, x1) + reach) + 2)
        top, bottom = max(0, int(min(y0, y1) - reach)), min(rows, int(max(y0, y1) + reach) + 2)
        if left >= right or top >= bottom:
            continue
        x = (np.arange(left, right, dtype=np.float32) + np.float32(0.5 - x0))[None, :]
        y = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - y0))[:, None]
        dx, dy = x1 - x0, y1 - y0
        length = dx * dx + dy * dy
        along = (x * np.float32(dx) + y * np.float32(dy)) * np.float32(1 / length if length > 1e-9 else 0.0)
        along = np.minimum(np.maximum(along, np.float32(0)), np.float32(1))
        away_x, away_y = x - along * np.float32(dx), y - along * np.float32(dy)
        distance = np.sqrt(away_x * away_x + away_y * away_y)
        cover = (np.float32(first) - distance) * np.float32(1 / soft) + np.float32(0.5)
        target = ink[top:bottom, left:right]
        np.maximum(target, np.minimum(np.maximum(cover, np.float32(0)), np.float32(1)), out=target)


def _exposed(ink: np.ndarray, page: Page, draws: Draws) -> np.ndarray:
    rows, columns = ink.shape
    light = field(lattice(draws, 2), MOST)[:rows, :columns]
    gray = np.float32(page.paper) + np.float32(2 * page.patchy) * light
    if page.ruled:
        offset = draws.uniform(0, page.ruled)
        for line in range(int((rows - offset) / page.ruled) + 1):
            row = int(offset + line * page.ruled)
            if row < rows:
                gray[row] -= np.float32(0.35 * (page.paper - page.ink))
    if page.fade:
        gaps = field(lattice(draws, MOST // 6), MOST)[:rows, :columns]
        ink = ink * (np.float32(1) - np.float32(page.fade) * np.minimum(np.maximum(gaps + np.float32(0.5), 0), 1))
    gray += (np.float32(page.ink) - gray) * ink
    if page.noise:
        gray += np.float32(page.noise) * draws.normals(rows, columns)
    return np.rint(np.minimum(np.maximum(gray, np.float32(0)), np.float32(255))).astype(np.uint8)
