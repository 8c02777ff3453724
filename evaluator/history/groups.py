"""Stored cells sorted into conditions: the cells of one condition may stand in one table, those of two never.

A condition is a profile, a pipeline, a label quality and a scored split, under one set of rules: kit, root seed, data, time limits.
Where one of them was stored under several sets of rules, the set with the most scored cells is taken, and the rest is named.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evaluator.errors import ConfigurationError
from evaluator.history.comparable import difference, shared_rules, unlike
from evaluator.history.store import read_cells
from evaluator.scoring.scores import Scores
from evaluator.training.pipeline import is_proxy

CIRCUMSTANCES = ("tier", "threads", "worker_threads", "participant_weights")
"""Fields of a spec that may differ within a condition; where one cell is there under two of them, one is taken."""

READ = ("cell", "spec", "verdict", "reason", "scored", "metrics", "purchase", "data")
"""What is read of a cell: of ``purchase`` the number bought, of ``data`` the counts."""

Place = tuple[str, str, int]
"""Strategy, pair, seed."""


@dataclass(frozen=True)
class Wanted:
    """Which cells are asked for; None takes all."""

    profile: str | None = None
    pipeline: str | None = None
    label_quality: float | None = None
    score_split: str | None = None

    def __str__(self) -> str:
        parts = [f"{name.replace('_', ' ')} {value}" for name, value in vars(self).items() if value is not None]
        return ", ".join(parts) or "any condition"

    def matches(self, spec: dict[str, Any]) -> bool:
        """Whether a cell of this spec is asked for, whatever its pipeline."""
        values = (spec["profile"]["name"], spec["label_quality"], spec["score_split"])
        return all(
            asked in (None, value)
            for asked, value in zip((self.profile, self.label_quality, self.score_split), values, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Condition:
    """The cells that may stand in one table.

    Attributes:
        rules: what all of them share, without the pipeline.
        pipeline: its fields, as stored; ``weights``: identity of its starting weights.
        strategies: names that tell them apart, sorted; ``digests``: of their files, by that name.
        pairs: by budget, then time; ``seeds``: sorted.
        cells: by strategy, pair and seed; scored or failed. A place that was never run is not there.
        left_out: what is stored for this condition and was not taken, a line each.
        notes: on what differs within it.
        shown: whether its pipeline was asked for; a proxy is held against the others, too.
    """

    rules: dict[str, Any]
    pipeline: dict[str, Any]
    weights: str
    strategies: tuple[str, ...]
    digests: dict[str, str]
    pairs: tuple[str, ...]
    seeds: tuple[int, ...]
    cells: dict[Place, dict[str, Any]] = field(repr=False)
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    shown: bool = True

    @property
    def proxy(self) -> bool:
        """Whether its pipeline is a cheap stand-in for a full training."""
        return is_proxy(self.pipeline)

    @property
    def metric(self) -> str:
        """The metric that ranks in its round."""
        return self.rules["profile"]["round"]["primary_metric"]

    def value(self, place: Place, metric: str) -> float:
        """The score of a cell, higher is better (of the Hamming loss: 1 minus it); NaN where it failed or was not run."""
        cell = self.cells.get(place)
        if cell is None or not cell["scored"]:
            return float("nan")
        found = float(cell["metrics"][metric])
        return 1 - found if metric == "hamming_loss" else found

    def scores(self, metric: str) -> Scores:
        """All of them, NaN where a cell failed or was not run."""
        values = [[[self.value((s, p, n), metric) for n in self.seeds] for p in self.pairs] for s in self.strategies]
        return Scores(self.strategies, self.pairs, self.seeds, np.array(values))

    def whole_pool(self, strategy: str, metric: str) -> np.ndarray | None:
        """Scores (seeds,) of a strategy with the whole pool bought, NaN where it never was; None where it never was at all.

        The pair is of no consequence then: the same labels are trained on.
        """
        pool = self.rules["profile"]["sizes"]["unlabelled"]
        found = np.full(len(self.seeds), np.nan)
        for (name, _, seed), cell in sorted(self.cells.items(), key=lambda item: item[0]):
            held = cell["data"].get("counts", {}).get("unlabelled", pool)
            if name == strategy and cell["scored"] and cell["purchase"]["bought"] == held:
                found[self.seeds.index(seed)] = self.value((name, _, seed), metric)
        return None if np.isnan(found).all() else found


def conditions(root: Path, wanted: Wanted = Wanted()) -> tuple[list[Condition], list[str]]:
    """Every condition that is stored below ``root`` and asked for, sorted, and what belongs to none, a line each.

    Those of other pipelines than the one asked for come too, marked as not to be shown.

    Raises:
        ConfigurationError: there is no folder of results, or no cell that is asked for.
    """
    damaged: list[str] = []

    def read() -> Iterator[dict[str, Any]]:
        for path, cell, why in read_cells(root, READ):
            if cell is None:
                damaged.append(f"{path.name} {why}")
            else:
                yield cell

    found, left_out = sort_cells(read(), wanted)
    left_out = damaged + left_out
    if not any(condition.shown for condition in found):
        said = "".join(f"\n  {line}" for line in left_out)
        raise ConfigurationError(f"{root} holds no cell of {wanted}; run submissions first, or ask for what is there{said}")
    return found, left_out


def sort_cells(cells: Iterable[dict[str, Any]], wanted: Wanted = Wanted()) -> tuple[list[Condition], list[str]]:
    """``conditions`` of cells that were read already; of each it takes the fields of ``READ``."""
    left_out: list[str] = []
    found: dict[tuple, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    others: Counter[str] = Counter()
    for cell in cells:
        spec = cell["spec"]
        key = (spec["profile"]["name"], spec["pipeline"]["name"], -spec["label_quality"], spec["score_split"])
        if spec["profile"]["round"]["scores"] != "organiser":
            left_out.append(
                f"{cell['cell']}.json scores the participant's own predictions, no training ({spec['profile']['name']})"
            )
            continue
        if not wanted.matches(spec) or wanted.pipeline not in (None, spec["pipeline"]["name"]):
            others[f"{key[0]}, pipeline {key[1]}, label quality {-key[2]:g}, {key[3]} split"] += 1
        if wanted.matches(spec):
            # Ledgers and histories are most of a cell, and there may be ten thousand.
            found[key][_shared(spec)].append({name: cell[name] for name in READ})
    left_out += [f"{n} cells were not asked for: {label}" for label, n in sorted(others.items())]
    return [_condition(found[key], wanted.pipeline in (None, key[1])) for key in sorted(found)], left_out


def matching(first: Condition, second: Condition) -> bool:
    """Whether two conditions differ in their pipelines alone, so that their orders of strategies may be held against each other."""
    return first.rules == second.rules and first.pipeline != second.pipeline


def over(condition: Condition, strategies: Sequence[str], pairs: Sequence[str]) -> tuple[str, ...]:
    """The pairs that a mean over pairs is taken of: those that all the strategies were run on; where there is none such, the set
    that gives the most cells, and a strategy that lacks one of them has no mean."""
    held = {s: frozenset(p for p in pairs if any((s, p, n) in condition.cells for n in condition.seeds)) for s in strategies}
    choices = {frozenset.intersection(*held.values()), *held.values()} - {frozenset()}
    if not choices:
        return tuple(pairs)

    def worth(choice: frozenset[str]) -> tuple[int, int, list[str]]:
        whole = sum(choice <= own for own in held.values())
        return whole * len(choice), whole, sorted(choice)

    best = max(choices, key=worth)
    return tuple(pair for pair in pairs if pair in best)


def budget_and_minutes(pair: str) -> tuple[float, float]:
    """Of a pair's name, ``labels:minutes``."""
    labels, minutes = pair.split(":")
    return float(labels), float(minutes)


