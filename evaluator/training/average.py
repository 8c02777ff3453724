"""The exponential moving average of what changes in training (Polyak & Juditsky 1992; per step, as in Tarvainen & Valpola 2017).

``torch.optim.swa_utils.AveragedModel`` computes the same. It copies the whole network, frozen layers too, and sends its counter to
the device in every step, which makes an accelerator wait; this keeps a list of tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class Average:
    """Averages of ``tensors``, which stay those of the model. The first update takes the values as they are.

    Args:
        tensors: float or integer (counters of batch normalisation), on one device.
        decay: weight of the average so far, in (0, 1).
    """

    def __init__(self, tensors: Sequence[Tensor], decay: float) -> None:
        self.decay, self.updates = decay, 0
        self._tensors = [tensor.detach() for tensor in tensors]
        self.values = [tensor.clone() for tensor in self._tensors]
        pairs = list(zip(self.values, self._tensors, strict=True))
        self._means, self._sources = ([p[side] for p in pairs if p[0].is_floating_point()] for side in (0, 1))
        self._counters = [p for p in pairs if not p[0].is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the values that the tensors have now, and count it."""
        self.take_in()
        self.updates += 1

    @torch.no_grad()
    def take_in(self) -> None:
        """Take in the values that the tensors have now; to be counted in ``updates`` by whoever runs it.

        A replay of a captured step runs it without Python. The first must not be captured: it is another one than those after it.
        """
        if self.updates == 0:
            torch._foreach_copy_(self.values, self._tensors)
        else:
            if self._means:
                torch._foreach_lerp_(self._means, self._sources, 1 - self.decay)
            for mean, now in self._counters:
                mean.copy_(mean * self.decay + now * (1 - self.decay))

    @torch.no_grad()
    def finish(self) -> None:
        """Leave the averages in the tensors, for good."""
        torch._foreach_copy_(self._tensors, self.values)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The averages in the place of the tensors, for an evaluation in the course of training."""
        own = [tensor.clone() for tensor in self._tensors]
        self.finish()
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(self._tensors, own)
