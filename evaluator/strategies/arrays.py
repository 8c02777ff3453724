"""What all strategies ask of their arrays, and the two steps that all of them share: the best few, and squared distances."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

BLOCK = 2048
"""Rows per step where two sets of rows meet: 2,048 x 2,048 float32 are 16 MiB."""
LARGEST = 1e15
"""Embeddings are squared and summed in float32."""
SLACK = 1e-6
"""How far outside 0 to 1 a probability may lie: what float32 rounds to."""


def as_probabilities(values: Any, ndim: int = 2) -> np.ndarray:
    """``values`` as float64 probabilities of ``ndim`` dimensions: (n, classes), or (members, n, classes).

    Raises:
        ValueError: another number of dimensions, no class, no member, a NaN, or a value outside 0 to 1.
    """
    p = np.asarray(values)
    shape = {2: "(n, classes)", 3: "(members, n, classes)"}[ndim]
    if p.ndim != ndim or p.shape[-1] == 0 or (ndim == 3 and p.shape[0] == 0):
        raise ValueError(f"probabilities have the shape {p.shape}; {shape} with at least one class was expected")
    p = _as_floats(p, "probabilities", np.float64)
    if p.size and not (p.min() >= -SLACK and p.max() <= 1 + SLACK):
        raise ValueError(
            f"probabilities lie between {p.min():g} and {p.max():g}; 0 to 1 was expected (pass logits through a sigmoid)"
        )
    return np.clip(p, 0, 1)


def as_embeddings(values: Any, name: str = "embeddings", width: int | None = None) -> np.ndarray:
    """``values`` as contiguous float32 (n, d), d at least 1.

    Raises:
        ValueError: another shape, another width than ``width``, or a value that is no finite float32.
    """
    x = np.asarray(values)
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"{name} have the shape {x.shape}; (n, d) with at least one column was expected")
    if width is not None and x.shape[1] != width:
        raise ValueError(f"{name} have {x.shape[1]} columns where the pool has {width}; embed both with the same model")
    x = np.ascontiguousarray(_as_floats(x, name, np.float32))
    if x.size and max(x.max(), -x.min()) > LARGEST:
        raise ValueError(f"{name} hold values beyond {LARGEST:g}, whose squares are no float32; standardise them")
    return x


def as_utilities(values: Any, name: str = "utilities", size: int | None = None) -> np.ndarray:
    """``values`` as float64 (n,).

    Raises:
        ValueError: another shape or length, NaN or infinity.
    """
    u = np.asarray(values)
    if u.ndim != 1 or (size is not None and len(u) != size):
        raise ValueError(f"{name} have the shape {u.shape}; {f'({size},)' if size is not None else '(n,)'} was expected")
    return _as_floats(u, name, np.float64)


def as_binary(values: Any, name: str = "labels") -> np.ndarray:
    """``values`` as a bool array (n, classes).

    Raises:
        ValueError: another shape, or anything but 0 and 1.
    """
    y = np.asarray(values)
    if y.ndim != 2:
        raise ValueError(f"{name} have the shape {y.shape}; (n, classes) was expected")
    if not np.isin(y, (0, 1)).all():
        raise ValueError(f"{name} hold something else than 0 and 1")
    return y.astype(bool)


def as_budget(budget: Any, size: int) -> int:
    """How many of ``size`` images a budget buys.

    Raises:
        TypeError: not an integer.
        ValueError: negative.
    """
    if isinstance(budget, (bool, np.bool_)):
        raise TypeError(f"the budget is {budget}; a number of labels was expected")
    number = operator.index(budget)
    if number < 0:
        raise ValueError(f"the budget is {number}; 0 or more labels were expected")
    return min(number, size)


def top(utilities: Any, budget: int) -> np.ndarray:
    """Indices of the ``budget`` largest utilities, best first; equal utilities in order of position."""
    u = as_utilities(utilities)
    return np.argsort(-u, kind="stable")[: as_budget(budget, len(u))]


def blocks(n: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices that walk ``n`` rows."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def squared_norms(x: np.ndarray) -> np.ndarray:
    """Squared length of every row."""
    return np.einsum("ij,ij->i", x, x)


def squared_distances(x: np.ndarray, x_norms: np.ndarray, y: np.ndarray, y_norms: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances (len(x), len(y)), never below 0, from rows and their squared lengths."""
    found = x @ y.T
    found *= -2
    found += x_norms[:, None]
    found += y_norms
    return np.maximum(found, 0, out=found)


def centred(x: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """All sets of rows shifted by the mean of the first.

    Distances stay what they are, and the difference of squared lengths loses fewer digits in float32.
    """
    mean = x.mean(0, dtype=np.float64).astype(np.float32) if len(x) else np.zeros(x.shape[1], np.float32)
    return [x - mean, *(other - mean for other in others)]


def _as_floats(values: np.ndarray, name: str, dtype: type) -> np.ndarray:
    if values.dtype.kind not in "fiub":
        raise ValueError(f"{name} are of type {values.dtype}; numbers were expected")
    with np.errstate(over="ignore"):
        converted: np.ndarray = values.astype(dtype, copy=False)
    if not np.isfinite(converted).all():
        bad = np.argwhere(~np.isfinite(converted))[0].tolist()
        raise ValueError(f"{name} hold {values[tuple(bad)]} at {bad}, which is not a finite number of {np.dtype(dtype).name}")
    return converted
