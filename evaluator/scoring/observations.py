"""Copies are not observations: seeds on which nothing but the training's own chance differs count once.

A strategy without chance of its own, on data of which nothing is drawn by seed, gives the same answer on every seed. Its scores on
ten seeds are ten trainings on one answer. They tell how steady the training is and nothing of what the strategy would do on other
data, so that an interval over them, or a test, would be far too sure of itself. Before any statistics such scores become one value,
their mean.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence

import numpy as np


def numbered(keys: Iterable[Hashable | None]) -> list[int]:
    """A number for every key, equal for equal keys. None equals nothing, itself included: what is not known is no copy."""
    known: dict[Hashable, int] = {}
    return [known.setdefault(key if key is not None else (None, place), len(known)) for place, key in enumerate(keys)]


def joined(*numbers: np.ndarray) -> np.ndarray:
    """Numbers of combined observations: equal where all the given numbers (..., n) are equal along the last axis."""
    shape = np.broadcast_shapes(*(of.shape for of in numbers))
    if not all(map(_has_copies, numbers)):  # what differs in one differs in the combination
        return np.broadcast_to(np.arange(shape[-1]), shape)
    parts = np.stack([np.broadcast_to(of, shape) for of in numbers], axis=-1)
    rows = parts.reshape(-1, shape[-1], len(numbers))
    found = np.empty(rows.shape[:2], dtype=np.int64)
    for at, row in enumerate(rows):
        found[at] = np.unique(row, axis=0, return_inverse=True)[1].reshape(-1)
    return found.reshape(shape)


def collapsed(values: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Values (..., n) in which every observation stands once: the mean of its copies, in the place of the first; NaN elsewhere.

    Args:
        values: NaN where nothing is known; such copies are left out of the mean.
        numbers: (..., n) int, equal for copies of one observation.
    """
    numbers = np.broadcast_to(numbers, values.shape)
    if not _has_copies(numbers):
        return values
    found = np.full(values.shape, np.nan)
    for at in np.ndindex(values.shape[:-1]):
        there = ~np.isnan(values[at])
        for number in np.unique(numbers[at][there]):
            of = np.flatnonzero(there & (numbers[at] == number))
            found[at][of[0]] = values[at][of].mean() if np.ptp(values[at][of]) else values[at][of[0]]
    return found


def _has_copies(numbers: np.ndarray) -> bool:
    ordered = np.sort(numbers, axis=-1)
    return bool((ordered[..., 1:] == ordered[..., :-1]).any())


def of_copies(values: Sequence[float], keys: Sequence[Hashable | None]) -> list[float]:
    """The values of the observations among some values: as ``collapsed``, without the places that are left out."""
    found = collapsed(np.asarray(values, dtype=np.float64), np.asarray(numbered(keys), dtype=np.int64))
    return found[~np.isnan(found)].tolist()
