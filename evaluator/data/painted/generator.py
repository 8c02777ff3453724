"""Painted metal sheets with production damages. Every image depends only on seed, split and index."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evaluator.data.painted.damage import RECIPES, Damage
from evaluator.data.painted.exact import Draws
from evaluator.data.painted.light import Light
from evaluator.data.painted.sensor import Sensor
from evaluator.data.painted.sheet import Sheet
from evaluator.data.painted.shift import CLASSES, SHIFTS, Shift
from evaluator.errors import ConfigurationError
from evaluator.seeds import derive

SMALLEST, LARGEST = 32, 512


@dataclass(frozen=True)
class Generator:
    """An endless, reproducible source of labelled images.

    An image depends on ``(seed, split, index)`` and on the fields below, never on the number or the order of the images that are
    made. The scene is drawn in units of the image's side: another ``size`` shows the same sheet, finer or coarser, with other
    noise. Another ``shift`` may change everything. Images and labels are the same to the bit on every machine (see ``exact``).

    Attributes:
        seed: root seed, 0 or more, of any length. Anybody who knows it knows every label, so private data needs a seed of at least
            128 random bits.
        size: pixels per side, 32..512.
        classes: the damages that may occur, in the order of the label vector.
        shift: name in ``SHIFTS``.

    Raises:
        ConfigurationError: a field has a value that is not allowed.
    """

    seed: int
    size: int
    classes: tuple[str, ...] = CLASSES
    shift: str = "public"

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigurationError(f"the seed is {self.seed}; it must be 0 or more")
        if not isinstance(self.size, int) or not SMALLEST <= self.size <= LARGEST:
            raise ConfigurationError(f"the image size is {self.size} px; it must be {SMALLEST} to {LARGEST}")
        if self.shift not in SHIFTS:
            raise ConfigurationError(f"shift {self.shift!r} is not known; choose one of {', '.join(SHIFTS)}")
        strangers = [name for name in self.classes if name not in CLASSES]
        if strangers or not self.classes or len(set(self.classes)) != len(self.classes):
            raise ConfigurationError(f"the classes are {self.classes}; choose at least 1 of {', '.join(CLASSES)}, each once")

    def label(self, split: str, index: int) -> np.ndarray:
        """The label vector of an image, without rendering it: uint8 (k,), 0 or 1, in the order of ``classes``.

        Raises:
            IndexError: ``index`` is negative. There is an image for every other whole number.
        """
        everything = SHIFTS[self.shift].labels(self._stream(split, index, "label"))
        return everything[[CLASSES.index(name) for name in self.classes]]

    def sample(self, split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image ``index`` of ``split``: uint8 (size, size, 3) RGB and its label, uint8 (k,)."""
        label = self.label(split, index)
        return self.render(split, index, label), label

    def render(self, split: str, index: int, label: Sequence[int] | np.ndarray, contrast: float | None = None) -> np.ndarray:
        """The sheet of ``(split, index)`` with the damages of ``label`` instead of its own: uint8 (size, size, 3).

        Sheet, light and camera do not depend on ``label``, and the damages of one class do not depend on those of others, so two
        renderings differ only by the damages.

        Args:
            contrast: contrast of every damage, more than 0 and at most 1; None draws a contrast for each damage.

        Raises:
            ConfigurationError: ``label`` has another length than ``classes``, or ``contrast`` is not in (0, 1].
            IndexError: ``index`` is negative.
        """
        if contrast is not None and not 0 < contrast <= 1:
            raise ConfigurationError(f"the contrast is {contrast}; it must be more than 0 and at most 1")
        if len(label) != len(self.classes):
            raise ConfigurationError(f"the label has {len(label)} entries; expected {len(self.classes)}, one per class")
        table = SHIFTS[self.shift]
        scene = self._stream(split, index, "scene")
        sheet, light, sensor = Sheet.draw(scene, table), Light.draw(scene, table), Sensor.draw(scene, table)
        canvas = sheet.canvas(self.size)
        for name in RECIPES:
            if name in self.classes and label[self.classes.index(name)]:
                for damage in _damages(self._stream(split, index, name), name, sheet, table, contrast):
                    damage.mark(canvas, light.towards)
        return sensor.expose(light.shade(canvas, sheet.colour), canvas, self._stream(split, index, "noise"))

    def _stream(self, split: str, index: int, purpose: str) -> Draws:
        index = operator.index(index)
        if index < 0:
            raise IndexError(f"there is no image {index}; images are counted from 0")
        return Draws(derive(self.seed, "painted", split, index, purpose))


def _damages(rng: Draws, name: str, sheet: Sheet, shift: Shift, contrast: float | None) -> list[Damage]:
    recipe = RECIPES[name]
    count = 1 + rng.choice(recipe.counts)
    drawn = [shift.contrast(rng) for _ in range(count)]
    return [recipe.draw(rng, recipe.kind, sheet.colour, own if contrast is None else contrast, shift) for own in drawn]
