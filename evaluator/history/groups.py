"""Stored cells sorted into conditions. Cells of one condition may be shown in one table; cells of different conditions may not.

A condition is a track with its own choices, a profile, a pipeline and a scored split, under one set of rules: version of the
judging code, versions of the libraries, secret and root seed, data, limits. If cells of a condition were stored under several sets
of rules, the set with the most scored cells is used, and of sets of equal size that with the cell that was stored last; the other
cells are left out, with the reason.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.errors import ConfigurationError
from evaluator.history.comparable import STORED, difference, in_words, shared_rules, stored_at
from evaluator.history.entries import Entry, read_entries
from evaluator.history.people import EVERYTHING, NONE_HIDDEN, Hidden, Person, Shown, check_names, fold, people, shown_names
from evaluator.history.reading import read_cells
from evaluator.machine import computed_by, versions
from evaluator.scoring.observations import numbered
from evaluator.scoring.scores import Scores
from evaluator.specs import DATA_SET
from evaluator.track import Track, Tracks
from evaluator.training.pipeline import is_proxy
from evaluator.words import counted, was

CIRCUMSTANCES = ("tier", "threads", "worker_threads")
"""Fields of a spec that may differ within a condition, in addition to the track's own. If a cell is stored under two of their
values, one of the two is used."""
READ = ("cell", "spec", "verdict", "reason", "scored", "metrics", "answer", "data", "versions", "fingerprint", "attempts")
"""Members of a cell that are read, in addition to those that its track needs."""

MOST_PLACES = 5_000_000
"""Most combinations of submission, task and seed in one table: few cells that have nothing in common span as many as a million."""

Place = tuple[str, str, int]
"""Strategy, task, seed."""


@dataclass(frozen=True)
class Wanted:
    """Which cells are asked for; None allows every value. ``condition``: values of the tracks' own choices, by name."""

    profile: str | None = None
    pipeline: str | None = None
    score_split: str | None = None
    condition: Mapping[str, Any] = field(default_factory=dict)
    track: str | None = None

    def __str__(self) -> str:
        named = {
            "track": self.track,
            "profile": self.profile,
            "pipeline": self.pipeline,
            **self.condition,
            "score_split": self.score_split,
        }
        parts = [f"{name.replace('_', ' ')} {value}" for name, value in named.items() if value is not None]
        return ", ".join(parts) or "any condition"

    def matches(self, spec: dict[str, Any]) -> bool:
        """Whether a cell of this spec is asked for, whatever its pipeline."""
        named = {"score_split": self.score_split, **self.condition}
        held = {DATA_SET: 0} | spec
        right = self.track in (None, spec["track"]) and all(value in (None, held.get(name)) for name, value in named.items())
        return right and self.profile in (None, spec["profile"]["name"])


