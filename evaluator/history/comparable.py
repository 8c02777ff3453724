"""Stored cells of several submissions that may be compared: the same pipelines, tasks, seeds, data and rules.

All other cells are left out, and the reason is reported: a table of submissions that were judged under different conditions would
look the same and mean nothing.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.errors import ConfigurationError
from evaluator.history.entries import Entry as Stored
from evaluator.history.entries import read_entries
from evaluator.history.reading import read_cells
from evaluator.machine import computed_by
from evaluator.scoring.agreement import FEWEST
from evaluator.secret import seeds_in_words
from evaluator.specs import DATA_SET
from evaluator.track import Track, Tracks
from evaluator.words import counted

RULES = ("track", "version", "root_seed", "score_split")
"""Fields of a spec that must be equal in compared cells. The secret, profile, data, kind of device and the track's own rules must
be equal, too."""
READ = ("spec", "scored", "metrics", "answer", "versions", "fingerprint")
"""Members of a cell that are read, in addition to those that its track needs."""

STORED = "stored_at"
"""Member that is added to a cell that was read: when its file was written, in seconds since the epoch."""

Place = tuple[str, str, int]
"""Pipeline (as JSON), task, seed."""
Grid = tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]
"""Pipelines, tasks, seeds: every combination of them."""
MANY = 3
"""Up to this number of submissions, each is named when its cells are left out; if there are more, they are only counted."""


@dataclass(frozen=True, eq=False)
class Gathered:
    """A complete grid of scores.

    Attributes:
        metric: name of the primary metric of the round.
        scores: float64 (pipelines, submissions, seeds), mean over the tasks of the metric's score: higher is better.
        collapsed: bool, of the same shape: whether one of the tasks' cells collapsed (``Track.collapsed``).
        rules: what is equal in all cells, by name.
        left_out: stored cells that were not used, with the reason, one line each.
        repeated: submissions of which several seeds are one observation (``Track.observation``): repeated trainings on one answer.
    """

    pipelines: tuple[str, ...]
    submissions: tuple[str, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    metric: str
    scores: np.ndarray
    collapsed: np.ndarray
    rules: dict[str, Any]
    left_out: tuple[str, ...]
    repeated: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class _Entry:
    """The scored cells of one submission under one set of rules."""

    name: str
    digest: str
    cells: dict[Place, dict[str, Any]]

    @property
    def label(self) -> str:
        return f"{self.name} ({self.digest[:8]})"

    def lacks(self, grid: Grid) -> list[Place]:
        return [place for place in itertools.product(*grid) if place not in self.cells]

    def split_answers(self, grid: Grid) -> list[tuple[str, int]]:
        """Tasks and seeds at which the pipelines were judged on different answers."""
        pipelines, tasks, seeds = grid
        found = []
        for task, seed in itertools.product(tasks, seeds):
            if len({self.cells[p, task, seed]["answer"]["checksum"] for p in pipelines}) > 1:
                found.append((task, seed))
        return found

    def grids(self) -> Iterator[Grid]:
        """Complete grids of two or more pipelines among this submission's cells: the widest grid for every set of pipelines."""
        at: dict[tuple[str, int], set[str]] = {}
        for pipeline, task, seed in self.cells:
            at.setdefault((task, seed), set()).add(pipeline)
        for pipelines in {frozenset(found) for found in at.values() if len(found) > 1}:
            held = {place for place, found in at.items() if found >= pipelines}
            tasks = sorted({task for task, _ in held})
            seeds = [seed for seed in sorted({seed for _, seed in held}) if all((task, seed) in held for task in tasks)]
            if seeds:
                yield tuple(sorted(pipelines)), tuple(tasks), tuple(seeds)


