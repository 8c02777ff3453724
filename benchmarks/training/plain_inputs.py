"""Inputs of the plain loop: image files, decoded and transformed one at a time, every time they are needed."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset
from torchvision import transforms

from benchmarks.training.phases import SILENT, Phases
from evaluator.data.folders import Split
from evaluator.training.pipeline import Augmentation, Pipeline


class Files(Dataset):
    """Images of a split, decoded from their files every time: item i is (image float32 (3, s, s), labels float32 (k,))."""

    def __init__(self, split: Split, items: np.ndarray, transform: Callable, phases: Phases = SILENT) -> None:
        self.paths = [str(split.path(int(item))) for item in items]
        self.targets = split.labels[items].astype(np.float32)
        self.transform, self.phases = transform, phases

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        with self.phases("decode"):
            image = Image.open(self.paths[index]).convert("RGB")
        with self.phases("augment"):
            return self.transform(image), torch.from_numpy(self.targets[index])


class ChannelGain(nn.Module):
    """Multiplies each channel by a random factor, (3, s, s) in [0, 1] to the same; torchvision has no class for it."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.width = width

    def forward(self, image: Tensor) -> Tensor:
        return (image * (1 + self.width * (2 * torch.rand(3, 1, 1) - 1))).clamp(0, 1)


def augmentations(rules: Augmentation, chance: float = 0.5) -> list[Callable]:
    """torchvision's transforms for a pipeline's augmentation of a Pillow image.

    Args:
        rules: the augmentation.
        chance: probability of each mirror and of each of the two turns (by 180 and by 90 degrees) that make a quarter turn.
    """
    found: list[Callable] = []
    if rules.horizontal_flip:
        found.append(transforms.RandomHorizontalFlip(chance))
    if rules.vertical_flip:
        found.append(transforms.RandomVerticalFlip(chance))
    if rules.quarter_turns:
        # Turned by 180 or not, and by 90 or not: every quarter turn is equally likely, and all draws come from torch's generator.
        found += [transforms.RandomApply([transforms.RandomRotation((angle, angle))], chance) for angle in (180, 90)]
    if rules.shift or rules.zoom:
        found.append(
            transforms.RandomAffine(
                degrees=0,
                translate=(rules.shift, rules.shift) if rules.shift else None,
                scale=(1 - rules.zoom, 1 + rules.zoom) if rules.zoom else None,
                interpolation=transforms.InterpolationMode.BILINEAR,
            )
        )
    if rules.blur:
        # The width at which the ratio of the Gaussian's outer weight to its centre equals that of the strongest binomial blur.
        side = (rules.blur / 4) / (1 - rules.blur / 2)
        found.append(transforms.GaussianBlur(3, sigma=(0.01, math.sqrt(-1 / (2 * math.log(side))))))
    if rules.gaussian:
        found.append(transforms.GaussianBlur(2 * math.ceil(3 * rules.gaussian) + 1, sigma=(1e-3, rules.gaussian)))
    if rules.brightness or rules.contrast:
        found.append(transforms.ColorJitter(brightness=rules.brightness, contrast=rules.contrast))
    return found


def transforms_of(pipeline: Pipeline, *, training: bool, stored: int) -> Callable:
    """From a Pillow image of ``stored`` px to the network's input, (3, image_size, image_size) float32."""
    steps: list[Callable] = [] if stored == pipeline.image_size else [transforms.Resize((pipeline.image_size, pipeline.image_size))]
    steps += augmentations(pipeline.augmentation) if training else []
    steps.append(transforms.ToTensor())
    if training and pipeline.augmentation.colour:
        steps.append(ChannelGain(pipeline.augmentation.colour))
    return transforms.Compose([*steps, transforms.Normalize(pipeline.mean, pipeline.std)])
