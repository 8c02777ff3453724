"""What may be wrong with an image whatever its label says: too dark, blurred, of an odd size, with little on it, or twice there.

Each check is a figure by a plain formula and a bound on it. The bounds are shares of the data set's own spread where the figure has
no meaning by itself, so that white paper with one stroke on it is not called empty because photographs hold more.

- ``brightness``: the 99th percentile of the grey values, 0 to 1. Below ``DARK`` nothing in the image is bright.
- ``contrast``: the 99th percentile minus the half-hundredth. Below ``FAINT`` there is next to nothing to see. A stroke of a pen
  covers a hundredth of its sheet, so a higher percentile would call handwriting empty.
- ``sharpness``: the variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", 2000) at a
  side of ``SIDE`` pixels, over the variance of the grey values: a share, so that faint but crisp strokes are not called blurred.
- ``information``: the entropy of the grey values in 32 bins, in bits, after resizing.
- ``odd size``: the logarithm of the area, or of width to height, lies further from the median than ``FENCES`` interquartile ranges
  beyond the quartiles (Tukey's fences; 3 is "far out").

Sharpness and information are judged by the same fences on their logarithms, at the lower side only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

DARK, FAINT = 0.35, 0.1
SIDE = 64
"""Side in pixels at which sharpness and information are measured, so that they do not depend on the size of the file."""
FENCES = 3.0
BINS = 32
EXPLAINED = {
    "dark": f"99 % of the pixels are darker than {DARK:.2f} of full brightness",
    "empty": f"the brightest hundredth of the pixels is less than {FAINT} brighter than the darkest half-hundredth",
    "blurred": f"the Laplacian's share of the variance lies {FENCES:g} interquartile ranges below the lower quartile of all images",
    "odd size": f"area or width to height lies {FENCES:g} interquartile ranges beyond the quartiles of all images",
    "little information": f"the entropy of the grey values lies {FENCES:g} interquartile ranges below the lower quartile",
    "duplicate": "another image has the same pixels",
}
"""What each flag means, for pages and messages."""


@dataclass(frozen=True, eq=False)
class ImageChecks:
    """Figures of n images, float64 (n,) each, and what the bounds make of them.

    Attributes:
        brightness: 99th percentile of the grey values, 0 to 1. ``contrast``: that, minus the half-hundredth percentile.
        sharpness: share; ``information``: bits; ``width``, ``height``: pixels.
        copies: per image the number of the first image with equal pixels (its own, where there is none before it).
        flags: per image the names of what was found, in the order of ``EXPLAINED``.
    """

    brightness: np.ndarray
    contrast: np.ndarray
    sharpness: np.ndarray
    information: np.ndarray
    width: np.ndarray
    height: np.ndarray
    copies: np.ndarray
    flags: tuple[tuple[str, ...], ...]


def check_images(images: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]] | None = None) -> ImageChecks:
    """Check images of any sizes.

    Args:
        images: uint8 (h, w) or (h, w, channels) each.
        sizes: (width, height) of the files, where the images were resized since; None: those of the images.
    """
    figures = np.array([_figures(image) for image in images], np.float64).reshape(len(images), 4)
    brightness, contrast, sharpness, information = figures.T
    width, height = (
        np.array(sizes if sizes is not None else [(i.shape[1], i.shape[0]) for i in images], np.float64).reshape(-1, 2).T
    )
    copies = first_copies(images)
    counts = np.bincount(copies, minlength=len(images))
    odd = beyond(np.log(width * height)) | beyond(np.log(width / height))
    found = {
        "dark": brightness < DARK,
        "empty": contrast < FAINT,
        "blurred": beyond(np.log(np.maximum(sharpness, 1e-9)), upper=False),
        "odd size": odd,
        "little information": beyond(np.log(np.maximum(information, 1e-9)), upper=False),
        "duplicate": counts[copies] > 1,
    }
    flags = tuple(tuple(name for name, where in found.items() if where[i]) for i in range(len(images)))
    return ImageChecks(brightness, contrast, sharpness, information, width, height, copies, flags)


def first_copies(images: Sequence[np.ndarray]) -> np.ndarray:
    """Per image the number of the first image with the same shape and pixels, int64 (n,)."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(pixel_digest(image), place) for place, image in enumerate(images)], np.int64)


def pixel_digest(image: np.ndarray) -> bytes:
    """SHA-256 of an image's shape and pixels. Grey images are equal however many channels repeat them."""
    grey = image[..., 0] if image.ndim == 3 and (image == image[..., :1]).all() else image
    return hashlib.sha256(str(grey.shape).encode() + np.ascontiguousarray(grey).tobytes()).digest()


def beyond(values: np.ndarray, *, upper: bool = True) -> np.ndarray:
    """Whether values lie beyond Tukey's far fences, bool (n,); at the lower side only where ``upper`` is False."""
    if not len(values):
        return np.zeros(0, bool)
    low, high = np.percentile(values, (25, 75))
    reach = FENCES * (high - low)
    if reach == 0:  # at least half are equal: the fences are no distance, and what is a rounding error away is not far out
        reach = 1e-6 * max(1.0, abs(high))
    outside = values < low - reach
    return outside | (values > high + reach) if upper else outside


def _figures(image: np.ndarray) -> tuple[float, float, float, float]:
    """Brightness, contrast, sharpness and information of an image."""
    grey = image.astype(np.float32)
    if grey.ndim == 3:
        grey = grey @ np.array([0.299, 0.587, 0.114], np.float32) if grey.shape[2] == 3 else grey.mean(axis=2)
    small = np.asarray(Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float64) / 255
    darkest, brightness = np.percentile(grey, (0.5, 99)) / 255
    laplacian = small[:-2, 1:-1] + small[2:, 1:-1] + small[1:-1, :-2] + small[1:-1, 2:] - 4 * small[1:-1, 1:-1]
    sharpness = float(laplacian.var() / max(small.var(), 1e-9)) if small.var() > 1e-9 else 0.0
    share = np.histogram(small, BINS, (0, 1))[0] / small.size
    information = float(-(share[share > 0] * np.log2(share[share > 0])).sum())
    return float(brightness), float(brightness - darkest), sharpness, max(information, 0.0)
