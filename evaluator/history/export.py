"""Stored cells as one table, for pandas and the like: a row per cell and submission that it belongs to."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.files import write_bytes
from evaluator.history.entries import read_entries
from evaluator.history.people import Person, people
from evaluator.history.reading import read_cells
from evaluator.machine import computed_by
from evaluator.text import spreadsheet, visible
from evaluator.track import ROW_READS, Track, Tracks, row_of
from evaluator.words import ending

ENDINGS = (".csv", ".parquet")
SPEC = ("root_seed", "secret", "weights", "worker_threads", "version")
"""Fields of a spec that the table has in addition to those of an index row."""


def rows(root: Path, tracks: Tracks) -> tuple[list[dict[str, Any]], list[str]]:
    """Every stored cell as a flat row, and one line for every file that is not a readable cell.

    A cell of files that several submissions had (``people``) has a row for each of them. A metric with several values (F1 per
    class) gets a column for each value.

    Raises:
        ConfigurationError: ``root`` is not a folder of results.
    """
    reads = {*ROW_READS, "fit_to_submit", "fingerprint", "isolation", "busy", *(name for t in tracks for name in t.figure_members)}
    entries, damaged = read_entries(root)
    found: list[dict[str, Any]] = []
    for path, cell, why in read_cells(root, tracks, reads):
        if cell is None:
            damaged.append(f"{path.name} {why}")
            continue
        track = tracks.of(cell["spec"])
        assert track is not None  # read_cells gives cells of known tracks only
        found.append(_row(track, cell))
    owned: dict[str, list[Person]] = {}
    for person in people({(row["submission"], row["submission_digest"]) for row in found}, entries):
        owned.setdefault(person.digest, []).append(person)
    whose = ((row, person) for row in found for person in owned[row["submission_digest"]])
    return [row | _whose(person) for row, person in whose if person.has(_source(row))], damaged


def _source(row: Mapping[str, Any]) -> tuple[str, str]:
    return row["submission"], row["submission_digest"]


def _whose(person: Person) -> dict[str, Any]:
    return {"owner": person.owner, "label": person.label, "folder": person.folder, "time": person.time}


def _row(track: Track, cell: Mapping[str, Any]) -> dict[str, Any]:
    spec, row = cell["spec"], row_of(track, cell)
    figures, metrics = row.pop("figures"), cell["metrics"] or {}
    del row["metrics"], row["versions"], row["condition"]  # every member of a condition has a column of its own
    own = {name: spec.get(name) for name in (*track.spec_rules, *track.circumstances, *SPEC)}
    flat = row | own | {f"{track.name}_{name}": value for name, value in figures.items()}
    flat |= {"fit_to_submit": cell["fit_to_submit"], "fingerprint": cell["fingerprint"], "busy": cell["busy"] or ""}
    flat |= {"limited_by": (cell["isolation"] or {}).get("limited_by", "")}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}_{member}": of for member, of in value.items()}
        else:
            flat[name] = value
    versions = cell["versions"] or {}
    chosen = computed_by(versions) | {name: versions[name] for name in ("kit", "processor") if name in versions}
    return flat | {f"version_of_{name}": value for name, value in chosen.items()}


def write_table(path: Path, table: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as CSV or Parquet, depending on the ending of the file's name. Missing values are empty (CSV) or null (Parquet).

    In Parquet a column with a whole number beyond 64 bits is text.

    Returns:
        The number of rows.

    Raises:
        ConfigurationError: the name has another ending, pyarrow is not installed, or the file cannot be written.
    """
    if path.suffix not in ENDINGS:
        raise ConfigurationError(
            f"{path}: the name {ending(path.name)}; a table is written as {' or '.join(ENDINGS)}. Name another file"
        )
    listed = list(table)
    names = list(dict.fromkeys(name for row in listed for name in row))
    content = _parquet(names, listed) if path.suffix == ".parquet" else _csv(names, listed)
    try:
        write_bytes(path, content)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); name another file") from error
    return len(listed)


def _csv(names: list[str], listed: list[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writerow({name: spreadsheet(name) for name in names})
    writer.writerows({name: spreadsheet(value) for name, value in row.items()} for row in listed)
    return text.getvalue().encode()


def _fitting(values: list[Any]) -> list[Any]:
    """A column that Parquet can hold: its whole numbers have 64 bits. A column with a larger number (e.g. a root seed) is text."""
    large = any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in values)
    return [None if value is None else str(value) for value in values] if large else values


def _parquet(names: list[str], listed: list[Mapping[str, Any]]) -> bytes:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigurationError(
            "a .parquet table needs pyarrow, which is not installed; run `pip install -r requirements-tables.txt`, or write .csv"
        ) from None
    sink = io.BytesIO()
    columns = {visible(name): _fitting([_shown(row.get(name)) for row in listed]) for name in names}
    pyarrow.parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


def _shown(value: Any) -> Any:
    """A text without control characters and halves of surrogate pairs, which no Parquet file holds; other values as they are."""
    return visible(value) if isinstance(value, str) else value
