"""Makes batches of images: a background, instances of every kind, and the effects of camera and sensor."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.seeds import short
from evaluator.training.pretraining.primitives.canvas import COLUMNS, Canvas, Draws
from evaluator.training.pretraining.primitives.kinds import ATTRIBUTES, COUNTED, KINDS, Kind

SCENE_COLUMNS = 32
LUMA = (0.299, 0.587, 0.114)
OCTAVES = (2, 4, 8, 16, 32)


def draw_batch(
    n: int, size: int, seed: int, index: int = 0, *, device: torch.device | str = "cpu", stream: str = "train"
) -> tuple[Tensor, Tensor]:
    """Batch number ``index`` of an endless stream of batches.

    Args:
        n: number of images; ``size``: side in pixels.
        seed: root seed; ``stream``: name of the stream. Different streams have different images.

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
    """Copy to a device without waiting, so that the CPU can launch further kernels while the device works."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _add_instances(image: Tensor, kind: Kind, slots: list[Tensor], d: Draws, axis: Tensor, noise: torch.Generator) -> None:
    """Add all instances of a kind to ``image``, in place.

    Args:
        slots: for every slot, the indices of the images that have an instance in it. They are added slot by slot, because an
            indexed write is deterministic only if every image occurs once in it.
    """
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
    """Backgrounds (n, 3, s, s): a colour, a gradient, and octaves of smooth noise, with strengths drawn for every image."""
    n, device = len(scene), scene.device
    d = Draws(scene)
    d.uniform()  # the first column decides how many instances an image has
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
    """Apply the effects of optics and sensor (blur, contrast, brightness, noise) and round to uint8."""
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
