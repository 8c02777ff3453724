"""Whether the members of a stored cell are of the types that tables compute with. The one place where they are checked.

The checksum of a file guards against accidents. A file may still have been written by another tool, by a future kit, or by a person
who computed the checksum again; whatever it holds, it is either used as it should be or named, and never ends a command.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from evaluator.errors import Verdict
from evaluator.fields import SCHEMA
from evaluator.secret import is_fingerprint
from evaluator.specs import digest_of

_SPEC: dict[str, type | tuple[type, ...]] = {
    "track": str,
    "submission": str,
    "submission_digest": str,
    "profile": dict,
    "task": str,
    "seed": int,
    "root_seed": int,
    "pipeline": dict,
    "score_split": str,
    "device": str,
    "threads": int,
    "tier": str,
}
_MEMBERS: dict[str, type | tuple[type, ...]] = {
    "verdict": str,
    "reason": str,
    "scored": bool,
    "fit_to_submit": bool,
    "metrics": (dict, type(None)),
    "answer": dict,
    "phases": list,
    "training": (dict, type(None)),
    "versions": dict,
    "data": (dict, type(None)),
    "busy": (str, type(None)),
}


def fault(cell: Mapping[str, Any], digest: str) -> str:
    """What is wrong with the members of a cell (current schema; some of them are enough); empty if nothing is.

    Args:
        digest: the name of the cell's file.
    """
    if cell.get("schema", SCHEMA) not in range(1, SCHEMA + 1):
        return f"is of schema {str(cell['schema'])[:20]}; this kit reads 1 to {SCHEMA}"
    spec = cell.get("spec")
    if not isinstance(spec, dict):
        return "holds no spec"
    wrong = [f"spec.{name}" for name, kind in _SPEC.items() if not _is(spec.get(name), kind)]
    wrong += ["spec.secret"] if "secret" in spec and not is_fingerprint(spec["secret"]) else []
    wrong += [name for name, kind in _MEMBERS.items() if name in cell and not _is(cell[name], kind)]
    if wrong:
        return f"holds no usable {wrong[0]}"
    if not _is(spec["profile"].get("name"), str) or not _is(spec["profile"].get("round"), dict):
        return "holds no usable spec.profile"
    if not _is(spec["pipeline"].get("name"), str):
        return "holds no usable spec.pipeline"
    if cell.get("verdict", "OK") not in set(Verdict):
        return f"holds the unknown verdict {str(cell['verdict'])[:40]!r}"
    if cell.get("scored") and "metrics" in cell and not cell["metrics"]:
        return "is scored and holds no metrics"
    if not all(_finite(value) for value in (cell.get("metrics") or {}).values()):
        return "holds a metric that is not a finite number"
    if not all(_is(name, str) and _is(value, str) for name, value in (cell.get("versions") or {}).items()):
        return "holds a version that is not a text"
    if not all(_is(phase, dict) and _finite(phase.get("seconds")) for phase in cell.get("phases") or ()):
        return "holds a phase without seconds"
    if "answer" in cell and not (_is(cell["answer"].get("file"), str) and _is(cell["answer"].get("checksum"), (str, type(None)))):
        return "holds no usable answer"
    if not _kept(cell.get("predictions")):
        return "holds no usable predictions"
    if spec.get("schema") != 1 and digest_of(spec) != digest:
        return "does not hold the spec that its name is the hash of"
    return ""


def _is(value: Any, kind: type | tuple[type, ...]) -> bool:
    # True is an int to Python, and no seed.
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_finite(member) for member in value.values())
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _kept(row: Any) -> bool:
    """Whether ``predictions`` of a cell is what the kit writes: nothing, or a file with its hash and its two lengths."""
    if row is None:
        return True
    return (
        _is(row, dict)
        and _is(row.get("file"), str)
        and _is(row.get("sha256"), str)
        and _is(row.get("shape"), list)
        and len(row["shape"]) == 2
        and all(_is(n, int) and n >= 0 for n in row["shape"])
    )
