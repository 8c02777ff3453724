"""Probabilities of every image by a model that did not see it: from a file, or by cross-validation on features.

Features are whatever a model makes of an image: pixels, or embeddings of a network that was trained on other images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.audit.benchmark import Benchmark
from evaluator.audit.reading import Reading, ids_of_arrays
from evaluator.audit.tables import arrays, shown, text_table
from evaluator.bounded import BoundsError
from evaluator.errors import ConfigurationError
from evaluator.seeds import generator, short

FOLDS = 5
MODELS = ("logistic", "neighbours", "forest")
"""Logistic regression on standardised columns; ten nearest neighbours; 200 trees."""
MOST_FEATURES = 100_000


def read_probabilities(path: Path, benchmark: Benchmark, how: Reading) -> np.ndarray:
    """Probabilities in the order of a benchmark, float64 (n, classes).

    ``.npz`` with ``ids`` and ``probabilities`` (or ``scores``); ``.npy``, in the order of ``--ids``; CSV or Parquet with ``id`` and
    a column ``score0``, ``score1``, ... for each class.

    Raises:
        ConfigurationError: another form, an id that is missing, doubled or unknown, or another number of classes.
    """
    if path.suffix.lower() in (".npy", ".npz"):
        found = arrays(path)
        names = [name for name in ("probabilities", "scores", "") if name in found]
        if len(names) != 1:
            raise BoundsError(f"{path}: the arrays are {shown(list(found))}; expected 'probabilities', and 'ids'. Name them so")
        table = found[names[0]]
        ids = ids_of_arrays(path, found, len(table) if table.ndim else 0, how)
    else:
        ids, table = _from_table(path, how)
    if table.ndim != 2 or table.dtype.kind not in "fiu" or table.shape[1] != len(benchmark.classes):
        raise BoundsError(
            f"{path}: {table.dtype} of shape {table.shape}; expected numbers, a column for each of {len(benchmark.classes)} "
            "classes. Give all classes, or say with --classes how many there are"
        )
    return _aligned(path, ids, table.astype(np.float64), benchmark)


def _from_table(path: Path, how: Reading) -> tuple[tuple[str, ...], np.ndarray]:
    table = text_table(path)
    at = table.column("id")
    places = [table.header.index(name) for number in range(len(table.header)) if (name := f"score{number}") in table.header]
    if not places:
        raise BoundsError(f"{path}: the columns are {shown(table.header)}; expected id, score0, score1, ... Name them so")
    texts, rows = [], []
    for where, cells in table.rows:
        texts.append(cells[at])
        try:
            rows.append([float(cells[place]) for place in places])
        except ValueError:
            raise BoundsError(f"{where}: a probability is no number; expected a number from 0 to 1. Correct it") from None
    return how.keys(texts, str(path)), np.array(rows, np.float64).reshape(len(rows), len(places))


def read_features(path: Path, benchmark: Benchmark, how: Reading) -> np.ndarray:
    """Features in the order of a benchmark, float64 (n, columns): ``features`` and ``ids`` of an ``.npz``, or a ``.npy``.

    An array of more dimensions (images) is flattened.

    Raises:
        ConfigurationError: another form, a value that is not finite, or ids that do not fit.
    """
    if path.suffix.lower() not in (".npy", ".npz"):
        raise ConfigurationError(f"{path}: expected features as .npz (ids, features) or .npy. Name another file")
    found = arrays(path)
    table = found.get("features", found.get(""))
    if table is None or table.ndim < 2 or table.dtype.kind not in "fiub":
        seen = shown(list(found)) if table is None else f"{table.dtype} of shape {table.shape}"
        raise BoundsError(f"{path}: {seen}; expected 'features', numbers, a row for each image. Write them so")
    ids = ids_of_arrays(path, found, len(table), how)
    flat = table.reshape(len(table), -1).astype(np.float64)
    if not 1 <= flat.shape[1] <= MOST_FEATURES or not np.isfinite(flat).all():
        raise BoundsError(
            f"{path}: {flat.shape[1]} columns, finite: {bool(np.isfinite(flat).all())}; expected 1 to {MOST_FEATURES:,}, all "
            "finite. Correct them"
        )
    return _aligned(path, ids, flat, benchmark)


def _aligned(path: Path, ids: Sequence[str], table: np.ndarray, benchmark: Benchmark) -> np.ndarray:
    places = benchmark.places(ids, str(path), all_of_them=True)
    found = np.empty_like(table)
    found[places] = table
    return found


@dataclass(frozen=True)
class Folds:
    """How a model is cross-validated. ``repeats``: how often the folds are drawn anew; ``root``: that they are drawn from."""

    model: str = "logistic"
    folds: int = FOLDS
    repeats: int = 1
    root: int = 0

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise ConfigurationError(f"--model is {self.model!r}; expected {', '.join(MODELS)}")
        if not 2 <= self.folds <= 100 or not 1 <= self.repeats <= 100:
            raise ConfigurationError(f"--folds is {self.folds}, --repeats {self.repeats}; expected 2 to 100, and 1 to 100")


def cross_validated(features: np.ndarray, labels: np.ndarray, classes: int, how: Folds) -> np.ndarray:
    """Probabilities by models that did not see the image, one table for each repeat: float64 (repeats, n, classes).

    A fold has its share of every class. A class that is missing from the other folds has the probability 0 there.

    Args:
        features: (n, columns). labels: int (n,), or 0/1 (n, classes), where every class has a model of its own.

    Raises:
        ConfigurationError: fewer images than folds.
    """
    if len(features) < how.folds:
        raise ConfigurationError(f"--folds is {how.folds} for {len(features)} images; expected as many images or more")
    found = np.zeros((how.repeats, len(features), classes))
    for repeat in range(how.repeats):
        rng = generator(how.root, "audit", "folds", repeat)
        model = _maker(how, short(how.root, "audit", "model", repeat) % 2**32)
        columns = [labels] if labels.ndim == 1 else list(labels.astype(np.int64).T)
        for place, target in enumerate(columns):
            part = _parts(target, how.folds, rng)
            for fold in range(how.folds):
                held = part == fold
                shares = _fitted(model, features, target, ~held, held, classes if labels.ndim == 1 else 2)
                if labels.ndim == 1:
                    found[repeat, held] = shares
                else:
                    found[repeat, held, place] = shares[:, 1]
    return found


def _parts(target: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    part = np.empty(len(target), np.int64)
    part[np.argsort(target + rng.random(len(target)), kind="stable")] = np.arange(len(target)) % folds
    return part


def _fitted(
    model: Callable[[], Any], features: np.ndarray, target: np.ndarray, seen: np.ndarray, held: np.ndarray, classes: int
) -> np.ndarray:
    shares = np.zeros((int(held.sum()), classes))
    if not held.any():
        return shares
    there = np.unique(target[seen])
    if len(there) == 1:
        shares[:, there[0]] = 1
        return shares
    fitted = model().fit(features[seen], target[seen])
    shares[:, fitted.classes_] = fitted.predict_proba(features[held])
    return shares


def _maker(how: Folds, seed: int) -> Callable[[], Any]:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    made: Mapping[str, Callable[[], Any]] = {
        "logistic": lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300)),
        "neighbours": lambda: make_pipeline(StandardScaler(), KNeighborsClassifier(10)),
        "forest": lambda: RandomForestClassifier(200, random_state=seed, n_jobs=1),
    }
    return made[how.model]