def _shared(spec: dict[str, Any]) -> str:
    """What all cells of a table share, as JSON; the rules, and the pipeline beside them."""
    return json.dumps([shared_rules(spec), spec["pipeline"], spec["weights"]], sort_keys=True)


def _condition(variants: dict[str, list[dict[str, Any]]], shown: bool) -> Condition:
    chosen = max(sorted(variants), key=lambda rules: (sum(cell["scored"] for cell in variants[rules]), len(variants[rules])))
    rules, pipeline, weights = json.loads(chosen)
    left_out = []
    for other in sorted(set(variants) - {chosen}):
        its_rules, its_pipeline, its_weights = json.loads(other)
        parts = [difference(json.dumps(its_rules), json.dumps(rules))] if its_rules != rules else []
        parts += [f"another version of the pipeline {pipeline['name']}"] if its_pipeline != pipeline else []
        parts += ["other starting weights"] if its_weights != weights else []
        left_out.append(f"{len(variants[other])} cells of other rules: {'; '.join(parts)}")
    cells = variants[chosen]
    sources = sorted({(cell["spec"]["submission"], cell["spec"]["submission_digest"]) for cell in cells})
    names = dict(zip(sources, unlike([name for name, _ in sources], [digest for _, digest in sources]), strict=True))
    common = Counter(_circumstances(cell["spec"]) for cell in cells)
    places: dict[Place, dict[str, Any]] = {}
    doubles = 0
    # The best is laid down last: scored, under the most common circumstances.
    for cell in sorted(cells, key=lambda c: (c["scored"], common[_circumstances(c["spec"])], c["cell"])):
        spec = cell["spec"]
        place = (names[spec["submission"], spec["submission_digest"]], spec["pair"], spec["seed"])
        doubles += place in places
        places[place] = cell
    if doubles:
        left_out.append(f"{doubles} cells that are there again under other circumstances ({', '.join(CIRCUMSTANCES)})")
    return Condition(
        rules=rules,
        pipeline=pipeline,
        weights=weights,
        strategies=tuple(sorted(names.values())),
        digests={name: source[1] for source, name in names.items()},
        pairs=tuple(sorted({pair for _, pair, _ in places}, key=budget_and_minutes)),
        seeds=tuple(sorted({seed for _, _, seed in places})),
        cells=places,
        left_out=tuple(left_out),
        notes=tuple(_mixed(places.values())),
        shown=shown,
    )


def _circumstances(spec: dict[str, Any]) -> tuple:
    return tuple(spec[name] for name in CIRCUMSTANCES)


def _mixed(cells: Any) -> list[str]:
    found = []
    for name in CIRCUMSTANCES:
        counts = Counter(str(cell["spec"][name]) or "none" for cell in cells)
        if len(counts) > 1:
            said = ", ".join(f"{value} ({n} cells)" for value, n in counts.most_common())
            found.append(f"{name.replace('_', ' ')} differs within the table: {said}.")
    return found
