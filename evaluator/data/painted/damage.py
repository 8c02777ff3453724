"""The production damages: how the parameters of each class are drawn, and how a damage changes the sheet.

There is a gap between the sizes of small and large damages, so that a person can tell the two apart: scratches are 0.09..0.17 or
0.36..0.85 sides long, dents have a radius of 0.05..0.085 or 0.17..0.30 sides. ``contrast`` (0..1) scales how much a damage differs
from the sheet around it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from evaluator.data.painted.canvas import Canvas, field, lattice, luminance, uniform
from evaluator.data.painted.exact import Draws, bell, decay, direction, exps, multiple, wave
from evaluator.data.painted.shift import Shift

_SCRATCH_LENGTH = {"small": (0.09, 0.17), "large": (0.36, 0.85)}
_DENT_RADIUS = {"small": (0.050, 0.085), "large": (0.17, 0.30)}


class Damage(Protocol):
    """One damage whose parameters are drawn."""

    def mark(self, canvas: Canvas, light: tuple[float, float]) -> None:
        """Change the canvas where the damage is. ``light``: unit vector in the sheet's plane that points to the lamp."""


def _place(rng: Draws, reach: float) -> tuple[float, float]:
    """Draw a centre (x, y) so that most of a damage of half-width ``reach`` (in sides) lies inside the image."""
    margin = min(0.4, 0.04 + 0.7 * reach)
    return rng.uniform(margin, 1 - margin), rng.uniform(margin, 1 - margin)


def _bare(rng: Draws, colour: np.ndarray) -> float:
    """Reflectance of bright material under the paint: a few times that of the paint, because cameras brighten dark sheets."""
    return min(0.95, 0.05 + luminance(colour) * uniform(rng, (2.5, 4.5)))


@dataclass(frozen=True)
class Scratch:
    """A thin curved stroke: a bright core (bare metal or primer) or a dark core (dirt), in a groove whose edge reflects the light.

    The centre line is a cubic curve, rotated by ``angle``; ``bend`` and ``twist`` are its quadratic and cubic parts per length.
    """

    x: float
    y: float
    angle: float
    length: float
    width: float
    bend: float
    twist: float
    gaps: tuple[float, float, float]
    core: np.ndarray
    contrast: float

    @classmethod
    def draw(cls, rng: Draws, kind: str, colour: np.ndarray, contrast: float, shift: Shift) -> Scratch:
        length = uniform(rng, _SCRATCH_LENGTH[kind])
        x, y = _place(rng, length / 2)
        bright = rng.random() < (0.85 if luminance(colour) < 0.2 else 0.5 if luminance(colour) < 0.4 else 0.1)
        grey = _bare(rng, colour) if bright else uniform(rng, (0.01, 0.05))
        large = kind == "large"
        return cls(
            x=x,
            y=y,
            angle=rng.uniform(0, math.pi),
            length=length,
            width=uniform(rng, (0.006, 0.011)),
            bend=rng.normal(0, 0.10),
            twist=rng.normal(0, 0.08),
            gaps=(uniform(rng, (0, 0.6)) if large else 0.0, uniform(rng, (3, 9)), rng.uniform(0, 6.3)),
            core=grey * exps([rng.normal(0, 0.05) for _ in range(3)]),
            contrast=contrast,
        )

    def mark(self, canvas: Canvas, light: tuple[float, float]) -> None:
        f = np.float32
        cos, sin = direction(self.angle)
        half = self.length / 2
        margin = 4 * self.width + 2 * canvas.pixel
        bow = self.length * (abs(self.bend) + 0.5 * abs(self.twist)) + margin
        window = canvas.window(self.x, self.y, half * abs(cos) + bow * abs(sin) + margin, half * abs(sin) + bow * abs(cos) + margin)
        if window is None:
            return
        t = (window.dx * f(cos) + window.dy * f(sin)) * f(1 / half)
        across = window.dy * f(cos) - window.dx * f(sin)
        t = np.clip(t, -1.3, 1.3)
        square = t * t
        across -= f(self.length) * (f(self.bend) * (square - f(0.4)) + f(self.twist) * t * (square - f(0.6)))
        lean = f(4 * self.bend) * t + f(2 * self.twist) * (3 * square - f(0.6))
        across /= np.sqrt(1 + lean * lean)
        width = math.sqrt(self.width * self.width + 0.2025 * canvas.pixel * canvas.pixel)
        strength = np.clip((1 - np.abs(t)) * f(half / (3 * width)) + f(0.3), 0, 1)
        depth, beats, phase = self.gaps
        if depth:
            height = f(0.5) + f(0.5) * wave(f(beats / math.tau) * t + f(phase / math.tau))
            strength *= 1 - f(depth) * height * height
        core = bell(across / f(width)) * strength
        core *= f(min(1.0, 1.15 * self.width / width) * self.contrast)
        # The raised edge of the groove slopes towards the lamp or away from it.
        groove = across * (1 / f(width)) * core * f(0.5)
        canvas.slope_x[window.where] -= groove * f(sin)
        canvas.slope_y[window.where] += groove * f(cos)
        canvas.blend(window.where, self.core, core)
        canvas.gloss[window.where] *= 1 - core


