"""Contact sheets for the data card and for development: what each class looks like, from clearly to barely visible."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from evaluator.data.painted.generator import Generator
from evaluator.errors import ConfigurationError

CONTRASTS = (1.0, 0.75, 0.5, 0.35, 0.2)
_CAPTION, _GAP = 14, 3


def grid(rows: Sequence[tuple[str, Sequence[np.ndarray]]], tile: int) -> Image.Image:
    """Rows of square images with captions. Images of another size than ``tile`` px are scaled without smoothing.

    Args:
        rows: caption and images (uint8 (size, size, 3)) of each row.
        tile: pixels per side on the sheet.
    """
    columns = max(len(images) for _, images in rows)
    sheet = Image.new("RGB", (columns * (tile + _GAP) + _GAP, len(rows) * (tile + _CAPTION + _GAP) + _GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (caption, images) in enumerate(rows):
        top = _GAP + row * (tile + _CAPTION + _GAP)
        pen.text((_GAP, top), caption, fill="black")
        for column, pixels in enumerate(images):
            image = Image.fromarray(pixels)
            if image.size != (tile, tile):
                image = image.resize((tile, tile), Image.Resampling.NEAREST)
            sheet.paste(image, (_GAP + column * (tile + _GAP), top + _CAPTION))
    return sheet


def class_sheet(
    generator: Generator, class_name: str, *, columns: int = 10, tile: int = 128, contrasts: Sequence[float] = CONTRASTS
) -> Image.Image:
    """One class for the data card: a row of clean sheets, then the same sheets with only this damage, from clearly to barely
    visible.

    Args:
        generator: gives seed, size and shift of the sheets; images are rendered at its size and shown at ``tile`` px.
        class_name: one of the generator's classes.
        columns: sheets per row.
        tile: pixels per tile.
        contrasts: contrast factor of each row.

    Raises:
        ConfigurationError: the generator does not have the class.
    """
    if class_name not in generator.classes:
        raise ConfigurationError(f"class {class_name!r} is not known; choose one of {', '.join(generator.classes)}")
    position = generator.classes.index(class_name)
    only = [int(i == position) for i in range(len(generator.classes))]
    none = [0] * len(generator.classes)
    rows = [("clean", [generator.render("card", i, none) for i in range(columns)])]
    for contrast in contrasts:
        rows.append((f"{class_name}, contrast {contrast:g}", [generator.render("card", i, only, contrast) for i in range(columns)]))
    return grid(rows, tile)


def contact_sheet(generator: Generator, split: str = "card", *, columns: int = 8, rows: int = 6, tile: int = 128) -> Image.Image:
    """The first images of a split, with their labels. The caption of a row names the damages of each of its images."""
    lines = []
    for row in range(rows):
        samples = [generator.sample(split, row * columns + column) for column in range(columns)]
        names = [
            "+".join(_short(name) for name, on in zip(generator.classes, label, strict=True) if on) or "-" for _, label in samples
        ]
        lines.append(("  |  ".join(names), [image for image, _ in samples]))
    return grid(lines, tile)


def _short(name: str) -> str:
    stem, _, kind = name.partition("_")
    return stem[:4] + (f".{kind[0]}" if kind in ("small", "large") else "")
