"""Training steps and predictions of the fixed network."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from evaluator.curation.inputs import centred
from evaluator.curation.network import FixedNetwork
from evaluator.curation.recipes import Precision

AT_ONCE = 64
"""Images of a prediction."""
EPSILON = 1e-7
"""Of Adam, as Keras sets it."""

State = dict[str, Tensor]


class Stepper:
    """A network and its optimizer.

    Args:
        network: is trained in place.
        rate: of Adam. ``precision``: of convolutions and products.
    """

    def __init__(self, network: FixedNetwork, rate: float, precision: Precision) -> None:
        self.network = network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(network.parameters(), rate, eps=EPSILON, fused=True)
        self.low = precision == "bfloat16"

    def step(self, images: Tensor, labels: Tensor) -> float:
        """One step on images float32 (b, 1 or 3, s, s) of 0 to 255 and labels int64 (b,); the loss before it."""
        self.network.train()
        self.optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low):
            logits = self.network(centred(images))
        loss = F.cross_entropy(logits.float(), labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Of images float32 (n, 1 or 3, s, s), with running statistics: float32 (n, classes)."""
        self.network.eval()
        with torch.autocast("cpu", torch.bfloat16, enabled=self.low):
            return torch.cat([self.network(centred(part)).float() for part in images.split(AT_ONCE)])

    def state(self) -> State:
        """A copy of the weights and running statistics."""
        return copy.deepcopy(self.network.state_dict())

    def restore(self, state: State) -> None:
        """Set weights and running statistics back."""
        self.network.load_state_dict(state)
