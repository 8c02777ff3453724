"""Painted sheets with several damages each, whose labels an annotator gave: tasks with several labels a row, made by a seed.

``painted-annotator-0.08`` is labelled by somebody who misses damages, takes a small one for a large one, and now and then sees what
is not there (``evaluator.data.annotators.annotator_noise``); in ``painted-uniform-0.08`` every label is wrong by itself. The number
is the expected share of wrong labels: of six labels a row, so that far more rows have a wrong one. Every seed draws its own sheets.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from evaluator.cleaning.frozen import SIDE, components, embeddings, network
from evaluator.cleaning.tasks import CleaningTask, Kind, Part
from evaluator.data.annotators import annotator_noise, flipped
from evaluator.data.painted import CLASSES, Generator, size_pairs
from evaluator.errors import ConfigurationError
from evaluator.seeds import derive

NAME = re.compile(r"painted-(annotator|uniform)-(0\.[0-9]{1,3})")
EXAMPLES = ("painted-annotator-0.08", "painted-uniform-0.05")
VERSION = 1
"""Of the drawing. Raise it when a task of a name and seed changes."""
SPLIT = "cleaning"
"""Name of the images' stream in the generator."""


@dataclass(frozen=True)
class Painted:
    """A task by its name.

    Attributes:
        name: as written; ``noise``: kind of the wrong labels; ``rate``: their expected share of all labels.

    Raises:
        ConfigurationError: there is no task of this name.
    """

    name: str
    noise: Literal["annotator", "uniform"]
    rate: float

    @classmethod
    def parse(cls, name: str) -> Painted:
        """Read a name."""
        made = NAME.fullmatch(name)
        if made is None:
            raise ConfigurationError(f"there is no task {name!r}; expected a name like {', '.join(EXAMPLES)}. Name such a task")
        rate = float(made[2])
        if not 0 < rate < 0.5:
            raise ConfigurationError(
                f"the task {name!r} has the rate {rate:g}; expected one above 0 at which labels are more often right than wrong. "
                "Name such a task"
            )
        return cls(name, made[1], rate)  # type: ignore[arg-type]

    @property
    def kind(self) -> Kind:
        """Of the labels: a sheet has several."""
        return "multilabel"

    def drawn(self, root: int, seed: int, train: int, validation: int, test: int, cache_folder: Path) -> CleaningTask:
        """The task of a seed.

        Args:
            root: that every draw follows from; ``seed``: number of the repetition.
            train, validation, test: rows.
            cache_folder: where embeddings are kept.

        Raises:
            DataError, WeightsError, TrainingError: the embeddings cannot be made.
        """
        rows, labels = _sheets(derive(root, seed, "cleaning", "painted", "sheets"), train + validation + test, cache_folder)
        first, second, third = (
            Part(rows[part], labels[part])
            for part in (slice(train), slice(train, train + validation), slice(train + validation, None))
        )
        true = first.labels
        mistakes = derive(root, seed, "cleaning", self.name, "mistakes")
        if self.noise == "annotator":
            given = annotator_noise(true, self.rate, mistakes, size_pairs())
        else:
            given = flipped(true, self.rate, self.rate, mistakes)
        parts = components(Part(first.rows, given.astype(np.int64)), second, third)
        ids = tuple(f"sheet{number:05d}" for number in range(train))
        return CleaningTask(self.name, self.kind, len(CLASSES), parts[0], true, parts[1], parts[2], ids)


def painted_digest() -> str:
    """SHA-256 (hex) of what decides the tasks of a root and seed: the generator, the network, and the drawing."""
    from evaluator.data.make import GENERATOR_VERSION

    return hashlib.sha256(f"{VERSION} {GENERATOR_VERSION} {network()}".encode()).hexdigest()


def _sheets(seed: int, count: int, cache_folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings float32 (count, width) and true labels int64 (count, classes) of the first sheets of a seed."""
    from evaluator.data.make import GENERATOR_VERSION

    generator = Generator(seed, SIDE)

    def gather(wanted: range) -> np.ndarray:
        return np.stack([generator.sample(SPLIT, number)[0] for number in wanted])

    # A hash of the seed, which nobody can turn back: the seed of a private round has 128 secret bits.
    name = hashlib.sha256(f"painted {GENERATOR_VERSION} {SIDE} {seed}".encode()).hexdigest()
    return embeddings(name, count, gather, cache_folder), _labels(seed, count)


@cache
def _labels(seed: int, count: int) -> np.ndarray:
    generator = Generator(seed, SIDE)
    return np.stack([generator.label(SPLIT, number) for number in range(count)]).astype(np.int64)
