"""The cells of the study in a file that is small enough to be committed: what the page reads.

An entry per cell (condition, data set, seed). Which test images it classified right is kept bit by bit, since differences are
taken image by image.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.curation.sets import CurationData
from evaluator.errors import ConfigurationError
from evaluator.history.predictions import read_predictions

SCHEMA = 1
DECIMALS = 6
HASH = 12
TIES = 3
"""Images whose answer may be another one after rounding."""
FIGURES = ("accuracy", "macro_f1", "book_accuracy", "validation_accuracy", "best_constant_accuracy")
AGAIN = "python -m experiments.curation --run"


def row(cell: Mapping[str, Any], out: Path, data: CurationData, name: str) -> dict[str, Any]:
    """The entry of a stored cell.

    Args:
        out: folder of results, in which its predictions are; ``name``: of the data set in the study.

    Raises:
        ConfigurationError: it has no score, or its predictions are lost.
    """
    spec = cell["spec"]
    about = f"{spec['submission']} on {name}, seed {spec['seed']}"
    if not cell["scored"]:
        raise ConfigurationError(f"{about} failed: {cell['reason'][:300]}. Mend it, and run the study again")
    predictions = read_predictions(out, dict(cell))
    if predictions is None:
        raise ConfigurationError(f"{about}: its predictions are not there. Run it again: {AGAIN}")
    right = predictions.argmax(axis=1) == data.test.labels
    # Predictions are kept as float16, so that two classes that are almost equal may change places.
    if abs(float(right.mean()) - cell["metrics"]["accuracy"]) > TIES / len(right) + 1e-9:
        raise ConfigurationError(f"{about}: its predictions give another accuracy than it has. Run it again: {AGAIN}")
    return {
        "data": name,
        "condition": spec["submission"],
        "seed": spec["seed"],
        "cell": cell["cell"][:HASH],
        **{figure: round(cell["metrics"][figure], DECIMALS) for figure in FIGURES},
        "best_epoch": cell["members"][0]["best_epoch"],
        "changes": cell["changes"],
        "images": len(right),
        "right": np.packbits(right).tobytes().hex(),
    }


def pack(rows: Iterable[Mapping[str, Any]], made: Mapping[str, Any]) -> str:
    """The text of the file: a line per cell. ``made``: how and where they were made, for the page."""
    ordered = sorted(rows, key=lambda of: (of["data"], of["condition"], of["seed"]))
    lines = ",\n".join(f"  {json.dumps(of, separators=(',', ':'))}" for of in ordered)
    head = "".join(f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in {"schema": SCHEMA, "made": made}.items())
    return "{\n" + head + ' "cells": [\n' + lines + "\n ]\n}\n"


def read(file: Path) -> dict[str, Any]:
    """The content of the file.

    Raises:
        ConfigurationError: it is missing, not JSON, or of another schema.
    """
    try:
        stored: dict[str, Any] = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: it cannot be read ({error}). Run: {AGAIN}") from None
    if stored.get("schema") != SCHEMA:
        raise ConfigurationError(f"{file}: its schema is {stored.get('schema')!r}; expected {SCHEMA}. Run: {AGAIN}")
    return stored


def answers(rows: Iterable[Mapping[str, Any]]) -> tuple[list[int], np.ndarray]:
    """The seeds of a condition's entries, and bool (seeds, images): which images were classified right."""
    own = sorted(rows, key=lambda of: of["seed"])
    bits = [np.unpackbits(np.frombuffer(bytes.fromhex(of["right"]), np.uint8), count=of["images"]) for of in own]
    return [of["seed"] for of in own], np.array(bits, bool)
