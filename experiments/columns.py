"""Stored cells in columns: the fields of a cell that a comparison reads, in a file that is small enough to be committed.

A file has a row per cell (a submission, pair, seed and pipeline, scored on one split). Its ``columns`` are lists of equal length:
numbers as they are, and names as positions in the lists beside them (``submissions``, ``pairs``, ``verdicts``, ``experiments``). A
``setup`` is what many cells share: everything of their spec but submission, pair and seed, the versions that computed them, the
size of the pool, and, where it was stored, the macro F1 of the best constant answer, which tells collapsed cells. So

    pandas.DataFrame(json.load(open(path))["columns"])

is a table, and ``unpack`` returns the cells as ``evaluator.history.groups.sort_cells`` takes them.

Files of schema 1 hold cells of kit 0.2, whose specs name the kit and not the version of the judging code, and which say nothing of
other versions. They are read, too; what is written is schema 2.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.purchase.metrics import METRICS
from evaluator.purchase.track import PURCHASE

SCHEMA = 2
FIGURES = tuple(metric.name for metric in METRICS)
CONSTANT = "best_constant_macro_f1"
DECIMALS = 5
"""Decimals of the metrics: a hundredth of the smallest difference that matters."""
HASH = 12
"""Digits of a cell's hash that are kept: enough to find its file."""
OWN = ("submission", "submission_digest", "task", "seed")
"""Fields of a spec that are not part of a setup."""


def pack(cells: Iterable[tuple[str, Mapping[str, Any]]], experiments: Sequence[Mapping[str, Any]], left_out: Sequence[str]) -> str:
    """The text of a file of cells, a line per column.

    Args:
        cells: (name of its experiment, a cell with the fields of ``experiments.grids.FIELDS``).
        experiments: what was asked for; each has a ``name``.
        left_out: what was found and not taken, a line each.
    """
    tables: dict[str, dict[str, int]] = {name: {} for name in ("submissions", "pairs", "verdicts", "setups")}

    def place(table: str, value: Any) -> int:
        return tables[table].setdefault(json.dumps(value, sort_keys=True), len(tables[table]))

    names = [experiment["name"] for experiment in experiments]
    rows: list[dict[str, Any]] = []
    reasons = {}
    for experiment, cell in cells:
        spec, purchase = cell["spec"], cell["purchase"]
        shared = {name: value for name, value in spec.items() if name not in OWN}
        pool = cell["data"].get("counts", {}).get("unlabelled", spec["profile"]["sizes"]["unlabelled"])
        if not cell["scored"]:
            reasons[str(len(rows))] = cell["reason"].split("\n")[0]
        seconds = purchase.get("seconds")
        setup = {"pool": pool, "spec": shared, "versions": cell["versions"]}
        if cell["scored"] and CONSTANT in cell["metrics"]:
            setup["constant"] = round(cell["metrics"][CONSTANT], DECIMALS)
        rows.append(
            {
                "experiment": names.index(experiment),
                "setup": place("setups", setup),
                "submission": place("submissions", {"name": spec["submission"], "digest": spec["submission_digest"]}),
                "pair": place("pairs", spec["task"]),
                "seed": spec["seed"],
                **{name: round(cell["metrics"][name], DECIMALS) if cell["scored"] else None for name in FIGURES},
                "labels": purchase["bought"],
                "seconds": None if seconds is None else round(seconds, 1),
                "content": (purchase.get("content") or cell.get("fingerprint") or "")[:HASH] or None,
                "verdict": place("verdicts", cell["verdict"]),
                "cell": cell["cell"][:HASH],
            }
        )
    head = {"schema": SCHEMA, "experiments": list(experiments), "left_out": list(left_out), "reasons": reasons}
    head |= {name: [json.loads(text) for text in table] for name, table in tables.items()}
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    return _written(head, columns)


def unpack(stored: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The cells of a file.

    Raises:
        ConfigurationError: the file has another schema, or a score beyond the bounds of its metric.
    """
    if stored.get("schema") not in (1, SCHEMA):
        raise ConfigurationError(
            f"the file of cells has schema {stored.get('schema')!r}; expected {SCHEMA}. Gather the cells anew, with --cells DIR"
        )
    old = stored["schema"] == 1
    columns, cells = stored["columns"], []
    for n, values in enumerate(zip(*columns.values(), strict=True)):
        row = dict(zip(columns, values, strict=True))
        setup, submission = stored["setups"][row["setup"]], stored["submissions"][row["submission"]]
        scored = row["macro_f1"] is not None
        constant = {CONSTANT: setup["constant"]} if "constant" in setup else {}
        spec = {"submission": submission["name"], "submission_digest": submission["digest"]}
        spec |= {"pair" if old else "task": stored["pairs"][row["pair"]], "seed": row["seed"]}
        purchase = {"bought": row["labels"], "seconds": row["seconds"]} | ({"content": row["content"]} if "content" in row else {})
        cell = {
            "cell": row["cell"],
            "spec": setup["spec"] | spec,
            "verdict": stored["verdicts"][row["verdict"]],
            "reason": stored["reasons"].get(str(n), ""),
            "scored": scored,
            "metrics": {name: row[name] for name in FIGURES} | constant if scored else None,
            "purchase": purchase | {"file": None} if old else purchase,
            "data": {"counts": {"unlabelled": setup["pool"]}},
            "versions": {"kit": setup["spec"]["kit"]} if old else setup["versions"],
        }
        if scored and (why := PURCHASE.metrics_fault(cell["metrics"])):
            raise ConfigurationError(f"the file of cells, cell {row['cell']}: {why}. Gather the cells anew, with --cells DIR")
        today = PURCHASE.upgraded(cell) if old else cell
        cells.append({name: today[name] for name in cell})
    return cells


def read(files: Sequence[Path]) -> tuple[list[dict[str, Any]], str]:
    """Content of the files of cells that exist, and a digest over them, which pictures have in their metadata.

    Raises:
        ConfigurationError: no file exists, or a file is not valid JSON.
    """
    there = [path for path in files if path.exists()]
    if not there:
        raise ConfigurationError(
            f"{', '.join(map(str, files))}: missing; expected at least one. Gather cells first, with --cells DIR"
        )
    texts = [path.read_bytes() for path in there]
    try:
        return [json.loads(text) for text in texts], f"cells sha256:{hashlib.sha256(b''.join(texts)).hexdigest()[:16]}"
    except ValueError as error:
        raise ConfigurationError(f"{' or '.join(map(str, there))}: not valid JSON ({error}). Gather the cells anew") from None


def _written(head: Mapping[str, Any], columns: Mapping[str, Sequence[Any]]) -> str:
    """JSON with a line per member and per column, so that a changed column is a changed line."""
    lines = [f" {json.dumps(name)}: {json.dumps(value, separators=(',', ':'), allow_nan=False)}" for name, value in head.items()]
    of = [f"  {json.dumps(name)}: {json.dumps(values, separators=(',', ':'), allow_nan=False)}" for name, values in columns.items()]
    lines.append(' "columns": {\n' + ",\n".join(of) + "\n }")
    return "{\n" + ",\n".join(lines) + "\n}\n"
