"""Procedural primitives: labelled images of lines, blobs, bumps, patches, gratings and the like, rendered a batch at a time.

They teach a network what edges, strokes, shading, texture and colour are before it sees a task; no primitive imitates a task's
classes. Every instance is an analytic field over the pixel grid (a distance field, a shaded height or a windowed wave), evaluated
for all instances of a kind in the batch at once and *added* to the image along a colour, so that the order of kinds is free.

What a batch shows depends on (seed, stream, batch index, batch size) alone and is drawn on the CPU, so that it is the same on every
device; noise pixels come from the device's own generator and differ between kinds of device, not between runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.seeds import short

COLUMNS = 24  # random numbers per instance; more than any kind uses
SCENE_COLUMNS = 32
LUMA = (0.299, 0.587, 0.114)
OCTAVES = (2, 4, 8, 16, 32)


class Draws:
    """Named uniform numbers of E instances, handed out one column after another as (E, 1, 1) tensors."""

    def __init__(self, table: Tensor):
        self._table = table
        self._next = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        column = self._table[:, self._next].view(-1, 1, 1)
        self._next += 1
        return low + (high - low) * column

    def log_uniform(self, low: float, high: float) -> Tensor:
        return low * torch.exp(math.log(high / low) * self.uniform())

    def sign(self) -> Tensor:
        return torch.where(self.uniform() < 0.5, -1.0, 1.0)

    def vector(self) -> Tensor:
        """(E, 3) numbers in [-1, 1)."""
        columns = self._table[:, self._next : self._next + 3]
        self._next += 3
        return 2.0 * columns - 1.0


@dataclass(frozen=True)
class Canvas:
    """The pixel grid as seen from each instance: ``x``, ``y`` (E, s, s) centred and turned; the image spans [-1, 1]."""

    x: Tensor
    y: Tensor
    pixel: float
    noise: torch.Generator

    @property
    def r(self) -> Tensor:
        return torch.hypot(self.x, self.y)

    def inside(self, distance: Tensor) -> Tensor:
        """Anti-aliased coverage of the region where a signed distance is negative."""
        return (0.5 - distance / self.pixel).clamp(0.0, 1.0)


def _ellipse(c: Canvas, d: Draws, radius: Tensor) -> Tensor:
    """Distance from the centre in units of ``radius``, with the second axis up to twice as short."""
    return torch.hypot(c.x, c.y * d.uniform(1.0, 2.0)) / radius


def _window(c: Canvas, d: Draws, low: float, high: float) -> Tensor:
    """A patch with a plateau and a border that is soft to firm."""
    q = _ellipse(c, d, d.uniform(low, high))
    return torch.sigmoid((1.0 - q) * d.log_uniform(4.0, 16.0))


def _stroke(c: Canvas, distance: Tensor, half_length: Tensor, half_width: Tensor) -> Tensor:
    return c.inside(torch.maximum(distance - half_width, c.x.abs() - half_length))


def _line_thin(c: Canvas, d: Draws) -> Tensor:
    return _stroke(c, c.y.abs(), d.log_uniform(0.3, 2.5), d.uniform(0.010, 0.030))


def _line_thick(c: Canvas, d: Draws) -> Tensor:
    return _stroke(c, c.y.abs(), d.log_uniform(0.4, 2.5), d.uniform(0.055, 0.16))


def _line_dashed(c: Canvas, d: Draws) -> Tensor:
    period = d.uniform(0.15, 0.4)
    wave = torch.cos(2.0 * math.pi * (c.x / period + d.uniform())) + d.uniform(-0.3, 0.3)
    return _stroke(c, c.y.abs(), d.uniform(0.5, 2.5), d.uniform(0.012, 0.06)) * torch.sigmoid(6.0 * wave)


def _line_double(c: Canvas, d: Draws) -> Tensor:
    return _stroke(c, (c.y.abs() - d.uniform(0.07, 0.2)).abs(), d.uniform(0.4, 2.5), d.uniform(0.012, 0.035))


def _curve(c: Canvas, d: Draws, half_length: Tensor) -> Tensor:
    """A bent, waving stroke that thins out towards its ends; the distance is corrected by the local slope."""
    t = c.x / half_length
    bend, wave = d.uniform(0.25, 0.9) * d.sign(), d.uniform(0.0, 0.12)
    turns, phase = d.uniform(1.0, 4.0), d.uniform(0.0, 6.3)
    centre = half_length * (bend * (t * t - 0.4) + wave * torch.sin(turns * t + phase))
    slope = 2.0 * bend * t + wave * turns * torch.cos(turns * t + phase)
    distance = (c.y - centre).abs() / torch.sqrt(1.0 + slope * slope)
    width = d.log_uniform(0.010, 0.05) * (1.0 - d.uniform(0.0, 0.9) * t * t).clamp(min=0.1)
    return _stroke(c, distance, half_length, width)


def _curve_short(c: Canvas, d: Draws) -> Tensor:
    return _curve(c, d, d.uniform(0.10, 0.25))


def _curve_long(c: Canvas, d: Draws) -> Tensor:
    return _curve(c, d, d.uniform(0.45, 1.3))


def _cross(c: Canvas, d: Draws) -> Tensor:
    arms = torch.minimum(c.x.abs(), c.y.abs()) - d.uniform(0.012, 0.07)
    return c.inside(torch.maximum(arms, torch.maximum(c.x.abs(), c.y.abs()) - d.uniform(0.15, 0.6)))


def _blob(c: Canvas, d: Draws) -> Tensor:
    q = _ellipse(c, d, d.log_uniform(0.06, 0.35))
    return torch.exp(-0.5 * q * q)


def _disc(c: Canvas, d: Draws) -> Tensor:
    radius = d.log_uniform(0.07, 0.45)
    return c.inside((_ellipse(c, d, radius) - 1.0) * radius)


def _polygon(c: Canvas, d: Draws) -> Tensor:
    sector = 2.0 * math.pi / torch.floor(d.uniform(3.0, 6.999))
    y = c.y * d.uniform(1.0, 1.8)
    angle = torch.remainder(torch.atan2(y, c.x), sector) - 0.5 * sector
    return c.inside(torch.hypot(c.x, y) * torch.cos(angle) - d.log_uniform(0.1, 0.45))


def _ring(c: Canvas, d: Draws) -> Tensor:
    radius = d.log_uniform(0.12, 0.6)
    return c.inside((_ellipse(c, d, radius) - 1.0).abs() * radius - d.uniform(0.012, 0.05))


def _ripple(c: Canvas, d: Draws) -> Tensor:
    r = c.r
    return torch.cos(2.0 * math.pi * (r * d.uniform(2.5, 8.0) + d.uniform())) * torch.exp(-0.5 * (r / d.uniform(0.2, 0.5)) ** 2)


def _bump(c: Canvas, d: Draws, sigma: Tensor) -> Tensor:
    """A Gaussian height under a light along x (the canvas is turned at random), with a highlight on the lit side."""
    y = c.y * d.uniform(1.0, 1.6)
    q = (c.x * c.x + y * y) / (sigma * sigma)
    shading = 1.65 * torch.exp(-0.5 * q) * c.x / sigma
    glint = ((c.x - 0.6 * sigma) ** 2 + y * y) / (sigma * sigma * d.uniform(0.05, 0.2))
    return shading + d.uniform(0.0, 0.8) * torch.exp(-0.5 * glint)


def _bump_small(c: Canvas, d: Draws) -> Tensor:
    return _bump(c, d, d.uniform(0.06, 0.13))


def _bump_large(c: Canvas, d: Draws) -> Tensor:
    return _bump(c, d, d.uniform(0.20, 0.45))


def _pit(c: Canvas, d: Draws) -> Tensor:
    """A bowl with a raised rim: the shading of the rim's slopes, and a floor that the light reaches less."""
    r, radius = c.r, d.log_uniform(0.10, 0.40)
    t = (r / radius - 1.0) / 0.3
    slopes = -1.65 * t * torch.exp(-0.5 * t * t) * c.x / r.clamp(min=1e-3)
    return slopes - d.uniform(0.3, 0.9) * torch.sigmoid(-4.0 * t - 2.0)


