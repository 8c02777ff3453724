"""What the page of a submission shows to everybody, kept with the result of a job: figures of public tasks, and two links.

The figures are sections of a report (``Tables.public_sections``) and the loss of the trainings, as plain JSON. They are made once,
from the cells that the run stored: bars, dots with intervals, and curves, of tasks that are not hidden. Of the private part nothing
is kept but its scores.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from evaluator.bounded import RECORD, BoundsError, read_bytes
from evaluator.errors import KitError
from evaluator.history.groups import READ
from evaluator.history.reading import known
from evaluator.judging.feedback import tasks
from evaluator.judging.jobs import Job
from evaluator.judging.place import Place
from evaluator.scoring.intervals import t_interval
from evaluator.sections import Bars, Curve, Curves, Dots, Section, Value
from evaluator.submission.manifest import LINKS, read_manifest, web_address
from evaluator.text import one_line, say
from evaluator.track import Track, Tracks
from evaluator.words import counted

KINDS: dict[str, type[Bars] | type[Dots] | type[Curves]] = {"bars": Bars, "dots": Dots, "curves": Curves}
"""What may be shown, by the name under which it is stored."""
MOST_CELLS = 1_000
"""Cells of a run that are read."""
MOST_SECTIONS = 12
MOST_EPOCHS = 40
"""Points of a curve of losses."""
DIGITS = 6
"""Digits of a stored figure: a picture shows fewer."""

Cell = Mapping[str, Any]


def to_show(place: Place, tracks: Tracks, job: Job, folder: Path, summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a result holds for the board beside its scores. A failure is a warning: it never costs a judged submission its score.

    Args:
        folder: of the submission; ``summary``: the content of ``sweep.json``.

    Returns:
        ``metric_version`` (of the track's judging code), ``links`` (address by key of the manifest), and ``figures`` (sections).
    """
    track = tracks.of(summary)
    if track is None:
        return {}
    found: dict[str, Any] = {"metric_version": track.spec_type.version, "links": _links(folder), "figures": []}
    if job.part == "public":
        try:
            found["figures"] = as_stored(_sections(track, _cells(place.results(job.part), tracks, track, summary)))
        except Exception as error:  # whatever it is: the score stands, and the page has less to show
            what = str(error) if isinstance(error, KitError) else f"{type(error).__name__}: {error}"
            say(f"warning: job {job.id}: the page of submission {job.submission} has no figures ({what}); its scores are stored")
    return found


def _links(folder: Path) -> dict[str, str]:
    """The addresses that a submission's manifest names, as far as a page may link to them."""
    try:
        manifest = read_manifest(folder)
    except (KitError, OSError):
        return {}
    named = {} if manifest is None else {name: getattr(manifest, name) for name in LINKS}
    return {name: address for name, address in named.items() if web_address(address)}


def _cells(results: Path, tracks: Tracks, track: Track, summary: Mapping[str, Any]) -> list[Cell]:
    """The stored cells of a run at tasks that are not hidden, with the members that may be used."""
    shown, _ = tasks(summary, track.task_word)
    found: list[Cell] = []
    needed, wanted = set(READ), {*READ, *track.figure_members, *track.public_members, "training"}
    for digest in [row["cell"] for row in summary["cells"] if row[track.task_word] in shown][:MOST_CELLS]:
        try:
            raw = read_bytes(results / "cells" / f"{Path(digest).name}.json", RECORD.size)
            cell, _ = known(raw, digest, tracks, wanted)
        except (OSError, BoundsError):
            continue
        if cell is not None:
            found.append({name: value for name, value in cell.items() if value is not None or name in needed})
    return found


def _sections(track: Track, cells: Sequence[Cell]) -> list[Section]:
    """The sections of every pipeline and condition, each with a name where there are several."""
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        spec = cell["spec"]
        condition = {name: spec[name] for name in track.conditions if name in spec}
        parts = (spec["pipeline"]["name"], track.heading(condition), spec["score_split"])
        groups.setdefault(", ".join(part for part in parts if part), []).append(cell)
    found: list[Section] = []
    for heading, of in groups.items():
        plain: list[Cell] = [{name: value for name, value in cell.items() if name != "training"} for cell in of]
        sections = [*track.public_sections({"this submission": plain}), *_losses(of)]
        found += [replace(section, title=f"{section.title} ({heading})") if len(groups) > 1 else section for section in sections]
    return found


def _losses(cells: Sequence[Cell]) -> Iterable[Section]:
    """The training loss of every epoch, the mean over the seeds, a curve for each task. Nothing where no training stored it."""
    found: dict[str, list[list[Mapping[str, Any]]]] = {}
    for cell in cells:
        history = (cell.get("training") or {}).get("history") or []
        if len(history) > 1:
            found.setdefault(cell["spec"]["task"], []).append(history)
    curves = []
    for task, histories in found.items():
        epochs = min(map(len, histories))
        shown = range(0, epochs, -(-epochs // MOST_EPOCHS))
        points = [(float(histories[0][at]["epoch"]), t_interval([of[at]["loss"] for of in histories]).mean) for at in shown]
        curves.append(Curve(task, tuple((epoch, Value(loss)) for epoch, loss in points)))
    if curves:
        seeds = max(map(len, found.values()))
        caption = f"Mean over {counted(seeds, 'seed')}." if seeds > 1 else "One seed."
        yield Section("Training", (Curves("Training loss", caption, "epoch", "loss", tuple(curves)),))


# -- to JSON and back


def as_stored(sections: Iterable[Section]) -> list[dict[str, Any]]:
    """Sections as plain JSON: those parts that may be shown, and whose figures are all finite."""
    found = []
    for section in list(sections)[:MOST_SECTIONS]:
        parts = [
            {"kind": name} | _rounded(msgspec.to_builtins(part))
            for part in section.parts
            for name, kind in KINDS.items()
            if type(part) is kind
        ]
        parts = [part for part in parts if _finite(part)]
        if parts:
            found.append({"title": one_line(section.title), "parts": parts, "notes": [one_line(note) for note in section.notes]})
    return found


def from_stored(stored: Any) -> tuple[Section, ...]:
    """The inverse of ``as_stored``. Nothing where it is not understood: a page of an older kit's result shows less."""
    found = []
    try:
        for section in stored or ():
            parts = tuple(
                msgspec.convert({name: value for name, value in part.items() if name != "kind"}, KINDS[part["kind"]])
                for part in section["parts"]
            )
            found.append(Section(str(section["title"]), parts, tuple(map(str, section["notes"]))))
    except (KeyError, TypeError, AttributeError, ValueError):
        return ()
    return tuple(found)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, Mapping):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value


def _finite(part: Mapping[str, Any]) -> bool:
    try:
        json.dumps(part, allow_nan=False)
    except ValueError:
        return False
    return True
