"""The networks that the pipelines train: torchvision's EfficientNets and timm's models, started so that ten epochs can use it.

Every network is feature layers and a head: ``features`` gives pooled embeddings (n, d), ``head`` makes logits of them with one
dropout and one linear layer, and the model itself is ``head(features(x))``. Pooling, and what timm puts between it and the linear
layer (a normalisation, in ConvNeXt), belong to the features.

Torchvision's own initialisation is meant for hundreds of epochs on ImageNet. On some hundred images and ten epochs it learns
nothing. Two changes mend that. The scale of the last batch normalisation of every residual block starts at zero (Goyal et al.,
"Accurate, Large Minibatch SGD", 2017, section 5.1), so that the network starts as a shallow one and deepens while it learns.
And the classifier starts at zero, so that the first loss is that of "one half everywhere" whatever the features are.
"""

from __future__ import annotations

import difflib
from types import ModuleType
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.efficientnet import MBConv

from evaluator.errors import ConfigurationError
from evaluator.seeds import short
from evaluator.training import together
from evaluator.training.pipeline import ARCHITECTURES, TIMM_PREFIX

HEAD_PREFIX = "classifier."
"""Names in a state dict that belong to the head; all others are feature layers."""


def build_network(
    architecture: str,
    n_outputs: int,
    *,
    seed: int,
    dropout: float = 0.0,
    stochastic_depth: float = 0.0,
    image_size: int | None = None,
) -> nn.Module:
    """A network from (n, 3, s, s) float32 images, normalised by the caller, to (n, ``n_outputs``) float32 logits.

    The weights depend on ``seed``, ``architecture``, ``n_outputs`` and, where it shapes the network, ``image_size`` alone; the
    global random state is left as it was found. The head is one ``nn.Linear`` behind one dropout and starts at zero. The model is
    on the CPU, in training mode.

    Args:
        architecture: one of ``pipeline.ARCHITECTURES``, or ``timm/<name>`` with or without the tag of pretrained weights.
        n_outputs: number of logits, 1 or more.
        seed: a root seed, 0 or more (any size); it is split by name here.
        dropout: probability before the head, in [0, 1).
        stochastic_depth: drop probability of the last residual block, in [0, 1); earlier blocks drop proportionally less.
        image_size: side of the images in pixels; needed by those models of timm that have a position for every patch. ``None`` is
            the size that the model was made for.

    Raises:
        ConfigurationError: an unknown architecture, a number out of its range, or a size that the model cannot take.
    """
    timm_name = architecture.removeprefix(TIMM_PREFIX) if architecture.startswith(TIMM_PREFIX) else None
    if timm_name is None and architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise ConfigurationError(f"architecture {architecture!r} is not known; choose one of {known}, or {TIMM_PREFIX}<name>")
    if n_outputs < 1:
        raise ConfigurationError(f"n_outputs is {n_outputs}; a network needs at least 1 output")
    for name, value in (("dropout", dropout), ("stochastic_depth", stochastic_depth)):
        if not 0.0 <= value < 1.0:
            raise ConfigurationError(f"{name} is {value}; expected a probability in [0, 1)")
    timm = None if timm_name is None else timm_that_knows(timm_name)
    # The CPU generator is seeded directly: torch.manual_seed would also reseed every accelerator, which fork_rng without devices
    # does not restore.
    with together.drawing, together.process, torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(short(seed, "network", architecture))
        if timm is not None and timm_name is not None:
            return TimmNetwork(_timm_body(timm, timm_name, stochastic_depth, image_size), n_outputs, dropout)
        model = torchvision.models.get_model(
            architecture, weights=None, dropout=dropout, stochastic_depth_prob=stochastic_depth, num_classes=n_outputs
        )
    _start_shallow(model)
    return model


def head_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of the head (weight and bias of its one linear layer)."""
    return [parameter for name, parameter in model.named_parameters() if name.startswith(HEAD_PREFIX)]


def feature_state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of the feature layers by name, sharing memory with the model."""
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(HEAD_PREFIX)}


def features(model: nn.Module, x: Tensor) -> Tensor:
    """Pooled embeddings (n, d) of images (n, 3, s, s): what the head sees before its dropout. Gradients flow.

    A linear model's embeddings are the pixels themselves, d = 3 s².
    """
    if isinstance(model, PooledLinear):
        return x.flatten(1)
    if isinstance(model, TimmNetwork):
        return model.features(x)
    return model.get_submodule("avgpool")(model.get_submodule("features")(x)).flatten(1)