def _crease(c: Canvas, d: Draws) -> Tensor:
    t = c.y / d.uniform(0.04, 0.15)
    ends = torch.sigmoid(12.0 * (d.uniform(0.4, 2.0) - c.x.abs()))
    return 1.65 * t * torch.exp(-0.5 * t * t) * ends


def _grain(c: Canvas, d: Draws) -> Tensor:
    radius = d.log_uniform(0.025, 0.08)
    q = _ellipse(c, d, radius)
    return c.inside((q - 1.0) * radius) - d.uniform(0.3, 0.8) * torch.exp(-0.5 * ((q - 1.5) / 0.3) ** 2)


def _speckle(c: Canvas, d: Draws) -> Tensor:
    """One dot in each cell of a turned lattice, displaced and kept by a hash of the cell."""
    pitch = d.uniform(0.12, 0.3)
    u, v = c.x / pitch, c.y / pitch
    i, j = torch.floor(u), torch.floor(v)
    phase = d.uniform(0.0, 100.0)
    hash_u = torch.frac(torch.sin(i * 12.9898 + j * 78.233 + phase) * 437.585).abs()
    hash_v = torch.frac(torch.sin(i * 39.3468 + j * 11.135 + phase) * 235.789).abs()
    distance = torch.hypot(u - i - 0.25 - 0.5 * hash_u, v - j - 0.25 - 0.5 * hash_v) * pitch
    kept = (torch.frac(7.13 * hash_u + 3.71 * hash_v) < d.uniform(0.4, 0.9)).to(u.dtype)
    return c.inside(distance - d.uniform(0.012, 0.04)) * kept * _window(c, d, 0.3, 1.0)


