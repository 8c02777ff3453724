"""Light on the sheet: a lamp that moves from image to image, ambient light, its highlight, and the reflection of a strip light.

Shading is first order in the slopes of the surface: the lamp's share is Lambert's cosine, and highlights are Gaussian lobes in
slope space around the slope that would mirror the lamp into the camera (the small-slope form of the Beckmann microfacet
distribution, Beckmann and Spizzichino 1963). A dent therefore has a bright and a dark flank, and bends every reflection that runs
over it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evaluator.data.painted.canvas import Canvas, field, lattice, luminance, uniform
from evaluator.data.painted.shift import Shift


@dataclass(frozen=True)
class Strip:
    """Reflection of a strip light: direction across it, where it lies, how wide it is and how strong (of full scale)."""

    across: tuple[float, float]
    offset: float
    width: float
    strength: float


@dataclass(frozen=True)
class Light:
    """Light of one image.

    Attributes:
        azimuth, elevation: of the lamp, radians.
        ambient: share of light without direction.
        tint: colour of the lamp, (3,).
        falloff: how much the lamp's direction turns over one side of the image.
        gloss, roughness: strength and width (slope) of the lamp's highlight.
        strip: the strip light's reflection, or ``None``.
        unevenness: lattice of slow shadows cast by the surroundings; ``unevenness_strength`` their relative deviation.
        exposure: grey that the camera aims at, linear.
    """

    azimuth: float
    elevation: float
    ambient: float
    tint: np.ndarray
    falloff: float
    gloss: float
    roughness: float
    strip: Strip | None
    unevenness: np.ndarray
    unevenness_strength: float
    exposure: float

    @classmethod
    def draw(cls, rng: np.random.Generator, shift: Shift) -> Light:
        warmth = rng.normal(0, shift.lamp_tint)
        strip = None
        if rng.random() < shift.strip:
            angle = rng.uniform(0, 2 * math.pi)
            strip = Strip(
                across=(math.cos(angle), math.sin(angle)),
                offset=rng.uniform(-0.45, 0.45),
                width=uniform(rng, (0.06, 0.28)),
                strength=uniform(rng, (0.04, 0.22)),
            )
        return cls(
            azimuth=rng.uniform(0, 2 * math.pi),
            elevation=math.radians(uniform(rng, shift.elevation)),
            ambient=uniform(rng, shift.ambient),
            tint=np.exp(np.array([warmth / 2, 0, -warmth / 2])),
            falloff=uniform(rng, (0.1, 0.6)),
            gloss=uniform(rng, shift.gloss),
            roughness=uniform(rng, (0.14, 0.30)),
            strip=strip,
            unevenness=lattice(rng, 2),
            unevenness_strength=uniform(rng, (0.05, 0.25)),
            exposure=uniform(rng, shift.exposure),
        )

    @property
    def direction(self) -> tuple[float, float]:
        """Unit vector in the plane of the sheet that points to the lamp."""
        return math.cos(self.azimuth), math.sin(self.azimuth)

    def shade(self, canvas: Canvas, colour: np.ndarray) -> np.ndarray:
        """Light that reaches the lens, linear, float32 (3, size, size); ``colour`` is the sheet's, for the exposure."""
        f = np.float32
        to_x, to_y = self.direction
        flat, steep = math.cos(self.elevation), math.sin(self.elevation)
        # Lambert: light . normal, for normals (-slope_x, -slope_y, 1) of small slope.
        cosine = steep - f(flat * to_x) * canvas.slope_x - f(flat * to_y) * canvas.slope_y
        np.maximum(cosine, 0, out=cosine)
        cosine *= 1 + f(self.falloff * to_x) * (canvas.x - f(0.5)) + f(self.falloff * to_y) * (canvas.y - f(0.5))
        cosine *= canvas.light
        cosine *= f((1 - self.ambient) / steep)
        cosine += f(self.ambient)
        cosine *= 1 + f(self.unevenness_strength) * field(self.unevenness, canvas.size)
        shine = self._shine(canvas, flat, steep)
        shine *= canvas.gloss
        image = canvas.paint * cosine
        # Cameras lift dark sheets, yet not all the way.
        gain = self.exposure / max(luminance(colour), 0.02) ** 0.62 * 0.55**0.62 / 0.55 * 0.9
        image *= (self.tint * gain).astype(np.float32)[:, None, None]
        image += shine * self.tint.astype(np.float32)[:, None, None]
        return image

    def _shine(self, canvas: Canvas, flat: float, steep: float) -> np.ndarray:
        f = np.float32
        to_x, to_y = self.direction
        # The slope that mirrors the lamp into a camera straight above is tan((90 degrees - elevation) / 2), away from the lamp.
        mirror = math.tan((math.pi / 2 - math.atan2(steep, flat)) / 2)
        off_x = canvas.slope_x + (f(mirror * to_x) - f(self.falloff) * (canvas.x - f(0.5)))
        off_y = canvas.slope_y + (f(mirror * to_y) - f(self.falloff) * (canvas.y - f(0.5)))
        off_x *= off_x
        off_y *= off_y
        off_x += off_y
        off_x *= f(-0.5 / self.roughness**2)
        shine = np.exp(off_x) * f(self.gloss)
        if self.strip is not None:
            a, b = self.strip.across
            across = f(a) * (canvas.x - f(0.5)) + (f(b) * (canvas.y - f(0.5)) - f(self.strip.offset))
            across += f(1.2 * a) * canvas.slope_x
            across += f(1.2 * b) * canvas.slope_y
            across *= f(1 / self.strip.width)
            across *= across
            across *= across
            shine += np.exp(-across) * f(self.strip.strength)
        return shine