@dataclass(frozen=True)
class Dent:
    """A smooth elliptic hollow (or, less often, a bump). Only its slopes are visible, by shading and in reflections."""

    x: float
    y: float
    radius: float
    aspect: float
    angle: float
    slope: float

    @classmethod
    def draw(cls, rng: Draws, kind: str, colour: np.ndarray, contrast: float, shift: Shift) -> Dent:
        radius = uniform(rng, _DENT_RADIUS[kind])
        x, y = _place(rng, radius)
        steepest = 0.62 if kind == "small" else 0.42
        sign = 1 if rng.random() < 0.8 else -1
        return cls(x, y, radius, uniform(rng, (0.7, 1.0)), rng.uniform(0, math.pi), sign * steepest * contrast)

    def mark(self, canvas: Canvas, light: tuple[float, float]) -> None:
        f = np.float32
        window = canvas.window(self.x, self.y, self.radius)
        if window is None:
            return
        cos, sin = direction(self.angle)
        u = (window.dx * f(cos) + window.dy * f(sin)) * f(1 / self.radius)
        v = (window.dy * f(cos) - window.dx * f(sin)) * f(1 / (self.radius * self.aspect))
        inside = 1 - u * u - v * v
        np.maximum(inside, 0, out=inside)
        # The height is -(1 - r^2)^3; its slope 6 r (1 - r^2)^2 has its maximum 1.72 at r = 0.45.
        inside *= inside
        inside *= f(self.slope * 6 / 1.72)
        u *= inside
        v *= inside
        canvas.slope_x[window.where] += u * f(cos) - v * f(sin)
        canvas.slope_y[window.where] += u * f(sin) + v * f(cos)


@dataclass(frozen=True)
class Particle:
    """A grain in the paint: a dark or bright core with a hard edge, a mound of paint around it, and a shadow."""

    x: float
    y: float
    radius: float
    lobes: tuple[float, float, int]
    core: np.ndarray
    contrast: float

    @classmethod
    def draw(cls, rng: Draws, kind: str, colour: np.ndarray, contrast: float, shift: Shift) -> Particle:
        x, y = _place(rng, 0.05)
        grey = _bare(rng, colour) if luminance(colour) < 0.12 else uniform(rng, (0.015, 0.06))
        return cls(
            x=x,
            y=y,
            radius=uniform(rng, (0.019, 0.032)),
            lobes=(uniform(rng, (0.05, 0.22)), rng.uniform(0, 6.3), 2 + rng.integer(3)),
            core=np.array([1.15, 1.0, 0.8]) * grey,
            contrast=contrast,
        )

    def mark(self, canvas: Canvas, light: tuple[float, float]) -> None:
        f = np.float32
        window = canvas.window(self.x, self.y, 4.5 * self.radius + canvas.pixel)
        if window is None:
            return
        dx, dy = window.dx, window.dy
        distance = np.sqrt(dx * dx + dy * dy) + f(1e-6)
        depth, phase, count = self.lobes
        cosine, sine = multiple(dx / distance, dy / distance, count)
        towards, aside = direction(phase)
        outline = self.radius * (1 + f(depth) * (sine * f(towards) + cosine * f(aside)))
        soft = max(0.6 * canvas.pixel, 0.25 * self.radius)
        core = np.clip((outline - distance) * f(1 / soft) + f(0.5), 0, 1) * f(self.contrast)
        # The mound has the height exp(-(r / reach)^2): the paint rises towards the grain from all sides.
        reach = 1.9 * self.radius
        mound = bell(distance / f(reach)) * f(-0.75 * self.contrast / reach)
        canvas.slope_x[window.where] += mound * dx
        canvas.slope_y[window.where] += mound * dy
        away_x, away_y = dx + f(1.9 * self.radius * light[0]), dy + f(1.9 * self.radius * light[1])
        wide = 1.3 * self.radius
        shadow = decay((away_x * away_x + away_y * away_y) * f(1 / (wide * wide))) * f(0.75 * self.contrast)
        canvas.light[window.where] *= 1 - shadow
        canvas.blend(window.where, self.core, core)
        canvas.gloss[window.where] *= 1 - core