def _patch(c: Canvas, d: Draws) -> Tensor:
    return _window(c, d, 0.25, 0.9)


def _grating(c: Canvas, d: Draws) -> Tensor:
    return torch.sin(2.0 * math.pi * (c.x * d.log_uniform(1.5, 9.0) + d.uniform())) * _window(c, d, 0.25, 0.9)


def _checker(c: Canvas, d: Draws) -> Tensor:
    f = math.pi * d.log_uniform(1.5, 6.0)
    return torch.tanh(5.0 * torch.sin(f * c.x)) * torch.tanh(5.0 * torch.sin(f * c.y)) * _window(c, d, 0.25, 0.9)


def _edge(c: Canvas, d: Draws) -> Tensor:
    return torch.sigmoid(c.y / d.log_uniform(0.01, 0.1)) - 0.5


def _noise_patch(c: Canvas, d: Draws) -> Tensor:
    white = torch.randn(c.x.shape, generator=c.noise, device=c.x.device)
    coarse = 3.0 * F.avg_pool2d(white.unsqueeze(1), 3, stride=1, padding=1).squeeze(1)
    return 0.6 * torch.lerp(white, coarse, d.uniform()) * _window(c, d, 0.25, 0.8)


@dataclass(frozen=True)
class Kind:
    """A primitive: its label, its field, how many may appear, and the faintest and plainest amplitude (in units of full range)."""

    name: str
    field: Callable[[Canvas, Draws], Tensor]
    most: int = 3
    faint: float = 0.06
    plain: float = 0.6
    equal_luminance: bool = False


KINDS: tuple[Kind, ...] = (
    Kind("line_thin", _line_thin),
    Kind("line_thick", _line_thick, 2),
    Kind("line_dashed", _line_dashed, 2),
    Kind("line_double", _line_double, 2),
    Kind("curve_short", _curve_short),
    Kind("curve_long", _curve_long, 2),
    Kind("cross", _cross, 2),
    Kind("blob", _blob),
    Kind("disc", _disc),
    Kind("polygon", _polygon, 2),
    Kind("ring", _ring, 2),
    Kind("ripple", _ripple, 1),
    Kind("bump_small", _bump_small),
    Kind("bump_large", _bump_large, 2, 0.04, 0.4),
    Kind("pit", _pit, 2, 0.04, 0.4),
    Kind("crease", _crease, 2, 0.04, 0.4),
    Kind("grain", _grain),
    Kind("speckle", _speckle, 1),
    Kind("hue_patch", _patch, 2, 0.04, 0.3, equal_luminance=True),
    Kind("brightness_patch", _patch, 2, 0.04, 0.3),
    Kind("grating", _grating, 1, 0.03, 0.3),
    Kind("checker", _checker, 1, 0.03, 0.3),
    Kind("edge", _edge, 1),
    Kind("noise_patch", _noise_patch, 1, 0.05, 0.3),
)
COUNTED: tuple[str, ...] = ("line_thin", "curve_short", "blob", "disc", "bump_small", "grain")
"""Kinds that have a second attribute, whether more than one is there."""

ATTRIBUTES: tuple[str, ...] = tuple(kind.name for kind in KINDS) + tuple(f"several_{name}" for name in COUNTED)


def draw_batch(
    n: int, size: int, seed: int, index: int = 0, *, device: torch.device | str = "cpu", stream: str = "train"
) -> tuple[Tensor, Tensor]:
    """Batch number ``index`` of the endless stream ``stream`` under the root seed ``seed``.

    Returns:
        images: (n, 3, size, size) uint8 on ``device``.
        labels: (n, len(ATTRIBUTES)) float32 on ``device``, 0 or 1.

    Raises:
        ValueError: ``n`` is below 1 or ``size`` below 16.
    """
    if n < 1 or size < 16:
        raise ValueError(f"n is {n} and size {size}; expected at least 1 image of at least 16 pixels")
    device = torch.device(device)
    layout = torch.Generator().manual_seed(short(seed, "primitives", stream, index))
    noise = torch.Generator(device).manual_seed(short(seed, "primitives", stream, index, "noise"))
    scene = torch.rand((n, SCENE_COLUMNS), generator=layout)
    present = torch.rand((n, len(KINDS)), generator=layout) < 0.04 + 0.36 * scene[:, :1]  # from nearly empty to crowded
    counts = 1 + (torch.rand((n, len(KINDS)), generator=layout) * torch.tensor([kind.most for kind in KINDS])).long()
    counts = counts * present
    image = _background(_to(scene, device), size, noise)
    axis = (torch.arange(size, device=device) + 0.5) * (2.0 / size) - 1.0
    for position, kind in enumerate(KINDS):
        slots = [(counts[:, position] > slot).nonzero().squeeze(1) for slot in range(kind.most)]
        table = torch.rand((sum(map(len, slots)), COLUMNS), generator=layout)
        if len(table):
            _add_instances(image, kind, [_to(slot, device) for slot in slots], Draws(_to(table, device)), axis, noise)
    several = counts[:, [ATTRIBUTES.index(name) for name in COUNTED]] > 1
    labels = torch.cat([present, several], dim=1).float()
    return _develop(image, _to(scene, device), noise), _to(labels, device)


