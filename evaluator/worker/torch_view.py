"""A data set as torch likes it. Apart from ``datasets`` because importing torch takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset


class TorchView(Dataset):
    """Map-style torch data set over an ``ImageDataset``; see ``ImageDataset.torch``."""

    def __init__(self, dataset: Any, transform: Callable[[Any], Any] | None = None) -> None:
        self.dataset = dataset
        self.transform = transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, position: int) -> Any:
        item = self.dataset[position]
        if self.transform is None:
            planes = np.ascontiguousarray(item["image"].transpose(2, 0, 1), dtype=np.float32)
            image = torch.from_numpy(planes).div_(255)
        else:
            image = self.transform(self.dataset.pil(position))
        return (image, torch.tensor(item["label"], dtype=torch.float32)) if "label" in item else image