@dataclass(frozen=True, eq=False)
class Condition:
    """The cells that may be shown in one table.

    Attributes:
        track: the track of the cells.
        rules: what is equal in all cells, apart from the pipeline.
        pipeline: its fields, as stored; ``weights``: identity of its starting weights.
        strategies: distinct names, sorted; ``digests``: hash over the files of a strategy, by its name; ``people``: whose it is.
        tasks: in the track's order; ``seeds``: sorted.
        cells: by strategy, task and seed; scored or failed. Cells that were never run are missing.
        left_out: stored cells of this condition that were not used, with the reason, one line each.
        notes: what differs between the cells, one sentence each.
        hidden: how many submissions with cells of this condition are not among the strategies.
        shown: whether its pipeline was asked for. Conditions of other pipelines are read so that a proxy can be compared with them.
        attempts: by place, how often which verdict was found there before the result that counts, or under other circumstances.
    """

    track: Track
    rules: dict[str, Any]
    pipeline: dict[str, Any]
    weights: str
    strategies: tuple[str, ...]
    digests: dict[str, str]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    cells: dict[Place, dict[str, Any]] = field(repr=False)
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    shown: bool = True
    people: Mapping[str, Person] = field(default_factory=dict)
    hidden: Hidden = NONE_HIDDEN
    attempts: Mapping[Place, Mapping[str, int]] = field(default_factory=dict)

    @property
    def proxy(self) -> bool:
        """Whether its pipeline is a proxy: a cheap substitute for a full training."""
        return is_proxy(self.pipeline)

    @property
    def condition(self) -> dict[str, Any]:
        """The values of the track's own choices, by name."""
        return {name: self.rules[name] for name in self.track.conditions}

    @property
    def metric(self) -> str:
        """Name of the primary metric of its round."""
        return self.track.primary(self.rules["profile"]).name

    def value(self, place: Place, metric: str) -> float:
        """The score of a cell (``Metric.score``), higher is better; NaN if the cell failed, was not run, or lacks the metric."""
        cell = self.cells.get(place)
        if cell is None or not cell["scored"] or metric not in cell["metrics"]:
            return float("nan")
        return self.track.metric(metric).score(float(cell["metrics"][metric]))

    def scores(self, metric: str) -> Scores:
        """The scores of all cells; NaN where a cell failed or was not run. It says which failed, and which are copies."""
        values = [[[self.value((s, t, n), metric) for n in self.seeds] for t in self.tasks] for s in self.strategies]
        failed = [
            [[not self.cells.get((s, t, n), {"scored": True})["scored"] for n in self.seeds] for t in self.tasks]
            for s in self.strategies
        ]
        copies = [[numbered(self.observation((s, t, n)) for n in self.seeds) for t in self.tasks] for s in self.strategies]
        return Scores(self.strategies, self.tasks, self.seeds, np.array(values), np.array(failed), np.array(copies))

    def observation(self, place: Place) -> str | None:
        """What a cell is an observation of (``Track.observation``); None if it was not scored, or nothing is known of it."""
        cell = self.cells.get(place)
        return self.track.observation(cell) if cell is not None and cell["scored"] else None

    def whole(self, strategy: str, metric: str) -> tuple[np.ndarray, np.ndarray] | None:
        """Scores (seeds,), and numbers of observations (seeds,) as in ``Scores.copies``, of the cells in which a strategy got
        everything it could get (``Track.whole``).

        NaN for a seed without such a cell; None if no seed has one. The task of such a cell does not matter: all of them train on
        the same items.
        """
        found = np.full(len(self.seeds), np.nan)
        keys: list[str | None] = [None] * len(self.seeds)
        for (name, task, seed), cell in sorted(self.cells.items(), key=lambda item: item[0]):
            if name == strategy and cell["scored"] and self.track.whole(cell):
                found[self.seeds.index(seed)] = self.value((name, task, seed), metric)
                keys[self.seeds.index(seed)] = self.observation((name, task, seed))
        return None if np.isnan(found).all() else (found, np.array(numbered(keys)))


def conditions(
    root: Path, tracks: Tracks, wanted: Wanted = Wanted(), mixed_versions: bool = False, rows: Shown = EVERYTHING
) -> tuple[list[Condition], list[str]]:
    """The stored conditions below ``root`` that ``wanted`` asks for, sorted; and one line for every file or cell that is not used.

    Conditions of other pipelines are returned, too, with ``shown`` False.

    Args:
        mixed_versions: allow cells of different versions of Python or of the libraries in one condition; its notes then say so.
        rows: the submissions that are shown.

    Raises:
        ConfigurationError: ``root`` is not a folder of results, no stored cell is asked for, or a named submission is not stored.
    """
    entries, damaged = read_entries(root)
    reads = {*READ, *(name for track in tracks for name in track.figure_members)}

    def read() -> Iterator[dict[str, Any]]:
        for path, cell, why in read_cells(root, tracks, reads):
            if cell is None:
                damaged.append(f"{path.name} {why}")
            else:
                yield cell | {STORED: stored_at(path)}

    found, left_out = sort_cells(read(), tracks, wanted, mixed_versions, entries, rows)
    left_out = damaged + left_out
    if not any(condition.shown for condition in found):
        said = "".join(f"\n  {line}" for line in left_out)
        if rows.since and entries:
            last = max(entries, key=lambda entry: entry.last)
            raise ConfigurationError(
                f"--since {rows.since}: {root} holds no cell of {wanted} of a submission that was evaluated then or later; the "
                f"last evaluation began at {last.last} ({last.label}). Name an earlier time, or leave --since out{said}"
            )
        raise ConfigurationError(f"{root} holds no cell of {wanted}; run submissions first, or leave options out{said}")
    return found, left_out


