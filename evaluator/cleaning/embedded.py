"""Tasks that are here without a download: scikit-learn's handwritten digits, with wrong labels planted by a seed.

A name says everything: ``digits-uniform-0.3`` has all ten classes, ``digits-4v9-pairs-0.2`` two of them. The word is the kind of
noise, the number the expected share of wrong labels. Every seed draws its own rows and its own mistakes, so that a task is a data
set of its own for every seed.

The digits: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository; 1,797 images of
8 x 8 pixels, as scikit-learn carries them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from evaluator.cleaning.tasks import CleaningTask, Kind, Part
from evaluator.data.annotators import confused_classes, pair_confusion, uniform_confusion
from evaluator.errors import ConfigurationError
from evaluator.seeds import derive, generator

Noise = Literal["uniform", "pairs", "instances"]
"""Every wrong class is as likely; a class is taken for one other; a row is mistaken where it looks like another class."""
NAME = re.compile(r"digits(?:-([0-9])v([0-9]))?-(uniform|pairs|instances)-(0\.[0-9]{1,3})")
EXAMPLES = ("digits-uniform-0.3", "digits-pairs-0.2", "digits-instances-0.2", "digits-4v9-uniform-0.2")
VERSION = 1
"""Of the drawing. Raise it when a task of a name and seed changes."""


@dataclass(frozen=True)
class Embedded:
    """A task by its name.

    Attributes:
        name: as written; ``digits``: the two classes of a binary task, empty for all ten.
        noise: kind of the wrong labels; ``rate``: their expected share.

    Raises:
        ConfigurationError: there is no task of this name.
    """

    name: str
    digits: tuple[int, ...]
    noise: Noise
    rate: float

    @classmethod
    def parse(cls, name: str) -> Embedded:
        """Read a name."""
        made = NAME.fullmatch(name)
        if made is None or made[1] == made[2] != None:  # noqa: E711 - both are None where all ten are meant
            raise ConfigurationError(f"there is no task {name!r}; expected a name like {', '.join(EXAMPLES)}. Name such a task")
        digits = () if made[1] is None else (int(made[1]), int(made[2]))
        rate, classes = float(made[4]), len(digits) or 10
        if not 0 < rate < 1 - 1 / classes or (made[3] == "pairs" and rate >= 0.5):
            raise ConfigurationError(
                f"the task {name!r} has the rate {rate:g}; expected one above 0 at which labels are more often right than wrong. "
                "Name such a task"
            )
        return cls(name, digits, made[3], rate)  # type: ignore[arg-type]

    @property
    def kind(self) -> Kind:
        """Of the labels."""
        return "binary" if self.digits else "multiclass"

    def drawn(self, root: int, seed: int, train: int, validation: int, test: int) -> CleaningTask:
        """The task of a seed.

        Args:
            root: that every draw follows from; ``seed``: number of the repetition.
            train, validation, test: rows. Too many for a binary task are cut in proportion.
        """
        rows, labels = _digits()
        if self.digits:
            chosen = np.isin(labels, self.digits)
            rows, labels = rows[chosen], (labels[chosen] == self.digits[1]).astype(np.int64)
        sizes = np.array([train, validation, test])
        if sizes.sum() > len(rows):
            sizes = sizes * len(rows) // sizes.sum()
        order = generator(root, seed, "cleaning", self.name, "rows").permutation(len(rows))
        first, second, third = np.split(order[: sizes.sum()], np.cumsum(sizes)[:-1])
        true = labels[first]
        given = self._mistaken(rows[first], true, derive(root, seed, "cleaning", self.name, "mistakes"))
        seen, hidden = (Part(rows[part], labels[part]) for part in (second, third))
        classes = len(self.digits) or 10
        ids = tuple(f"digit{number:04d}" for number in first)
        return CleaningTask(self.name, self.kind, classes, Part(rows[first], given), true, seen, hidden, ids)

    def _mistaken(self, rows: np.ndarray, true: np.ndarray, seed: int) -> np.ndarray:
        classes = len(self.digits) or 10
        if self.noise == "instances":
            return instance_mistakes(rows, true, self.rate, seed)
        confusion = uniform_confusion(classes, self.rate) if self.noise == "uniform" else pair_confusion(classes, self.rate)
        return confused_classes(true, confusion, seed).astype(np.int64)


def instance_mistakes(rows: np.ndarray, true: np.ndarray, rate: float, seed: int) -> np.ndarray:
    """Labels by somebody who mistakes a row for the class that it looks like, the more often the more it does.

    A row looks like another class where it is nearly as far from that class's mean as from its own. Chances are proportional to the
    ratio of both distances to the fourth power, and scaled to ``rate`` on average (a chance above 0.95 is cut there).

    Args:
        rows: float (n, d). ``true``: int64 (n,).

    Returns:
        int64 (n,).
    """
    from scipy.spatial.distance import cdist

    classes = np.unique(true)
    means = np.stack([rows[true == label].mean(axis=0) for label in classes])
    distances = cdist(rows.astype(np.float64), means.astype(np.float64))
    own = distances[np.arange(len(true)), np.searchsorted(classes, true)]
    distances[np.arange(len(true)), np.searchsorted(classes, true)] = np.inf
    other = distances.argmin(axis=1)
    likeness = (own / np.maximum(distances.min(axis=1), 1e-9)) ** 4
    chances = np.minimum(likeness * rate / likeness.mean(), 0.95)
    for _ in range(20):  # what is cut goes to the others
        free = chances < 0.95
        lacking = rate * len(chances) - chances.sum()
        if abs(lacking) < 1e-9 or not free.any():
            break
        chances = np.where(free, np.minimum(chances * (1 + lacking / chances[free].sum()), 0.95), chances)
    wrong = generator(seed, "instances").random(len(true)) < chances
    return np.where(wrong, classes[other], true).astype(np.int64)


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Rows float32 (1797, 64) with mean 0 and variance 1 over all pixels, and labels int64 (1797,)."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    # Whole numbers from 0 to 16: scaled by constants, so that no machine rounds a mean in another way.
    return ((pixels - 5) / 6).astype(np.float32), labels.astype(np.int64)


@cache
def embedded_digest() -> str:
    """SHA-256 (hex) over the digits, and over the version of the drawing."""
    rows, labels = _digits()
    return hashlib.sha256(f"{VERSION}".encode() + rows.tobytes() + labels.tobytes()).hexdigest()
