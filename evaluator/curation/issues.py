"""Which given labels are probably wrong: confident learning on out-of-sample probabilities.

Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", 2021, as cleanlab computes it (an
extra). How many labels it flags depends on how good the probabilities are: on 2,880 handwritten numerals, of which one person's
cleaning changed 333, frozen features flag 974 at 32 pixels and 367 at 112. So the count is a proposal and no estimate of the
errors; ``trust`` estimates from a hand-checked sample how many of the flagged labels are wrong.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.errors import ConfigurationError
from evaluator.files import replaced, write_text
from evaluator.scoring.intervals import wilson_of_share
from evaluator.text import spreadsheet

MISSING = "label issues need cleanlab 2.9 or later, which is not installed; run `pip install -r requirements-cleaning.txt`"


@dataclass(frozen=True, eq=False)
class LabelIssues:
    """What was found of n labels.

    Attributes:
        ids: of the images; ``classes``: names.
        labels: int64 (n,), or 0/1 (n, classes) where several may hold.
        probabilities: float64 (n, classes), out of sample.
        quality: float64 (n,), 0 to 1; the lower, the more doubtful is the label.
        flagged: bool (n,): what confident learning takes for wrong.
        classes_health: per class a row of names and figures, worst first. ``overlaps``: pairs of classes that are taken for each
            other, worst first (empty for labels that hold together). ``health``: overall, 0 to 1.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    labels: np.ndarray
    probabilities: np.ndarray
    quality: np.ndarray
    flagged: np.ndarray
    classes_health: tuple[Mapping[str, Any], ...]
    overlaps: tuple[Mapping[str, Any], ...]
    health: float

    def worst_first(self) -> np.ndarray:
        """Numbers of all images, most doubtful first, int64 (n,)."""
        return np.argsort(self.quality, kind="stable")

    def predicted(self) -> list[str]:
        """The predicted label of every image: the likeliest class, or all from one half on, joined by ``;``."""
        if self.labels.ndim == 2:
            return [";".join(self.classes[c] for c in np.flatnonzero(row >= 0.5)) for row in self.probabilities]
        return [self.classes[c] for c in self.probabilities.argmax(axis=1)]

    def given(self) -> list[str]:
        """The given label of every image, as ``predicted`` writes them."""
        if self.labels.ndim == 2:
            return [";".join(self.classes[c] for c in np.flatnonzero(row)) for row in self.labels]
        return [self.classes[c] for c in self.labels]

    def loss(self) -> np.ndarray:
        """Cross-entropy of the given labels, float64 (n,), in nats; summed over classes where several may hold."""
        p = np.clip(self.probabilities, 1e-12, 1 - 1e-12)
        if self.labels.ndim == 2:
            return -(self.labels * np.log(p) + (1 - self.labels) * np.log1p(-p)).sum(axis=1)
        return -np.log(p[np.arange(len(p)), self.labels])

    def guessed(self) -> bool:
        """Whether the predictions are no better than the most frequent class for every image, as far as so many images tell.

        Compared are Wilson's lower 95 % end of the share of labels that are predicted, and the share of that class. False where
        several labels may hold.
        """
        if self.labels.ndim == 2:
            return False
        right = float((self.probabilities.argmax(axis=1) == self.labels).mean())
        low = wilson_of_share(right, len(self.labels)).low
        return low is not None and low <= float(np.bincount(self.labels).max()) / len(self.labels)

    def to_drop(self, count: int | None = None, quality: float | None = None) -> np.ndarray:
        """Numbers of images to drop, most doubtful first: the worst ``count``, or those whose quality is below ``quality``.

        Raises:
            ConfigurationError: none or both were given, a count beyond the images, or a quality outside 0 to 1.
        """
        check_drop(len(self.ids), count, quality)
        order = self.worst_first()
        return order[:count] if count is not None else order[self.quality[order] < quality]


def check_drop(images: int, count: int | None, quality: float | None) -> None:
    """Refuse what ``LabelIssues.to_drop`` cannot do with so many images.

    Raises:
        ConfigurationError: as there.
    """
    if (count is None) == (quality is None):
        raise ConfigurationError("--drop and --drop-below: expected one of them. Give a count, or a quality score")
    if count is not None and not 0 < count < images:
        raise ConfigurationError(f"--drop is {count}; expected 1 to {images - 1} images")
    if quality is not None and not 0 < quality < 1:
        raise ConfigurationError(f"--drop-below is {quality}; expected a quality score between 0 and 1")


