"""CIFAR-10's test labels with the votes of people: probabilities of classes, labels as given, verdicts on some of them.

The files are those of the study of label errors by Northcutt, Athalye and Mueller (2021), Pervasive Label Errors in Test Sets
(https://github.com/cleanlab/label-errors): ``cross_validated_probabilities.npy`` (n, classes), ``original_labels.npy`` (n,), and
``human_votes.json``: of images that confident learning flagged, five people each said whether the given label holds, the guessed
label, both, or neither.

More than half of the votes make a verdict: the given label is right; the guessed label is right; neither is, and an expert would
take the image out. Images on which both labels hold, or on which people disagree, have none. Of all others nobody was asked.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.bounded import BoundsError, Limits, read_json
from evaluator.cleaning.tasks import MOST_CLASSES, MOST_ROWS, CleaningTask, Part
from evaluator.errors import ConfigurationError
from evaluator.seeds import generator
from evaluator.text import one_line

TASK = "cifar10-votes"
PROBABILITIES, LABELS, VOTES = "cross_validated_probabilities.npy", "original_labels.npy", "human_votes.json"
KINDS = ("given", "guessed", "neither", "both")
MOST_BYTES = 1 << 30
MOST_VOTES = Limits(size=1 << 26, values=1 << 22)
SMALLEST = 1e-6
"""Probabilities below it count as it, so that their logarithms are finite."""
LEAST = 10
"""Rows with a verdict that training and validation rows each need."""


@dataclass(frozen=True, eq=False)
class Voted:
    """The data of a folder.

    Attributes:
        rows: natural logarithms of the probabilities, float32 (n, classes); ``labels``: as given, int64 (n,).
        true: int64 (n,), by the verdicts; the given label where there is none, or no label holds.
        known, removed: bool (n,), rows with a verdict, and those of them where no label holds.
        voted: how many rows were voted on; ``digest``: SHA-256 (hex) of the three files.
    """

    rows: np.ndarray
    labels: np.ndarray
    true: np.ndarray
    known: np.ndarray
    removed: np.ndarray
    voted: int
    digest: str

    def drawn(self, root: int, seed: int, train: int, validation: int) -> CleaningTask:
        """The task of a seed: other rows to rank, and other rows with verdicts to validate on.

        There is no test set, since no model is trained; the rows to validate on stand in its place and are never used.

        Args:
            root: that every draw follows from; ``seed``: number of the repetition.
            train: rows to rank; ``validation``: rows at most, of those that are left and have a right label.

        Raises:
            ConfigurationError: too few rows have a verdict.
        """
        order = generator(root, seed, "cleaning", TASK, "rows").permutation(len(self.rows))
        first, rest = order[:train], order[train:]
        second = rest[(self.known & ~self.removed)[rest]][:validation]
        if len(second) < LEAST or self.known[first].sum() < LEAST:
            raise ConfigurationError(
                f"{TASK}: {int(self.known[first].sum())} rows to rank and {len(second)} to validate on have a verdict; expected "
                f"{LEAST} or more each. Add votes"
            )
        ids = tuple(f"image{number:05d}" for number in first)
        held = Part(self.rows[second], self.true[second])
        return CleaningTask(
            TASK,
            "multiclass",
            self.rows.shape[1],
            Part(self.rows[first], self.labels[first]),
            self.true[first],
            held,
            held,
            ids,
            removed=self.removed[first],
            known=self.known[first],
        )


@lru_cache(maxsize=2)
def read_votes(folder: Path) -> Voted:
    """The data of a folder; read once per process.

    Raises:
        ConfigurationError: a file is missing or not what it should be; the message names it and the value.
    """
    for name in (PROBABILITIES, LABELS, VOTES):
        if not (folder / name).is_file():
            raise ConfigurationError(
                f"{folder / name}: the file is missing; expected {PROBABILITIES}, {LABELS} and {VOTES}. "
                "Name their folder with --data"
            )
    probabilities, labels = _array(folder / PROBABILITIES, "f", 2), _array(folder / LABELS, "iu", 1)
    if len(probabilities) != len(labels) or not 1 < probabilities.shape[1] <= MOST_CLASSES:
        raise BoundsError(
            f"{folder / PROBABILITIES}: shape {probabilities.shape} for {len(labels):,} labels; expected a row per label. "
            "Correct it"
        )
    if (bad := np.argwhere(~((probabilities >= 0) & (probabilities <= 1 + 1e-6)))).size:
        row, column = bad[0]
        raise BoundsError(
            f"{folder / PROBABILITIES}, row {row}: the value {probabilities[row, column]} in column {column}; expected a "
            "probability. Correct it"
        )
    if (bad := np.argwhere((labels < 0) | (labels >= probabilities.shape[1]))).size:
        row = bad[0][0]
        raise BoundsError(
            f"{folder / LABELS}, row {row}: the label {labels[row]}; expected 0 to {probabilities.shape[1] - 1}. Correct it"
        )
    labels = labels.astype(np.int64)
    true, known, removed, voted = _verdicts(folder / VOTES, labels, probabilities.shape[1])
    rows = np.log(np.clip(probabilities, SMALLEST, 1)).astype(np.float32)
    made = hashlib.sha256()
    for name in (PROBABILITIES, LABELS, VOTES):
        with open(folder / name, "rb") as file:
            made.update(hashlib.file_digest(file, "sha256").digest())
    return Voted(rows, labels, true, known, removed, voted, made.hexdigest())


def _array(path: Path, kinds: str, axes: int) -> np.ndarray:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BoundsError(f"{path}: {path.stat().st_size:,} bytes; at most {MOST_BYTES:,} are read. Make it smaller")
        found: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except BoundsError:
        raise
    except (OSError, ValueError, EOFError) as error:
        raise BoundsError(
            f"{path}: it cannot be read ({one_line(str(error), 200)}); expected a .npy array. Write it anew"
        ) from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in kinds or found.ndim != axes or not 0 < len(found) <= MOST_ROWS:
        seen = f"{found.dtype} of shape {found.shape}" if isinstance(found, np.ndarray) else "an archive"
        raise BoundsError(f"{path}: {seen}; expected {'numbers (n, classes)' if axes == 2 else 'whole numbers (n,)'}. Correct it")
    return np.array(found)


def _verdicts(path: Path, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """(true labels, rows with a verdict, rows to take out, number of rows that were voted on)."""
    stored = read_json(path, MOST_VOTES)
    if not isinstance(stored, list):
        raise BoundsError(f"{path}: it holds a {type(stored).__name__}; expected a list with a member for every image. Correct it")
    true, seen = labels.copy(), np.zeros(len(labels), bool)
    known, removed = np.zeros(len(labels), bool), np.zeros(len(labels), bool)
    for number, member in enumerate(stored):
        where = f"{path}, member {number}"
        row, guessed, votes = _member(member, where, labels, classes)
        if seen[row]:
            raise BoundsError(f"{where}: the image {row} stands there twice; expected it once. Remove one")
        seen[row] = True
        most = max(KINDS, key=lambda kind: votes[kind])
        if 2 * votes[most] <= sum(votes.values()) or most == "both":
            continue
        known[row], removed[row] = True, most == "neither"
        if most == "guessed":
            true[row] = guessed
    return true, known, removed, int(seen.sum())


def _member(member: Any, where: str, labels: np.ndarray, classes: int) -> tuple[int, int, dict[str, int]]:
    wanted = "expected id, given_original_label, our_guessed_label and mturk with counts of given, guessed, neither, both"
    try:
        row, given, guessed = (member[name] for name in ("id", "given_original_label", "our_guessed_label"))
        votes = {kind: member["mturk"][kind] for kind in KINDS}
    except (KeyError, TypeError, IndexError):
        raise BoundsError(f"{where}: {one_line(repr(member), 80)}; {wanted}. Correct it") from None
    numbers = (row, given, guessed, *votes.values())
    if not all(type(value) is int and 0 <= value < 2**31 for value in numbers) or sum(votes.values()) == 0:
        raise BoundsError(f"{where}: {one_line(repr(member), 80)}; {wanted}, whole numbers with one vote or more. Correct it")
    if row >= len(labels) or guessed >= classes or given != labels[row]:
        seen = f"the image {row} of {len(labels):,} has the given label {given} and the guessed label {guessed}"
        raise BoundsError(f"{where}: {seen}; expected the label of {LABELS} and classes below {classes}. Correct it")
    return row, guessed, votes
