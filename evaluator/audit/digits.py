"""An audit without a download: ten classifiers of handwritten digits, and test labels with planted errors of all three kinds.

The digits are scikit-learn's (Alpaydin and Kaynak, 1998; 1,797 images of 8 x 8 pixels). Five classifiers are fitted on true labels
and five on those of an annotator who takes a digit for the one that it looks like. The same annotator labelled the test images, so
that some of the mistakes are what the second five have learnt: on the labels as given they look better than they are. This is how
wrong test labels change a ranking; mistakes that no model can learn take the same from all.

What is planted is known, and so is the truth: the accuracy of each classifier on the same images before anything was planted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.corrections import Corrections
from evaluator.audit.kinds import Kind
from evaluator.audit.planted import Planted
from evaluator.audit.predictions import Predictions
from evaluator.audit.sets import LabelSets
from evaluator.errors import ConfigurationError
from evaluator.seeds import generator, short

CLASSES = 10
TRAIN, TEST = 700, 1_000
LEARNT_FROM = ("true", "noisy")
"""Labels that a classifier learnt: true labels, or those of the annotator."""


@dataclass(frozen=True)
class Rates:
    """Shares of the test images whose label is planted wrong; each image is of one kind at most.

    Attributes:
        mislabelled: the annotator takes it for another digit; ``several``: it shows two digits, and the label names one of them;
            ``none``: its pixels are shuffled, so that no digit is right.
        annotator: share of wrong labels in what half of the classifiers learn from.
    """

    mislabelled: float = 0.16
    several: float = 0.06
    none: float = 0.03
    annotator: float = 0.16

    def __post_init__(self) -> None:
        shares = (self.mislabelled, self.several, self.none)
        if not (all(0 <= share <= 0.9 for share in (*shares, self.annotator)) and sum(shares) <= 0.9):
            given = ", ".join(f"{share:g}" for share in shares)
            raise ConfigurationError(
                f"--mislabelled, --several and --none are {given}, --annotator is {self.annotator:g}; expected shares of 0 or "
                "more, together 0.9 at most. Lower them"
            )


def plant(root: int, rates: Rates | None = None, test: int = TEST) -> Planted:
    """Draw the images, fit the classifiers, plant the errors.

    Args:
        root: seed that every draw follows from. ``test``: images of the benchmark, 20 to 1,000.
    """
    rates = rates or Rates()
    if not 20 <= test <= TEST:
        raise ConfigurationError(f"the number of test images is {test}; expected 20 to {TEST}")
    models = _fitted(root, rates.annotator)
    pixels, labels = _split(root)
    pixels, labels = pixels[TRAIN : TRAIN + test], labels[TRAIN : TRAIN + test]
    kinds, given, shown, valid = _planted(pixels, labels, root, rates)
    ids = tuple(f"digit{number:04d}" for number in range(test))
    classes = tuple(map(str, range(CLASSES)))
    predictions = [Predictions.of_scores(name, ids, _scores(model, shown)) for name, model in models]
    truth = np.array([np.mean(_scores(model, pixels).argmax(axis=1) == labels) for _, model in models])
    return Planted(
        Benchmark(ids, given, classes, f"planted digits, seed {root}"),
        Corrections("planted", ids, valid, whole=True),
        kinds,
        tuple(predictions),
        truth,
        (shown.reshape(-1, 8, 8) * 255).round().astype(np.uint8),
    )


def cross_validated_suspicion(planted: Planted, root: int) -> np.ndarray:
    """The images in the order in which somebody would check them, by confident learning: int64 (n,), the most suspect first.

    The labels as given are looked at, and nothing else: a model is cross-validated on them.

    Raises:
        ConfigurationError: cleanlab is not installed.
    """
    from evaluator.audit.out_of_sample import Folds, cross_validated
    from evaluator.audit.suspects import find_suspects

    assert planted.images is not None
    features = planted.images.reshape(len(planted.images), -1).astype(np.float64)
    labels = planted.benchmark.labels
    probabilities = cross_validated(features, labels, CLASSES, Folds(root=root))[0]
    return find_suspects(labels, probabilities, planted.benchmark.classes).order


def _planted(
    pixels: np.ndarray, labels: np.ndarray, root: int, rates: Rates
) -> tuple[np.ndarray, np.ndarray, np.ndarray, LabelSets]:
    """Kinds, labels as given, pixels as shown and valid labels."""
    rng = generator(root, "audit", "digits", "errors")
    n = len(labels)
    said = annotated(pixels, labels, rates.mislabelled, root, "test")
    kinds = np.where(said != labels, Kind.MISLABELLED, Kind.KEPT).astype(np.int8)
    left = rng.permutation(np.flatnonzero(kinds == Kind.KEPT))
    several, none = (round(share * n) for share in (rates.several, rates.none))
    kinds[left[:several]], kinds[left[several : several + none]] = Kind.SEVERAL, Kind.NONE
    given, shown = said.copy(), pixels.copy()
    valid = [[int(label)] for label in labels]
    for image in left[:several].tolist():
        other = int(rng.choice(np.flatnonzero(labels != labels[image])))
        shown[image] = np.maximum(pixels[image], pixels[other])
        valid[image] = [int(labels[image]), int(labels[other])]
        given[image] = valid[image][int(rng.integers(2))]
    for image in left[several : several + none].tolist():
        shown[image] = rng.permutation(pixels[image])
        valid[image] = []
    return kinds, given, shown, LabelSets.of(valid)


def annotated(pixels: np.ndarray, labels: np.ndarray, rate: float, root: int, part: str) -> np.ndarray:
    """Labels by somebody who takes a digit for another where it looks like it: int64 (n,), a share ``rate`` of them wrong.

    A digit looks like another where it is nearly as far from that class's mean as from its own. The most alike are mistaken, with
    some chance in the order, so that two people of this kind mostly make the same mistakes: models can learn them.

    Args:
        part: names the draw.
    """
    all_pixels, all_labels = _digits()
    means = np.stack([all_pixels[all_labels == label].mean(axis=0) for label in range(CLASSES)])
    distances = np.sqrt(((pixels[:, None] - means[None]) ** 2).sum(axis=2))
    rows = np.arange(len(labels))
    own = distances[rows, labels].copy()
    distances[rows, labels] = np.inf
    alike = own / distances.min(axis=1) + 0.05 * generator(root, "audit", "digits", "annotator", part).standard_normal(len(labels))
    wrong = np.argsort(-alike, kind="stable")[: round(rate * len(labels))]
    found = labels.copy()
    found[wrong] = distances.argmin(axis=1)[wrong]
    return found


@lru_cache(maxsize=4)
def _fitted(root: int, annotator: float) -> tuple[tuple[str, Any], ...]:
    """The classifiers of a seed, fitted once: (name, model)."""
    from threadpoolctl import threadpool_limits

    pixels, labels = _split(root)
    pixels, labels = pixels[:TRAIN], labels[:TRAIN]
    learnt = (labels, annotated(pixels, labels, annotator, root, "training"))
    with threadpool_limits(1):
        return tuple(
            (f"{name} ({source})", model.fit(pixels, target))
            for source, target in zip(LEARNT_FROM, learnt, strict=True)
            for name, model in _models(short(root, "audit", "digits", "models") % 2**32)
        )


def _models(seed: int) -> Sequence[tuple[str, Any]]:
    """Fresh classifiers, each with a score for every class."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    return (
        ("svm", SVC(gamma="scale", decision_function_shape="ovr")),
        ("knn", KNeighborsClassifier(5)),
        ("forest", RandomForestClassifier(100, random_state=seed, n_jobs=1)),
        ("logreg", LogisticRegression(C=1.0, max_iter=1000)),
        ("bayes", GaussianNB(var_smoothing=0.05)),
    )


def _scores(model: Any, pixels: np.ndarray) -> np.ndarray:
    """A score for every class, float64 (n, 10); all ten digits are in every training set."""
    return np.asarray(
        model.decision_function(pixels) if hasattr(model, "decision_function") else model.predict_proba(pixels), float
    )


@lru_cache(maxsize=4)
def _split(root: int) -> tuple[np.ndarray, np.ndarray]:
    """All digits in the order of a seed: the first ``TRAIN`` are for training."""
    pixels, labels = _digits()
    order = generator(root, "audit", "digits", "rows").permutation(len(labels))
    return pixels[order], labels[order]


@cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels 0 to 1, float64 (1797, 64), and labels int64 (1797,)."""
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return pixels / 16, labels.astype(np.int64)
