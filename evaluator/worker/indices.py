"""What counts as an index. One rule for data sets and for what is asked of the evaluator, on both sides of the channel."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from .plain import kind_of


def as_index(value: Any, size: int, noun: str = "images") -> int:
    """``value`` as an index into ``size`` items: whatever ``operator.index`` takes, bools excepted, from 0 to size - 1.

    0-d NumPy arrays of an integer type count as integers.

    Args:
        noun: what the items are called, for the message.

    Raises:
        TypeError: not an integer (bool, float, NaN, text, an array of one dimension or more ...).
        IndexError: negative, or ``size`` and above.
    """
    kind = getattr(value, "dtype", None)
    letter = getattr(kind, "kind", None)
    # Dtypes of other libraries have no letter; the names of their bools end alike: "torch.bool".
    if isinstance(value, bool) or letter == "b" or (letter is None and kind is not None and str(kind).endswith("bool")):
        raise TypeError(f"the index {value!r} is a bool; an integer from 0 to {size - 1} was expected")
    try:
        number = operator.index(value)
    except TypeError:
        shown = repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        raise TypeError(f"the index {shown} is {kind_of(value)}; an integer from 0 to {size - 1} was expected") from None
    if not 0 <= number < size:
        shown = str(number) if abs(number) < 10**30 else "a number of more than 30 digits"
        raise IndexError(f"the index {shown} is out of range; the data set has {size} {noun}, 0 to {size - 1}")
    return number


def as_indices(values: Any, size: int, noun: str = "images") -> np.ndarray:
    """Many indices as an int64 array of one dimension; each is checked by the rule of ``as_index``.

    Args:
        noun: as of ``as_index``.

    Raises:
        TypeError: not an iterable, nested, or an element that is no integer.
        IndexError: an element out of range.
    """
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iu":
        # The fast path for arrays: the same rule, without a Python call per element.
        bad = np.flatnonzero((values < 0) | (values >= size))
        if bad.size:
            as_index(values[bad[0]], size, noun)
        return values.astype(np.int64)
    if isinstance(values, (str, bytes, dict)) or not isinstance(values, Iterable):
        raise TypeError(f"indices came as {kind_of(values)}; a list or an array of integers was expected")
    if getattr(values, "ndim", 1) == 0:
        raise TypeError("indices came as an array without a dimension; a list or an array of one dimension was expected")
    return np.fromiter((as_index(value, size, noun) for value in values), dtype=np.int64)