def check_installed() -> None:
    """Refuse to begin where cleanlab is missing.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        import cleanlab  # noqa: F401 - before its parts, for the message
    except ImportError:
        raise ConfigurationError(MISSING) from None


def find_issues(ids: Sequence[str], classes: Sequence[str], labels: np.ndarray, probabilities: np.ndarray) -> LabelIssues:
    """Confident learning by cleanlab.

    Args:
        labels: int (n,) of single classes, or 0/1 (n, classes) where several may hold.
        probabilities: (n, classes), out of sample.

    Raises:
        ConfigurationError: cleanlab is not installed, arrays that do not fit each other, or a class without any image.
    """
    check_installed()
    n, k = len(ids), len(classes)
    if labels.shape not in ((n,), (n, k)) or probabilities.shape != (n, k):
        raise ConfigurationError(
            f"the labels are {labels.shape}, the probabilities {probabilities.shape}; expected ({n},) or ({n}, {k}), and ({n}, {k})"
        )
    seen: np.ndarray = np.atleast_1d((labels > 0).any(axis=0) if labels.ndim == 2 else np.bincount(labels, minlength=k) > 0)
    if not seen.all():
        lacking = ", ".join(name for name, there in zip(classes, seen, strict=True) if not there)
        raise ConfigurationError(f"no image has the label {lacking}; label issues need every class. Leave it out of the classes")
    found = _several(labels, probabilities, classes) if labels.ndim == 2 else _single(labels, probabilities, classes)
    return LabelIssues(tuple(ids), tuple(classes), labels, probabilities, *found)


def _single(
    labels: np.ndarray, p: np.ndarray, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...], float]:
    from cleanlab.count import estimate_joint
    from cleanlab.dataset import find_overlapping_classes, overall_label_health_score, rank_classes_by_label_quality
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    quality = np.asarray(get_label_quality_scores(labels, p))
    flagged = np.asarray(find_label_issues(labels, p, n_jobs=1))
    joint = estimate_joint(labels, p)
    told: dict[str, Any] = {"labels": labels, "pred_probs": p, "joint": joint}
    ranked = rank_classes_by_label_quality(**told)
    overlapping = find_overlapping_classes(**told, num_examples=len(labels))
    health = float(overall_label_health_score(**told, verbose=False))
    rows = [
        {
            "class": classes[int(row["Class Index"])],
            "images": int((labels == int(row["Class Index"])).sum()),
            "flagged": int(flagged[labels == int(row["Class Index"])].sum()),
            "label noise": float(row["Label Noise"]),
            "inverse label noise": float(row["Inverse Label Noise"]),
            "label quality": float(row["Label Quality Score"]),
        }
        for row in ranked.to_dict("records")
    ]
    pairs = [
        {
            "class": classes[int(row["Class Index A"])],
            "other class": classes[int(row["Class Index B"])],
            "share of all images": float(row["Joint Probability"]),
            "images": int(row["Num Overlapping Examples"]),
        }
        for row in overlapping.to_dict("records")
        if row["Joint Probability"] > 0
    ]
    return quality, flagged, tuple(rows), tuple(pairs), health


def _several(
    labels: np.ndarray, p: np.ndarray, classes: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, tuple[Mapping[str, Any], ...], tuple[Mapping[str, Any], ...], float]:
    from cleanlab.multilabel_classification.filter import find_label_issues, find_multilabel_issues_per_class
    from cleanlab.multilabel_classification.rank import get_label_quality_scores

    listed = [np.flatnonzero(row).tolist() for row in labels]
    quality = np.asarray(get_label_quality_scores(listed, p))
    # ``common_multilabel_issues`` and ``overall_multilabel_health_score`` are made of these two, but take no number of processes:
    # they fork, and a child of a process whose libraries have threads may wait for ever.
    flagged = np.asarray(find_label_issues(listed, p, n_jobs=1))
    found = find_multilabel_issues_per_class(listed, p, return_indices_ranked_by="self_confidence", n_jobs=1)[0]
    per_class = {
        c: {given: int((labels[rows, c] == given).sum()) for given in (True, False)}
        for c, rows in enumerate(np.asarray(part, np.int64) for part in found)
    }
    rows: list[dict[str, Any]] = [
        {
            "class": classes[c],
            "images": int(labels[:, c].sum()),
            "given, and doubtful": per_class.get(c, {}).get(True, 0),
            "not given, and doubtful": per_class.get(c, {}).get(False, 0),
        }
        for c in range(len(classes))
    ]
    rows.sort(key=lambda row: -(row["given, and doubtful"] + row["not given, and doubtful"]))
    return quality, flagged, tuple(rows), (), float(1.0 - flagged.mean())


def write_issues(issues: LabelIssues, path: Path, splits: Sequence[str] | None = None) -> None:
    """Write a table, worst first: ``id, split, label, predicted, quality, loss, flagged`` and the probability of each class.

    Args:
        path: ending in ``.csv`` or ``.parquet``.

    Raises:
        ConfigurationError: another ending, or Parquet without pyarrow. OSError: the file cannot be written.
    """
    if path.suffix not in (".csv", ".parquet"):
        raise ConfigurationError(f"{path}: the table ends in {path.suffix or 'nothing'}; expected .csv or .parquet. Rename it")
    order, loss = issues.worst_first(), issues.loss()
    given, predicted = issues.given(), issues.predicted()
    columns: dict[str, list[Any]] = {
        "id": [issues.ids[i] for i in order],
        "split": [(splits or [""] * len(order))[i] for i in order],
        "label": [given[i] for i in order],
        "predicted": [predicted[i] for i in order],
        "quality": [round(float(issues.quality[i]), 6) for i in order],
        "loss": [round(float(loss[i]), 6) for i in order],
        "flagged": [bool(issues.flagged[i]) for i in order],
    }
    for c, name in enumerate(issues.classes):
        columns[f"p({name})"] = [round(float(issues.probabilities[i, c]), 6) for i in order]
    if path.suffix == ".parquet":
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise ConfigurationError(
                f"{path}: Parquet needs pyarrow, which is not installed; run `pip install -r requirements-cleaning.txt`, or write "
                ".csv"
            ) from None
        with replaced(path, "wb") as file:
            pyarrow.parquet.write_table(pyarrow.table(columns), file)
        return
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(map(spreadsheet, columns))
    for row in zip(*columns.values(), strict=True):
        table.writerow([str(value).lower() if isinstance(value, bool) else spreadsheet(value) for value in row])
    write_text(path, out.getvalue())
