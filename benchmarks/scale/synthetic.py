"""Splits of any size: few different images under many names, to be read and decoded by the kit's own code."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from evaluator.purchase.rounds import ROUND2
from evaluator.seeds import generator

CLASSES = ROUND2.classes
DIFFERENT = 64
"""Number of images that are painted; the others are links to the same files."""


def write_split(folder: Path, n: int, size: int) -> Path:
    """A split of ``n`` PNG images of ``size`` x ``size`` pixels: smooth patches under noise, about as slow to decode as a photo.

    Labels are drawn at random and say nothing about the images.
    """
    draw = generator(1, "benchmark", "split", n, size)
    images = folder / "images"
    images.mkdir(parents=True)
    for number in range(n):
        path = images / f"{number:07d}.png"
        if number < DIFFERENT:
            coarse = draw.integers(40, 200, (size // 16 + 1, size // 16 + 1, 3)).repeat(16, 0).repeat(16, 1)[:size, :size]
            Image.fromarray((coarse + draw.integers(0, 32, (size, size, 3))).astype(np.uint8)).save(path, compress_level=1)
        else:
            os.link(images / f"{number % DIFFERENT:07d}.png", path)
    labels = draw.integers(0, 2, (n, len(CLASSES)))
    lines = [",".join(("filename", *CLASSES))]
    lines += [f"{number:07d}.png,{','.join(map(str, row))}" for number, row in enumerate(labels.tolist())]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder
