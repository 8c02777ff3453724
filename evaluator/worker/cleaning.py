"""The cleaning track in the worker: one phase, which ranks the training rows whose labels an expert should check first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, ClassVar

import numpy as np

from .images import map_embeddings
from .indices import as_index, as_indices
from .phases import InvalidOutput, NotRun
from .plain import kind_of
from .service import Answer, Track

ALIASES: dict[str, tuple[str, ...]] = {
    "training_set": ("training_set", "train_set", "training_dataset"),
    "validation_set": ("validation_set", "val_set", "validation_dataset"),
    "time_available": ("time_available", "compute_budget"),
}


class LabelledRows:
    """Embeddings with their labels: a sequence of ``{"idx": int, "encoding": float32 (width,), "label": ...}``.

    Attributes:
        rows: float32 (n, width), read-only.
        labels: int64 (n,), a class, or 0 and 1; for several labels a row int64 (n, classes) of 0 and 1.
        classes: number of classes, 2 for labels of 0 and 1.
    """

    def __init__(self, rows: np.ndarray, labels: np.ndarray, classes: int) -> None:
        self.rows, self.labels, self.classes = rows, labels, classes

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        number = as_index(index if index >= 0 else index + len(self), len(self), "rows")
        return {"idx": number, "encoding": self.rows[number], "label": self.labels[number]}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[number] for number in range(len(self)))


class CleaningTrack(Track):
    """One phase: ``rank``."""

    hooks = ("rank",)
    marker = "rank"
    interface = "run"
    base = "CleaningRun"
    aliases = ALIASES
    offers: ClassVar = {"rank": ("training_set", "validation_set")}

    def rank(self, order: dict[str, Any], arrays: dict[str, np.ndarray]) -> Answer:
        """Call the hook with both sets; the answer holds the rows in its order."""
        sets = {name: self._rows(name, order) for name in ("training_set", "validation_set")}
        rows = len(sets["training_set"])
        try:
            returned = self.service.call("rank", order, **sets)
        except NotRun as error:
            raise InvalidOutput(str(error)) from None
        ranking = ranking_array(returned, rows)
        # A ranking of another length is named by the evaluator; its rows are not worth sending.
        payload = ranking.astype(np.uint32).tobytes() if len(ranking) == rows else b""
        return {"t": "done", "n": len(ranking), "clock": self.service.clock_was_read}, payload

    @staticmethod
    def _rows(name: str, order: dict[str, Any]) -> LabelledRows:
        several = order["several"]
        labels = map_embeddings(order[f"{name}_labels"])
        whole = np.rint(labels).astype(np.int64)
        return LabelledRows(map_embeddings(order[f"{name}_rows"]), whole if several else whole[:, 0], order["classes"])


def ranking_array(value: Any, rows: int) -> np.ndarray:
    """A ranking as int64 (n,): an array, a tensor, a list or an iterator of row indices, worst first.

    What has no end, or is far longer than there are rows, is read no further than it is too long.

    Raises:
        InvalidOutput: it is something else, it is too long, or an index is none of a row. What is too short or repeats a row is the
            evaluator's to find.
    """
    wanted = f"a permutation of the rows 0 to {rows - 1} was expected, worst first"
    if value is None:
        raise InvalidOutput(f"rank returned nothing; {wanted}")
    try:
        if hasattr(value, "detach"):
            value = value.detach().cpu().numpy()
        if isinstance(value, np.ndarray) and value.ndim == 1:
            given: Any = np.asarray(value)[: rows + 1]  # of a subclass as a plain array
        else:
            given = islice(iter(value), rows + 1) if _is_open(value) else value
        found = as_indices(given, rows, "rows")
    except Exception as error:
        raise InvalidOutput(f"rank returned {kind_of(value)} that cannot be read ({error}); {wanted}") from error
    if len(found) > rows:
        raise InvalidOutput(f"rank returned {kind_of(value)} of more than {rows} rows; {wanted}")
    return found


def _is_open(value: Any) -> bool:
    """Whether a value can be gone through one by one, and is none of those that ``as_indices`` refuses as a whole."""
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes, dict)) and getattr(value, "ndim", 1) != 0


TRACK = CleaningTrack
