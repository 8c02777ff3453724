"""The cells of the study in columns: what the page and its pictures read, in a file that is small enough to be committed.

``columns`` are lists of equal length, an entry per cell (a baseline, task and seed). ``setups`` hold what many cells share. A curve
is kept at ``GRID`` numbers of checks, as shares of the rows that are checked: accuracy, and share of the wrong labels found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.cleaning.track import CLEANING
from evaluator.errors import ConfigurationError

SCHEMA = 1
GRID = 41
DECIMALS = 5
HASH = 12
OWN = ("submission", "submission_digest", "task", "data_id", "seed")
"""Fields of a spec that are not part of a setup."""
FIGURES = tuple(metric.name for metric in CLEANING.metrics)
SHARES = np.linspace(0, 1, GRID)


def pack(cells: Iterable[Mapping[str, Any]], made: Mapping[str, Any]) -> str:
    """The text of the file, a line per column.

    Args:
        cells: stored cells, whole.
        made: how and where they were made, for the page.
    """
    setups: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    ordered = sorted(
        cells, key=lambda c: (c["spec"]["profile"]["name"], c["spec"]["task"], c["spec"]["seed"], c["spec"]["submission"])
    )
    for cell in ordered:
        spec = cell["spec"]
        if not cell["scored"]:
            failed.append(
                {"submission": spec["submission"], "task": spec["task"], "seed": spec["seed"], "reason": cell["reason"][:200]}
            )
            continue
        setup = {"spec": {name: value for name, value in spec.items() if name not in OWN}, "versions": cell["versions"]}
        rows.append(
            {
                "setup": setups.setdefault(json.dumps(setup, sort_keys=True), len(setups)),
                "submission": spec["submission"],
                "digest": spec["submission_digest"][:HASH],
                "task": spec["task"],
                "seed": spec["seed"],
                "cell": cell["cell"][:HASH],
                **{name: round(cell["metrics"][name], DECIMALS) for name in FIGURES},
                "seconds": round(sum(phase["seconds"] for phase in cell["phases"]), 4),
                "rows": cell["rows"],
                "wrong": len(cell["hits"]),
                "clean": round(cell["clean_accuracy"], DECIMALS),
                "target": round(cell["target"], DECIMALS),
                "reached": cell["reached"],
                "unjudged": cell["unjudged"],
                "early_unjudged": cell["early_unjudged"],
                "accuracy": _accuracy(cell),
                "found": _found(cell),
            }
        )
    head = {"schema": SCHEMA, "made": made, "failed": failed, "setups": [json.loads(text) for text in setups]}
    lines = [f" {json.dumps(name)}: {_text(value)}" for name, value in head.items()]
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    lines.append(
        ' "columns": {\n' + ",\n".join(f"  {json.dumps(name)}: {_text(values)}" for name, values in columns.items()) + "\n }"
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read(file: Path) -> tuple[dict[str, Any], str]:
    """The content of the file, and a digest of it, which pictures have in their metadata.

    Raises:
        ConfigurationError: it is missing, not JSON, or of another schema.
    """
    try:
        text = file.read_bytes()
        stored: dict[str, Any] = json.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file}: it cannot be read ({error}). Run: python -m experiments.cleaning --run") from None
    if stored.get("schema") != SCHEMA:
        raise ConfigurationError(
            f"{file}: its schema is {stored.get('schema')!r}; expected {SCHEMA}. Run: python -m experiments.cleaning --run"
        )
    return stored, f"cells sha256:{hashlib.sha256(text).hexdigest()[:16]}"


def table(stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The cells as dicts: the entries of the columns, with the setup in ``setup``."""
    columns = stored["columns"]
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [row | {"setup": stored["setups"][row["setup"]]} for row in rows]


def as_cells(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of ``table`` as ``evaluator.history.groups.sort_cells`` takes them."""
    found = []
    for row in rows:
        own = {"submission": row["submission"], "submission_digest": row["digest"], "task": row["task"], "data_id": row["task"]}
        found.append(
            {
                "cell": row["cell"],
                "spec": row["setup"]["spec"] | own | {"seed": row["seed"]},
                "verdict": "OK",
                "reason": "",
                "scored": True,
                "metrics": {name: row[name] for name in FIGURES},
                "answer": None,
                "data": {},
                "versions": row["setup"]["versions"],
                "fingerprint": None,
                "attempts": None,
                "clean_accuracy": row["clean"],
                "target": row["target"],
                "reached": row["reached"],
                "rows": row["rows"],
            }
        )
    return found


def _accuracy(cell: Mapping[str, Any]) -> list[float]:
    at = np.searchsorted([point["checks"] for point in cell["curve"]], _checks(cell), side="right") - 1
    return [round(cell["curve"][place]["accuracy"], 4) for place in at]


def _found(cell: Mapping[str, Any]) -> list[float]:
    found = np.searchsorted(cell["hits"], _checks(cell), side="right") / max(1, len(cell["hits"]))
    return [round(float(value), 4) for value in found]


def _checks(cell: Mapping[str, Any]) -> np.ndarray:
    checks: np.ndarray = np.floor(SHARES * cell["rows"] + 1e-9).astype(int)
    return checks


def _text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