def gather(root: Path, tracks: Tracks, profile: str | None = None, track: str | None = None) -> Gathered:
    """The largest comparable grid of the cells stored below ``root``.

    First choice are rules and a grid of which at least ``FEWEST`` submissions have every cell, or else as many submissions as
    possible. Among equal choices the grid with the most cells is taken, and among grids of as many cells that with the cell that
    was stored last; ``left_out`` names the others.

    Args:
        profile: only cells of this profile; ``track``: only cells of the track of this name.

    Raises:
        ConfigurationError: ``root`` is not a folder of results, or no submission has cells of two pipelines.
    """
    left_out: list[str] = []
    found = _read(root, tracks, profile, track, left_out)
    choices = [
        (_size(whole, (pipelines, tasks, seeds)), _newest(whole, (pipelines, tasks, seeds)), rules, (pipelines, tasks, seeds))
        for rules, entries in found.items()
        for pipelines, tasks, seeds in sorted({grid for entry in entries for grid in entry.grids()})
        if (whole := _whole(entries, (pipelines, tasks, seeds)))
    ]
    if not choices:
        said = "".join(f"\n  {line}" for line in left_out)
        commands = " or ".join(f"`{known.panel_command}`" for known in tracks if track in (None, known.name))
        raise ConfigurationError(
            f"{root}: no submission was judged by two or more pipelines on the same answers; rank agreement needs that. Run "
            f"{commands} with every submission first{said}"
        )
    size, newest, rules, grid = max(choices)
    entries = _whole(found[rules], grid)
    unused: dict[str, list[tuple[str, int]]] = {}
    tie = {other: in_words(newest, then) for of, then, other, _ in choices if of == size and other != rules}
    alike = [(then, other) for of, then, same, other in choices if of == size and same == rules and other != grid]
    left_out += [f"another grid of as many cells{in_words(newest, then)}: {_grid_text(other)}" for then, other in alike]
    for other, members in found.items():
        for entry in members:
            if other != rules:
                why = f"of other rules: {difference(other, rules)}{tie.get(other, '')}"
                unused.setdefault(why, []).append((entry.label, len(entry.cells)))
            elif entry not in entries:
                left_out.append(f"{entry.label}: {_shortcoming(entry, grid, entries)}")
            elif extra := len(entry.cells) - len(list(itertools.product(*grid))):
                unused.setdefault("outside the grid that all have", []).append((entry.label, extra))
    left_out += [line for why, of in unused.items() for line in unused_lines(why, of)]
    left_out += _same_files(entries, read_entries(root)[0])
    shared = json.loads(rules)
    track_of = tracks.known[shared["track"]]
    found_scores = _scores(entries, grid, shared, track_of, left_out)
    both = zip(entries, found_scores.submissions, strict=True)
    return replace(found_scores, repeated=tuple(name for entry, name in both if _repeats(entry, grid, track_of)))


def _read(root: Path, tracks: Tracks, profile: str | None, only: str | None, left_out: list[str]) -> dict[str, list[_Entry]]:
    """Scored cells by rules (as JSON text) and submission; for cells that cannot be used a line is added to ``left_out``."""
    found: dict[str, dict[tuple[str, str], _Entry]] = {}
    unscored: Counter[tuple[str, str]] = Counter()
    not_compared: Counter[tuple[str, str]] = Counter()
    for path, cell, why in read_cells(root, tracks, {*READ, *(name for track in tracks for name in track.figure_members)}):
        if cell is None:
            left_out.append(f"{path.name} {why}")
            continue
        spec = cell["spec"]
        if profile not in (None, spec["profile"]["name"]) or only not in (None, spec["track"]):
            continue
        source = (spec["submission"], spec["submission_digest"])
        track = tracks.of(spec)
        assert track is not None  # read_cells gives cells of known tracks only
        if why := track.not_compared(spec):
            not_compared[f"{source[0]} ({source[1][:8]})", why] += 1
            continue
        if not cell["scored"]:
            unscored[f"{source[0]} ({source[1][:8]})", track.unscored] += 1
            continue
        entry = found.setdefault(rules_of(track, cell), {}).setdefault(source, _Entry(*source, {}))
        judge = json.dumps([spec["pipeline"]["name"], spec["pipeline"], spec["weights"]], sort_keys=True)
        entry.cells[judge, spec["task"], spec["seed"]] = cell | {STORED: stored_at(path)}
    left_out += [f"{label}: {counted(n, 'cell')} {why}" for (label, why), n in unscored.items()]
    for (name, why), n in not_compared.items():
        left_out.append(f"{name}: {counted(n, 'cell')} {'is' if n == 1 else 'are'} not compared: each {why}")
    return {rules: list(entries.values()) for rules, entries in found.items()}


