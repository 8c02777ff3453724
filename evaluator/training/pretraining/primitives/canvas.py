"""What a primitive is drawn from and drawn on: its random numbers, and the pixel grid as it sees it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

COLUMNS = 24  # random numbers per instance; more than any kind uses


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
