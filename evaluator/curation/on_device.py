"""Training steps and predictions of the fixed network on a device: the plain network, its step replayed as a CUDA graph.

Batches of 8 leave a device idle between launches, so a step is captured once and replayed (``training/step.py``), and a last batch
that is smaller has a graph of its own. The numbers are those of ``steps`` but for rounding; weights, sums of Adam and loss are in
float32, products and activations of ``bfloat16`` in that.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.curation.inputs import centred
from evaluator.curation.network import FixedNetwork
from evaluator.curation.recipes import Precision
from evaluator.curation.steps import ADAM_EPSILON
from evaluator.training import device as devices
from evaluator.training.average import Average
from evaluator.training.optimiser import rates_in_tensors
from evaluator.training.step import steps_of

AT_ONCE = 512
"""Images of a prediction."""


@dataclass(frozen=True, eq=False)
class _Step:
    """A step of Adam on the cross-entropy of a batch; its loss, and the norm of the gradient, which nobody asks for."""

    network: FixedNetwork
    optimiser: torch.optim.Optimizer
    autocast: torch.autocast
    average: Average | None = None

    def __call__(self, rows: Sequence[Tensor], targets: Tensor) -> tuple[Tensor, Tensor]:
        self.optimiser.zero_grad(set_to_none=True)
        with self.autocast:
            logits = logits_of(self.network, centred(rows[0]))
        loss = F.cross_entropy(logits.float(), targets)
        loss.backward()
        self.optimiser.step()
        return loss.detach(), loss.detach()


def logits_of(network: FixedNetwork, x: Tensor) -> Tensor:
    """What ``network(x)`` gives, by operations whose gradients repeat to the bit on a device.

    The library adds the gradients of overlapping windows of a pooling in any order. Here a pooling is the larger of two, eight
    times; and the rectifier comes behind it, which is the same and leaves no ties among its zeros.
    """
    x = torch.relu(_largest(network.norm(network.stem(x))))
    for block in network.blocks:
        x = block(x)
    return network.dense(x.mean(dim=(2, 3)))


def _largest(x: Tensor) -> Tensor:
    """The maxima of 3 x 3 windows at stride 2, padded by one: (n, c, h, w) to (n, c, (h + 1) // 2, (w + 1) // 2)."""
    height, width = x.shape[2:]
    padded = F.pad(x, (1, 1, 1, 1), value=-torch.inf)
    windows = (padded[:, :, i : i + height : 2, j : j + width : 2] for i in range(3) for j in range(3))
    return reduce(torch.maximum, windows)


class DeviceStepper:
    """The fixed network and its optimiser on a device, in the form of ``steps.Stepper``.

    Args:
        network: whose weights it starts from; it is moved to the device.
        rate: of Adam. ``precision``: of products and activations. ``graphs``: whether steps may be replayed.
        acting: as of ``device.random_state``. No layer draws, but capturing a graph takes hold of the state of that moment.
    """

    def __init__(
        self,
        network: FixedNetwork,
        rate: float,
        precision: Precision,
        where: torch.device,
        *,
        graphs: bool,
        acting: devices.Acting = nullcontext,
    ) -> None:
        devices.placed(network, where).train()
        self._where, self._network = where, network
        self._autocast = devices.autocast(where, precision)
        groups = rates_in_tensors([{"params": list(self._network.parameters()), "peak": rate}], where)
        optimiser = torch.optim.Adam(groups, eps=ADAM_EPSILON, fused=True, capturable=where.type == "cuda")
        self._steps = steps_of(_Step(self._network, optimiser, self._autocast), where, graphs, acting)

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        """One step; the loss before it, 0-d.

        Args:
            images: float32 (b, 1 or 3, s, s) of 0 to 255, on the device. ``labels``: int64 (b,), there, too.
        """
        self._network.train()
        return self._steps((images,), labels, 1.0)[0]

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Of images float32 (n, 1 or 3, s, s) on any device, with running statistics: float32 (n, classes) on the CPU."""
        self._network.eval()
        parts = []
        for part in images.split(AT_ONCE):
            with self._autocast:
                parts.append(logits_of(self._network, centred(part.to(self._where))).float().cpu())
        return torch.cat(parts) if parts else torch.empty(0, self._network.dense.out_features)

    def state(self) -> dict[str, Tensor]:
        """A copy of the weights and running statistics."""
        return {name: tensor.detach().clone() for name, tensor in self._network.state_dict().items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Set weights and running statistics back, in place; what the optimiser remembers stays."""
        self._network.load_state_dict(state)
