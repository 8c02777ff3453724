"""Contact sheets for the data set card: what each class looks like."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from evaluator.data.decoding import decode
from evaluator.data.folders import Split

MAX_PICTURE = 300_000
"""Bytes a contact sheet may have, since it is kept with the code."""

_TILE, _COLUMNS, _ROWS = 80, 8, 4


def small_png(image: Image.Image, limit: int = MAX_PICTURE) -> bytes:
    """The image as a PNG of at most ``limit`` bytes: in full colour if that is enough, else with fewer colours, else smaller."""
    while True:
        for colours in (None, 256, 128, 64):
            buffer, drawn = io.BytesIO(), image
            if colours is not None:
                # Dithered: without it faint stains turn into flat patches with sharp edges.
                drawn = image.quantize(colours, palette=image.quantize(colours), dither=Image.Dither.FLOYDSTEINBERG)
            drawn.save(buffer, "PNG", optimize=True)
            if buffer.tell() <= limit or min(image.size) < 16:
                return buffer.getvalue()
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.LANCZOS)


def class_picture(name: str, splits: Sequence[Split], about: dict, resize: str = "") -> Image.Image | None:
    """The contact sheet of the class ``name``, None where no image has it.

    Args:
        name: the class.
        splits: where to look for images that have it; the first come first.
        about: what ``dataset.json`` says. If it names a seed of the kit's generator, the sheet shows this damage alone, on the same
            sheets from plain to barely visible; otherwise it shows images of the splits.
        resize: as in ``decoding.decode``.

    Raises:
        DataError: an image cannot be decoded.
    """
    if about.get("generated") and isinstance(about.get("seed"), int):
        # Here and not above: only generated data needs the generator.
        from evaluator.data.painted import CLASSES, Generator, class_sheet

        if name in CLASSES:
            generator = Generator(about["seed"], max(_TILE, int(about["image_size"])), CLASSES, about["shift"])
            return class_sheet(generator, name, columns=_COLUMNS, tile=_TILE)
    tiles: list[Image.Image] = []
    for split in splits:
        column = split.classes.index(name)
        for index in np.flatnonzero(split.labels[:, column])[: _COLUMNS * _ROWS - len(tiles)]:
            image, _ = decode(split.path(index).read_bytes(), str(split.path(index)), _TILE, resize)
            tiles.append(Image.fromarray(image))
    if not tiles:
        return None
    step = _TILE + 2
    sheet = Image.new("RGB", (min(_COLUMNS, len(tiles)) * step + 2, -(-len(tiles) // _COLUMNS) * step + 2), "white")
    for place, tile in enumerate(tiles):
        sheet.paste(tile, (2 + place % _COLUMNS * step, 2 + place // _COLUMNS * step))
    return sheet
