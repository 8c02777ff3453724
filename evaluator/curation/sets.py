"""The data of a plan: what is given to a submission, and what the judge keeps to itself."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np

from evaluator.curation.curated import pixel_digest
from evaluator.curation.images import LabelledImages, class_names, joined, read_images
from evaluator.curation.leaks import Calibration, calibrate, perceptual_hashes
from evaluator.curation.rules import CurationProfile
from evaluator.data.edits import Item
from evaluator.errors import ConfigurationError, DataError
from evaluator.seeds import derive
from evaluator.text import name as shown

TRAIN, VAL = "train", "val"
BOOK, TEST = "label book", "hidden test set"
BOOK_FOLDER, TEST_FOLDER = "label_book", "test"


@dataclass(frozen=True, eq=False)
class CurationData:
    """A data set and what judges it. Images without colour have the shape (h, w).

    Attributes:
        name: of the data; ``classes``: as words, in the order of the labels.
        train, validation: as given; ids begin with ``train/`` and ``val/``.
        book, test: the label book, and the images that are scored.
        truth: by id the true class, or None where an image shows none of them; empty where it is not known.

    Raises:
        DataError: a set is empty, or an id does not begin as it should.
    """

    name: str
    classes: tuple[str, ...]
    train: LabelledImages
    validation: LabelledImages
    book: LabelledImages
    test: LabelledImages
    truth: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, part in ((TRAIN, self.train), (VAL, self.validation), ("the label book", self.book), (TEST, self.test)):
            if not len(part):
                raise DataError(f"{self.name}: {what} has no images; expected one or more of every class. Add them")
        for split, part in ((TRAIN, self.train), (VAL, self.validation)):
            if strange := [name for name in part.ids if not name.startswith(f"{split}/")]:
                raise DataError(f"{self.name}: {shown(strange[0])} is in {split}; expected ids that begin with {split}/")

    @cached_property
    def given(self) -> LabelledImages:
        """Train and val together."""
        return joined((self.train, self.validation))

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """The given images as a table of edits sees them."""
        splits = [TRAIN] * len(self.train) + [VAL] * len(self.validation)
        labels = [self.classes[label] for label in self.given.labels]
        return tuple(map(Item, self.given.ids, labels, splits))

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of the pixels by id, of the given images."""
        return {name: pixel_digest(pixels) for name, pixels in zip(self.given.ids, self.given.pixels, strict=True)}

    @cached_property
    def by_digest(self) -> dict[str, np.ndarray]:
        """Pixels of the given images by their digest."""
        return dict(zip(self.digests.values(), self.given.pixels, strict=True))

    @cached_property
    def hidden(self) -> dict[str, str]:
        """Digests of the label book and the hidden test set, and which of the two each belongs to (the test set if both)."""
        sides = ((BOOK, self.book), (TEST, self.test))
        return {pixel_digest(pixels): name for name, part in sides for pixels in part.pixels}

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Given images that are in the label book or the hidden test set as well, by id: nobody trains on them."""
        return {name: self.hidden[digest] for name, digest in self.digests.items() if digest in self.hidden}

    @cached_property
    def calibration(self) -> Calibration:
        """Which distance of the perceptual hash tells copies from look-alikes here."""
        return calibrate(self.given.pixels, self.given.labels, 0)

    @cached_property
    def hashes(self) -> Mapping[str, np.ndarray]:
        """Perceptual hashes of the label book and the hidden test set."""
        return {BOOK: perceptual_hashes(self.book.pixels), TEST: perceptual_hashes(self.test.pixels)}

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over classes and all four sets."""
        made = hashlib.sha256("\0".join(self.classes).encode())
        for part in (self.train, self.validation, self.book, self.test):
            made.update(part.digest().encode())
        return made.hexdigest()


@dataclass(frozen=True)
class CurationSets:
    """Where the data of a plan come from.

    Attributes:
        root: that embedded data are drawn from; not shown by ``repr``, for it may be made of a secret.
        folder: with ``train`` and ``val``; None for embedded data. ``book``, ``test``: the folders of the judge.
    """

    profile: CurationProfile
    root: int = field(repr=False)
    folder: Path | None = None
    book: Path | None = None
    test: Path | None = None

    @property
    def name(self) -> str:
        """Name of the data."""
        return self.profile.data if self.folder is None else self.folder.name or "data"

    def load(self) -> CurationData:
        """The data; read or drawn once per process.

        Raises:
            DataError: a folder is not what was expected.
        """
        return _load(self)


def sets_of(
    profile: CurationProfile, root: int, folder: Path | None, book: Path | None, test: Path | None, *, judged: bool = True
) -> CurationSets:
    """Where the data are, from what was asked for.

    Args:
        folder: in the layout of the competition (``train``, ``val``); None for the embedded data of the profile.
        book, test: default: ``label_book`` and ``test`` in ``folder``, or beside it.
        judged: whether the label book and the test set are needed.

    Raises:
        ConfigurationError: a folder is missing, or an option is given that does not fit.
    """
    if folder is None:
        if not profile.data:
            raise ConfigurationError(
                f"--data: the profile {profile.name!r} reads a folder with train and val; name it with --data DIR"
            )
        for option, place in (("label-book", book), ("test", test)):
            if place is not None:
                raise ConfigurationError(
                    f"--{option}: the data {profile.data!r} are embedded and have their own. Leave the option out"
                )
        return CurationSets(profile, root)
    folder = folder.absolute()
    for split in (TRAIN, VAL):
        if not (folder / split).is_dir():
            raise ConfigurationError(
                f"--data {folder}: it has no folder {split}; expected {split}/<class>/*.png. Name another folder"
            )
    found: dict[str, Path | None] = {}
    for option, place, name in (("label-book", book, BOOK_FOLDER), ("test", test, TEST_FOLDER)):
        places = [folder / name, folder.parent / name] if place is None else [place.absolute()]
        found[option] = next((path for path in places if path.is_dir()), None)
        if found[option] is None and (judged or place is not None):
            raise ConfigurationError(
                f"--{option}: there is no folder {places[0]}; expected <class>/*.png in it. Name it with --{option} DIR"
            )
    return CurationSets(profile, root, folder, found["label-book"], found["test"])


@lru_cache(maxsize=2)
def _load(sets: CurationSets) -> CurationData:
    if sets.folder is None:
        from evaluator.curation.embedded import CLASSES, made

        found = made(sets.profile.data, derive(sets.root, "curation", "data"))
        seen = (*found.train.ids, *found.validation.ids)
        truth = {name: CLASSES[found.truth[name].label] if found.truth[name].label >= 0 else None for name in seen}
        return CurationData(sets.name, CLASSES, found.train, found.validation, found.label_book, found.test, truth)
    assert sets.book is not None
    assert sets.test is not None
    classes = class_names(sets.folder / TRAIN)
    return CurationData(
        sets.name,
        classes,
        read_images(sets.folder / TRAIN, classes, prefix=f"{TRAIN}/"),
        read_images(sets.folder / VAL, classes, prefix=f"{VAL}/"),
        read_images(sets.book, classes, prefix=f"{BOOK_FOLDER}/"),
        read_images(sets.test, classes, prefix=f"{TEST_FOLDER}/"),
    )