@dataclass(frozen=True)
class Stain:
    """Discoloration: a large patch with an irregular, soft border, shifted to another hue at the lightness of the paint.

    Attributes:
        stain: the hue, linear RGB of luminance 1; ``cover``: how far the colour is shifted to it, 0..1.
    """

    x: float
    y: float
    radius: float
    ragged: np.ndarray
    stain: np.ndarray
    cover: float

    @classmethod
    def draw(cls, rng: Draws, kind: str, colour: np.ndarray, contrast: float, shift: Shift) -> Stain:
        radius = uniform(rng, (0.22, 0.40))
        x, y = _place(rng, 0.6 * radius)
        hue = math.radians(rng.normal(*shift.stain_hue))
        # Two axes of about equal luminance: red against green, and blue against yellow.
        cos, sin = direction(hue)
        stain = exps(cos * np.array([0.9, -0.25, 0.0]) + sin * np.array([-0.15, -0.05, 1.2]))
        return cls(x, y, radius, lattice(rng, 4), stain / luminance(stain), 0.75 * contrast)

    def mark(self, canvas: Canvas, light: tuple[float, float]) -> None:
        f = np.float32
        window = canvas.window(self.x, self.y, 1.5 * self.radius)
        if window is None:
            return
        rows, columns = window.where
        distance = np.sqrt(window.dx * window.dx + window.dy * window.dy) * f(1 / self.radius)
        distance += f(0.45) * field(self.ragged, canvas.size)[rows, columns]
        mask = np.clip((f(1.05) - distance) * f(2.0), 0, 1)
        mask *= mask * (3 - 2 * mask) * f(self.cover)
        red, green, blue = (canvas.paint[channel, rows, columns] for channel in range(3))
        lightness = f(0.2126) * red + f(0.7152) * green + f(0.0722) * blue
        for plane, share in zip((red, green, blue), self.stain, strict=True):
            plane += (lightness * f(share) - plane) * mask


@dataclass(frozen=True)
class Recipe:
    """How the damages of one class are made.

    Attributes:
        draw: draws one damage; ``kind``: ``small``, ``large`` or empty, given to ``draw``.
        counts: probabilities of one, two, three ... damages in an image of the class.
    """

    draw: Callable[[Draws, str, np.ndarray, float, Shift], Damage]
    kind: str
    counts: tuple[float, ...]


RECIPES: dict[str, Recipe] = {
    "discoloration": Recipe(Stain.draw, "", (0.9, 0.1)),
    "dent_large": Recipe(Dent.draw, "large", (0.9, 0.1)),
    "dent_small": Recipe(Dent.draw, "small", (0.65, 0.25, 0.10)),
    "scratch_large": Recipe(Scratch.draw, "large", (0.8, 0.2)),
    "scratch_small": Recipe(Scratch.draw, "small", (0.65, 0.25, 0.10)),
    "stray_particle": Recipe(Particle.draw, "", (0.55, 0.25, 0.12, 0.08)),
}
"""By class, in the order in which damages are drawn: damages within the paint come before damages to its surface."""
