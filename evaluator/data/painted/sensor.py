"""From light to pixels: dust on the lens, vignetting, blur, white balance, shot and read noise, tone curve."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evaluator.data.painted.canvas import Canvas, uniform
from evaluator.data.painted.exact import Draws, exp, exps
from evaluator.data.painted.shift import Shift


@dataclass(frozen=True)
class Speck:
    """A speck of dust out of focus: a soft disc that brightens or darkens the image (``strength`` has a sign)."""

    x: float
    y: float
    radius: float
    strength: float

    @classmethod
    def draw(cls, rng: Draws) -> Speck:
        x, y, radius, strength, sign = (rng.random() for _ in range(5))
        return cls(x, y, 0.035 + 0.065 * radius, (0.03 + 0.09 * strength) * (1 if sign < 0.5 else -1))

    def mark(self, light: np.ndarray, canvas: Canvas) -> None:
        """Multiply ``light`` (3, size, size) in place where the speck is."""
        window = canvas.window(self.x, self.y, self.radius)
        if window is None:
            return
        rows, columns = window.where
        inside = 1 - (window.dx * window.dx + window.dy * window.dy) * np.float32(1 / (self.radius * self.radius))
        np.maximum(inside, 0, out=inside)
        # A disc (the shape of an open iris) with a soft edge.
        light[:, rows, columns] *= 1 + np.minimum(inside * 2, 1) * np.float32(self.strength)


@dataclass(frozen=True)
class Sensor:
    """The parameters of the camera for one image; see ``Shift`` for units."""

    specks: tuple[Speck, ...]
    vignette: float
    blur: float
    read_noise: float
    shot_noise: float
    balance: np.ndarray

    @classmethod
    def draw(cls, rng: Draws, shift: Shift) -> Sensor:
        warm, green = rng.normal(0, shift.white_balance), rng.normal(0, shift.white_balance / 2)
        return cls(
            specks=tuple(Speck.draw(rng) for _ in range(min(8, rng.poisson(shift.dust)))),
            vignette=uniform(rng, shift.vignette),
            blur=uniform(rng, shift.blur),
            read_noise=uniform(rng, shift.read_noise),
            shot_noise=uniform(rng, shift.shot_noise),
            balance=exps([warm / 2, green, -warm / 2]),
        )

    def expose(self, light: np.ndarray, canvas: Canvas, rng: Draws) -> np.ndarray:
        """The image of linear ``light`` (3, size, size), uint8 (size, size, 3). ``light`` is overwritten; ``rng`` draws the
        noise."""
        f = np.float32
        for speck in self.specks:
            speck.mark(light, canvas)
        across, down = canvas.x - f(0.5), canvas.y - f(0.5)
        corner = across * across + down * down
        light *= 1 - f(2 * self.vignette) * corner
        light *= self.balance.astype(np.float32)[:, None, None]
        light = _blur(light, self.blur * canvas.size)
        np.clip(light, 0, 1, out=light)
        noise = rng.normals(*light.shape)
        noise *= np.sqrt(light * f(self.shot_noise * self.shot_noise) + f(self.read_noise * self.read_noise))
        light += noise
        np.clip(light, 0, 1, out=light)
        # A tone curve of gamma 2 approximates that of sRGB.
        np.sqrt(light, out=light)
        light *= 255
        light += f(0.5)
        return np.ascontiguousarray(light.astype(np.uint8).transpose(1, 2, 0))


def _blur(planes: np.ndarray, deviation: float) -> np.ndarray:
    """Separable Gaussian blur over the last two axes. ``deviation``: in pixels. Pixels at the edges are repeated."""
    reach = max(1, math.ceil(2.5 * deviation))
    places = [offset / max(deviation, 1e-3) for offset in range(reach + 1)]
    shares = [exp(max(-20.0, -0.5 * place * place)) for place in places]
    whole = 2 * math.fsum(shares) - shares[0]  # fsum rounds once, whatever the order
    weights = [np.float32(share / whole) for share in shares]
    for axis in (1, 2):
        pad = [(0, 0), (0, 0), (0, 0)]
        pad[axis] = (reach, reach)
        wide = np.pad(planes, pad, mode="edge")
        length = planes.shape[axis]

        def part(start: int, wide: np.ndarray = wide, axis: int = axis, length: int = length) -> np.ndarray:
            return wide[:, start : start + length] if axis == 1 else wide[:, :, start : start + length]

        planes = part(reach) * weights[0]
        for offset in range(1, reach + 1):
            planes += (part(reach - offset) + part(reach + offset)) * weights[offset]
    return planes