def classifier(model: nn.Module) -> nn.Module:
    """The head of a network: its dropout and its linear layer."""
    return model.get_submodule("classifier")


def head(model: nn.Module, embeddings: Tensor) -> Tensor:
    """Logits (n, k) of embeddings (n, d) from ``features``; its dropout acts where ``classifier(model)`` is in training mode."""
    return classifier(model)(embeddings)


def _start_shallow(model: nn.Module) -> None:
    for block in model.modules():
        if isinstance(block, MBConv) and block.use_res_connect:
            norms = [layer for layer in block.block[-1] if isinstance(layer, nn.BatchNorm2d)]
            nn.init.zeros_(norms[-1].weight)
    for layer in classifier(model).children():
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)


class TimmNetwork(nn.Module):
    """A model of timm in the form of the others: (n, 3, s, s) to (n, k) logits, by ``features`` and ``classifier``.

    ``features`` is timm's own model whose classifier has become the identity, so that it gives what the classifier would have seen:
    ``forward_head(forward_features(x), pre_logits=True)``. timm is built without dropout there, and ours comes before the new
    linear layer, so that embeddings never hold the head's dropout. The names of timm's own layers begin with ``features.``.
    """

    def __init__(self, body: nn.Module, n_outputs: int, dropout: float = 0.0) -> None:
        super().__init__()
        last = _last_layer(body)
        self.timm_head = next(name for name, module in body.named_modules() if module is last)
        """Where timm's classifier stood; the names of its weights in a checkpoint of timm begin so."""
        linear = nn.Linear(last.in_features, n_outputs)
        body.set_submodule(self.timm_head, nn.Identity())
        nn.init.zeros_(linear.weight)
        nn.init.zeros_(linear.bias)
        self.features = body
        self.classifier = nn.Sequential(nn.Dropout(dropout), linear)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x))


def _last_layer(body: Any) -> nn.Linear:
    """The one linear layer that a model of timm ends with.

    Raises:
        ConfigurationError: it ends with something else, e.g. with two heads.
    """
    last = body.get_classifier()
    if not isinstance(last, nn.Linear):
        raise ConfigurationError(
            f"{TIMM_PREFIX}{body.default_cfg['architecture']} ends with {type(last).__name__}, not with one linear layer; choose a "
            "model that does (timm's resnet, convnext, vit, efficientnet and most others)"
        )
    return last


def timm_that_knows(name: str) -> ModuleType:
    """The module timm, imported here because that takes a second.

    Raises:
        ConfigurationError: it has no model of that name, or no pretrained weights of that tag.
    """
    import timm

    plain, _, tag = name.partition(".")
    if not timm.is_model(plain):
        near = difflib.get_close_matches(plain, timm.list_models(), n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(TIMM_PREFIX + one for one in near)}?" if near else "timm.list_models() lists them"
        raise ConfigurationError(f"timm {timm.__version__} has no model {plain!r}; {hint}")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{plain}.*")]
    if tag and tag not in tags:
        known = ", ".join(tags) if tags else "none"
        raise ConfigurationError(f"timm {timm.__version__} has no weights {tag!r} of {plain}; it has: {known}")
    return timm


def _timm_body(timm: ModuleType, name: str, stochastic_depth: float, image_size: int | None) -> nn.Module:
    options: dict[str, Any] = {"drop_path_rate": stochastic_depth} if stochastic_depth else {}
    configuration = timm.get_pretrained_cfg(name)
    if image_size is not None and configuration is not None and configuration.fixed_input_size:
        options["img_size"] = image_size
    try:
        body = timm.create_model(name, pretrained=False, **options)
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        given = ", ".join(f"{option}={value}" for option, value in options.items()) or "no options"
        raise ConfigurationError(
            f"timm cannot make {name} with {given} ({error}); choose another size, or another model"
        ) from error
    patch = getattr(getattr(body, "patch_embed", None), "patch_size", None)
    if "img_size" in options and patch is not None and any(image_size % side for side in patch):
        raise ConfigurationError(f"{name} cuts images into patches of {patch} pixels, which {image_size} px are no multiple of")
    return body


class PooledLinear(nn.Module):
    """Logistic regression on the pixels of a small image: (n, 3, s, s) to (n, k) logits. Starts at zero."""

    def __init__(self, image_size: int, n_outputs: int) -> None:
        super().__init__()
        # Without the layer's own initial values, which would move the global random state.
        linear = nn.utils.skip_init(nn.Linear, 3 * image_size**2, n_outputs)
        self.classifier = nn.Sequential(nn.Flatten(), linear)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(x)
