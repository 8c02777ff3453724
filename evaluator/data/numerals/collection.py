"""A collection of handwritten Roman numerals with wrong labels, junk and copies, and what is true of each image.

The figures are those of the images of the Data-Centric AI Competition 2021, as one participant cleaned them by hand: of 2,880
images 106 had another class's label (3.7 %), 227 were removed (7.9 %), and 49 pairs were equal, each across training and
validation. What is scored by has none of that, and mostly other writers.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from evaluator.data.numerals.junk import junk
from evaluator.data.numerals.page import scanned
from evaluator.data.numerals.strokes import NUMERALS, written
from evaluator.data.numerals.writers import Writer
from evaluator.data.painted.exact import Draws
from evaluator.errors import ConfigurationError
from evaluator.seeds import derive

VERSION = 1
"""Of the drawing. Raise it when an image or a label of a seed changes."""
WRONG, JUNK, COPIED = 0.037, 0.079, 0.06
"""Shares of wrong labels and of junk in what is seen, by default; and of validation images that are copies of training images."""
WRITERS, STRANGERS = 60, 60
"""Writers of what is seen, and of what is hidden; a third of the latter are among the former."""
SHARES = (0.126, 0.076, 0.09, 0.136, 0.095, 0.088, 0.093, 0.096, 0.087, 0.113)
"""Of the classes in training, uneven as in the competition; everywhere else they are even."""
MISTAKEN: Mapping[str, tuple[str, ...]] = {
    "i": ("ii", "v"),
    "ii": ("iii", "i"),
    "iii": ("ii", "viii"),
    "iv": ("vi", "v", "ix"),
    "v": ("iv", "x", "vi"),
    "vi": ("iv", "vii", "v"),
    "vii": ("viii", "vi"),
    "viii": ("vii", "iii"),
    "ix": ("iv", "x"),
    "x": ("v", "ix"),
}
"""Which class an annotator takes a numeral for."""
ANYTHING = 0.25
"""Share of wrong labels that are any other class."""

Kind = Literal["right", "wrong", "junk", "copy"]
SEEN = ("train", "val")
HIDDEN = ("label_book", "test")
SPLITS = (*SEEN, *HIDDEN)


@dataclass(frozen=True, eq=False)
class Drawn:
    """An image with everything that is known of it.

    Attributes:
        split, number: its place. ``pixels``: uint8 (h, w).
        label: that it is given, the number of a class. ``true``: what was written; -1 for junk.
        kind: ``copy`` has the pixels and the label of a training image, ``of`` its number (else -1), whatever that is itself.
    """

    split: str
    number: int
    pixels: np.ndarray
    label: int
    true: int
    kind: Kind
    of: int = -1


@dataclass(frozen=True)
class Collection:
    """The images of a seed. An image depends on the seed, its split, its number and the sizes of the splits alone.

    Attributes:
        seed: 0 or more. Who knows it knows every label, so an organiser's needs at least 128 random bits.
        sizes: images of each of ``SPLITS``.
        wrong, junk: shares of wrong labels and of junk in what is seen; together less than a half.

    Raises:
        ConfigurationError: a negative seed, another split, or a size or a share that makes no sense.
    """

    seed: int
    sizes: Mapping[str, int]
    wrong: float = WRONG
    junk: float = JUNK

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ConfigurationError(f"the seed is {self.seed}; it must be 0 or more")
        for split in SPLITS:
            size = self.sizes.get(split, 0)
            if isinstance(size, bool) or not isinstance(size, int) or not 10 <= size <= 100_000:
                raise ConfigurationError(f"the size of {split} is {size!r}; expected a whole number, 10 to 100,000")
        if not (self.wrong >= 0 and self.junk >= 0 and self.wrong + self.junk < 0.5):
            raise ConfigurationError(
                f"the shares of wrong labels and junk are {self.wrong} and {self.junk}; expected 0 or more, together less than 0.5"
            )
        if set(self.sizes) != set(SPLITS):
            raise ConfigurationError(f"the sizes are of {', '.join(self.sizes)}; expected {', '.join(SPLITS)}")

    def split(self, name: str) -> Iterator[Drawn]:
        """All images of a split, in the order of their numbers."""
        for number in range(self.sizes[name]):
            yield self.image(name, number)

    def image(self, split: str, number: int) -> Drawn:
        """One image.

        Raises:
            IndexError: there is none of that number.
        """
        number = operator.index(number)
        if not 0 <= number < self.sizes[split]:
            raise IndexError(f"there is no image {number} in {split}; it has 0 to {self.sizes[split] - 1}")
        kind, of = self._kind(split, number)
        if kind == "copy":
            parent = self.image("train", of)
            return Drawn(split, number, parent.pixels, parent.label, parent.true, "copy", of)
        draws = self._stream(split, number)
        label = self._class(split, number, draws)
        hand, page = self._writer(split, draws).varied(draws)
        if kind == "junk":
            return Drawn(split, number, junk(hand, page, draws), label, -1, "junk")
        strokes = written(NUMERALS[label], hand, draws)
        beside = written(NUMERALS[draws.integer(10)], hand, draws) if draws.random() < page.crowded else ()
        pixels = scanned(strokes, page, draws, beside)
        return Drawn(split, number, pixels, _mistaken(label, draws) if kind == "wrong" else label, label, kind)

    def _kind(self, split: str, number: int) -> tuple[Kind, int]:
        """By a permutation of the split, so that the shares hold exactly; and the parent of a copy."""
        if split not in SEEN:
            return "right", -1
        size = self.sizes[split]
        place = int(self._order(split)[number])
        wrong, bad = round(self.wrong * size), round((self.wrong + self.junk) * size)
        if place < bad:
            return ("wrong" if place < wrong else "junk"), -1
        copies = min(round(COPIED * size), self.sizes["train"] // 4) if split == "val" else 0
        if place < bad + copies:
            right = np.flatnonzero(self._order("train") >= round((self.wrong + self.junk) * self.sizes["train"]))
            return "copy", int(right[(place - bad) * len(right) // copies])
        return "right", -1

    def _order(self, split: str) -> np.ndarray:
        return _permutation(self.seed, split, self.sizes[split])

    def _class(self, split: str, number: int, draws: Draws) -> int:
        return draws.choice(SHARES) if split == "train" else number % len(NUMERALS)

    def _writer(self, split: str, draws: Draws) -> Writer:
        """Some write more than others: the chance of a writer falls with the square of the draw."""
        part = draws.random()
        who = int(part * part * WRITERS) if split in SEEN else WRITERS - STRANGERS // 3 + draws.integer(STRANGERS)
        return Writer.drawn(Draws(derive(self.seed, "numerals", "writer", who)))

    def _stream(self, split: str, number: int) -> Draws:
        return Draws(derive(self.seed, "numerals", split, number))


@lru_cache(maxsize=8)
def _permutation(seed: int, split: str, size: int) -> np.ndarray:
    return np.random.Generator(np.random.SFC64(derive(seed, "numerals", split, "kinds"))).permutation(size)


def _mistaken(label: int, draws: Draws) -> int:
    if draws.random() < ANYTHING:
        return (label + 1 + draws.integer(len(NUMERALS) - 1)) % len(NUMERALS)
    takes = MISTAKEN[NUMERALS[label]]
    return NUMERALS.index(takes[draws.integer(len(takes))])
