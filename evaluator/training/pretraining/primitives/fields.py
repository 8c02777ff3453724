"""The shapes of the primitives: analytic fields over the pixel grid, (E, s, s) for E instances together.

A field is the coverage of every pixel (0 to 1, for lines and outlines), a height after shading, or a wave in a window (the last two
may be negative).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.training.pretraining.primitives.canvas import Canvas, Draws


def _ellipse(c: Canvas, d: Draws, radius: Tensor) -> Tensor:
    """Distance from the centre of an ellipse in units of ``radius``; the second axis is shorter by a factor of up to 2."""
    return torch.hypot(c.x, c.y * d.uniform(1.0, 2.0)) / radius


def _window(c: Canvas, d: Draws, low: float, high: float) -> Tensor:
    """An elliptic window: about 1 inside, 0 outside, with a border that is soft or hard."""
    q = _ellipse(c, d, d.uniform(low, high))
    return torch.sigmoid((1.0 - q) * d.log_uniform(4.0, 16.0))


def _stroke(c: Canvas, distance: Tensor, half_length: Tensor, half_width: Tensor) -> Tensor:
    return c.inside(torch.maximum(distance - half_width, c.x.abs() - half_length))


def line_thin(c: Canvas, d: Draws) -> Tensor:
    return _stroke(c, c.y.abs(), d.log_uniform(0.3, 2.5), d.uniform(0.010, 0.030))


def line_thick(c: Canvas, d: Draws) -> Tensor:
    return _stroke(c, c.y.abs(), d.log_uniform(0.4, 2.5), d.uniform(0.055, 0.16))


def line_dashed(c: Canvas, d: Draws) -> Tensor:
    period = d.uniform(0.15, 0.4)
    wave = torch.cos(2.0 * math.pi * (c.x / period + d.uniform())) + d.uniform(-0.3, 0.3)
    return _stroke(c, c.y.abs(), d.uniform(0.5, 2.5), d.uniform(0.012, 0.06)) * torch.sigmoid(6.0 * wave)


def line_double(c: Canvas, d: Draws) -> Tensor:
    return _stroke(c, (c.y.abs() - d.uniform(0.07, 0.2)).abs(), d.uniform(0.4, 2.5), d.uniform(0.012, 0.035))


def _curve(c: Canvas, d: Draws, half_length: Tensor) -> Tensor:
    """A curved stroke with waves, thinner towards its ends. The distance to it is corrected by the local slope."""
    t = c.x / half_length
    bend, wave = d.uniform(0.25, 0.9) * d.sign(), d.uniform(0.0, 0.12)
    turns, phase = d.uniform(1.0, 4.0), d.uniform(0.0, 6.3)
    centre = half_length * (bend * (t * t - 0.4) + wave * torch.sin(turns * t + phase))
    slope = 2.0 * bend * t + wave * turns * torch.cos(turns * t + phase)
    distance = (c.y - centre).abs() / torch.sqrt(1.0 + slope * slope)
    width = d.log_uniform(0.010, 0.05) * (1.0 - d.uniform(0.0, 0.9) * t * t).clamp(min=0.1)
    return _stroke(c, distance, half_length, width)


def curve_short(c: Canvas, d: Draws) -> Tensor:
    return _curve(c, d, d.uniform(0.10, 0.25))


def curve_long(c: Canvas, d: Draws) -> Tensor:
    return _curve(c, d, d.uniform(0.45, 1.3))


def cross(c: Canvas, d: Draws) -> Tensor:
    arms = torch.minimum(c.x.abs(), c.y.abs()) - d.uniform(0.012, 0.07)
    return c.inside(torch.maximum(arms, torch.maximum(c.x.abs(), c.y.abs()) - d.uniform(0.15, 0.6)))


def blob(c: Canvas, d: Draws) -> Tensor:
    q = _ellipse(c, d, d.log_uniform(0.06, 0.35))
    return torch.exp(-0.5 * q * q)


def disc(c: Canvas, d: Draws) -> Tensor:
    radius = d.log_uniform(0.07, 0.45)
    return c.inside((_ellipse(c, d, radius) - 1.0) * radius)


def polygon(c: Canvas, d: Draws) -> Tensor:
    sector = 2.0 * math.pi / torch.floor(d.uniform(3.0, 6.999))
    y = c.y * d.uniform(1.0, 1.8)
    angle = torch.remainder(torch.atan2(y, c.x), sector) - 0.5 * sector
    return c.inside(torch.hypot(c.x, y) * torch.cos(angle) - d.log_uniform(0.1, 0.45))


def ring(c: Canvas, d: Draws) -> Tensor:
    radius = d.log_uniform(0.12, 0.6)
    return c.inside((_ellipse(c, d, radius) - 1.0).abs() * radius - d.uniform(0.012, 0.05))


def ripple(c: Canvas, d: Draws) -> Tensor:
    r = c.r
    return torch.cos(2.0 * math.pi * (r * d.uniform(2.5, 8.0) + d.uniform())) * torch.exp(-0.5 * (r / d.uniform(0.2, 0.5)) ** 2)


def _bump(c: Canvas, d: Draws, sigma: Tensor) -> Tensor:
    """A Gaussian height with light along x (the canvas is rotated at random), and a highlight on the bright side."""
    y = c.y * d.uniform(1.0, 1.6)
    q = (c.x * c.x + y * y) / (sigma * sigma)
    shading = 1.65 * torch.exp(-0.5 * q) * c.x / sigma
    glint = ((c.x - 0.6 * sigma) ** 2 + y * y) / (sigma * sigma * d.uniform(0.05, 0.2))
    return shading + d.uniform(0.0, 0.8) * torch.exp(-0.5 * glint)


def bump_small(c: Canvas, d: Draws) -> Tensor:
    return _bump(c, d, d.uniform(0.06, 0.13))


def bump_large(c: Canvas, d: Draws) -> Tensor:
    return _bump(c, d, d.uniform(0.20, 0.45))


def pit(c: Canvas, d: Draws) -> Tensor:
    """A bowl with a raised rim: shading of the slopes of the rim, and a darker floor."""
    r, radius = c.r, d.log_uniform(0.10, 0.40)
    t = (r / radius - 1.0) / 0.3
    slopes = -1.65 * t * torch.exp(-0.5 * t * t) * c.x / r.clamp(min=1e-3)
    return slopes - d.uniform(0.3, 0.9) * torch.sigmoid(-4.0 * t - 2.0)


def crease(c: Canvas, d: Draws) -> Tensor:
    t = c.y / d.uniform(0.04, 0.15)
    ends = torch.sigmoid(12.0 * (d.uniform(0.4, 2.0) - c.x.abs()))
    return 1.65 * t * torch.exp(-0.5 * t * t) * ends


def grain(c: Canvas, d: Draws) -> Tensor:
    radius = d.log_uniform(0.025, 0.08)
    q = _ellipse(c, d, radius)
    return c.inside((q - 1.0) * radius) - d.uniform(0.3, 0.8) * torch.exp(-0.5 * ((q - 1.5) / 0.3) ** 2)


def speckle(c: Canvas, d: Draws) -> Tensor:
    """Dots on a rotated lattice, at most one per cell. A hash of the cell decides where the dot is and whether there is one."""
    pitch = d.uniform(0.12, 0.3)
    u, v = c.x / pitch, c.y / pitch
    i, j = torch.floor(u), torch.floor(v)
    phase = d.uniform(0.0, 100.0)
    hash_u = torch.frac(torch.sin(i * 12.9898 + j * 78.233 + phase) * 437.585).abs()
    hash_v = torch.frac(torch.sin(i * 39.3468 + j * 11.135 + phase) * 235.789).abs()
    distance = torch.hypot(u - i - 0.25 - 0.5 * hash_u, v - j - 0.25 - 0.5 * hash_v) * pitch
    kept = (torch.frac(7.13 * hash_u + 3.71 * hash_v) < d.uniform(0.4, 0.9)).to(u.dtype)
    return c.inside(distance - d.uniform(0.012, 0.04)) * kept * _window(c, d, 0.3, 1.0)


def patch(c: Canvas, d: Draws) -> Tensor:
    return _window(c, d, 0.25, 0.9)


def grating(c: Canvas, d: Draws) -> Tensor:
    return torch.sin(2.0 * math.pi * (c.x * d.log_uniform(1.5, 9.0) + d.uniform())) * _window(c, d, 0.25, 0.9)


def checker(c: Canvas, d: Draws) -> Tensor:
    f = math.pi * d.log_uniform(1.5, 6.0)
    return torch.tanh(5.0 * torch.sin(f * c.x)) * torch.tanh(5.0 * torch.sin(f * c.y)) * _window(c, d, 0.25, 0.9)


def edge(c: Canvas, d: Draws) -> Tensor:
    return torch.sigmoid(c.y / d.log_uniform(0.01, 0.1)) - 0.5


def noise_patch(c: Canvas, d: Draws) -> Tensor:
    white = torch.randn(c.x.shape, generator=c.noise, device=c.x.device)
    coarse = 3.0 * F.avg_pool2d(white.unsqueeze(1), 3, stride=1, padding=1).squeeze(1)
    return 0.6 * torch.lerp(white, coarse, d.uniform()) * _window(c, d, 0.25, 0.8)
