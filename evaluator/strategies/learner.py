"""What most strategies carry with them: embeddings of training set and pool, the labels so far, and a model on both."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.strategies import linear
from evaluator.strategies.embedding import BLOCK, LARGEST, Embedder, dataset_statistics, image_statistics


class Learner:
    """Embeddings and labels of a purchase, and a linear model that is fitted when it is first asked.

    Args:
        training: the labelled data set of the phase.
        pool: the unlabelled data set.
        seed: of all that is random here.
        seconds: what embedding may take; images are made smaller until it should fit. None takes them as they are, so that the same
            seed buys the same labels on a slow machine.

    Attributes:
        x, y: embeddings float32 (m, d) and labels (m, classes) known so far: the training set, then what was added.
        pool: embeddings float32 (n, d).
        trusted: the labels that the model learns from, bool (m, classes); None is all of them.
        rng: the generator.
    """

    def __init__(self, training: Any, pool: Any, seed: int, seconds: float | None = None) -> None:
        self.rng = np.random.default_rng(seed)
        self._largest = LARGEST
        if seconds is not None and getattr(pool, "embeddings", None) is None:
            self._largest = affordable(training, len(training) + len(pool), seconds)
        labelled, unlabelled = features(training, self._largest), features(pool, self._largest)
        self._embedder = Embedder.fit(np.concatenate([labelled, unlabelled]))
        self.x, self.pool = self._embedder(labelled), self._embedder(unlabelled)
        self.y = np.asarray(training.labels)
        self.trusted: np.ndarray | None = None
        self._model: linear.Linear | None = None

    def buy(self, market: Any, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """Buy the labels of pool images, learn them, and return them (m, classes)."""
        labels = market.purchase_labels(indices)
        self.add(indices, labels)
        return labels

    def add(self, indices: Sequence[int] | np.ndarray, labels: np.ndarray) -> None:
        """Learn labels (m, classes) of pool images."""
        self.x = np.concatenate([self.x, self.pool[np.asarray(indices, np.int64)]])
        self.y = np.concatenate([self.y, labels])
        self._model = self.trusted = None

    def trust(self, trusted: np.ndarray | None) -> None:
        """Learn from some of the labels known so far only, bool (m, classes), until more are added; None is all of them."""
        self.trusted, self._model = trusted, None

    @property
    def model(self) -> linear.Linear:
        """The model of all labels so far."""
        if self._model is None:
            self._model = linear.fit(self.x, self.y, trusted=self.trusted)
        return self._model

    def probabilities(self) -> np.ndarray:
        """Of the pool, (n, classes)."""
        return self.model.probabilities(self.pool)

    def held_out(self) -> np.ndarray:
        """Probabilities of the labelled images, each from a model that did not see it; (m, classes)."""
        return linear.cross_validated(self.x, self.y, self.rng)

    def predict(self, dataset: Any) -> np.ndarray:
        """Probabilities (n, classes) of another data set."""
        return self.predictor.predict(dataset)

    @property
    def predictor(self) -> Predictor:
        """What predicts, without what was learnt from."""
        return Predictor(self._embedder, self.model, self._largest)


@dataclass(frozen=True)
class Predictor:
    """A learner that learns no more.

    Attributes:
        embedder, model: of the learner; ``largest``: longest side at which images are embedded.
    """

    embedder: Embedder
    model: linear.Linear
    largest: int

    def predict(self, dataset: Any) -> np.ndarray:
        """Probabilities (n, classes) of a data set."""
        return self.model.probabilities(self.embedder(features(dataset, self.largest)))

    @property
    def predictor(self) -> Predictor:
        """Itself, as a ``Learner`` has it."""
        return self

    def save(self, file: Path) -> None:
        """Write all of it into a ``.npz`` file."""
        e, m = self.embedder, self.model
        np.savez(file, mean=e.mean, scale=e.scale, components=e.components, weights=m.weights, bias=m.bias, largest=self.largest)

    @classmethod
    def load(cls, file: Path) -> Predictor:
        """The inverse of ``save``."""
        with np.load(file, allow_pickle=False) as found:
            embedder = Embedder(found["mean"], found["scale"], found["components"])
            return cls(embedder, linear.Linear(found["weights"], found["bias"]), int(found["largest"]))


class LearnerRun:
    """Mix-in of a submission whose purchase phase leaves ``self.learner``: it predicts, and outlives a restart between phases."""

    learner: Learner | Predictor | None = None

    def prediction_phase(self, test_dataset: Any) -> np.ndarray:
        """Probabilities (n, classes)."""
        if self.learner is None:
            raise RuntimeError("prediction_phase: self.learner is None; purchase_phase must set it to a Learner")
        return self.learner.predict(test_dataset)

    def save_checkpoint(self, path: str) -> None:
        """Keep what predicts; before the purchase there is nothing to keep."""
        if self.learner is not None:
            self.learner.predictor.save(Path(path) / "predictor.npz")

    def load_checkpoint(self, path: str) -> None:
        """The inverse of ``save_checkpoint``."""
        file = Path(path) / "predictor.npz"
        self.learner = Predictor.load(file) if file.exists() else None


def features(dataset: Any, largest: int) -> np.ndarray:
    """The embeddings that the rules give, float32 (n, d); where they give none, statistics of the images at ``largest`` px."""
    given = getattr(dataset, "embeddings", None)
    return dataset_statistics(dataset, largest) if given is None else given


def affordable(dataset: Any, images: int, seconds: float) -> int:
    """The longest side in pixels at which ``images`` images are embedded in ``seconds``, by a measurement on a few."""
    few = np.stack([dataset[i]["image"] for i in range(min(len(dataset), BLOCK // 4))])
    largest = min(LARGEST, max(few.shape[1:3]))
    while largest > 16:
        start = time.perf_counter()
        image_statistics(few, largest)
        if (time.perf_counter() - start) / len(few) * images <= seconds:
            break
        largest //= 2
    return largest
