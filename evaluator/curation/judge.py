"""The judge: a data set is held against the rules, the fixed model is trained on it, and the hidden test set is scored."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluator.curation.curated import Curated, Row
from evaluator.curation.images import LabelledImages
from evaluator.curation.leaks import NearRow, Side, near_row, perceptual_hashes
from evaluator.curation.records import Changes, ClassRow, MemberRow
from evaluator.curation.rules import CurationProfile, Judges
from evaluator.curation.sets import BOOK, TEST, TRAIN, VAL, CurationData
from evaluator.errors import DataError
from evaluator.scoring.intervals import wilson_of_share
from evaluator.scoring.metrics import score
from evaluator.text import name as shown
from evaluator.words import counted

NAMED = 10
"""Images that a refusal names."""


class EmptyClassError(DataError):
    """A class has no images in a split. ``split``: which; ``held``: how many images the split has in all."""

    def __init__(self, split: str, label: str, held: int) -> None:
        self.split, self.label, self.held = split, label, held
        super().__init__(
            f"{split}: the class {label} has no images ({counted(held, 'image')} in all); expected one or more of "
            "every class in train and in val. Move or add some"
        )

    def __reduce__(self) -> tuple[type[EmptyClassError], tuple[str, str, int]]:
        return type(self), (self.split, self.label, self.held)


@dataclass(frozen=True, eq=False)
class Ready:
    """A data set that may be trained on. ``rows``: of the images of both splits, in the order train, val."""

    train: LabelledImages
    validation: LabelledImages
    rows: tuple[Row, ...]
    changes: Changes
    near: list[NearRow]


@dataclass(frozen=True, eq=False)
class Judgement:
    """What judging gave. ``probabilities``: of the test images, float32 (n, classes); of a panel the mean of its members'."""

    metrics: dict[str, float]
    low: float
    high: float
    by_class: list[ClassRow]
    members: list[MemberRow]
    probabilities: np.ndarray
    fingerprint: str


def checked(curated: Curated, data: CurationData, profile: CurationProfile) -> Ready:
    """The images of a data set, if it keeps to the rules.

    Raises:
        DataError: it does not; the message names images of the submission's side only.
    """
    rows = sorted(curated.rows, key=lambda row: (row.split != TRAIN, row.label, row.id))
    sizes = Counter(row.split for row in rows)
    if why := profile.too_many(sizes[TRAIN], sizes[VAL]):
        raise DataError(f"{why}. Drop some")
    held = Counter((row.split, row.label) for row in rows)
    if strange := next((row for row in rows if row.label not in data.classes), None):
        known = ", ".join(data.classes[:20])
        raise DataError(f"{shown(strange.id)}: the label {shown(strange.label)!r} is none of the classes; expected {known}")
    for split in (TRAIN, VAL):
        for label in data.classes:
            if not held[split, label]:
                raise EmptyClassError(split, label, sizes[split])
    for name in (TEST, BOOK):
        leaked = [row.id for row in rows if data.hidden.get(row.source) == name]
        if leaked:
            raise DataError(
                f"{counted(len(leaked), 'image')} with the same pixels as an image of the {name}; nobody may train on those. "
                f"Remove {_listed(leaked)}"
            )
    twice = _in_both(rows)
    if twice and profile.duplicates == "refuse":
        raise DataError(
            f"{counted(len(twice), 'image')} of val with the same pixels as an image of train; the rules refuse that. "
            f"Remove {_listed(twice)}"
        )
    pixels = data.by_digest | curated.pixels(profile.most_side)
    if lost := next((row for row in rows if row.source not in pixels), None):
        raise DataError(f"{shown(lost.id)}: its source {lost.source[:12]} is neither an image of the given data nor a new image")
    parts = {split: _part([row for row in rows if row.split == split], pixels, data.classes) for split in (TRAIN, VAL)}
    return Ready(parts[TRAIN], parts[VAL], tuple(rows), changes_of(rows, data), _near(rows, pixels, data))


