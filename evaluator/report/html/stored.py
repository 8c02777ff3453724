"""A run as its files tell it: the summary in its folder, and those of its cells that are still stored as they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluator.bounded import RECORD, BoundsError, read_bytes, read_json
from evaluator.errors import ConfigurationError
from evaluator.fields import SCHEMA
from evaluator.history.reading import known
from evaluator.tables import Metric, either
from evaluator.track import Track, Tracks
from evaluator.words import counted

NAMES = ("result.json", "sweep.json")
"""Summaries: of a run of one submission, and of a sweep."""
DIFFERENCES = ("public_minus_hidden", "minus_reference")
"""Members of a summary that hold differences of scores."""
MOST_CELLS = 1_000
"""Cells of a run that are read whole."""


@dataclass(frozen=True, eq=False)
class StoredRun:
    """A run.

    Attributes:
        folder: of the run; ``results``: the folder of results that it lies in.
        summary: content of its ``result.json`` or ``sweep.json``; ``one``: whether it is the former.
        cells: whole stored cells, by their hash, in the order of the summary.
        lost: cells that are not there any more, a sentence for each cause; ``shown``: a sentence if not all cells are read.
    """

    folder: Path
    results: Path
    track: Track
    summary: dict[str, Any]
    one: bool
    cells: dict[str, dict[str, Any]]
    lost: tuple[str, ...]
    shown: str = ""

    def rows(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        """Every cell of the run that is still stored: its row in the summary, and the whole cell."""
        for row in self.summary["cells"]:
            if row["cell"] in self.cells:
                yield row, self.cells[row["cell"]]


def read_run(path: Path, tracks: Tracks) -> StoredRun:
    """Read a run. ``path``: its folder, or the summary in it.

    Raises:
        ConfigurationError: there is no summary, or it is not one of this version of the kit.
    """
    folder = path if path.is_dir() else path.parent
    names = [path.name] if not path.is_dir() else [name for name in NAMES if (folder / name).is_file()]
    if not names or names[0] not in NAMES or not (folder / names[0]).is_file():
        raise ConfigurationError(
            f"{path}: there is no {' and no '.join(NAMES)} here; expected the folder of a run, e.g. the newest in results/. Name it"
        )
    file = folder / names[0]
    try:
        summary = read_json(file)
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read ({error.strerror}); name another run") from None
    except BoundsError as error:
        raise ConfigurationError(str(error)) from None
    if not isinstance(summary, dict) or not isinstance(summary.get("cells"), list):
        raise ConfigurationError(f"{file} is not the summary of a run; expected an object with cells. Name another run")
    if summary.get("schema") != SCHEMA:
        seen = str(summary.get("schema"))[:20]
        raise ConfigurationError(
            f"{file} has the schema {seen}; this kit reads {SCHEMA}. Repeat the command of that run: finished cells are read from "
            "the store"
        )
    track = tracks.of(summary)
    if track is None:
        raise ConfigurationError(
            f"{file} is of the track {str(summary.get('track'))[:40]!r}, which is not known here; name another run"
        )
    if why := summary_fault(track, summary):
        raise ConfigurationError(f"{file}: {why}. Repeat the command of that run: finished cells are read from the store")
    cells, lost = _cells(folder.resolve().parent, summary["cells"], tracks)
    n = len(summary["cells"])
    shown = f"The run has {n:,} cells; figures of single cells are those of the first {MOST_CELLS:,}." if n > MOST_CELLS else ""
    return StoredRun(folder, folder.resolve().parent, track, summary, names[0] == NAMES[0], cells, tuple(lost), shown)


def summary_fault(track: Track, summary: Mapping[str, Any]) -> str:
    """Which figure of a summary its metric cannot have (beyond its bounds, not a number), in words; empty if none is.

    A difference may be negative, and so may the lower end of an interval: neither is looked at.
    """
    if (named := summary.get("primary_metric", track.metrics[0].name)) not in track.metric_names:
        return f"primary_metric is {str(named)[:40]!r}; expected {either(track.metric_names)}"
    primary = track.metric(named)

    def wrong(metric: Metric, value: Any) -> str:
        value = value.get("mean") if isinstance(value, Mapping) else value
        return "" if value is None else metric.fault({metric.name: value})

    waiting: list[Any] = [summary]
    while waiting:
        at = waiting.pop()
        if isinstance(at, list):
            waiting += at
        elif isinstance(at, Mapping):
            for name, value in at.items():
                if name in track.metric_names:
                    why = wrong(track.metric(name), value)
                elif name == "score" and (not isinstance(value, Mapping) or "mean" in value):  # of a cell, or of a place of a map
                    why = wrong(primary, value) if primary.higher_is_better or not isinstance(value, Mapping) else ""
                else:
                    why = ""
                    if name not in DIFFERENCES:
                        waiting.append(value)
                if why:
                    return why
    return ""


def _cells(results: Path, rows: list[Any], tracks: Tracks) -> tuple[dict[str, dict[str, Any]], list[str]]:
    found: dict[str, dict[str, Any]] = {}
    gone = changed = 0
    for row in rows[:MOST_CELLS]:
        digest = row["cell"] if isinstance(row, Mapping) and isinstance(row.get("cell"), str) else ""
        if not digest or Path(digest).name != digest:
            raise ConfigurationError(
                f"{results}: the summary of a run names the cell {digest[:60]!r}; expected a hash. Name another run"
            )
        try:
            cell, _ = known(read_bytes(results / "cells" / f"{digest}.json", RECORD.size), digest, tracks, None)
        except (OSError, BoundsError):
            cell = None
        if cell is None:
            gone += row.get("verdict") is not None
        elif not _same(row, cell):
            changed += 1
        else:
            found[digest] = cell
    lost = (
        [f"{counted(gone, 'cell')} of this run cannot be read any more; figures of single cells are without them."] if gone else []
    )
    again = "was run again since, with another outcome" if changed == 1 else "were run again since, with other outcomes"
    lost += [f"{counted(changed, 'cell')} of this run {again}; figures of single cells are without them."] if changed else []
    return found, lost


def _same(row: Mapping[str, Any], cell: Mapping[str, Any]) -> bool:
    """Whether a stored cell is that which the summary speaks of, and not a later run of the same spec."""
    if "answer" in row:  # of result.json, which holds most of a cell
        return row.get("fingerprint") == cell.get("fingerprint") and row["answer"] == cell["answer"]
    scored = row.get("score") is not None
    return row.get("verdict") == cell["verdict"] and (not scored or row["score"] in (cell["metrics"] or {}).values())