def _to(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy without making the CPU wait, so that it can launch the next kernels while the device still works."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _add_instances(image: Tensor, kind: Kind, slots: list[Tensor], d: Draws, axis: Tensor, noise: torch.Generator) -> None:
    """Add all instances of a kind in place. Slot by slot, since an image may appear once in a deterministic indexed write."""
    dx, dy = axis.view(1, 1, -1) - d.uniform(-0.85, 0.85), axis.view(1, -1, 1) - d.uniform(-0.85, 0.85)
    angle = d.uniform(0.0, 2.0 * math.pi)
    cos, sin = torch.cos(angle), torch.sin(angle)
    canvas = Canvas(dx * cos + dy * sin, dy * cos - dx * sin, 2.0 / len(axis), noise)
    amplitude = d.log_uniform(kind.faint, kind.plain)
    colour = d.vector()
    if kind.equal_luminance:
        colour = colour - (colour * _to(torch.tensor(LUMA), colour.device)).sum(1, keepdim=True)
        colour = colour / colour.norm(dim=1, keepdim=True).clamp(min=0.1)
    else:
        colour = d.sign().view(-1, 1) * (1.0 + 0.6 * d.uniform().view(-1, 1) * colour)
    field = (kind.field(canvas, d) * amplitude).unsqueeze(1) * colour.view(-1, 3, 1, 1)
    start = 0
    for where in slots:
        image[where] = image[where] + field[start : start + len(where)]
        start += len(where)


def _background(scene: Tensor, size: int, noise: torch.Generator) -> Tensor:
    """(n, 3, s, s): a colour, a gradient, and octaves of smooth noise, each of its own strength per image."""
    n, device = len(scene), scene.device
    d = Draws(scene)
    d.uniform()  # the first column is how crowded the image is
    grey, tint, saturation = d.uniform(0.15, 0.85), d.vector(), d.uniform(0.0, 0.3)
    image = (grey + saturation * tint.unsqueeze(2)).unsqueeze(3)  # (n, 3, 1, 1)
    axis = (torch.arange(size, device=device) + 0.5) * (2.0 / size) - 1.0
    slope, angle = d.uniform(0.0, 0.3) * (d.uniform() < 0.6), d.uniform(0.0, 2.0 * math.pi)
    plane = slope * (axis.view(1, 1, -1) * torch.cos(angle) + axis.view(1, -1, 1) * torch.sin(angle))
    for cells in OCTAVES:
        strength = d.log_uniform(0.002, 0.12) * (d.uniform() < 0.5)
        coarse = torch.randn((n, 1, cells, cells), generator=noise, device=device)
        plane = plane + strength * F.interpolate(coarse, size=(size, size), mode="bilinear", align_corners=False).squeeze(1)
    return image + plane.unsqueeze(1)


def _develop(image: Tensor, scene: Tensor, noise: torch.Generator) -> Tensor:
    """Optics and sensor: blur, contrast, brightness, noise, eight bits."""
    d = Draws(scene[:, -8:])
    blur = (d.uniform(-0.6, 1.0).clamp(min=0.0)).unsqueeze(3)
    kernel = _to(torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0, image.device)
    padded = F.pad(image, (2, 2, 2, 2), mode="replicate").flatten(0, 1).unsqueeze(1)
    soft = F.conv2d(F.conv2d(padded, kernel.view(1, 1, 1, 5)), kernel.view(1, 1, 5, 1)).view_as(image)
    image = torch.lerp(image, soft, blur)
    image = (image - 0.5) * d.uniform(0.6, 1.2).unsqueeze(3) + 0.5 + d.uniform(-0.1, 0.1).unsqueeze(3)
    sigma = d.log_uniform(0.002, 0.06).unsqueeze(3)
    image = image + sigma * torch.randn(image.shape, generator=noise, device=image.device)
    return (image.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
