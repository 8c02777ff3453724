"""A cleaning task: training rows of which some labels are wrong, and the rows and labels that it is judged by."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from evaluator.errors import ConfigurationError

Kind = Literal["binary", "multiclass", "multilabel"]
"""What the labels of a task are: 0 or 1; a class; 0 or 1 for every class."""
MOST_ROWS, MOST_WIDTH, MOST_CLASSES = 1_000_000, 16_384, 10_000


@dataclass(frozen=True, eq=False)
class Part:
    """Rows with their labels.

    Attributes:
        rows: float32 (n, width), embeddings.
        labels: int64 (n,): 0 or 1, or a class; for multilabel int64 (n, classes) of 0 and 1.
    """

    rows: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class CleaningTask:
    """One task of the track.

    Attributes:
        name: its data id, e.g. ``syn01-flipped``.
        kind: of the labels; ``classes``: their number, 2 for binary.
        train: the rows to clean, with the labels as given; ``true``: what an expert says of the same rows.
        validation: rows with true labels, which a participant sees; ``test``: rows which only the judge sees.
        ids: of the training rows.
        removed: bool (n,), rows that show none of the classes: an expert takes them out. None: there are none. Their true label
            has no meaning, and is the given one.
        known: bool (n,), rows of which it is known what an expert says. None: of all. The true label of the others is the given
            one, and no figure counts it as right (``verdicts.py``).

    Raises:
        ConfigurationError: the parts do not fit each other, or a value is not usable.
    """

    name: str
    kind: Kind
    classes: int
    train: Part
    true: np.ndarray
    validation: Part
    test: Part
    ids: tuple[str, ...] = field(default=(), repr=False)
    removed: np.ndarray | None = None
    known: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name, part in (("training", self.train), ("validation", self.validation), ("test", self.test)):
            self._check(f"{self.name}: the {name} set", part)
        if self.true.shape != self.train.labels.shape:
            raise ConfigurationError(
                f"{self.name}: true labels of shape {self.true.shape} for given labels of shape {self.train.labels.shape}; "
                "expected one true label for every given label"
            )
        self._check(f"{self.name}: the true labels", Part(self.train.rows, self.true))
        if self.ids and (len(self.ids) != len(self.train) or len(set(self.ids)) != len(self.ids)):
            raise ConfigurationError(
                f"{self.name}: {len(set(self.ids))} different ids for {len(self.train)} rows; expected one each"
            )

        for name, rows in (("removed", self.removed), ("known", self.known)):
            if rows is not None and (rows.dtype != bool or rows.shape != (len(self.train),)):
                raise ConfigurationError(
                    f"{self.name}: {name} is {rows.dtype} of shape {rows.shape}; expected truth values ({len(self.train)},)"
                )
        wrong = int(self.wrong.sum())
        if not 0 < wrong < len(self.train):
            raise ConfigurationError(
                f"{self.name}: {wrong:,} of {len(self.train):,} given labels are wrong; expected some wrong and some right. "
                "There is nothing to clean otherwise"
            )

    @property
    def wrong(self) -> np.ndarray:
        """Which given labels are known to be wrong, bool (n,). Of a multilabel row it is enough that one class is; every label of a
        row that an expert takes out is wrong."""
        differs = self.true != self.train.labels
        wrong: np.ndarray = differs.any(axis=1) if differs.ndim == 2 else differs
        if self.removed is not None:
            wrong = wrong | self.removed
        return wrong if self.known is None else wrong & self.known

    @property
    def all_known(self) -> bool:
        """Whether it is known of every row what an expert says."""
        return self.known is None or bool(self.known.all())

    def digest(self) -> str:
        """SHA-256 (hex) of everything that decides a score."""
        made = hashlib.sha256(f"{self.kind} {self.classes}".encode())
        for array in (self.train.rows, self.train.labels, self.true, *_both(self.validation), *_both(self.test)):
            made.update(f"{array.shape} {array.dtype.str}".encode())
            made.update(np.ascontiguousarray(array).tobytes())
        for name, rows in (("removed", self.removed), ("known", self.known)):
            if rows is not None:
                made.update(name.encode() + rows.tobytes())
        return made.hexdigest()

    def _check(self, where: str, part: Part) -> None:
        rows, labels = part.rows, part.labels
        if rows.ndim != 2 or not 0 < len(rows) <= MOST_ROWS or not 0 < rows.shape[1] <= MOST_WIDTH:
            raise ConfigurationError(
                f"{where}: embeddings of shape {rows.shape}; expected rows x width, up to {MOST_ROWS:,} x {MOST_WIDTH:,}"
            )
        if rows.dtype != np.float32 or labels.dtype != np.int64:
            raise ConfigurationError(
                f"{where}: embeddings of {rows.dtype} and labels of {labels.dtype}; expected float32 and int64"
            )
        if rows.shape[1] != self.train.rows.shape[1]:
            raise ConfigurationError(
                f"{where}: embeddings of width {rows.shape[1]}; expected {self.train.rows.shape[1]} as in training"
            )
        if (bad := np.argwhere(~np.isfinite(rows))).size:
            row, column = bad[0]
            raise ConfigurationError(
                f"{where}: row {row} holds {rows[row, column]} in column {column} of its embedding; expected finite numbers"
            )
        most = self.classes if self.kind == "multiclass" else 2
        shape = (len(rows), self.classes) if self.kind == "multilabel" else (len(rows),)
        if labels.shape != shape:
            raise ConfigurationError(f"{where}: labels of shape {labels.shape}; expected {shape}")
        if (bad := np.argwhere((labels < 0) | (labels >= most))).size:
            raise ConfigurationError(f"{where}: row {bad[0][0]} has the label {labels[tuple(bad[0])]}; expected 0 to {most - 1}")


def _both(part: Part) -> tuple[np.ndarray, np.ndarray]:
    return part.rows, part.labels
