"""Out-of-sample probabilities of a whole data set, kept on disk: by a linear model on frozen features, or by a recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from evaluator.curation.features import frozen_features
from evaluator.curation.folds import Learner, cross_validated, grouped_folds, linear_learner
from evaluator.curation.recipes import CurationRecipe
from evaluator.curation.toolset import ToolSet, squared
from evaluator.data.arrays import ArrayFile, map_npy
from evaluator.errors import DataError

VERSION = 1
"""Part of every stored file's name; raised when these probabilities change."""
STRENGTH = 0.01
"""Of the linear model, as scikit-learn's C: of 0.001 to 0.1 the best in accuracy on handwritten numerals at 64 and 112 pixels, and
not far from it at 32."""
EPOCH_SHARE = 7
"""A recipe chooses its epoch on one in so many of the images that it learns from, never on those that it predicts."""
Progress = Callable[[str, float], None]
"""Called with what is being done and the share of it that is done."""


@dataclass(frozen=True)
class HeldOut:
    """How probabilities are made.

    Attributes:
        folds: parts that are predicted in turn. ``seed``: draws them.
        network, size: of frozen features (``features.NETWORKS``), and the side in pixels.
        strength: of the linear model.
        recipe: a training of every fold instead.
    """

    folds: int = 5
    seed: int = 0
    network: str = "lite0"
    size: int = 64
    strength: float = STRENGTH
    recipe: CurationRecipe | None = None

    @property
    def said(self) -> str:
        """In words."""
        if self.recipe is not None:
            return f"recipe {self.recipe.name}, {self.folds} folds"
        return f"linear model on frozen features of {self.network} at {self.size} px, {self.folds} folds"


def held_out_probabilities(data: ToolSet, how: HeldOut, cache: Path, progress: Progress = lambda what, share: None) -> np.ndarray:
    """Probabilities of every image by models that have not seen it, float64 (n, classes); from the cache where they are there.

    Raises:
        ConfigurationError, WeightsError: folds, a network or weights that cannot be had.
        TrainingError: a training failed. DataError: the cache cannot be written.
    """
    about = {
        "version": VERSION,
        "images": data.images.digest(),
        "classes": len(data.classes),
        "folds": how.folds,
        "seed": how.seed,
        "model": how.recipe.as_dict() if how.recipe else [how.network, how.size, how.strength],
        "versions": _versions(),
    }
    text = json.dumps(about, sort_keys=True)
    return _kept(cache, text, lambda: _computed(data, how, cache, text, progress))


def _kept(cache: Path, about: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    """Probabilities float64 (n, classes) of the cache, or made and kept there. ``about``: everything that decides them."""
    files = ArrayFile(
        cache, f"held-out-{hashlib.sha256(about.encode()).hexdigest()[:24]}", ".json", "file", "file of probabilities"
    )

    def read() -> tuple[np.ndarray | None, str]:
        content, damage = files.content()
        if content is None or content.get("about") != about:
            return None, damage
        path, damage = files.path(content, verify=True)
        return (None, damage) if path is None else (np.array(map_npy(path, np.float64, 2)), "")

    def made() -> np.ndarray:
        found = make()

        def fill(file: BinaryIO) -> dict[str, Any]:
            np.save(file, found)
            return {"about": about}

        files.publish(fill, permissions=0o600)
        return found

    try:
        return files.obtained(read, made)
    except OSError as error:
        raise DataError(
            f"the cache {cache} cannot be written or read ({error}); free some space, or name another --cache"
        ) from error


def _computed(data: ToolSet, how: HeldOut, cache: Path, about: str, progress: Progress) -> np.ndarray:
    folds = grouped_folds(data.labels, data.groups, how.folds, how.seed)
    if how.recipe is not None:
        learner = recipe_learner(data, how.recipe, how.seed, lambda share: progress("training the folds", share), how.folds)

        def kept(rows: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
            # A fold takes minutes: what was trained before an interrupt is not trained again.
            return _kept(cache, f"{about} fold {fold}", lambda: np.asarray(learner(rows, asked, fold), np.float64))

        return cross_validated(folds, len(data.classes), kept)
    pixels = squared(data.images.pixels, how.size)
    features = frozen_features(pixels, how.network, how.size, cache, lambda share: progress("embedding", share))
    learner = linear_learner(features, data.labels, len(data.classes), how.strength)
    return cross_validated(folds, len(data.classes), learner, lambda share: progress("fitting the folds", share))


def recipe_learner(data: ToolSet, recipe: CurationRecipe, seed: int, progress: Callable[[float], None], folds: int) -> Learner:
    """A training of the recipe for each fold; a part of the images that it learns from chooses the epoch."""
    from evaluator.curation.training import train_and_predict

    def learn(rows: np.ndarray, asked: np.ndarray, fold: int) -> np.ndarray:
        inner = grouped_folds(data.labels[rows], data.groups[rows], EPOCH_SHARE, seed + 1 + fold)
        made = train_and_predict(
            data.images.take(rows[inner != 0]),
            data.images.take(rows[inner == 0]),
            {"asked": data.images.take(asked)},
            recipe,
            len(data.classes),
            seed,
            lambda share: progress((fold + share) / folds),
        )
        return made.probabilities["asked"]

    return learn


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "scikit-learn", "numpy")}
