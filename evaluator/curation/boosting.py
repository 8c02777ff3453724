"""Boosting of a folder: the models that it trains, the features that it searches by, and the table of edits that it leaves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from evaluator.curation.boost import Boosted, Embed, Train
from evaluator.curation.folds import linear_learner
from evaluator.curation.images import LabelledImages
from evaluator.curation.pool import Pool
from evaluator.curation.recipes import CurationRecipe
from evaluator.data.edits import Edit, EditTable
from evaluator.errors import ConfigurationError
from evaluator.files import temporary_folder

EDITS, FILES = "edits.csv", "images"


class Remembered:
    """Features of images, each computed once: a search asks for the same parents and validation images in every round.

    Only what ``keep`` was told is remembered; a pool of a million images is not.
    """

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._known: dict[bytes, np.ndarray] = {}

    def keep(self, images: np.ndarray) -> np.ndarray:
        """Features of images, float32 (n, d), remembered."""
        names = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images]
        new = [i for i, name in enumerate(names) if name not in self._known]
        if new:
            for i, feature in zip(new, self._embed(images[new]), strict=True):
                self._known[names[i]] = feature
        return np.stack([self._known[name] for name in names])


def linear_fit(features: Remembered, classes: int, strength: float) -> Train:
    """A linear model on frozen features."""

    def fit(images: np.ndarray, labels: np.ndarray, asked: np.ndarray, driving: np.ndarray) -> np.ndarray:
        x = np.concatenate([features.keep(images), features.keep(asked)])
        learner = linear_learner(x, np.concatenate([labels, np.zeros(len(asked), np.int64)]), classes, strength)
        found: np.ndarray = learner(np.arange(len(images)), np.arange(len(images), len(x)), 0).argmax(axis=1)
        return found

    return fit


def recipe_fit(recipe: CurationRecipe, classes: int, answers: np.ndarray, seed: int, progress: Callable[[float], None]) -> Train:
    """A training of the recipe; the driving part of validation chooses its epoch.

    Args:
        answers: labels of the validation images, int64 (n,).
    """
    from evaluator.curation.training import train_and_predict

    def fit(images: np.ndarray, labels: np.ndarray, asked: np.ndarray, driving: np.ndarray) -> np.ndarray:
        every = _named("v", asked, answers)
        made = train_and_predict(_named("t", images, labels), every.take(driving), {"all": every}, recipe, classes, seed, progress)
        found: np.ndarray = made.probabilities["all"].argmax(axis=1)
        return found

    return fit


def _named(prefix: str, images: np.ndarray, labels: np.ndarray) -> LabelledImages:
    pixels = tuple(image[..., 0] if image.shape[2] == 1 else image for image in images)
    return LabelledImages(tuple(f"{prefix}{i}" for i in range(len(pixels))), pixels, np.asarray(labels, np.int64))


def write_boosted(found: Boosted, pool: Pool, labels: np.ndarray, classes: tuple[str, ...], folder: Path) -> EditTable:
    """Write a new folder with a table of edits that adds the images, and the images.

    Args:
        labels: of the parents.

    Raises:
        ConfigurationError: the folder exists or cannot be written.
    """
    folder = folder.absolute()
    if folder.exists():
        raise ConfigurationError(f"--out {folder}: it exists; expected a new folder. Name another, or remove it")
    edits = []
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder.parent, folder.name) as made:
            (made / FILES).mkdir()
            for number, parent in zip(found.numbers.tolist(), found.parents.tolist(), strict=True):
                name = f"boost-{pool.seed}-{number:07d}.png"
                image = pool.images(np.array([number]))[0]
                Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(made / FILES / name)
                label = classes[labels[parent]]
                edits.append(Edit(f"train/{label}/{name}", "add", label, "train", f"{FILES}/{name}"))
            table = EditTable(tuple(edits), str(folder / EDITS))
            table.write(made / EDITS)
            os.replace(made, folder)
    except OSError as error:
        raise ConfigurationError(f"--out {folder}: it cannot be written ({error.strerror}); name another folder") from error
    return table
