"""Which labels of a benchmark are likely wrong, where nobody has corrected it: confident learning on out-of-sample probabilities.

Northcutt, Jiang and Chuang (2021), Confident Learning, JAIR 70, as cleanlab has it; labels of several classes an image by
Thyagarajan et al. (2022), Identifying Incorrect Annotations in Multi-Label Classification Data. Probabilities must come from models
that did not see the image: a model that has seen a wrong label believes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from evaluator.errors import ConfigurationError

Filter = Literal["prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given"]
FILTERS = get_args(Filter)
NEEDS = "cleanlab is not installed; audit suspects needs it. Run `pip install -r requirements-audit.txt`"


@dataclass(frozen=True)
class ClassHealth:
    """How sound the labels of a class are.

    Attributes:
        name: of the class; ``given``: images that have the label.
        flagged: of these; ``missing``: images without the label that are flagged and for which the class is suggested.
        wrong: estimated share of the images so labelled that are of another class.
        lost: estimated share of the images of this class that have another label.
    """

    name: str
    given: int
    flagged: int
    missing: int
    wrong: float
    lost: float


@dataclass(frozen=True, eq=False)
class Suspects:
    """Labels that are likely wrong.

    Attributes:
        order: rows of all images, the most suspect first: flagged first, then by quality. int64 (n,).
        flagged: bool (n,).
        quality: label quality, 0 to 1, float64 (n,): the lower, the more suspect.
        suggested: what else each image may be, bool (n, classes): the likeliest other class; of several labels, the given ones with
            the flagged entries turned round, or the least likely entry where none is flagged. Never what was given.
        estimate: number of wrong labels by the estimated joint distribution, which the filter need not flag one by one.
        classes: health by class, the worst first.
    """

    order: np.ndarray
    flagged: np.ndarray
    quality: np.ndarray
    suggested: np.ndarray
    estimate: int
    classes: tuple[ClassHealth, ...]

    @property
    def count(self) -> int:
        """Number of flagged images."""
        return int(self.flagged.sum())


def find_suspects(
    labels: np.ndarray, probabilities: np.ndarray, names: Sequence[str], how: Filter = "prune_by_noise_rate"
) -> Suspects:
    """Flag and rank the labels of a benchmark.

    Args:
        labels: as given; int (n,), or 0/1 (n, classes) where an image may have several or none.
        probabilities: (n, classes) from models that did not see the image. With one label an image, rows sum to 1.
        names: of the classes.
        how: cleanlab's filter. ``prune_by_noise_rate`` is its default.

    Raises:
        ConfigurationError: cleanlab is missing, or labels and probabilities do not fit each other.
    """
    y, p = np.asarray(labels), np.asarray(probabilities, np.float64)
    _check(y, p, names)
    return _of_sets(y, p, names, how) if y.ndim == 2 else _of_classes(y, p, names, how)


def _of_classes(y: np.ndarray, p: np.ndarray, names: Sequence[str], how: Filter) -> Suspects:
    try:
        from cleanlab.count import estimate_joint, num_label_issues
        from cleanlab.filter import find_label_issues
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        raise ConfigurationError(NEEDS) from None
    # A class that no image has cannot be estimated; its column stays in the probabilities and takes part in nothing.
    there = np.unique(y)
    places = np.searchsorted(there, y)
    shares = p[:, there]
    total = shares.sum(axis=1, keepdims=True)
    shares = np.divide(shares, total, out=np.full_like(shares, 1 / max(len(there), 1)), where=total > 0)
    quality = get_label_quality_scores(y, p)
    if len(there) < 2:
        flagged, estimate, health = np.zeros(len(y), bool), 0, {int(there[0]): (0.0, 0.0)}
    else:
        flagged = np.asarray(find_label_issues(places, shares, filter_by=how, n_jobs=1), bool)
        estimate = int(num_label_issues(places, shares))
        health = _health(np.asarray(estimate_joint(places, shares), np.float64), there)
    others = p.copy()
    others[np.arange(len(y)), y] = -1
    best = others.argmax(axis=1)
    suggested = np.zeros(p.shape, bool)
    suggested[np.arange(len(y)), best] = True
    classes = [
        ClassHealth(
            names[k],
            int((y == k).sum()),
            int((flagged & (y == k)).sum()),
            int((flagged & (y != k) & (best == k)).sum()),
            *health[k],
        )
        for k in map(int, there)
    ]
    return Suspects(_ranked(flagged, quality), flagged, quality, suggested, estimate, _worst_first(classes))


def _health(joint: np.ndarray, classes: np.ndarray) -> dict[int, tuple[float, float]]:
    """By class: the share of its labels that are wrong, and of its images that have another label.

    Args:
        joint: estimated shares of given label (rows) and true label (columns).
    """
    right, by_given, by_true = joint.diagonal(), joint.sum(axis=1), joint.sum(axis=0)
    wrong, lost = (1 - right / np.maximum(total, 1e-12) for total in (by_given, by_true))
    return {int(k): (float(w), float(m)) for k, w, m in zip(classes, wrong, lost, strict=True)}


def _of_sets(y: np.ndarray, p: np.ndarray, names: Sequence[str], how: Filter) -> Suspects:
    """Class by class as present or absent; an image is flagged where one of its entries is."""
    try:
        from cleanlab.multilabel_classification.rank import get_label_quality_scores
    except ImportError:
        raise ConfigurationError(NEEDS) from None
    entries = np.zeros(y.shape, bool)
    estimate, classes = 0, []
    for k, name in enumerate(names):
        found = _of_classes(y[:, k].astype(np.int64), np.stack([1 - p[:, k], p[:, k]], axis=1), ("absent", "present"), how)
        entries[:, k] = found.flagged
        estimate += found.estimate
        health = {row.name: row for row in found.classes}
        present = health.get("present")
        positive = y[:, k] == 1
        classes.append(
            ClassHealth(
                name,
                int(positive.sum()),
                int((entries[:, k] & positive).sum()),
                int((entries[:, k] & ~positive).sum()),
                present.wrong if present else 0.0,
                present.lost if present else 0.0,
            )
        )
    quality = np.asarray(get_label_quality_scores([np.flatnonzero(row).tolist() for row in y], p), np.float64)
    flagged = np.asarray(entries.any(axis=1))
    least = np.argmin(np.where(y == 1, p, 1 - p), axis=1)
    turned = entries.copy()
    turned[~flagged, least[~flagged]] = True
    suggested = (y == 1) ^ turned
    return Suspects(_ranked(flagged, quality), flagged, quality, suggested, estimate, _worst_first(classes))


def _ranked(flagged: np.ndarray, quality: np.ndarray) -> np.ndarray:
    return np.lexsort((np.arange(len(quality)), quality, ~flagged)).astype(np.int64)


def _worst_first(classes: Sequence[ClassHealth]) -> tuple[ClassHealth, ...]:
    return tuple(sorted(classes, key=lambda row: (-row.wrong, -row.lost)))


def _check(y: np.ndarray, p: np.ndarray, names: Sequence[str]) -> None:
    if p.ndim != 2 or len(p) != len(y) or not len(y):
        raise ConfigurationError(
            f"--probabilities: their shape is {p.shape} for {len(y)} labels; expected a row per image and a column per class"
        )
    if p.shape[1] < 2 or len(names) != p.shape[1] or (y.ndim == 2 and y.shape[1] != p.shape[1]):
        columns = y.shape[1] if y.ndim == 2 else len(names)
        raise ConfigurationError(f"--probabilities: {p.shape[1]} columns for {columns} classes; expected one per class, 2 or more")
    bad = ~((p >= 0) & (p <= 1)).all(axis=1)
    if bad.any():
        raise ConfigurationError(
            f"--probabilities: row {int(bad.argmax())} holds a value that is no probability; expected 0 to 1. Apply a "
            "softmax to scores"
        )
    if y.ndim == 1:
        off = np.abs(p.sum(axis=1) - 1) > 0.01
        if off.any():
            row = int(off.argmax())
            raise ConfigurationError(
                f"--probabilities: row {row} sums to {p[row].sum():.4g}; expected 1. Give the probabilities of all classes"
            )
        if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= p.shape[1]:
            raise ConfigurationError(f"--labels: {y.min()} to {y.max()} were seen; expected class numbers 0 to {p.shape[1] - 1}")
    elif not np.isin(y, (0, 1)).all():
        raise ConfigurationError("--labels: a table of several labels an image holds other values than 0 and 1; correct it")
