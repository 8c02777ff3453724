"""Shows stored results in the terminal: a folder of results, a list of files, one cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from evaluator.history.entries import Entry
from evaluator.history.index import Index
from evaluator.history.inventory import KINDS, Thing, age, amount
from evaluator.history.people import Person, people
from evaluator.report.console import hanging, label, line, show_table
from evaluator.secret import seeds_in_words
from evaluator.track import Track
from evaluator.words import counted, number

MANY = 40
"""Largest number of files that are listed; further files are only counted."""


def show_inventory(console: Console, things: Sequence[Thing], index: Index, entries: Sequence[Entry] = ()) -> None:
    """Print number, size and age of the files by kind; then the cells by submission, profile, pipeline and split.

    Cells of equal files belong to every submission that had these files, and stand in a row for each.
    """
    table = Table(title="what is stored", title_justify="left", box=None, pad_edge=False)
    for name in ("kind", "number", "size", "oldest", "newest"):
        table.add_column(name, justify="left" if name == "kind" else "right")
    for kind in KINDS:
        of = [thing for thing in things if thing.kind == kind]
        if of:
            oldest, newest = min(thing.changed for thing in of), max(thing.changed for thing in of)
            table.add_row(kind, str(len(of)), amount(sum(t.size for t in of)), f"{age(oldest)} ago", f"{age(newest)} ago")
    show_table(console, table)
    changed = {thing.path.stem: thing.changed for thing in things if thing.kind == "cell"}
    groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    stored = people({(row["submission"], row["submission_digest"]) for row in index.cells.values()}, entries)
    owned: dict[str, list[Person]] = {}
    for person in stored:
        owned.setdefault(person.digest, []).append(person)
    for row in index.cells.values():
        what = f"{row['track']}: {row['profile']}, {row['pipeline']}, {row['score_split']}"
        what += f", {row['condition']}" if row["condition"] else ""
        for person in owned[row["submission_digest"]]:
            if person.has((row["submission"], row["submission_digest"])):
                name = f"{person.label} ({person.digest[:8]})"
                groups.setdefault((name, person.owner, what, row["secret"][:8] or "public"), []).append(row)
    cells = Table(title="cells", title_justify="left", box=None, pad_edge=False)
    secret = any(row["secret"] for row in index.cells.values())
    seeds_column = ("secret",) if secret else ()
    owner = any(person.owner for person in stored)
    first = ("submission", "owner") if owner else ("submission",)
    fallen = ("collapsed",) if any(row["collapsed"] for row in index.cells.values()) else ()
    for name in (
        *first,
        "track: profile, pipeline, split",
        *seeds_column,
        "cells",
        "failed",
        *fallen,
        "last",
        "its name",
    ):
        # A name is what people look for: it is the last to be folded.
        least = max((min(len(found[0]), 30) for found in groups), default=0) if name == "submission" else None
        cells.add_column(
            name, justify="right" if name in ("cells", "failed", "collapsed") else "left", overflow="fold", min_width=least
        )
    for (submission, whose, what, seeds), rows in sorted(groups.items()):
        last = max(rows, key=lambda row: changed.get(row["cell"], 0.0))
        failed = sum(not row["scored"] for row in rows)
        when = f"{age(changed[last['cell']])} ago" if last["cell"] in changed else "-"
        drawn = (line(seeds),) if secret else ()
        own = (label(whose or "-"),) if owner else ()
        counts = [len(rows), failed, *([sum(row["collapsed"] for row in rows)] if fallen else [])]
        numbers = (str(count or "-") for count in counts)
        cells.add_row(label(submission), *own, line(what), *drawn, *numbers, when, line(last["cell"][:8]))
    if groups:
        console.print()
        show_table(console, cells)
    for file in index.damaged:
        hanging(console, f"  not readable: {file}", "red")


def show_things(console: Console, things: Sequence[Thing]) -> None:
    """Print a line per file, for the first ``MANY`` files."""
    for thing in things[:MANY]:
        hanging(console, f"{thing.kind}: {thing.path}, {amount(thing.size)}, {age(thing.changed)} old", width=5_000)
    if len(things) > MANY:
        console.print(f"and {len(things) - MANY} more")


def show_cell(console: Console, cell: Mapping[str, Any], track: Track, entries: Sequence[Entry] = ()) -> None:
    """Print one cell: its spec, whose it is, its result, and the versions that computed it."""
    spec = cell["spec"]
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    where = f"{spec['device']}, {counted(spec['threads'], 'thread')}"
    rows = [
        ("cell", cell["cell"]),
        ("track", spec["track"]),
        ("submission", f"{spec['submission']} ({spec['submission_digest'][:12]})"),
        *(("evaluated as", _entry_text(entry)) for entry in entries if entry.digest == spec["submission_digest"]),
        ("profile", f"{spec['profile']['name']} of {spec['profile']['round']['name']}"),
        (track.task_word, f"{spec['task']}, seed {spec['seed']} (root {spec['root_seed']})"),
        ("seeds", seeds_in_words(spec.get("secret", ""))),
        ("pipeline", f"{spec['pipeline']['name']}, {where}; scored on {spec['score_split']}"),
        *((name.replace("_", " "), str(spec[name])) for name in track.spec_rules),
        ("isolation", f"{spec['tier']} (limits by {(cell['isolation'] or {}).get('limited_by') or 'unknown'})"),
        ("verdict", cell["verdict"] + (f": {cell['reason']}" if cell["reason"] else "")),
        ("fit to submit", "yes" if cell["fit_to_submit"] else "no"),
    ]
    if cell["metrics"] and track.collapsed(cell["metrics"]):
        rows.append(("collapsed", f"the score is {track.collapsed_text}"))
    for name, value in (cell["metrics"] or {}).items():
        shown = ", ".join(f"{k} {v:.3f}" for k, v in value.items()) if isinstance(value, Mapping) else f"{value:.6g}"
        rows.append((name.replace("_", " "), shown))
    rows += [(name.replace("_", " "), str(value)) for name, value in track.figures(cell).items()]
    rows += [(f"phase {p['name']}", f"{p['verdict']}, {p['seconds']:.1f} of {number(p['allowed'], 4)} s") for p in cell["phases"]]
    rows.append(("versions", ", ".join(f"{name} {value}" for name, value in (cell["versions"] or {}).items())))
    if cell.get("busy"):
        rows.append(("machine", f"busy: {cell['busy']}"))
    for title, text in rows:
        table.add_row(label(title), line(text, width=4_000))
    console.print(table)


def _entry_text(entry: Entry) -> str:
    whose = f" of {entry.owner}" if entry.owner else ""
    return f"{entry.label}{whose}, {entry.last}, {entry.folder}"
