"""The networks that the pipelines train: torchvision's EfficientNets, with a start that ten epochs on a small set can use.

Torchvision's own initialisation is meant for hundreds of epochs on ImageNet. On some hundred images and ten epochs it learns
nothing. Two changes mend that. The scale of the last batch normalisation of every residual block starts at zero (Goyal et al.,
"Accurate, Large Minibatch SGD", 2017, section 5.1), so that the network starts as a shallow one and deepens while it learns.
And the classifier starts at zero, so that the first loss is that of "one half everywhere" whatever the features are.
"""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.efficientnet import MBConv

from evaluator.errors import ConfigurationError
from evaluator.seeds import short

ARCHITECTURES: tuple[str, ...] = ("efficientnet_b4", "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3")

HEAD_PREFIX = "classifier."
"""Names in a state dict that belong to the head; all others are feature layers."""


def build_network(
    architecture: str, n_outputs: int, *, seed: int, dropout: float = 0.0, stochastic_depth: float = 0.0
) -> nn.Module:
    """A network from (n, 3, s, s) float32 images, normalised by the caller, to (n, ``n_outputs``) float32 logits.

    The weights depend on ``seed``, ``architecture`` and ``n_outputs`` alone; the global random state is left as it was found. The
    head is one ``nn.Linear`` behind one dropout. The model is on the CPU, in training mode.

    Args:
        architecture: one of ``ARCHITECTURES``.
        n_outputs: number of logits, 1 or more.
        seed: a root seed, 0 or more (any size); it is split by name here.
        dropout: probability before the head, in [0, 1).
        stochastic_depth: drop probability of the last residual block, in [0, 1); earlier blocks drop proportionally less.

    Raises:
        ConfigurationError: an unknown architecture, or a number out of its range.
    """
    if architecture not in ARCHITECTURES:
        raise ConfigurationError(f"architecture {architecture!r} is not known; choose one of {', '.join(ARCHITECTURES)}")
    if n_outputs < 1:
        raise ConfigurationError(f"n_outputs is {n_outputs}; a network needs at least 1 output")
    for name, value in (("dropout", dropout), ("stochastic_depth", stochastic_depth)):
        if not 0.0 <= value < 1.0:
            raise ConfigurationError(f"{name} is {value}; expected a probability in [0, 1)")
    # The CPU generator is seeded directly: torch.manual_seed would also reseed every accelerator, which fork_rng without devices
    # does not restore.
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(short(seed, "network", architecture))
        model = torchvision.models.get_model(
            architecture, weights=None, dropout=dropout, stochastic_depth_prob=stochastic_depth, num_classes=n_outputs
        )
    _start_shallow(model)
    return model


def feature_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of the feature layers, in the model's order."""
    return [parameter for name, parameter in model.named_parameters() if not name.startswith(HEAD_PREFIX)]


def head_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of the head (weight and bias of its one linear layer)."""
    return [parameter for name, parameter in model.named_parameters() if name.startswith(HEAD_PREFIX)]


def feature_state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of the feature layers by name, sharing memory with the model."""
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(HEAD_PREFIX)}


def features(model: nn.Module, x: Tensor) -> Tensor:
    """Pooled embeddings (n, d) of images (n, 3, s, s): what the head sees before its dropout. Gradients flow."""
    return model.avgpool(model.features(x)).flatten(1)


def _start_shallow(model: nn.Module) -> None:
    for block in model.modules():
        if isinstance(block, MBConv) and block.use_res_connect:
            norms = [layer for layer in block.block[-1] if isinstance(layer, nn.BatchNorm2d)]
            nn.init.zeros_(norms[-1].weight)
    head = [layer for layer in model.classifier if isinstance(layer, nn.Linear)]
    for layer in head:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


class PooledLinear(nn.Module):
    """Logistic regression on the pixels of a small image: (n, 3, s, s) to (n, k) logits. Starts at zero."""

    def __init__(self, image_size: int, n_outputs: int) -> None:
        super().__init__()
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(3 * image_size**2, n_outputs))
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x)
