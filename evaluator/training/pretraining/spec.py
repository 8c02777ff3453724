"""The settings of a pre-training, and its result."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from evaluator.errors import ConfigurationError
from evaluator.training.pipeline import ARCHITECTURES, PROCEDURAL_ARCHITECTURE, TIMM_PREFIX


@dataclass(frozen=True)
class PretrainSpec:
    """All settings that decide the weights, apart from the device and a limit in minutes.

    Attributes:
        architecture: an EfficientNet of torchvision, or ``timm/<name>``. Only building the network shows whether timm has the name.
        size: side of the images in pixels. The weights can be used at other sizes, too.
        images: number of images to train on, each once; ``batch_size``: images per step.
        seed: root seed of images and initial weights.
        learning_rate: the largest learning rate, between ``warm_up`` (share of the run) and the cosine decay.
        weight_decay: of parameters with two or more dimensions; ``clip``: largest norm of the gradient.
        large_share: share of the batches that are rendered at 1.5 times ``size``.
        averaging: largest decay per step of the moving average; at the start it is smaller.
        held_out: number of images for the final figures; figures during the run use a quarter of them.

    Raises:
        ConfigurationError: a setting makes no sense.
    """

    architecture: str = PROCEDURAL_ARCHITECTURE
    size: int = 64
    images: int = 6_000_000
    batch_size: int = 1024
    seed: int = 2022
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up: float = 0.05
    clip: float = 1.0
    averaging: float = 0.998
    large_share: float = 0.0
    held_out: int = 8192

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES and not self.architecture.startswith(TIMM_PREFIX):
            known = ", ".join([*ARCHITECTURES, f"or {TIMM_PREFIX}<name>"])
            raise ConfigurationError(f"architecture {self.architecture!r} is not known; choose one of {known}")
        if self.large_share > 0.0 and self.architecture.startswith(TIMM_PREFIX):
            raise ConfigurationError(
                f"large_share is {self.large_share}; it must be 0 for {self.architecture}, which may accept images of one size only"
            )
        if self.size < 32 or self.batch_size < 2 or self.images < self.batch_size or self.held_out < 8:
            raise ConfigurationError(
                f"size is {self.size}, batch_size {self.batch_size}, images {self.images}, held_out {self.held_out}; expected a "
                "size of at least 32, a batch_size of at least 2, images for at least one batch, and held_out of at least 8"
            )
        numbers = ("learning_rate", "weight_decay", "clip", "warm_up", "averaging", "large_share")
        if endless := [name for name in numbers if not math.isfinite(getattr(self, name))]:
            raise ConfigurationError(f"{endless[0]} is {getattr(self, endless[0])}; expected a number. Give one, or leave it out")
        if self.seed < 0 or self.learning_rate <= 0.0 or self.weight_decay < 0.0 or self.clip <= 0.0:
            raise ConfigurationError(
                f"seed is {self.seed}, learning_rate {self.learning_rate}, weight_decay {self.weight_decay}, clip {self.clip}; "
                "expected 0 or more, and more than 0 for learning_rate and clip"
            )
        if not (0.0 < self.warm_up < 1.0 and 0.0 <= self.averaging < 1.0 and 0.0 <= self.large_share <= 1.0):
            raise ConfigurationError(
                f"warm_up is {self.warm_up}, averaging {self.averaging}, large_share {self.large_share}; expected shares in 0..1"
            )


@dataclass(frozen=True)
class PretrainResult:
    """The weights that were made, and how well the network recognises primitives.

    Attributes:
        spec: the settings; ``steps``, ``images``, ``seconds``, ``images_per_second``: of the training.
        loss: mean loss on held-out images; ``mean_average_precision``: mean of ``average_precision``.
        average_precision: by attribute, on held-out images; ``prevalence``: share of these images with the attribute.
        device, compiled, versions: what the training ran on.
        sha256: of the file of weights.
        minutes_limit: the limit in minutes, or None.
        history: figures during the run: seconds, images, loss and mean average precision (``map``).
    """

    spec: PretrainSpec
    steps: int
    images: int
    seconds: float
    images_per_second: float
    loss: float
    mean_average_precision: float
    average_precision: dict[str, float]
    prevalence: dict[str, float]
    device: str
    compiled: bool
    versions: dict[str, str]
    sha256: str = ""
    minutes_limit: float | None = None
    history: tuple[dict[str, float], ...] = field(default=())
