"""From stored images to the network's input: one transform for training and evaluation, which differ in augmentation alone.

``transform`` sizes, changes (only where draws are given) and normalises a whole batch at once on its device. The random parameters
are drawn on the CPU, one row per image, by ``draw``, so that they are the same on every device and so that switching one change on
leaves the draws of the others as they were.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.training.pipeline import Augmentation, Pipeline

_UNIFORMS = (
    "horizontal_flip",
    "vertical_flip",
    "quarter_turns",
    "shift_y",
    "shift_x",
    "zoom",
    "brightness",
    "contrast",
    "red",
    "green",
    "blue",
    "blur",
    "gaussian",
)
"""Columns of the draws, all uniform on [0, 1). A new column is added at the end, so that old results stay repeatable."""
_COLUMN = {name: i for i, name in enumerate(_UNIFORMS)}


def draw(rng: np.random.Generator, n: int) -> np.ndarray:
    """Random parameters for ``n`` images: float32 (n, 13), uniform on [0, 1), one column per name in the order of this module."""
    return np.stack([rng.random(n, dtype=np.float32) for _ in _UNIFORMS], axis=1)


def sized(images: Tensor, size: int) -> Tensor:
    """uint8 (n, S, S, 3) to float32 (n, 3, size, size) in [0, 1]. Whole-number shrinking is the mean over blocks, all else bilinear
    with antialiasing."""
    unit = images.permute(0, 3, 1, 2).to(torch.float32).div_(255)
    side = unit.shape[-1]
    if side == size:
        return unit.contiguous()
    if side % size == 0:
        return F.avg_pool2d(unit, side // size)
    return F.interpolate(unit, size=(size, size), mode="bilinear", antialias=True, align_corners=False)


def normalised(unit: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Float (n, 3, h, w) in [0, 1] to channels of the given mean and standard deviation."""
    return (unit - _column(tuple(mean), unit.dtype, unit.device)) / _column(tuple(std), unit.dtype, unit.device)