def rules_of(track: Track, cell: dict[str, Any]) -> str:
    """What must be equal in two compared cells, apart from their pipelines; as JSON text."""
    return json.dumps(shared_rules(track, cell["spec"], cell["versions"] or {}), sort_keys=True)


def shared_rules(track: Track, spec: dict[str, Any], versions: dict[str, str]) -> dict[str, Any]:
    """The same as a dict. ``versions``: library versions that must be equal, too; an empty dict ignores them."""
    rules = {name: spec[name] for name in (*RULES, *track.spec_rules)} | {"secret": spec.get("secret", "")}
    rules[DATA_SET] = spec.get(DATA_SET, 0)
    rules |= {"profile": track.shared_profile(spec["profile"]), "data": spec["data"]}
    return rules | {"device": spec["device"].partition(":")[0], "versions": computed_by(versions)}


def _same_files(whole: list[_Entry], stored: list[Stored]) -> list[str]:
    """A line for every submission that has its cells in common with one that is compared, under another label."""
    names = {entry.digest: entry.name for entry in whole}
    found = []
    for entry in stored:
        if entry.digest in names and entry.label != names[entry.digest]:
            whose = f" of {entry.owner}" if entry.owner else ""
            found.append(f"{entry.label}{whose} ({entry.digest[:8]}): the same files as {names[entry.digest]}")
    return found


def _whole(entries: list[_Entry], grid: Grid) -> list[_Entry]:
    """The submissions that have every cell of the grid; of submissions with the same files only the first."""
    whole: dict[str, _Entry] = {}
    for entry in sorted(entries, key=lambda e: (e.name, e.digest)):
        if not entry.lacks(grid) and not entry.split_answers(grid):
            whole.setdefault(entry.digest, entry)
    return list(whole.values())


def _size(whole: list[_Entry], grid: Grid) -> tuple[int, int]:
    """What a choice is worth: submissions up to ``FEWEST``, then cells."""
    return min(len(whole), FEWEST), len(whole) * math.prod(map(len, grid))


def _newest(whole: list[_Entry], grid: Grid) -> float:
    """When the last cell of a grid was stored."""
    return max(entry.cells[place][STORED] for entry in whole for place in itertools.product(*grid))


def in_words(chosen: float, other: float) -> str:
    """Why, of two choices of one size, the first is shown: when the last cell of each was stored, in seconds since the epoch."""
    if other < chosen:
        return " (as many cells; those that were stored last are shown)"
    return " (as many cells, stored at the same time, so that either could be shown: move those of one into a folder of their own)"


def _grid_text(grid: Grid) -> str:
    pipelines, tasks, seeds = grid
    return f"{', '.join(map(_name, pipelines))} at {', '.join(tasks)}, {counted(len(seeds), 'seed')}"


