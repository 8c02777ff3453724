"""Writes the tables of ``docs/results-format.md``, and the JSON Schema files in ``docs/schemas/``, from the types of records.

python -m docs.make_format           write them
python -m docs.make_format --check   exit 1 where a committed file is not what the types say
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from evaluator.cleaning.cells import CleaningResult, CleaningSpec
from evaluator.cli.parsing import Prose
from evaluator.curation.records import CurationResult, CurationSpec
from evaluator.fields import SCHEMA
from evaluator.files import write_text
from evaluator.history.entries import Entry
from evaluator.purchase.purchased import PurchaseFile
from evaluator.purchase.result import PurchaseResult
from evaluator.purchase.spec import PurchaseSpec
from evaluator.records import CellResult
from evaluator.report.format import in_cell
from evaluator.specs import CellSpec
from evaluator.sweep.summary import PanelRow, RunSummary

ROOT = Path(__file__).resolve().parent
PAGE = ROOT / "results-format.md"
SCHEMAS = ROOT / "schemas"
COMMAND = "python -m docs.make_format"
REGION = re.compile(r"(<!-- generated: (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)

OBJECT = {"type": "object"}
HEAD = ("schema", "cell", "checksum", "scored")
WHOLE = ("profile", "pipeline")
"""Members of a spec that are described by their own classes."""
CHECKSUM = "SHA-256 over the other keys, as JSON with sorted keys and without spaces; a file that was changed does not fit it"
PAIRS = "one member per pair: `pair`, `budget`, `seconds_allowed`, `verdicts` per cell, `bought` and `seconds` per seed, `metrics`"
MAPS = {
    "f1": "<class>",
    "data.counts": "<split>",
    "data.digests": "<split>",
    "data.notes": "<split>",
    "spec.data": "<split>",
    "score": "<metric>",
}
"""What the keys of an object stand for, by the end of its path; the keys of any other object are shown as ``*``."""


def cell_schema() -> dict[str, Any]:
    """JSON Schema of ``cells/<hash>.json``."""
    found = _object(PurchaseResult, skip=("spec",))
    head = {
        "schema": {"type": "integer", "description": f"version of this format: {SCHEMA}"},
        "cell": {"type": "string", "description": "hash of the spec, and the file's name"},
        "checksum": {"type": "string", "description": CHECKSUM},
        "spec": _spec(),
        "scored": {"type": "boolean", "description": "whether there are metrics: verdict `OK`, or a time limit that was kept"},
    }
    found["properties"] = head | found["properties"]
    found["required"] = [*head, *found["required"]]
    return _titled("A cell of the purchase track", found)


def answer_schema() -> dict[str, Any]:
    """JSON Schema of ``answers/<hash>.json``."""
    found = _object(PurchaseFile)
    found["properties"]["checksum"] = {"type": "string", "description": CHECKSUM}
    return _titled("An answer of the purchase track", found)


def curation_cell_schema() -> dict[str, Any]:
    """JSON Schema of ``cells/<hash>.json`` of the curation track."""
    return _cell_of(CurationSpec, CurationResult, "name of the data")


def cleaning_cell_schema() -> dict[str, Any]:
    """JSON Schema of ``cells/<hash>.json`` of the cleaning track."""
    return _cell_of(CleaningSpec, CleaningResult, "name of the task")


def _cell_of(spec_type: type[CellSpec], result: type[CellResult], task: str) -> dict[str, Any]:
    found = _object(result, skip=("spec",))
    spec = _object(spec_type, whole=WHOLE)
    spec["properties"] = {
        "schema": {"type": "integer", "description": f"version of this format: {SCHEMA}"},
        "track": {"type": "string", "description": f"`{spec_type.track}`"},
        "version": {"type": "integer", "description": "version of the track's judging code; raised when figures change"},
        "task": {"type": "string", "description": task},
    } | spec["properties"]
    plain = cell_schema()["properties"]
    found["properties"] = {name: plain[name] for name in HEAD} | {"spec": spec} | found["properties"]
    found["required"] = [*HEAD, "spec", *found["required"]]
    return _titled(f"A cell of the {spec_type.track} track", found)


def curation_data_schema() -> dict[str, Any]:
    """JSON Schema of a data set of the curation track: ``content.data`` of its ``answers/<hash>.json``."""
    row = {"type": "array", "items": {"type": "string"}, "minItems": 4, "maxItems": 4}
    images = "a list for every image: its name, the SHA-256 of its pixels, its class, and `train` or `val`"
    new = "by the SHA-256 of its pixels, the PNG (base64) of every image that is not in the given data"
    properties = {
        "images": {"type": "array", "items": row, "description": images},
        "new": {"type": "object", "additionalProperties": {"type": "string"}, "description": new},
    }
    return _titled("A data set", {"type": "object", "properties": properties, "required": ["images", "new"]})


def entry_schema() -> dict[str, Any]:
    """JSON Schema of ``entries/<hash>.json``."""
    found = _object(Entry)
    head = {
        "schema": {"type": "integer", "description": f"version of this format: {SCHEMA}"},
        "entry": {"type": "string", "description": "hash over owner, label, name and digest; the file's name"},
    }
    found["properties"] = head | found["properties"] | {"checksum": {"type": "string", "description": CHECKSUM}}
    found["required"] = [*head, *found["required"]]
    return _titled("An entry", found)


def run_schema() -> dict[str, Any]:
    """JSON Schema of ``result.json``, of the purchase track: its own options stand by their names, tasks are pairs."""
    found = _object(RunSummary, skip=("options",))
    properties = {("pairs" if name == "tasks" else name): value for name, value in found["properties"].items()}
    spec = _spec()["properties"]
    properties |= {name: spec[name] for name in ("label_quality", "on_timeout", "restart")}
    for name, said in (("panel", "one member per pipeline, see below; `null` without a panel"), ("pairs", PAIRS)):
        properties[name] = {"anyOf": [{"type": "array", "items": OBJECT}, {"type": "null"}], "description": said}
    properties["faults"] = {"type": "array", "items": OBJECT, "description": found["properties"]["faults"]["description"]}
    found["properties"] = properties
    found["required"] = sorted(properties)
    return _titled("A run of the purchase track", found)


def panel_schema() -> dict[str, Any]:
    """JSON Schema of one member of ``panel`` in ``result.json``."""
    found = _object(PanelRow)
    found["properties"] = {("pairs" if name == "tasks" else name): value for name, value in found["properties"].items()}
    return _titled("A pipeline of a panel", found)


def _spec() -> dict[str, Any]:
    found = _object(PurchaseSpec, skip=("pair",), whole=WHOLE)
    head = {
        "schema": {"type": "integer", "description": "the same version; it is part of what the hash is computed over"},
        "track": {"type": "string", "description": "`purchase`"},
        "version": {"type": "integer", "description": "version of the track's judging code; raised when figures change"},
        "task": {"type": "string", "description": "the pair, `labels:minutes` in the round's units"},
    }
    found["properties"] = head | found["properties"]
    return found


def _object(cls: type, skip: tuple[str, ...] = (), whole: tuple[str, ...] = ()) -> dict[str, Any]:
    """JSON Schema of the fields of a dataclass, but for those in ``skip``; those in ``whole`` are plain objects."""
    hints = get_type_hints(cls, include_extras=True)
    properties, required = {}, []
    for field in fields(cls):
        if field.name in skip:
            continue
        hint = hints[field.name]
        if field.name in whole:
            properties[field.name] = OBJECT | {"description": hint.__metadata__[0].description}
        else:
            properties[field.name] = _inlined(msgspec.json.schema(hint))
        if field.default is MISSING and field.default_factory is MISSING:
            required.append(field.name)
    return {"type": "object", "properties": properties, "required": required}


def _inlined(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without references: the definitions stand where they are used."""
    definitions = schema.get("$defs", {})

    def walk(node: Any) -> Any:
        if isinstance(node, list):
            return [walk(item) for item in node]
        if not isinstance(node, Mapping):
            return node
        inner = {name: walk(value) for name, value in node.items() if name not in ("$defs", "$ref")}
        if "$ref" in node:
            target = walk(definitions[node["$ref"].rpartition("/")[2]])
            inner = target | inner
            inner.pop("title", None)
        return inner

    return walk(schema)