def train_and_score(
    ready: Ready,
    data: CurationData,
    judges: Judges,
    seed: int,
    progress: Callable[[float], None] = lambda share: None,
    *,
    device: str = "cpu",
) -> Judgement:
    """Train every member of the judges, and score the hidden test set and the label book.

    Args:
        seed: of starting weights and orders; a member's follows from it and its place.
        device: as for ``train_and_predict``.

    Raises:
        DataError, TrainingError: as ``train_and_predict``.
    """
    from evaluator.curation.training import train_and_predict

    members, probabilities, right = [], [], []
    many = len(judges.members)
    for number, recipe in enumerate(judges.members):
        trained = train_and_predict(
            ready.train,
            ready.validation,
            {"test": data.test, "book": data.book},
            recipe,
            len(data.classes),
            (seed + number) % 2**31,
            lambda share, number=number: progress((number + share) / many),  # type: ignore[misc]
            device=device,
        )
        found = {
            name: (trained.probabilities[name].argmax(axis=1), part) for name, part in (("test", data.test), ("book", data.book))
        }
        figures = score(_one_hot(data.test.labels, data), _one_hot(found["test"][0], data), data.classes)
        members.append(
            MemberRow(
                name=recipe.name,
                accuracy=figures.accuracy,
                macro_f1=figures.macro_f1,
                book_accuracy=float((found["book"][0] == data.book.labels).mean()),
                validation_accuracy=trained.validation_accuracy[trained.best_epoch - 1],
                best_epoch=trained.best_epoch,
                seconds=trained.seconds,
                notes=list(trained.notes),
            )
        )
        probabilities.append(np.asarray(trained.probabilities["test"], np.float32))
        right.append(found["test"][0] == data.test.labels)
    names = ("accuracy", "macro_f1", "book_accuracy", "validation_accuracy")
    joined = min if judges.rank == "worst" else _mean
    metrics = {name: float(joined([getattr(member, name) for member in members])) for name in names}
    metrics["best_constant_accuracy"] = float(np.bincount(data.test.labels).max() / len(data.test))
    interval = wilson_of_share(metrics["accuracy"], len(data.test))
    assert interval.low is not None
    assert interval.high is not None
    whole = np.mean(probabilities, axis=0) if many > 1 else probabilities[0]
    held = Counter((row.split, row.label) for row in ready.rows)
    shares = np.mean(right, axis=0)
    by_class = [
        ClassRow(
            label=label,
            images=int((data.test.labels == number).sum()),
            right=float(shares[data.test.labels == number].mean()) if (data.test.labels == number).any() else 0.0,
            trained=held[TRAIN, label],
            validated=held[VAL, label],
        )
        for number, label in enumerate(data.classes)
    ]
    made = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in probabilities)).hexdigest()
    return Judgement(metrics, interval.low, interval.high, by_class, members, whole, made)


def changes_of(rows: Sequence[Row], data: CurationData) -> Changes:
    """What a data set has in it, seen from the given data. A given image is known by its pixels, whatever it is called now."""
    waiting: dict[str, list[tuple[str, str]]] = {}
    for item in data.items:
        if item.id not in data.left_out:
            waiting.setdefault(data.digests[item.id], []).append((item.label, item.split))
    sizes = Counter(row.split for row in rows)
    kept = relabelled = moved = added = 0
    # Rows that are as they were given first, so that a copy never counts as the original.
    for row in sorted(rows, key=lambda row: (row.label, row.split) not in waiting.get(row.source, ())):
        originals = waiting.get(row.source)
        if not originals:
            added += 1
            continue
        same = (row.label, row.split) in originals
        label, split = originals.pop(originals.index((row.label, row.split)) if same else 0)
        kept += same
        relabelled += label != row.label
        moved += split != row.split
    return Changes(
        train=sizes[TRAIN],
        val=sizes[VAL],
        kept=kept,
        dropped=sum(map(len, waiting.values())),
        relabelled=relabelled,
        moved=moved,
        added=added,
        left_out=len(data.left_out),
    )


def _near(rows: Sequence[Row], pixels: dict[str, np.ndarray], data: CurationData) -> list[NearRow]:
    """What train, val, label book and hidden test set have in common. Of the hidden test set nothing but numbers is said."""
    distance = max(0, data.calibration.distance)
    sources = list(dict.fromkeys(row.source for row in rows))
    hashes = dict(zip(sources, perceptual_hashes([pixels[source] for source in sources]), strict=True))

    def side(split: str) -> Side:
        own = [row for row in rows if row.split == split]
        return Side(
            split, [r.id for r in own], [r.source for r in own], np.stack([hashes[r.source] for r in own]), [r.label for r in own]
        )

    train, val = side(TRAIN), side(VAL)
    found = [near_row(train, val, distance, named=True)]
    for name, part in ((BOOK, data.book), (TEST, data.test)):
        labels = [data.classes[label] for label in part.labels]
        other = Side(name, part.ids, [""] * len(part), data.hashes[name], labels)
        found += [near_row(own, other, distance, named=name == BOOK) for own in (train, val)]
    return found


def _part(rows: Sequence[Row], pixels: dict[str, np.ndarray], classes: Sequence[str]) -> LabelledImages:
    places = {label: number for number, label in enumerate(classes)}
    return LabelledImages(
        tuple(row.id for row in rows),
        tuple(pixels[row.source] for row in rows),
        np.array([places[row.label] for row in rows], np.int64),
    )


def _in_both(rows: Sequence[Row]) -> list[str]:
    train = {row.source for row in rows if row.split == TRAIN}
    return [row.id for row in rows if row.split == VAL and row.source in train]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(map(shown, names[:NAMED])) + more


def _one_hot(labels: np.ndarray, data: CurationData) -> np.ndarray:
    return np.eye(len(data.classes), dtype=np.uint8)[np.asarray(labels)]


def _mean(values: Sequence[float]) -> Any:
    return sum(values) / len(values)
