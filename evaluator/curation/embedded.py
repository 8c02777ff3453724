"""Data without a download: handwritten numerals by the kit's own generator, with the truth apart from what is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from evaluator.curation.images import LabelledImages
from evaluator.data.numerals import NUMERALS, Collection, Drawn
from evaluator.data.numerals.collection import JUNK, WRONG
from evaluator.errors import ConfigurationError
from evaluator.words import meant

CLASSES = NUMERALS
SIZES: Mapping[str, Mapping[str, int]] = {
    "numerals": {"train": 2_067, "val": 813, "label_book": 52, "test": 2_000},
    "quick": {"train": 600, "val": 240, "label_book": 20, "test": 600},
    "debug": {"train": 160, "val": 60, "label_book": 10, "test": 100},
}
"""Images of each split by profile. ``numerals`` has the sizes of the competition's data."""
RATES: Mapping[str, tuple[float, float]] = {"numerals": (WRONG, JUNK), "quick": (0.16, 0.1), "debug": (0.16, 0.1)}
"""Shares of wrong labels and of junk. The small sets have more than the competition's: few images would not show what they cost."""


@dataclass(frozen=True)
class Truth:
    """What is true of an image.

    Attributes:
        label: what was written, the number of a class; -1 for junk.
        kind: ``right``, ``wrong`` (its given label is another), ``junk``, or ``copy``.
        copy_of: id of the training image that a copy repeats, else empty.
    """

    label: int
    kind: str
    copy_of: str = ""


@dataclass(frozen=True, eq=False)
class EmbeddedData:
    """What a participant sees, what only the judge sees, and the truth.

    Attributes:
        train, validation, label_book: given to participants, with labels as given. ``test``: hidden.
        truth: of every id of all four; only for the judge.
    """

    train: LabelledImages
    validation: LabelledImages
    label_book: LabelledImages
    test: LabelledImages
    truth: Mapping[str, Truth]


def made(profile: str, seed: int, progress: Callable[[int, int], None] | None = None) -> EmbeddedData:
    """The data of a profile and seed, the same to the bit on every machine.

    Ids are ``<split>/<class>/<number>.png`` with the splits train, val, label_book and test, as files would lie; the class is the
    label as given.

    Args:
        profile: a name in ``SIZES``. ``seed``: 0 or more.
        progress: called with images done and images in all.

    Raises:
        ConfigurationError: no such profile, or a negative seed.
    """
    if profile not in SIZES:
        raise ConfigurationError(
            f"--profile: there are no embedded data {profile!r}{meant(profile, SIZES)}; known: {', '.join(SIZES)}"
        )
    collection, total, parts = Collection(seed, SIZES[profile], *RATES[profile]), sum(SIZES[profile].values()), {}
    truth: dict[str, Truth] = {}
    done = 0
    for split in SIZES[profile]:
        drawn = []
        for image in collection.split(split):
            drawn.append(image)
            done += 1
            if progress is not None:
                progress(done, total)
        parts[split] = drawn
        truth |= {_id(image): _truth(image, parts["train"]) for image in drawn}
    sets = {split: _images(drawn) for split, drawn in parts.items()}
    return EmbeddedData(sets["train"], sets["val"], sets["label_book"], sets["test"], truth)


def _images(drawn: Iterable[Drawn]) -> LabelledImages:
    found = sorted(drawn, key=lambda image: (image.label, image.number))
    return LabelledImages(
        tuple(map(_id, found)), tuple(image.pixels for image in found), np.array([image.label for image in found], np.int64)
    )


def _id(image: Drawn) -> str:
    return f"{image.split}/{CLASSES[image.label]}/{image.number:05d}.png"


def _truth(image: Drawn, train: list[Drawn]) -> Truth:
    return Truth(image.true, image.kind, _id(train[image.of]) if image.of >= 0 else "")
