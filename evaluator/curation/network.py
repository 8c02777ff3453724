"""The fixed model of the Data-Centric AI Competition 2021: ResNet-50, cut after the last block of its first stage.

In Keras's words ``ResNet50(input_shape=(32, 32, 3), include_top=False, weights=None)`` up to ``conv2_block3_out``, global average
pooling and ``Dense(10)``: 232,330 parameters, of which 229,386 are trained and the rest are running statistics. Layers, their
initial values and their constants are those of Keras (https://github.com/keras-team/keras, ``applications/resnet.py``): a bias in
every convolution, Glorot's uniform kernels, batch normalisation with epsilon 1.001e-5 and momentum 0.99.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from evaluator.seeds import short

EPSILON = 1.001e-5
MOMENTUM = 0.01
"""Share of the newest batch in the running statistics; Keras's 0.99 is the share of what was there."""
WIDTH, WIDE = 64, 256


class Unit(nn.Module):
    """A convolution without stride, padded to the same size, and its batch normalisation."""

    def __init__(self, channels: int, out: int, kernel: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(out, eps=EPSILON, momentum=MOMENTUM)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, out, h, w)."""
        return self.norm(self.conv(x))


class Block(nn.Module):
    """A bottleneck: 1 x 1, 3 x 3, 1 x 1, and what goes around them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.around = Unit(channels, WIDE) if channels != WIDE else None
        self.units = nn.ModuleList([Unit(channels, WIDTH), Unit(WIDTH, WIDTH, 3), Unit(WIDTH, WIDE)])

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, 256, h, w)."""
        first, second, third = self.units
        inner = torch.relu(second(torch.relu(first(x))))
        return torch.relu(third(inner) + (x if self.around is None else self.around(x)))


class FixedNetwork(nn.Module):
    """Images to logits.

    Args:
        classes: number of outputs, 10 in the competition.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 7, stride=2, padding=3)
        self.norm = nn.BatchNorm2d(WIDTH, eps=EPSILON, momentum=MOMENTUM)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.blocks = nn.ModuleList([Block(WIDTH), Block(WIDE), Block(WIDE)])
        self.dense = nn.Linear(WIDE, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Preprocessed images float32 (n, 3, h, w), channels blue, green, red, to logits (n, classes)."""
        x = self.pool(torch.relu(self.norm(self.stem(x))))
        for block in self.blocks:
            x = block(x)
        return self.dense(x.mean(dim=(2, 3)))


def build_network(classes: int, seed: int) -> FixedNetwork:
    """The network before its first step, in training mode. The same seed gives the same weights; no global generator is read."""
    stream = torch.Generator().manual_seed(short(seed, "initial weights"))
    with torch.device("meta"):
        network = FixedNetwork(classes)
    network = network.to_empty(device="cpu")
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(module.weight, generator=stream)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
    return network


def parameter_counts(network: nn.Module) -> tuple[int, int]:
    """All parameters as Keras counts them (running means and variances, too), and those that are trained."""
    trained = sum(parameter.numel() for parameter in network.parameters())
    running = sum(value.numel() for name, value in network.named_buffers() if name.endswith(("running_mean", "running_var")))
    return trained + running, trained