def stored_at(path: Path) -> float:
    """When a file was written last, in seconds since the epoch; 0 if that cannot be told."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def unused_lines(why: str, of: list[tuple[str, int]]) -> list[str]:
    """One line per submission, with its number of cells; more than ``MANY`` submissions are one line, which hides no other."""
    if len(of) > MANY:
        return [f"{len(of)} submissions: {counted(sum(n for _, n in of), 'cell')} {why}"]
    return [f"{label}: {counted(n, 'cell')} {why}" for label, n in of]


def _shortcoming(entry: _Entry, grid: Grid, whole: list[_Entry]) -> str:
    """Why a submission with cells under the same rules is not compared."""
    if lacking := entry.lacks(grid):
        pipeline, task, seed = lacking[0]
        n = len(list(itertools.product(*grid)))
        return f"{len(lacking)} of {n} cells are missing or not scored, e.g. {_name(pipeline)} at {task}, seed {seed}"
    if split := entry.split_answers(grid):
        task, seed = split[0]
        return f"the pipelines were judged on different answers at {task}, seed {seed}; run it with all pipelines again"
    return f"the same files as {next(e.name for e in whole if e.digest == entry.digest)}"


def difference(rules: str, chosen: str) -> str:
    """How ``rules`` differ from the ``chosen`` rules, in words; both as ``rules_of`` gives them."""
    here, there = json.loads(rules), json.loads(chosen)
    parts = []
    for name in here:
        if here[name] == there[name]:
            continue
        if name == "data":
            splits = sorted(s for s in {*here[name], *there[name]} if here[name].get(s) != there[name].get(s))
            parts.append(f"other data ({', '.join(splits)})")
        elif name == "versions":
            changed = sorted(n for n in {*here[name], *there[name]} if here[name].get(n) != there[name].get(n))
            parts += [f"{n} {here[name].get(n, 'unknown')}, not {there[name].get(n, 'unknown')}" for n in changed]
        elif name == DATA_SET:
            parts.append(f"data set {here[name]}, not {there[name]}")
        elif name == "secret":
            parts.append(f"seeds {seeds_in_words(here[name])}, not {seeds_in_words(there[name])}")
        elif name == "profile":
            same = here[name]["name"] == there[name]["name"]
            parts.append("another version of the profile" if same else f"profile {here[name]['name']}, not {there[name]['name']}")
        else:
            parts.append(f"{name} {here[name]}, not {there[name]}")
    return "; ".join(parts)


def _repeats(entry: _Entry, grid: Grid, track: Track) -> bool:
    """Whether two seeds of a submission are one observation on every task."""
    pipelines, tasks, seeds = grid
    keys = [tuple(track.observation(entry.cells[pipelines[0], task, seed]) for task in tasks) for seed in seeds]
    known = [key for key in keys if None not in key]
    return len(set(known)) < len(known)


def _name(pipeline: str) -> str:
    return str(json.loads(pipeline)[0])


def _scores(entries: list[_Entry], grid: Grid, rules: dict[str, Any], track: Track, left_out: list[str]) -> Gathered:
    pipelines, tasks, seeds = grid
    metric = track.primary(rules["profile"])

    def fell(entry: _Entry, pipeline: str, seed: int) -> bool:
        return any(track.collapsed(entry.cells[pipeline, task, seed]["metrics"]) for task in tasks)

    def mean(entry: _Entry, pipeline: str, seed: int) -> float:
        return float(np.mean([metric.score(entry.cells[pipeline, task, seed]["metrics"][metric.name]) for task in tasks]))

    scores = np.array([[[mean(entry, pipeline, seed) for seed in seeds] for entry in entries] for pipeline in pipelines])
    return Gathered(
        pipelines=unlike([_name(p) for p in pipelines]),
        submissions=unlike([e.name for e in entries], [e.digest for e in entries]),
        tasks=tasks,
        seeds=seeds,
        metric=metric.name,
        scores=scores,
        collapsed=np.array([[[fell(entry, pipeline, seed) for seed in seeds] for entry in entries] for pipeline in pipelines]),
        rules=rules,
        left_out=tuple(left_out),
    )


def unlike(names: list[str], digests: list[str] | None = None) -> tuple[str, ...]:
    """``names`` made distinct: a name that occurs more than once gets the start of its digest, or a number."""
    found = []
    for i, name in enumerate(names):
        mark = digests[i][:8] if digests else str(names[: i + 1].count(name))
        found.append(f"{name} ({mark})" if names.count(name) > 1 else name)
    return tuple(found)
