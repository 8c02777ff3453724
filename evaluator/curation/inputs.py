"""What the network sees of an image: 32 x 32 pixels, bilinear without smoothing, colours centred as for Caffe.

``tf.image.resize(..., antialias=False)``: the centres of pixels are halves, the corners are not aligned, and an image that
shrinks is sampled and not averaged. The result is not rounded. ``preprocess_input`` of Keras's ResNet: red, green, blue become
blue, green, red, minus their means on ImageNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

MEANS = (103.939, 116.779, 123.68)
"""Of blue, green and red."""


def resized(pixels: Sequence[np.ndarray], size: int) -> Tensor:
    """Images uint8 (h, w) or (h, w, 3) at one size: float32 (n, 1, size, size) if none has a colour, else (n, 3, size, size)."""
    colours = 3 if any(image.ndim == 3 for image in pixels) else 1
    found = torch.empty(len(pixels), colours, size, size)
    for row, image in enumerate(pixels):
        planes = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
        planes = planes[None] if planes.ndim == 2 else planes.permute(2, 0, 1)
        found[row] = F.interpolate(planes[None], (size, size), mode="bilinear", align_corners=False)[0]
    return found


@cache
def _means(where: torch.device) -> Tensor:
    """Kept on its device: sending it anew would make a device wait in every step."""
    with torch.inference_mode(False):
        return torch.tensor(MEANS, device=where).view(1, 3, 1, 1)


def centred(images: Tensor) -> Tensor:
    """``resized`` images as the network takes them: float32 (n, 3, size, size), channels last in memory."""
    means = _means(images.device)
    flipped = images.flip(1) if images.shape[1] == 3 else images
    return (flipped - means).contiguous(memory_format=torch.channels_last)
