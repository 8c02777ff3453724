"""The canvas: slopes, paint and gloss of a sheet per pixel, while the sheet is built; and smooth noise at any resolution.

Positions and lengths are in *sides*: the image spans 0..1 in x (to the right) and y (down), whatever its size in pixels.
Parameters are drawn in these units and rasterised later, so that a scene looks the same at 32 and at 512 px.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from evaluator.data.painted.exact import Draws

_OVERSAMPLING = 4
_BASIS_STEP = 2.0**-14


class Window(NamedTuple):
    """A rectangle of the canvas.

    Attributes:
        where: slices of its rows and columns.
        dx, dy: distances of its pixels from the centre that was asked for, in sides, (1, w) and (h, 1).
    """

    where: tuple[slice, slice]
    dx: np.ndarray
    dy: np.ndarray


@dataclass
class Canvas:
    """The arrays that shading reads, all float32.

    Attributes:
        size: pixels per side.
        x, y: pixel centres in sides, (1, size) and (size, 1).
        slope_x, slope_y: slope of the surface along x and y, (size, size).
        paint: linear reflectance, (3, size, size).
        gloss: factor on every highlight and reflection, (size, size).
        light: factor on the light of the lamp (for shadows), (size, size).
    """

    size: int
    x: np.ndarray
    y: np.ndarray
    slope_x: np.ndarray
    slope_y: np.ndarray
    paint: np.ndarray
    gloss: np.ndarray
    light: np.ndarray

    @classmethod
    def blank(cls, size: int, colour: np.ndarray) -> Canvas:
        """A flat sheet of one colour (linear RGB, (3,))."""
        centres = (np.arange(size, dtype=np.float32) + 0.5) / size
        plane = (size, size)
        paint = np.empty((3, *plane), np.float32)
        paint[:] = np.asarray(colour, np.float32)[:, None, None]
        return cls(
            size=size,
            x=centres[None, :],
            y=centres[:, None],
            slope_x=np.zeros(plane, np.float32),
            slope_y=np.zeros(plane, np.float32),
            paint=paint,
            gloss=np.ones(plane, np.float32),
            light=np.ones(plane, np.float32),
        )

    @property
    def pixel(self) -> float:
        """The width of a pixel in sides."""
        return 1 / self.size

    def window(self, x: float, y: float, half_x: float, half_y: float | None = None) -> Window | None:
        """The rectangle of half-widths ``half_x``, ``half_y`` around (x, y), cut to the canvas; None if it lies outside."""
        half_y = half_x if half_y is None else half_y
        left, right = max(0, int((x - half_x) * self.size)), min(self.size, int((x + half_x) * self.size) + 1)
        top, bottom = max(0, int((y - half_y) * self.size)), min(self.size, int((y + half_y) * self.size) + 1)
        if left >= right or top >= bottom:
            return None
        return Window((slice(top, bottom), slice(left, right)), self.x[:, left:right] - x, self.y[top:bottom] - y)

    def blend(self, where: tuple[slice, slice], colour: np.ndarray, alpha: np.ndarray) -> None:
        """Cover the paint of a window with ``colour`` (3,) at opacity ``alpha`` (h, w)."""
        target = self.paint[:, where[0], where[1]]
        target += (np.asarray(colour, np.float32)[:, None, None] - target) * alpha


@lru_cache(maxsize=64)
def _basis(size: int, cells: int, derivative: bool) -> np.ndarray:
    """Cubic B-splines on ``cells`` cells, averaged over the area of each of ``size`` pixels: float64 (size, cells + 3).

    Values are multiples of 2**-14 and draws multiples of 2**-12, so every sum in ``field`` and ``slopes`` is a whole number of
    steps below 2**53: no order of summing, and no fused instruction, can round it.
    """
    samples = (np.arange(size * _OVERSAMPLING) + 0.5) / (size * _OVERSAMPLING) * cells
    cell = np.minimum(samples.astype(int), cells - 1)
    t = samples - cell
    s = 1 - t
    if derivative:
        weights = (-(s * s) / 2, (9 * t * t - 12 * t) / 6, (-9 * t * t + 6 * t + 3) / 6, t * t / 2)
    else:
        cubic, square = t * t * t, t * t
        weights = (s * s * s / 6, (3 * cubic - 6 * square + 4) / 6, (-3 * cubic + 3 * square + 3 * t + 1) / 6, cubic / 6)
    matrix = np.zeros((size * _OVERSAMPLING, cells + 3))
    rows = np.arange(len(samples))
    for offset, weight in enumerate(weights):
        matrix[rows, cell + offset] = weight * (cells if derivative else 1)
    parts = np.rint(matrix.reshape(size, _OVERSAMPLING, cells + 3) / (_OVERSAMPLING * _BASIS_STEP))
    return parts.sum(axis=1) * _BASIS_STEP


def lattice(rng: Draws, cells: int) -> np.ndarray:
    """White noise on a lattice for ``cells`` cells per side: float64 (cells + 3, cells + 3), multiples of ``NORMAL_STEP``."""
    return rng.normals(cells + 3, cells + 3).astype(np.float64)


def field(noise: np.ndarray, size: int) -> np.ndarray:
    """Smooth noise from a ``lattice``: float32 (size, size), standard deviation about 0.5."""
    basis = _basis(size, len(noise) - 3, False)
    return (basis @ noise @ basis.T).astype(np.float32)


def slopes(noise: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The slopes along x and y, per side, of the height ``field(noise, size)``: float32 (size, size) each."""
    value, change = _basis(size, len(noise) - 3, False), _basis(size, len(noise) - 3, True)
    along_x, along_y = value @ noise @ change.T, change @ noise @ value.T
    return along_x.astype(np.float32), along_y.astype(np.float32)


def uniform(rng: Draws, span: tuple[float, float]) -> float:
    """One draw from a closed interval."""
    return rng.uniform(*span)


def luminance(colour: np.ndarray) -> float:
    """Relative luminance of a linear RGB colour (Rec. 709 weights)."""
    return float(0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2])
