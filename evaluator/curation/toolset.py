"""The images that the tools of a participant look at: both splits of a folder, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from evaluator.curation.images import LabelledImages, class_names, joined, read_images
from evaluator.data.image_checks import first_copies
from evaluator.errors import DataError

TRAIN, VAL = "train", "val"


@dataclass(frozen=True, eq=False)
class ToolSet:
    """A data set as tools see it.

    Attributes:
        classes: names, in the order of the labels.
        images: of ``train``, then of ``val``; ids begin with the split.
        validation: bool (n,).
    """

    classes: tuple[str, ...]
    images: LabelledImages
    validation: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """int64 (n,)."""
        return self.images.labels

    @property
    def splits(self) -> list[str]:
        """The split of every image."""
        return [VAL if there else TRAIN for there in self.validation]

    @cached_property
    def groups(self) -> np.ndarray:
        """int64 (n,), equal for images with equal pixels."""
        return first_copies(self.images.pixels)


def read_toolset(folder: Path) -> ToolSet:
    """Read ``train/<class>/*.png`` and ``val/<class>/*.png``.

    Raises:
        DataError: a folder or an image is not what was expected; the message names it.
    """
    folder = Path(folder)
    for split in (TRAIN, VAL):
        if not (folder / split).is_dir():
            raise DataError(f"--data {folder}: it has no folder {split}; expected {split}/<class>/*.png. Name another folder")
    classes = class_names(folder / TRAIN)
    train, val = (read_images(folder / split, classes, prefix=f"{split}/") for split in (TRAIN, VAL))
    if not len(train) or not len(val):
        raise DataError(f"--data {folder}: train has {len(train)} images, val {len(val)}; expected some in both. Add them")
    return ToolSet(classes, joined((train, val)), np.arange(len(train) + len(val)) >= len(train))


def squared(pixels: Sequence[np.ndarray], size: int) -> np.ndarray:
    """Images of any shapes stretched to squares by Pillow's bicubic filter, uint8 (n, size, size, 3), or (n, size, size, 1) if none
    has a colour."""
    channels = 3 if any(image.ndim == 3 for image in pixels) else 1
    found = np.empty((len(pixels), size, size, channels), np.uint8)
    for row, image in enumerate(pixels):
        small = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
        found[row] = small if small.ndim == 3 else small[..., None]
    return found
