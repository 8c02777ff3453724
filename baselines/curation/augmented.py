"""Every training image is added once more, turned, sheared and scaled at random: the plain way to more data."""

from __future__ import annotations

import numpy as np
from PIL import Image

from run import CurationRun

COPIES = 1
LIMIT = 10_000
"""Images that train and val may hold together."""
SIDE = 48
"""Longest side of an added image: the fixed model sees 32 x 32 pixels."""


class Augmented(CurationRun):
    """Random copies of every image in train, as far as the limit allows."""

    def curate(self, dataset, label_book, time_available, register_progress, seed):
        draws = np.random.default_rng(seed)
        train = [row for row, split in enumerate(dataset.splits) if split == "train"]
        room = max(0, LIMIT - len(dataset))
        edits = []
        for copy in range(COPIES):
            for row in draws.permutation(train).tolist():
                if len(edits) == room:
                    return edits
                label = dataset.classes[dataset.labels[row]]
                name = dataset.ids[row].rpartition("/")[2].rpartition(".")[0]
                edits.append(
                    {
                        "id": f"train/{label}/augmented-{copy}-{name}.png",
                        "action": "add",
                        "label": label,
                        "split": "train",
                        "image": augmented(dataset.pil(row), draws),
                    }
                )
            register_progress((copy + 1) / COPIES)
        return edits


def augmented(image, draws):
    """The image in gray, scaled to ``SIDE`` at most, then turned by up to 12 degrees, sheared, scaled and shifted a little."""
    gray = image.convert("L")
    gray.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
    width, height = gray.size
    pixels = np.asarray(gray)
    ground = int(np.median(np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])))
    angle, shear = np.deg2rad(draws.uniform(-12, 12)), draws.uniform(-0.15, 0.15)
    scale = draws.uniform(0.9, 1.15, 2)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[1, shear], [0, 1]]) / scale[:, None]
    middle = np.array([width, height]) / 2
    shift = middle - matrix @ middle + draws.uniform(-0.06, 0.06, 2) * (width, height)
    a, b, c, d = matrix.ravel()
    moved = gray.transform(
        gray.size, Image.Transform.AFFINE, (a, b, shift[0], c, d, shift[1]), Image.Resampling.BILINEAR, fillcolor=ground
    )
    return np.asarray(moved)