@cache
def _column(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(1, k, 1, 1) constants, kept on their device: sending them anew would make an accelerator wait in every step."""
    with torch.inference_mode(False):
        return torch.tensor(values, dtype=dtype, device=device).view(1, -1, 1, 1)


def transform(images: Tensor, pipeline: Pipeline, draws: np.ndarray | Tensor | None = None) -> Tensor:
    """The network's input for a batch.

    Args:
        images: uint8 (n, S, S, 3), on any device.
        pipeline: gives size, normalisation and augmentation.
        draws: float (n, 13) from ``draw`` for training, best on the device already; ``None`` for evaluation. That is the
            only difference between the two.

    Returns:
        float32 (n, 3, image_size, image_size) on the device of ``images``.
    """
    unit = sized(images, pipeline.image_size)
    if draws is not None and pipeline.augmentation.on:
        unit = augmented(unit, pipeline.augmentation, torch.as_tensor(draws).to(unit.device, non_blocking=True))
    return normalised(unit, pipeline.mean, pipeline.std)


def augmented(unit: Tensor, rules: Augmentation, draws: Tensor) -> Tensor:
    """Float (n, 3, s, s) in [0, 1] changed by ``rules`` with one row of ``draws`` per image; stays in [0, 1]."""

    def uniform(name: str) -> Tensor:
        return draws[:, _COLUMN[name]].view(-1, 1, 1, 1)

    def factor(name: str, width: float) -> Tensor:
        return 1 + width * (2 * uniform(name) - 1)

    x = _turned(unit, rules, uniform)
    if rules.zoom:
        x = _zoomed(x, factor("zoom", rules.zoom))
    if rules.shift:
        x = _shifted(x, rules.shift, draws[:, _COLUMN["shift_y"]], draws[:, _COLUMN["shift_x"]])
    if rules.blur:
        x = torch.lerp(x, _blurred(x), rules.blur * uniform("blur"))
    if rules.gaussian:
        x = _gaussian(x, rules.gaussian * draws[:, _COLUMN["gaussian"]], rules.gaussian)
    if rules.brightness:
        x = x * factor("brightness", rules.brightness)
    if rules.contrast:
        centre = x.mean(dim=(1, 2, 3), keepdim=True)
        x = centre + (x - centre) * factor("contrast", rules.contrast)
    if rules.colour:
        x = x * torch.cat([factor(name, rules.colour) for name in ("red", "green", "blue")], dim=1)
    return x.clamp(0, 1)


def _turned(x: Tensor, rules: Augmentation, uniform: Callable[[str], Tensor]) -> Tensor:
    """Mirrors and quarter turns: exact, no interpolation."""
    if rules.horizontal_flip:
        x = torch.where(uniform("horizontal_flip") < 0.5, x.flip(3), x)
    if rules.vertical_flip:
        x = torch.where(uniform("vertical_flip") < 0.5, x.flip(2), x)
    if rules.quarter_turns:
        turns = (uniform("quarter_turns") * 4).floor()
        x = torch.where(turns % 2 == 1, x.transpose(2, 3).flip(2), x)
        x = torch.where(turns >= 2, x.flip(2, 3), x)
    return x


def _shifted(x: Tensor, share: float, across_y: Tensor, across_x: Tensor) -> Tensor:
    """Shift by whole pixels, up to ``share`` of the side each way; what comes in from outside is the mirror image of the border."""
    n, _, side, _ = x.shape
    reach = min(round(share * side), side - 1)

    def source(uniforms: Tensor) -> Tensor:
        steps = (uniforms * (2 * reach + 1)).floor().long() - reach
        at = (torch.arange(side, device=x.device) + steps[:, None]).abs()
        return torch.where(at > side - 1, 2 * (side - 1) - at, at)

    rows, columns = source(across_y), source(across_x)
    picked = x.permute(0, 2, 3, 1)[torch.arange(n, device=x.device)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return picked.permute(0, 3, 1, 2)


def _zoomed(x: Tensor, factors: Tensor) -> Tensor:
    """Scale about the centre by ``factors`` (n, 1, 1, 1), bilinear, border mirrored."""
    theta = torch.zeros(x.shape[0], 2, 3, dtype=x.dtype, device=x.device)
    theta[:, 0, 0] = theta[:, 1, 1] = 1 / factors.flatten()
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _blurred(x: Tensor) -> Tensor:
    """3 x 3 binomial blur, as two passes of (1, 2, 1) / 4, border mirrored."""
    rows = F.pad(x, (0, 0, 1, 1), mode="reflect")
    x = (rows[:, :, :-2] + 2 * rows[:, :, 1:-1] + rows[:, :, 2:]) / 4
    columns = F.pad(x, (1, 1, 0, 0), mode="reflect")
    return (columns[..., :-2] + 2 * columns[..., 1:-1] + columns[..., 2:]) / 4


def _gaussian(x: Tensor, sigmas: Tensor, largest: float) -> Tensor:
    """Gaussian blur of each image by its own standard deviation from ``sigmas`` (n,) in pixels, up to ``largest``; border mirrored.

    The kernel reaches three of the largest deviations each way, as far as the border can be mirrored.
    """
    reach = min(math.ceil(3 * largest), x.shape[-1] - 1)
    steps = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    # Far below a pixel the kernel is the single pixel; the bound only keeps the division defined.
    kernels = torch.exp(-0.5 * (steps / sigmas.to(x.dtype).clamp_min(1e-3)[:, None]) ** 2)
    kernels = kernels / kernels.sum(dim=1, keepdim=True)
    for dimension, border in ((2, (0, 0, reach, reach)), (3, (reach, reach, 0, 0))):
        wide, side = F.pad(x, border, mode="reflect"), x.shape[dimension]
        x = torch.zeros_like(x)
        for i, weights in enumerate(kernels.T):
            x.addcmul_(wide.narrow(dimension, i, side), weights.view(-1, 1, 1, 1))
    return x
