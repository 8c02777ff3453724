"""Predictions of a cell as they are stored: one ``.npy`` file of float16 beside the cell, read without parsing a header."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.bounded import BoundsError, read_bytes
from evaluator.errors import ConfigurationError

NPY_HEADER = 128
"""Bytes before the numbers in a ``.npy`` file of predictions (the format pads its header to a multiple of 64)."""


def as_npy(predictions: np.ndarray) -> bytes:
    """Probabilities (images, classes) as the bytes of their file."""
    content = io.BytesIO()
    np.save(content, np.asarray(predictions, np.float16))
    return content.getvalue()


def read_predictions(root: Path, cell: dict[str, Any]) -> np.ndarray | None:
    """The probabilities that were stored with a cell, float16 (images, classes); None if the cell has none.

    Raises:
        ConfigurationError: the file is missing, cannot be read, or was changed after it was stored.
    """
    kept = cell.get("predictions")
    if kept is None:
        return None
    path = root / "cells" / Path(kept["file"]).name
    try:
        raw = read_bytes(path, _npy_size(kept["shape"]))
    except BoundsError as error:
        raise ConfigurationError(f"{path} cannot be read ({error}); run the cell again with --fresh") from None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read ({error.strerror}); run the cell again with --fresh") from None
    if hashlib.sha256(raw).hexdigest() != kept["sha256"]:
        raise ConfigurationError(f"{path} was changed after it was written; run the cell again with --fresh")
    return parse_npy(raw, kept["shape"], str(path))


def parse_npy(raw: bytes, shape: Sequence[int], name: str) -> np.ndarray:
    """The probabilities in the bytes of a ``.npy`` file: float16 (images, classes), read-only.

    The header must be the one that the kit writes for ``shape``, to the byte: it is compared and never parsed, so no header can ask
    for memory or for an unpickling. ``name``: what errors call the file.

    Raises:
        ConfigurationError: another header or length, or a value that is no probability.
    """
    if len(raw) != _npy_size(shape) or raw[:NPY_HEADER] != _npy_header(shape):
        raise ConfigurationError(
            f"{name} has {len(raw)} bytes and begins with {raw[:16]!r}; expected {_npy_size(shape)} bytes of float16 {list(shape)} "
            "in the .npy format. Run the cell again with --fresh"
        )
    found = np.frombuffer(raw, np.float16, offset=NPY_HEADER).reshape(tuple(shape))
    if not np.all((found >= 0) & (found <= 1)):  # NaN is neither
        raise ConfigurationError(f"{name} holds values that are no probabilities from 0 to 1; run the cell again with --fresh")
    return found


def _npy_size(shape: Sequence[int]) -> int:
    return NPY_HEADER + np.dtype(np.float16).itemsize * math.prod(shape)


def _npy_header(shape: Sequence[int]) -> bytes:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f2", "fortran_order": False, "shape": tuple(shape)})
    return header.getvalue()


def lacks_predictions(root: Path, digest: str, shape: Sequence[int] | None) -> bool:
    """Whether the predictions of a stored cell are missing or cut short. Their bytes are not read.

    Args:
        shape: numbers of images and classes, as the cell stores them; None if the cell has no predictions.
    """
    if shape is None:
        return False
    try:
        return (root / "cells" / f"{digest}.npy").stat().st_size != _npy_size(shape)
    except OSError:
        return True