def _titled(title: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **schema}


def rows(schema: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Key path and description of every value of a schema: ``phases[].name``, ``metrics.f1.<class>``, ``spec.profile.*``."""
    for name, value in schema.get("properties", {}).items():
        yield from _value(f"{prefix}{name}", value)


def _value(path: str, schema: Mapping[str, Any], said: str = "") -> Iterator[tuple[str, str]]:
    said = schema.get("description") or said
    choices = [choice for choice in schema.get("anyOf", [schema]) if choice.get("type") != "null"]
    chosen = choices[0] if choices else schema
    said = said or chosen.get("description", "")
    if chosen.get("type") == "array" and _open(chosen.get("items", {})):
        yield from _value(f"{path}[]", chosen["items"], said)
    elif chosen.get("properties"):
        yield from rows(chosen, f"{path}.")
    elif chosen.get("type") == "object":
        inner = chosen.get("additionalProperties")
        key = next((name for end, name in MAPS.items() if path == end or path.endswith(f".{end}")), "*")
        if isinstance(inner, Mapping) and _open(inner):
            yield from _value(f"{path}.{key}", inner, said)
        else:
            yield f"{path}.{key}", said
    else:
        yield path, said


def _open(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object" or "anyOf" in schema


SOURCES = {
    "cell": cell_schema,
    "answer": answer_schema,
    "entry": entry_schema,
    "run": run_schema,
    "panel": panel_schema,
    "cleaning_cell": cleaning_cell_schema,
    "curation_cell": curation_cell_schema,
    "curation_data": curation_data_schema,
}


def table(name: str) -> str:
    """The Markdown table of a record. Of another track's cell it holds what the first table does not have."""
    lines = ["| key | what it is |", "|---|---|"]
    known = {path for path, _ in rows(cell_schema())} if name in ("cleaning_cell", "curation_cell") else set()
    lines += [f"| `{path}` | {in_cell(said)} |" for path, said in rows(SOURCES[name]()) if path not in known]
    return "\n".join(lines) + "\n"


def wanted() -> dict[Path, str]:
    """What every generated file should hold."""
    page = PAGE.read_text(encoding="utf-8")
    found = {PAGE: REGION.sub(lambda match: match[1] + table(match[2]) + match[4], page)}
    for name, schema in SOURCES.items():
        found[SCHEMAS / f"{name}.json"] = json.dumps(schema(), indent=1) + "\n"
    return found


def main() -> int:
    """Write or check the files; 1 where a check finds a file that is not what the types say."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=Prose)
    parser.add_argument("--check", action="store_true", help="write nothing, and say which files are not up to date")
    check = parser.parse_args().check
    stale = [(path, text) for path, text in wanted().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if check:
        for path, _ in stale:
            print(f"{path.relative_to(ROOT.parent)} is not what the types of the records say; write it anew: {COMMAND}")
        return 1 if stale else 0
    SCHEMAS.mkdir(exist_ok=True)
    for path, text in stale:
        write_text(path, text)
        print(f"written: {path.relative_to(ROOT.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
