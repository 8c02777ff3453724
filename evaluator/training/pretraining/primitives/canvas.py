"""The inputs of a primitive's field: its random numbers, and the pixel grid relative to the instance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

COLUMNS = 24  # random numbers per instance; no kind uses as many


class Draws:
    """Random numbers of E instances. Each call takes the next column(s) of the table (E, COLUMNS), whose values are in [0, 1)."""

    def __init__(self, table: Tensor):
        self._table = table
        self._next = 0

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers in [low, high), (E, 1, 1)."""
        column = self._table[:, self._next].view(-1, 1, 1)
        self._next += 1
        return low + (high - low) * column

    def log_uniform(self, low: float, high: float) -> Tensor:
        """Numbers in [low, high) whose logarithms are uniform, (E, 1, 1)."""
        return low * torch.exp(math.log(high / low) * self.uniform())

    def sign(self) -> Tensor:
        """-1 or 1, (E, 1, 1)."""
        return torch.where(self.uniform() < 0.5, -1.0, 1.0)

    def vector(self) -> Tensor:
        """Uniform numbers in [-1, 1), (E, 3)."""
        columns = self._table[:, self._next : self._next + 3]
        self._next += 3
        return 2.0 * columns - 1.0


@dataclass(frozen=True)
class Canvas:
    """The pixel grid in the coordinates of each instance.

    Attributes:
        x, y: (E, s, s), relative to the centre of the instance and rotated with it; the image has a side of 2.
        pixel: width of a pixel in these units.
        noise: generator of the device, for noise pixels.
    """

    x: Tensor
    y: Tensor
    pixel: float
    noise: torch.Generator

    @property
    def r(self) -> Tensor:
        """Distance from the centre, (E, s, s)."""
        return torch.hypot(self.x, self.y)

    def inside(self, distance: Tensor) -> Tensor:
        """Anti-aliased coverage, 0 to 1, of the region where the signed ``distance`` is negative."""
        return (0.5 - distance / self.pixel).clamp(0.0, 1.0)
