"""The summary of a sweep: per submission, pipeline and condition, the mean over the tasks with its interval over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluator.errors import Verdict
from evaluator.fields import SCHEMA
from evaluator.history.index import Row
from evaluator.scoring.collapse import over_seeds
from evaluator.specs import CellSpec
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.forecast import Forecast
from evaluator.tables import Run
from evaluator.track import Track
from evaluator.training.pipeline import is_proxy

REFERENCE = "random"
"""Name of the submission that the others are compared with in a sweep's maps, if it was run."""


def summarise_sweep(
    experiment: Experiment,
    rows: Mapping[str, Row],
    before: Mapping[str, Row],
    forecast: Forecast,
    seconds: float,
    faults: Sequence[Mapping[str, Any]] = (),
    remarks: Sequence[str] = (),
    looks: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The content of ``sweep.json``; documented in ``docs/results-format.md``.

    Args:
        rows: by digest, of every cell that has a result (scored or failed); ``before``: of the cells that were finished before.
        seconds: duration of the run.
        faults: as ``Faults.rows``; ``remarks``: warnings about what submissions did; ``looks``: as ``Outcome.looks``.
    """
    plan, settings, track = experiment.plan, experiment.settings, experiment.track
    common = {name: experiment.cells[0].as_dict()[name] for name in track.spec_rules if name not in track.conditions}
    word = track.task_word
    return {
        "schema": SCHEMA,
        "track": track.name,
        "round": plan.rules.round_name,
        "profile": plan.rules.name,
        "primary_metric": track.primary(plan.rules.as_dict()).name,
        "isolation": experiment.sandbox.name,
        "device": experiment.device,
        "threads": settings.threads,
        "workers": experiment.workers,
        "root_seed": settings.root_seed,
        "secret": experiment.secret,
        "seeds": settings.seeds,
        "first_seed": settings.first_seed,
        "until": settings.until,
        "looks": list(looks),
        "first_data_set": settings.first_data_set if settings.data_sets else None,
        "round_seed": settings.options.get("round_seed"),
        **common,
        "busy": experiment.load.busy(),
        f"{word}s": [{word: task.name, "kind": task.kind, **task.figures} for task in plan.tasks],
        "submissions": [
            {
                "label": label,
                **{name: getattr(entry, name) for name in ("name", "digest", "owner", "folder")},
                "time": entry.last,
            }
            for entry, label in zip(experiment.entries, experiment.labels.values(), strict=True)
        ],
        "pipelines": [
            {"name": p.name, "proxy": is_proxy(p.as_dict()), "fitted_from": plan.fitted_from.get(p.name), "pipeline": p.as_dict()}
            for p in plan.pipelines
        ],
        **{_plural(name): list(values) for name, values in plan.conditions.items()},
        "score_splits": list(experiment.splits),
        "data": dict(plan.digests),
        "rows": table(experiment, rows),
        "heat_maps": maps(experiment, rows),
        "cells": [_cell(experiment, spec, rows.get(spec.digest()), spec.digest() in before) for spec in experiment.cells],
        "cached": forecast.finished,
        "faults": list(faults),
        "warnings": list(experiment.warnings),
        "remarks": list(remarks),
        "seconds": round(seconds, 3),
    }


def _plural(name: str) -> str:
    return name.removesuffix("y") + "ies" if name.endswith("y") else f"{name}s"


def group(spec: CellSpec) -> dict[str, Any]:
    """Pipeline, condition and split: the columns in which rows of one submission differ."""
    return {"pipeline": spec.pipeline.name, **spec.condition, "score_split": spec.score_split}


def table(experiment: Experiment, rows: Mapping[str, Row]) -> list[dict[str, Any]]:
    """One row per submission, pipeline, condition and split, in the order of the options. ``rows``: as in ``summarise_sweep``."""
    kinds = {task.name: task.kind for task in experiment.plan.tasks}
    groups: dict[tuple[Any, ...], list[CellSpec]] = {}
    for spec in experiment.plan.cells:
        for label in experiment.rows_of(spec):
            groups.setdefault((label, *group(spec).values()), []).append(spec)
    found = []
    for (label, *_), specs in groups.items():
        found.append({"submission": label} | group(specs[0]) | _figures(specs, rows, kinds, experiment.track))
    return found


def maps(experiment: Experiment, rows: Mapping[str, Row]) -> list[dict[str, Any]]:
    """The track's own maps, per pipeline, condition and split.

    Args:
        rows: by digest, of the cells that have a result (scored or failed).
    """
    names = list(experiment.labels.values())
    called = zip(experiment.entries, names, strict=True)
    reference = next((label for entry, label in called if REFERENCE in (entry.label, entry.name)), None)
    metric = experiment.track.primary(experiment.plan.rules.as_dict())
    runs: dict[tuple[Any, ...], tuple[dict[str, Any], list[Run]]] = {}
    for spec in experiment.cells:
        _, of_group = runs.setdefault(tuple(group(spec).values()), (group(spec), []))
        row = rows.get(spec.digest())
        if row is not None:
            score = metric.score(row["metrics"][metric.name]) if row["scored"] else None
            of = (row["task"], row["seed"], row["verdict"], score, row["figures"], row["collapsed"], row["observation"])
            of_group.extend(Run(label, *of) for label in experiment.rows_of(spec))
    how = {"metric": metric.name, "seeds": experiment.settings.seeds, "reference": reference}
    profile = experiment.plan.rules.as_dict()
    return [
        key | found
        for key, of_group in runs.values()
        for found in experiment.track.maps(profile, of_group, experiment.plan.tasks, names, **how)
    ]


def _figures(specs: Sequence[CellSpec], rows: Mapping[str, Row], kinds: Mapping[str, str], track: Track) -> dict[str, Any]:
    """The figures of one row. A mean over tasks uses only seeds of which every task was scored.

    There is no mean over tasks of which a cell failed: that of the seeds which it survived would be too good. Seeds that are copies
    of one observation (``Track.observation``) count once.
    """
    word = track.task_word
    there = [rows[spec.digest()] for spec in specs if spec.digest() in rows]
    scored = {(row["task"], row["seed"]): row for row in there if row["scored"]}
    pairs, seeds = list(dict.fromkeys(spec.task for spec in specs)), sorted({spec.seed for spec in specs})
    verdicts = [row["verdict"] for row in there]
    metrics = [metric.name for metric in track.metrics if all(metric.name in row["metrics"] for row in scored.values())]
    public = [pair for pair in pairs if kinds[pair] == "public"]
    hidden = [pair for pair in pairs if kinds[pair] == "hidden"]

    failed = {row["task"] for row in there if not row["scored"]}

    def means(of: Sequence[str], metric: str) -> dict[int, tuple[float, bool]]:
        seen = [seed for seed in seeds if of and not failed & set(of) and all((pair, seed) in scored for pair in of)]
        whole = {seed: [scored[pair, seed] for pair in of] for seed in seen}
        return {
            seed: (sum(row["metrics"][metric] for row in rows) / len(of), any(row["collapsed"] for row in rows))
            for seed, rows in whole.items()
        }

    def interval(values: Mapping[int, tuple[float, bool]], of: Sequence[str]) -> dict[str, Any] | None:
        keys = [[scored[pair, seed]["observation"] for pair in of] for seed in values]
        return over_seeds(values.values(), keys=[None if None in key else tuple(key) for key in keys])

    def intervals(of: Sequence[str]) -> dict[str, Any] | None:
        found = {metric: interval(means(of, metric), of) for metric in metrics}
        return None if None in found.values() else found

    def less(metric: str) -> dict[str, Any] | None:
        shown, drawn = means(public, metric), means(hidden, metric)
        both = {seed: (*shown[seed], *drawn[seed]) for seed in shown if seed in drawn}
        return interval({seed: (a - b, of_a or of_b) for seed, (a, of_a, b, of_b) in both.items()}, [*public, *hidden])

    differences = {metric: less(metric) for metric in metrics}
    return {
        "cells": len(specs),
        "scored": len(scored),
        "collapsed": sum(row["collapsed"] for row in scored.values()),
        "fit": sum(row["fit"] for row in there),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)},
        "late": sum(row["scored"] and row["verdict"] == Verdict.TIME_LIMIT for row in there),
        "again": sum(row["attempts"] > 0 for row in there),
        "copies": _copies(scored, pairs, seeds),
        "score": intervals(pairs),
        "public": intervals(public),
        "hidden": intervals(hidden),
        "public_minus_hidden": None if None in differences.values() else differences,
        f"{word}s": [
            {word: pair, "metrics": intervals([pair])} | _means([row["figures"] for (of, _), row in scored.items() if of == pair])
            for pair in pairs
        ],
        "clock_was_read": any(row["figures"].get("clock_was_read") for row in there),
    }


def _copies(scored: Mapping[tuple[str, int], Row], pairs: Sequence[str], seeds: Sequence[int]) -> int:
    """How many scored seeds are copies of another, on every task that both have."""
    keys = [tuple(scored[pair, seed]["observation"] if (pair, seed) in scored else "" for pair in pairs) for seed in seeds]
    there = [key for key in keys if None not in key and any(key)]
    return len(there) - len(set(there))


def _means(figures: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """The mean of every figure of the track that is a number in all ``figures``."""
    found: dict[str, float | None] = {}
    for name in dict.fromkeys(name for row in figures for name in row):
        values = [row[name] for row in figures if isinstance(row.get(name), (int, float)) and not isinstance(row[name], bool)]
        if len(values) == len(figures):
            found[name] = round(sum(values) / len(values), 6)
    return found


def _cell(experiment: Experiment, spec: CellSpec, row: Row | None, cached: bool) -> dict[str, Any]:
    return {
        "cell": spec.digest(),
        "submission": experiment.label(spec),
        experiment.track.task_word: spec.task,
        "seed": spec.seed,
        **group(spec),
        "verdict": None if row is None else row["verdict"],
        "reason": None if row is None else row["reason"],
        "fit_to_submit": None if row is None else row["fit"],
        "collapsed": row is not None and bool(row["collapsed"]),
        "score": None
        if row is None or not row["scored"]
        else row["metrics"][experiment.track.primary(experiment.plan.rules.as_dict()).name],
        "cached": cached,
    }