def sort_cells(
    cells: Iterable[dict[str, Any]],
    tracks: Tracks,
    wanted: Wanted = Wanted(),
    mixed_versions: bool = False,
    entries: Sequence[Entry] = (),
    rows: Shown = EVERYTHING,
) -> tuple[list[Condition], list[str]]:
    """The same as ``conditions``, for cells in memory. Each has the members of ``READ`` and those that its track needs."""
    left_out: list[str] = []
    found: dict[tuple, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    others: Counter[str] = Counter()
    sources: set[tuple[str, str]] = set()
    for cell in cells:
        spec = cell["spec"]
        sources.add(_source(cell))
        track = tracks.of(spec)
        assert track is not None  # read_cells gives cells of known tracks only
        if why := track.not_compared(spec):
            left_out.append(f"{cell['cell']}.json {why} ({spec['profile']['name']})")
            continue
        own = {name: spec[name] for name in track.conditions if name != DATA_SET}
        number = spec.get(DATA_SET, 0)
        order = (*(_order(value) for value in own.values()), (0, number, ""))
        own |= {DATA_SET: number} if number else {}
        key = (track.name, spec["profile"]["name"], spec["pipeline"]["name"], order, spec["score_split"])
        if not wanted.matches(spec) or wanted.pipeline not in (None, spec["pipeline"]["name"]):
            said = [
                f"pipeline {key[2]}",
                *(f"{name.replace('_', ' ')} {track.condition_text(name, value)}" for name, value in own.items()),
                f"{key[4]} split",
            ]
            others[", ".join([key[1], *said])] += 1
        if wanted.matches(spec):
            # Lists of items and histories are most of a cell; ten thousand cells are not kept in memory with them.
            names = {*READ, STORED, *track.figure_members}
            found[key][_shared(track, cell, mixed_versions)].append({name: cell.get(name) for name in names})
    left_out += [f"{counted(n, 'cell')} {was(n)} not asked for: {label}" for label, n in sorted(others.items())]
    known = {track.name: track for track in tracks}
    stored = people(sources, entries)
    check_names(rows.names, stored)
    taken = [person for person in stored if rows.takes(person)]
    if len(taken) < len(stored):
        _drop(found, taken)
        if older := sum(map(replace(rows, since="").takes, stored)) - len(taken):
            left_out.append(f"{counted(older, 'submission')}: evaluated before {rows.since}, or at a time that is not stored")
    asked = {key: wanted.pipeline in (None, key[2]) for key in sorted(found)}
    return [_condition(known[key[0]], found[key], asked[key], taken, rows) for key in asked], left_out


def _source(cell: dict[str, Any]) -> tuple[str, str]:
    return cell["spec"]["submission"], cell["spec"]["submission_digest"]


def _owned(cells: Iterable[dict[str, Any]], rows: Sequence[Person]) -> dict[tuple[str, str], list[Person]]:
    """The rows that every cell's submission belongs to."""
    of: dict[str, list[Person]] = defaultdict(list)
    for person in rows:
        of[person.digest].append(person)
    return {source: [p for p in of[source[1]] if p.has(source)] for source in {_source(cell) for cell in cells}}


def _drop(found: dict[tuple, dict[str, list[dict[str, Any]]]], taken: Sequence[Person]) -> None:
    """Remove the cells that belong to no row that is shown, and what is empty then."""
    for key, variants in list(found.items()):
        for rules, cells in list(variants.items()):
            owned = _owned(cells, taken)
            variants[rules] = [cell for cell in cells if owned[_source(cell)]]
            if not variants[rules]:
                del variants[rules]
        if not variants:
            del found[key]


def _order(value: Any) -> tuple[int, float, str]:
    """The sort key of a condition's value: large numbers first, then texts, then whatever else there is."""
    if isinstance(value, (int, float)):
        return 0, -value, ""
    return (1, 0, value) if isinstance(value, str) else (2, 0, str(value))


def matching(first: Condition, second: Condition) -> bool:
    """Whether two conditions differ only in their pipelines, so that their rankings of the strategies may be compared."""
    return first.rules == second.rules and first.pipeline != second.pipeline


def of_one_kind(first: Condition, second: Condition) -> bool:
    """Whether two conditions differ only in their data sets, which were made of one profile."""
    own = {name: value for name, value in first.rules.items() if name not in (DATA_SET, "data")}
    other = {name: value for name, value in second.rules.items() if name not in (DATA_SET, "data")}
    return own == other and (first.pipeline, first.weights) == (second.pipeline, second.weights)


def over(condition: Condition, strategies: Sequence[str], tasks: Sequence[str]) -> tuple[str, ...]:
    """The tasks that a mean over tasks is taken over: those that every strategy was run on. If there is no such task, the set of
    tasks that covers the most cells; a strategy that lacks one of these tasks then has no mean."""
    held = {s: frozenset(t for t in tasks if any((s, t, n) in condition.cells for n in condition.seeds)) for s in strategies}
    choices = {frozenset.intersection(*held.values()), *held.values()} - {frozenset()}
    if not choices:
        return tuple(tasks)

    def worth(choice: frozenset[str]) -> tuple[int, int, list[str]]:
        whole = sum(choice <= own for own in held.values())
        return whole * len(choice), whole, sorted(choice)

    best = max(choices, key=worth)
    return tuple(task for task in tasks if task in best)


def _shared(track: Track, cell: dict[str, Any], mixed_versions: bool) -> str:
    """What is equal in all cells of a table, as JSON text: rules, pipeline and its weights."""
    spec = cell["spec"]
    rules = shared_rules(track, spec, {} if mixed_versions else cell["versions"] or {})
    return json.dumps([rules, spec["pipeline"], spec["weights"]], sort_keys=True)


def _condition(
    track: Track, variants: dict[str, list[dict[str, Any]]], shown: bool, stored: Sequence[Person], wanted: Shown
) -> Condition:
    today = computed_by(versions())

    def worth(rules: str) -> tuple[bool, int, int]:
        cells = variants[rules]
        scored = sum(cell["scored"] for cell in cells)
        return scored > 0 and json.loads(rules)[0]["versions"] == today, scored, len(cells)

    newest = {rules: max(cell.get(STORED) or 0.0 for cell in cells) for rules, cells in variants.items()}
    chosen = max(sorted(variants), key=lambda rules: (worth(rules), newest[rules]))
    rules, pipeline, weights = json.loads(chosen)
    left_out = []
    for other in sorted(set(variants) - {chosen}):
        its_rules, its_pipeline, its_weights = json.loads(other)
        parts = [difference(json.dumps(its_rules), json.dumps(rules))] if its_rules != rules else []
        parts += [f"another version of the pipeline {pipeline['name']}"] if its_pipeline != pipeline else []
        parts += ["other starting weights"] if its_weights != weights else []
        only_versions = its_rules != rules and len(parts) == 1 and its_rules | {"versions": 0} == rules | {"versions": 0}
        kind = "versions" if only_versions else "rules"
        hint = " (--mixed-versions shows them in one table)" if only_versions else ""
        tie = in_words(newest[chosen], newest[other]) if worth(other) == worth(chosen) else ""
        left_out.append(f"{counted(len(variants[other]), 'cell')} of other {kind}: {'; '.join(parts)}{hint}{tie}")
    cells = variants[chosen]
    owned = _owned(cells, stored)
    there = {person for of in owned.values() for person in of}
    scored = {person for cell in cells if cell["scored"] for person in owned[_source(cell)]}
    rows, hidden = fold([person for person in stored if person in there], scored, wanted)
    named = dict(zip(rows, shown_names([(row.label, row.owner, row.digest) for row in rows]), strict=True))
    names = {source: [named[person] for person in of if person in named] for source, of in owned.items()}
    circumstances = (*CIRCUMSTANCES, *track.circumstances)

    def of(cell: dict[str, Any]) -> tuple:
        return tuple(str(cell["spec"].get(name)) for name in circumstances)

    common = Counter(of(cell) for cell in cells)
    places: dict[Place, dict[str, Any]] = {}
    attempts: dict[Place, Counter[str]] = defaultdict(Counter)
    doubles = 0

    def preferred(cell: dict[str, Any]) -> tuple[bool, bool, int, float, str]:
        stored = cell.get(STORED) or 0.0
        return cell["scored"], computed_by(cell["versions"] or {}) == today, common[of(cell)], stored, cell["cell"]

    # A later cell replaces an earlier cell of its place: a scored cell of today's versions under common circumstances comes last,
    # and of equals that which was stored last.
    for cell in sorted(cells, key=preferred):
        spec = cell["spec"]
        held = [(name, spec["task"], spec["seed"]) for name in names[_source(cell)]]
        doubles += any(place in places for place in held)
        for place in held:
            if place in places and not places[place]["scored"]:
                attempts[place][places[place]["verdict"]] += 1
            for row in cell.get("attempts") or ():
                attempts[place][row["verdict"]] += row["count"]
        places |= dict.fromkeys(held, cell)
    tasks = tuple(sorted({task for _, task, _ in places}, key=track.task_order))
    seeds = tuple(sorted({seed for _, _, seed in places}))
    if (room := len(named) * len(tasks) * len(seeds)) > MOST_PLACES:
        raise ConfigurationError(
            f"{len(cells)} cells of profile {rules['profile']['name']}, pipeline {pipeline['name']}: {len(named)} submissions x "
            f"{len(tasks)} {track.task_word}s x {len(seeds)} seeds are {room} places; a table has at most {MOST_PLACES}. Compare "
            "fewer of them: move the cells that do not belong together into folders of their own"
        )
    if doubles:
        names_of = ", ".join((*circumstances, "versions"))
        left_out.append(
            f"{counted(doubles, 'cell')} that {was(doubles)} stored twice, under different circumstances ({names_of}); "
            "of two, today's versions count, then the commoner circumstances, then the cell that was stored last"
        )
    return Condition(
        track=track,
        rules=rules,
        pipeline=pipeline,
        weights=weights,
        strategies=tuple(sorted(named.values())),
        digests={name: person.digest for person, name in named.items()},
        people={name: person for person, name in named.items()},
        hidden=hidden,
        tasks=tasks,
        seeds=seeds,
        cells=places,
        attempts=dict(attempts),
        left_out=tuple(left_out),
        notes=tuple(_mixed(list(places.values()), circumstances)),
        shown=shown,
    )


def _mixed(cells: Sequence[dict[str, Any]], circumstances: Sequence[str]) -> list[str]:
    """What differs between the cells of a table, one sentence each."""
    values = {name: [str(cell["spec"].get(name) or "") for cell in cells] for name in circumstances}
    versions = [cell["versions"] or {} for cell in cells]
    values["processor"] = [found.get("processor", "") for found in versions]
    for name in sorted({name for found in versions for name in computed_by(found)}):
        values[f"version of {name}"] = [computed_by(found).get(name, "") for found in versions]
    notes = []
    for name, seen in values.items():
        counts = Counter(value or "none" for value in seen)
        if len(counts) > 1:
            said = ", ".join(f"{value} ({counted(n, 'cell')})" for value, n in counts.most_common())
            notes.append(f"{name.replace('_', ' ')} differs within the table: {said}.")
    return notes
