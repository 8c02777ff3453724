"""What a pre-training is asked for, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from evaluator.errors import ConfigurationError
from evaluator.training.pipeline import ARCHITECTURES, PROCEDURAL_ARCHITECTURE, TIMM_PREFIX


@dataclass(frozen=True)
class PretrainSpec:
    """Everything that decides what the weights become, apart from the device and a limit in minutes.

    Args:
        architecture: one of torchvision's EfficientNets, or ``timm/<name>``; whether timm has it is seen when it is built.
        size: side of the images in pixels; the weights fit other sizes, too, but are trained at this size.
        images: how many images are shown, each once.
        learning_rate: the peak, after ``warm_up`` (share of the run) and before the cosine.
        large_share: share of the batches rendered at 1.5 times ``size``.
        averaging: decay of the moving average per step, approached as the run goes on.
        held_out: images of the final figures; a quarter of them is used on the way.
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
                f"large_share {self.large_share}: {self.architecture} may be built for images of one size alone; expected 0"
            )
        if self.size < 32 or self.batch_size < 2 or self.images < self.batch_size or self.held_out < 8:
            raise ConfigurationError(
                f"size {self.size}, batch_size {self.batch_size}, images {self.images}, held_out {self.held_out}: expected a size "
                f"of at least 32, batches of at least 2, at least one batch of images, and at least 8 held out"
            )
        if self.seed < 0 or self.learning_rate <= 0.0 or self.weight_decay < 0.0 or self.clip <= 0.0:
            raise ConfigurationError(
                f"seed {self.seed}, learning_rate {self.learning_rate}, weight_decay {self.weight_decay}, clip {self.clip}: "
                f"expected none below zero, and a learning rate and clip above it"
            )
        if not (0.0 < self.warm_up < 1.0 and 0.0 <= self.averaging < 1.0 and 0.0 <= self.large_share <= 1.0):
            raise ConfigurationError(
                f"warm_up {self.warm_up}, averaging {self.averaging}, large_share {self.large_share}: expected shares in 0..1"
            )


@dataclass(frozen=True)
class PretrainResult:
    """What was made and how well it tells primitives apart (average precision per attribute on held-out images)."""

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
