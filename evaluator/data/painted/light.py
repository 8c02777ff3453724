"""Light on the sheet: a lamp in another place in every image, its highlight, ambient light, and the reflection of a strip light.

Shading is first order in the slopes of the surface. The light of the lamp follows Lambert's cosine law. Highlights are Gaussian
lobes in slope space around the slope that would mirror the lamp into the camera (the small-slope form of the Beckmann microfacet
distribution, Beckmann and Spizzichino 1963). So a dent has a bright and a dark side, and it bends every reflection that crosses it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evaluator.data.painted.canvas import Canvas, field, lattice, luminance, uniform
from evaluator.data.painted.exact import Draws, decay, direction, exps, power
from evaluator.data.painted.shift import Shift


@dataclass(frozen=True)
class Strip:
    """Reflection of a strip light.

    Attributes:
        across: unit vector across the strip; ``offset``: distance of the strip from the centre of the image along it, in sides.
        width: in sides; ``strength``: share of full scale.
    """

    across: tuple[float, float]
    offset: float
    width: float
    strength: float


@dataclass(frozen=True)
class Light:
    """The parameters of the light in one image.

    Attributes:
        azimuth, elevation: of the lamp, radians.
        ambient: share of the light that has no direction.
        tint: colour of the lamp, linear RGB (3,).
        falloff: how much the direction of the lamp changes over one side of the image.
        gloss, roughness: strength and width (as a slope) of the lamp's highlight.
        strip: the reflection of a strip light, or None.
        unevenness: lattice of soft shadows of the surroundings; ``unevenness_strength``: their relative standard deviation.
        exposure: mean grey that the camera aims at, linear.
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
    def draw(cls, rng: Draws, shift: Shift) -> Light:
        warmth = rng.normal(0, shift.lamp_tint)
        strip = None
        if rng.random() < shift.strip:
            angle = rng.uniform(0, 2 * math.pi)
            strip = Strip(
                across=direction(angle),
                offset=rng.uniform(-0.45, 0.45),
                width=uniform(rng, (0.06, 0.28)),
                strength=uniform(rng, (0.04, 0.22)),
            )
        return cls(
            azimuth=rng.uniform(0, 2 * math.pi),
            elevation=math.radians(uniform(rng, shift.elevation)),
            ambient=uniform(rng, shift.ambient),
            tint=exps([warmth / 2, 0, -warmth / 2]),
            falloff=uniform(rng, (0.1, 0.6)),
            gloss=uniform(rng, shift.gloss),
            roughness=uniform(rng, (0.14, 0.30)),
            strip=strip,
            unevenness=lattice(rng, 2),
            unevenness_strength=uniform(rng, (0.05, 0.25)),
            exposure=uniform(rng, shift.exposure),
        )

    @property
    def towards(self) -> tuple[float, float]:
        """Unit vector in the plane of the sheet that points to the lamp."""
        return direction(self.azimuth)

    def shade(self, canvas: Canvas, colour: np.ndarray) -> np.ndarray:
        """The light that reaches the lens, linear, float32 (3, size, size). ``colour``: of the sheet, (3,), for the exposure."""
        f = np.float32
        to_x, to_y = self.towards
        flat, steep = direction(self.elevation)
        # Lambert's law, light . normal, with normals (-slope_x, -slope_y, 1) for small slopes.
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
        # Cameras brighten dark sheets, but not to the grey of bright sheets.
        gain = self.exposure * power(0.55 / max(luminance(colour), 0.02), 0.62) / 0.55 * 0.9
        image *= (self.tint * gain).astype(np.float32)[:, None, None]
        image += shine * self.tint.astype(np.float32)[:, None, None]
        return image

    def _shine(self, canvas: Canvas, flat: float, steep: float) -> np.ndarray:
        f = np.float32
        to_x, to_y = self.towards
        # The slope that mirrors the lamp into a camera straight above is tan((90 degrees - elevation) / 2), away from the lamp.
        mirror = flat / (1 + steep)
        off_x = canvas.slope_x + (f(mirror * to_x) - f(self.falloff) * (canvas.x - f(0.5)))
        off_y = canvas.slope_y + (f(mirror * to_y) - f(self.falloff) * (canvas.y - f(0.5)))
        off_x *= off_x
        off_y *= off_y
        off_x += off_y
        off_x *= f(0.5 / (self.roughness * self.roughness))
        shine = decay(off_x) * f(self.gloss)
        if self.strip is not None:
            a, b = self.strip.across
            across = f(a) * (canvas.x - f(0.5)) + (f(b) * (canvas.y - f(0.5)) - f(self.strip.offset))
            across += f(1.2 * a) * canvas.slope_x
            across += f(1.2 * b) * canvas.slope_y
            across *= f(1 / self.strip.width)
            across *= across
            across *= across
            shine += decay(across) * f(self.strip.strength)
        return shine
