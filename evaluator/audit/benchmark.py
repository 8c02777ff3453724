"""A benchmark under audit: its images by id, the labels as they were given, and what else is known of each image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from unicodedata import normalize

import numpy as np

from evaluator.audit.sets import LabelSets
from evaluator.bounded import BoundsError
from evaluator.text import one_line
from evaluator.words import counted

SHOWN = 8
"""Ids that a message names; of the others it gives the number."""


class IdsError(BoundsError):
    """Ids that are missing, doubled or unknown. The message names the file, how many there are, and some of them."""


@dataclass(frozen=True, eq=False)
class Benchmark:
    """What every audit begins with.

    Attributes:
        ids: of the images, each once; everything else is matched by them.
        labels: as given: int64 (n,), a class per image; or bool (n, classes), where an image may have any number of labels.
        classes: names, in the order of their numbers.
        revision: of the benchmark, as a person named it; it is stored with every figure.
        columns: further columns by name, a text per image, for ``--where``; an empty text is none.
    """

    ids: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    revision: str = ""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        multi = self.labels.ndim == 2
        object.__setattr__(self, "labels", np.ascontiguousarray(self.labels, bool if multi else np.int64))
        if not self.ids or len(self.labels) != len(self.ids) or self.labels.ndim not in (1, 2):
            raise ValueError(f"{len(self.ids)} ids and labels of shape {self.labels.shape}; expected a label or a row for each id")
        if len(self.index) != len(self.ids):
            raise IdsError(ids_message("the benchmark", doubled=doubles(self.ids)))
        if multi and self.labels.shape[1] != len(self.classes):
            raise ValueError(f"labels of {self.labels.shape[1]} classes, and {len(self.classes)} names; expected the same number")
        if not multi and (self.labels.min() < 0 or self.labels.max() >= len(self.classes)):
            raise ValueError(f"labels {self.labels.min()} to {self.labels.max()}; expected 0 to {len(self.classes) - 1}")
        if bad := next((name for name, column in self.columns.items() if len(column) != len(self.ids)), None):
            raise ValueError(f"the column {bad!r} has {len(self.columns[bad])} values; expected {len(self.ids)}, one for each id")

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def multi(self) -> bool:
        """Whether an image may have any number of labels, none included."""
        return self.labels.ndim == 2

    @cached_property
    def index(self) -> Mapping[str, int]:
        """The place of each id."""
        return {id_: place for place, id_ in enumerate(self.ids)}

    @cached_property
    def given(self) -> LabelSets:
        """The labels as given, as sets."""
        return LabelSets.where(self.labels) if self.multi else LabelSets.single(self.labels)

    def places(self, ids: Sequence[str], where: str, *, all_of_them: bool) -> np.ndarray:
        """Where ids of a file stand in the benchmark: int64 (len(ids),).

        Args:
            where: names the file in messages.
            all_of_them: whether every image of the benchmark must be among them.

        Raises:
            IdsError: ids are unknown, doubled or missing.
        """
        if len(ids) == len(self.ids) and tuple(ids) == self.ids:
            return np.arange(len(ids))
        found = [self.index.get(id_, -1) for id_ in ids]
        unknown = [id_ for id_, place in zip(ids, found, strict=True) if place < 0]
        absent = sorted(self.ids[place] for place in set(range(len(self.ids))) - set(found)) if all_of_them else []
        repeated = doubles(ids)
        if unknown or absent or repeated:
            hint = stems_hint(unknown, self.ids)
            raise IdsError(ids_message(where, missing=absent, doubled=repeated, unknown=unknown, hint=hint))
        return np.array(found, np.int64)


def stem(text: str) -> str:
    """The name of a file without its folder and its ending."""
    return PurePosixPath(text.replace("\\", "/")).stem


def stems_hint(unknown: Sequence[str], known: Sequence[str]) -> str:
    """What to do where unknown ids differ from those of the benchmark by folders and endings, or by their form of Unicode, alone;
    empty where none does."""
    if forms := {normalize("NFC", id_) for id_ in unknown if not id_.isascii()}:
        same = next((id_ for id_ in known if not id_.isascii() and normalize("NFC", id_) in forms), None)
        if same is not None:
            return f"Some look the same and are written in another form of Unicode, as {same!a} in the benchmark: write them so"
    if unknown and {stem(id_) for id_ in unknown} & {stem(id_) for id_ in known}:
        return "Some differ by a folder or an ending only: add --stems, and such ids are compared by the file's name alone"
    return ""


def doubles(ids: Sequence[str]) -> list[str]:
    """The ids that stand in a list more than once, in the order of their second time."""
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for id_ in ids:
        if id_ in seen:
            twice[id_] = None
        seen.add(id_)
    return list(twice)


def ids_message(
    where: str, *, missing: Sequence[str] = (), doubled: Sequence[str] = (), unknown: Sequence[str] = (), hint: str = ""
) -> str:
    """What is wrong with the ids of a file: how many are missing, doubled or unknown, and the first of each."""
    said = [
        f"{counted(len(ids), 'id')} {what} ({_some(ids)})"
        for what, ids in (("missing", missing), ("doubled", doubled), ("unknown", unknown))
        if ids
    ]
    wanted = "each image of the benchmark once" if missing else "ids of the benchmark, each once"
    return f"{where}: {'; '.join(said)}; expected {wanted}. {hint or 'Correct the ids'}"


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(one_line(id_, 60) for id_ in ids[:SHOWN])
    return shown + (f", and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else "")
