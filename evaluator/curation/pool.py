"""A pool of random augmentations of a training set that never exists as a whole: image ``i`` follows from the seed and ``i`` alone.

Blocks are made, embedded and searched one after the other, so that memory does not grow with the pool; afterwards only the chosen
images are made once more. Turns, shears, zooms and shifts are those of a sheet of paper: small, and what comes in from outside
repeats the border. Nothing is mirrored, because a mirrored numeral or letter is another one.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from evaluator.errors import ConfigurationError
from evaluator.seeds import generator

BLOCK = 4096
"""Images that are made at a time."""
MOST = 1_000_000


@dataclass(frozen=True)
class PoolRules:
    """What an augmentation may change; every parameter is drawn evenly from its range, and 0 is off.

    Attributes:
        turn, shear: degrees to either side. ``zoom``: the side changes by a factor of 1 - zoom to 1 + zoom, each axis by itself.
        shift: share of the side, along each axis.
        brightness, contrast: factors of 1 - x to 1 + x.
        blur: largest share of a 3 x 3 binomial blur that is mixed in; ``noise``: largest standard deviation, of full brightness.
    """

    turn: float = 15.0
    shear: float = 10.0
    zoom: float = 0.15
    shift: float = 0.08
    brightness: float = 0.15
    contrast: float = 0.25
    blur: float = 0.5
    noise: float = 0.04

    def __post_init__(self) -> None:
        most = {"turn": 180.0, "shear": 45.0, "zoom": 0.9, "shift": 0.5}
        for f in fields(self):
            value = getattr(self, f.name)
            if not 0 <= value <= most.get(f.name, 1.0):
                raise ConfigurationError(f"the augmentation's {f.name} is {value}; expected 0 to {most.get(f.name, 1.0):g}")


@dataclass(frozen=True)
class Pool:
    """Augmentations of ``parents`` images.

    Attributes:
        parents: uint8 (n, S, S, 3), square and of one size. ``size``: images in the pool.
        seed: that all follow from.
    """

    parents: np.ndarray
    size: int
    seed: int
    rules: PoolRules = PoolRules()

    def __post_init__(self) -> None:
        check_size(self.size)
        if self.parents.dtype != np.uint8 or self.parents.ndim != 4 or not len(self.parents):
            raise ValueError(f"the parents are {self.parents.dtype} {self.parents.shape}; expected uint8 (n, S, S, channels)")

    def parent(self, numbers: np.ndarray) -> np.ndarray:
        """The parents of images, int64: each in turn, so that all have the same number of children, give or take one."""
        return np.asarray(numbers, np.int64) % len(self.parents)

    def blocks(self) -> Iterator[np.ndarray]:
        """The numbers of the images, block by block."""
        for start in range(0, self.size, BLOCK):
            yield np.arange(start, min(start + BLOCK, self.size))

    def images(self, numbers: np.ndarray) -> np.ndarray:
        """Images by their numbers, uint8 (m, S, S, channels): the same whichever others are made with them."""
        numbers = np.asarray(numbers, np.int64)
        made = np.empty((len(numbers), *self.parents.shape[1:]), np.uint8)
        for block in np.unique(numbers // BLOCK).tolist():
            here = np.flatnonzero(numbers // BLOCK == block)
            draws = generator(self.seed, "pool", block).random((BLOCK, 10), np.float32)[numbers[here] % BLOCK]
            noise = [generator(self.seed, "pool noise", int(number)) for number in numbers[here]] if self.rules.noise else None
            made[here] = augmented(self.parents[self.parent(numbers[here])], self.rules, draws, noise)
        return made


class PoolFeatures:
    """Features of a pool's images by their numbers, kept on disk after they were computed, so that later rounds only read.

    They lie as float16 in a file without a name, which is gone when the process ends. Where the disk has no room for them, they are
    computed anew each time.

    Args:
        embed: features float (m, d) of images uint8 (m, S, S, channels).
        folder: for the file; None keeps nothing.
    """

    def __init__(self, pool: Pool, embed: Callable[[np.ndarray], np.ndarray], folder: Path | None = None) -> None:
        self._pool, self._embed, self._folder = pool, embed, folder
        self._kept: np.ndarray | None = None
        self._there = np.zeros(-(-pool.size // BLOCK), bool)

    def __call__(self, block: np.ndarray) -> np.ndarray:
        """Features float32 (m, d) of a block of ``Pool.blocks``."""
        place = int(block[0]) // BLOCK
        if self._there[place] and self._kept is not None:
            return np.asarray(self._kept[block[0] : block[-1] + 1], np.float32)
        found = np.asarray(self._embed(self._pool.images(block)), np.float32)
        if self._folder is not None and self._kept is None and not self._there.any():
            self._kept = self._opened(found.shape[1])
        if self._kept is None:
            return found
        # Rounded at once, so that every round sees the same.
        self._kept[block[0] : block[-1] + 1] = found
        self._there[place] = True
        return np.asarray(self._kept[block[0] : block[-1] + 1], np.float32)

    def _opened(self, width: int) -> np.ndarray | None:
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        needed = 2 * self._pool.size * width
        if shutil.disk_usage(self._folder).free < 2 * needed:
            self._folder = None
            return None
        with tempfile.TemporaryFile(dir=self._folder) as file:
            file.truncate(needed)
            return np.memmap(file, np.float16, "r+", shape=(self._pool.size, width))


def check_size(size: int) -> None:
    """Refuse a size that no pool has.

    Raises:
        ConfigurationError: naming it.
    """
    if not 1 <= size <= MOST:
        raise ConfigurationError(f"--pool is {size}; expected 1 to {MOST:,} images")


def augmented(
    images: np.ndarray, rules: PoolRules, draws: np.ndarray, noise: list[np.random.Generator] | None = None
) -> np.ndarray:
    """Images changed by ``rules``.

    Args:
        images: uint8 (m, S, S, channels); ``draws``: float32 (m, 10), even on [0, 1). ``noise``: a generator for each image.

    Returns:
        uint8, as ``images``.
    """
    import torch
    import torch.nn.functional as F

    x = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float().div_(255)
    u = torch.from_numpy(np.ascontiguousarray(draws)).mul(2).sub(1)
    turn, shear = torch.deg2rad(u[:, 0] * rules.turn), torch.tan(torch.deg2rad(u[:, 1] * rules.shear))
    wide, high = 1 / (1 + u[:, 2] * rules.zoom), 1 / (1 + u[:, 3] * rules.zoom)
    cosine, sine = torch.cos(turn), torch.sin(turn)
    # From a place in the new image to the place in the old: zoomed, sheared along the rows, turned, shifted.
    theta = torch.stack(
        [
            torch.stack([cosine * wide, (cosine * shear - sine) * high, 2 * rules.shift * u[:, 4]], dim=1),
            torch.stack([sine * wide, (sine * shear + cosine) * high, 2 * rules.shift * u[:, 5]], dim=1),
        ],
        dim=1,
    )
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if rules.blur:
        padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
        rows = (padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]) / 4
        blurred = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 4
        x = torch.lerp(x, blurred, (rules.blur * (u[:, 6] + 1) / 2).view(-1, 1, 1, 1))
    centre = x.mean(dim=(1, 2, 3), keepdim=True)
    x = centre + (x - centre) * (1 + rules.contrast * u[:, 7]).view(-1, 1, 1, 1)
    x = x * (1 + rules.brightness * u[:, 8]).view(-1, 1, 1, 1)
    if rules.noise and noise is not None:
        # One draw per pixel for all channels: a grey image stays grey.
        scale = rules.noise * (u[:, 9] + 1) / 2
        grain = np.stack([rng.standard_normal(x.shape[2:], np.float32) for rng in noise])
        x = x + torch.from_numpy(grain)[:, None] * scale.view(-1, 1, 1, 1)
    return (x.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
