"""The undamaged sheet: paint colour, finish (solid, metallic flakes, brushed), orange peel, panel seams and pressed creases.

Seams and creases are distractors, not damages: they run straight from edge to edge, which no damage does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evaluator.data.painted.canvas import Canvas, field, lattice, slopes, uniform
from evaluator.data.painted.exact import Draws, bell, direction, exps
from evaluator.data.painted.shift import Shift

_FLAKE_CELLS = 88
_PEEL_CELLS = 26
_BRUSH_LINES = 512


@dataclass(frozen=True)
class Line:
    """A straight feature from edge to edge, along ``normal . (x, y) = offset``; ``width`` in sides; ``strength`` has a sign."""

    normal: tuple[float, float]
    offset: float
    width: float
    strength: float

    @classmethod
    def draw(cls, rng: Draws, width: tuple[float, float], strength: tuple[float, float]) -> Line:
        angle = rng.uniform(0, 2 * math.pi)
        normal = direction(angle)
        through = rng.uniform(0.05, 0.95), rng.uniform(0.05, 0.95)
        size = uniform(rng, strength) * (1 if rng.random() < 0.5 else -1)
        return cls(normal, normal[0] * through[0] + normal[1] * through[1], uniform(rng, width), size)

    def distance(self, canvas: Canvas) -> np.ndarray:
        """Signed distance of each pixel in sides, (size, size)."""
        return (canvas.x * np.float32(self.normal[0])) + (canvas.y * np.float32(self.normal[1]) - np.float32(self.offset))


@dataclass(frozen=True)
class Sheet:
    """The parameters of a sheet without damages and light, in units of sides.

    Attributes:
        colour: linear RGB (3,).
        peel: lattice of the orange peel's height; ``peel_slope``: its root-mean-square slope along one axis.
        flakes: lattice of the metallic flakes, or None; ``flake_strength``: relative standard deviation of their brightness.
        brush: brightness of every line of a brushed finish, (2, lines), or None.
        brush_angle, brush_density, brush_strength: direction (radians), lines per side, and relative brightness of the lines.
        waves: lattice of the slow variation of paint and brushing.
        seam, crease: straight features, or None.
    """

    colour: np.ndarray
    peel: np.ndarray
    peel_slope: float
    flakes: np.ndarray | None
    flake_strength: float
    brush: np.ndarray | None
    brush_angle: float
    brush_density: float
    brush_strength: float
    waves: np.ndarray
    seam: Line | None
    crease: Line | None

    @classmethod
    def draw(cls, rng: Draws, shift: Shift) -> Sheet:
        base, brightness = np.array(shift.palette[rng.integer(len(shift.palette))]), rng.normal(0, 0.18)
        colour = np.clip(base * exps([brightness + rng.normal(0, 0.07) for _ in range(3)]), 0.02, 0.85)
        finish = rng.choice(shift.finishes)
        return cls(
            colour=colour,
            peel=lattice(rng, _PEEL_CELLS),
            peel_slope=uniform(rng, shift.orange_peel),
            flakes=lattice(rng, _FLAKE_CELLS) if finish == 1 else None,
            flake_strength=uniform(rng, (0.04, 0.16)),
            brush=rng.normals(2, _BRUSH_LINES) if finish == 2 else None,
            brush_angle=rng.uniform(0, math.pi),
            brush_density=uniform(rng, (45, 75)),
            brush_strength=uniform(rng, (0.03, 0.09)),
            waves=lattice(rng, 3),
            seam=Line.draw(rng, (0.010, 0.022), (0.55, 0.9)) if rng.random() < shift.seam else None,
            crease=Line.draw(rng, (0.05, 0.11), (0.05, 0.16)) if rng.random() < shift.crease else None,
        )

    def canvas(self, size: int) -> Canvas:
        """Rasterise the sheet."""
        canvas = Canvas.blank(size, self.colour)
        along_x, along_y = slopes(self.peel, size)
        # Along either axis, the slope of a cubic B-spline field of white noise has a standard deviation of 0.565 per cell.
        scale = np.float32(self.peel_slope / (0.565 * _PEEL_CELLS))
        canvas.slope_x += along_x * scale
        canvas.slope_y += along_y * scale
        waves = field(self.waves, size)
        texture = 1 + np.float32(0.04) * waves
        if self.flakes is not None:
            texture += np.float32(self.flake_strength) * field(self.flakes, size)
        if self.brush is not None:
            texture += self._brushing(canvas, waves, self.brush)
        canvas.paint *= texture
        if self.crease is not None:
            self._press(canvas, self.crease)
        if self.seam is not None:
            self._part(canvas, self.seam)
        return canvas

    def _brushing(self, canvas: Canvas, waves: np.ndarray, brush: np.ndarray) -> np.ndarray:
        cosine, sine = direction(self.brush_angle)
        across = canvas.x * np.float32(cosine) + canvas.y * np.float32(sine)
        position = (across + 1) * np.float32(self.brush_density)
        line = position.astype(np.int32)
        part = position - line
        # The slow waves fade two sets of lines into each other, so that no line runs across the whole image.
        mix = np.clip(0.5 + 1.2 * waves, 0, 1)
        first, second = brush
        here = first[line] + (second[line] - first[line]) * mix
        there = first[line + 1] + (second[line + 1] - first[line + 1]) * mix
        # A pixel that covers several lines shows their mean.
        fade = min(1.0, math.sqrt(canvas.size / self.brush_density))
        return (here + (there - here) * part) * np.float32(self.brush_strength * fade)

    @staticmethod
    def _press(canvas: Canvas, crease: Line) -> None:
        slope = bell(crease.distance(canvas) / np.float32(crease.width)) * np.float32(crease.strength)
        canvas.slope_x += slope * np.float32(crease.normal[0])
        canvas.slope_y += slope * np.float32(crease.normal[1])

    @staticmethod
    def _part(canvas: Canvas, seam: Line) -> None:
        distance = seam.distance(canvas)
        width = math.sqrt(seam.width * seam.width + 0.16 * canvas.pixel * canvas.pixel)
        gap = bell(distance / np.float32(width)) * np.float32(abs(seam.strength) * seam.width / width)
        lip = bell((distance - np.float32(2.2 * seam.width)) / np.float32(1.3 * width)) * np.float32(0.30)
        canvas.slope_x += lip * np.float32(seam.normal[0])
        canvas.slope_y += lip * np.float32(seam.normal[1])
        canvas.paint *= 1 - gap
        canvas.gloss *= 1 - gap
        # The neighbouring panel is tilted a little.
        tilt = np.where(distance < 0, np.float32(0.05 * seam.strength), np.float32(0))
        canvas.slope_x += tilt * np.float32(seam.normal[0])
        canvas.slope_y += tilt * np.float32(seam.normal[1])
