"""A sweep summed up: per submission, pipeline and condition the mean over the pairs with its interval over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from evaluator.history.index import Row
from evaluator.purchase.heat import sweep_heat_maps
from evaluator.purchase.spec import CellSpec
from evaluator.scoring.intervals import t_interval
from evaluator.scoring.metrics import METRICS
from evaluator.sweep.experiment import Experiment
from evaluator.sweep.forecast import Forecast

SCHEMA = 1
"""Version of ``sweep.json``."""


def summarise_sweep(
    experiment: Experiment, rows: Mapping[str, Row], before: Mapping[str, Row], forecast: Forecast, seconds: float
) -> dict[str, Any]:
    """The content of ``sweep.json``; documented in ``docs/results-format.md``.

    Args:
        rows: of every cell that is there at the end, failed ones too, by digest; ``before``: of them, those that were finished
            before.
        seconds: duration of the run.
    """
    plan, settings, profile = experiment.plans[0], experiment.settings, experiment.profile
    return {
        "schema": SCHEMA,
        "track": "purchase",
        "round": profile.round.name,
        "profile": profile.name,
        "primary_metric": profile.round.primary_metric,
        "isolation": plan.tier,
        "device": plan.device,
        "threads": plan.threads,
        "workers": experiment.workers,
        "root_seed": plan.root_seed,
        "seeds": plan.seeds,
        "first_seed": plan.first_seed,
        "round_seed": settings.round_seed,
        "on_timeout": plan.on_timeout,
        "pairs": [
            {
                "pair": named.pair.name,
                "kind": named.kind,
                "budget": profile.budget(named.pair),
                "seconds_allowed": profile.seconds(named.pair),
            }
            for named in experiment.pairs
        ],
        "submissions": [{"label": label, "name": name, "digest": digest} for (digest, name), label in experiment.labels.items()],
        "pipelines": [
            {"name": p.name, "proxy": p.proxy, "fitted_from": plan.fitted_from(p), "pipeline": p.as_dict()} for p in plan.pipelines
        ],
        "label_qualities": list(settings.label_quality),
        "score_splits": list(experiment.sets),
        "data": {split: sets.digests() for split, sets in experiment.sets.items()},
        "rows": table(experiment, rows),
        "heat_maps": sweep_heat_maps(experiment, rows),
        "cells": [_cell(experiment, spec, rows.get(spec.digest()), spec.digest() in before) for spec in experiment.cells],
        "cached": forecast.finished,
        "warnings": list(experiment.warnings),
        "seconds": round(seconds, 3),
    }


def table(experiment: Experiment, rows: Mapping[str, Row]) -> list[dict[str, Any]]:
    """One member per submission, pipeline, label quality and split, in that order of the options."""
    groups: dict[tuple[Any, ...], list[CellSpec]] = {}
    for plan in experiment.plans:
        label = experiment.labels[plan.source.digest, plan.source.name]
        for pipeline in plan.pipelines:
            groups[label, pipeline.name, plan.label_quality, plan.score_split] = []
    for spec in experiment.cells:
        groups[experiment.label(spec), spec.pipeline.name, spec.label_quality, spec.score_split].append(spec)
    kinds = {named.pair.name: named.kind for named in experiment.pairs}
    return [
        dict(zip(("submission", "pipeline", "label_quality", "score_split"), key, strict=True)) | _figures(specs, rows, kinds)
        for key, specs in groups.items()
    ]


def _figures(specs: Sequence[CellSpec], rows: Mapping[str, Row], kinds: Mapping[str, str]) -> dict[str, Any]:
    """Scores of cells by pair and seed. A seed that lacks a cell does not enter a mean over the pairs."""
    there = [rows[spec.digest()] for spec in specs if spec.digest() in rows]
    scored = {(row["pair"], row["seed"]): row for row in there if row["scored"]}
    pairs, seeds = list(dict.fromkeys(spec.pair.name for spec in specs)), sorted({spec.seed for spec in specs})
    verdicts = [row["verdict"] for row in there]
    public = [pair for pair in pairs if kinds[pair] == "public"]
    hidden = [pair for pair in pairs if kinds[pair] == "hidden"]

    def means(of: Sequence[str], metric: str) -> dict[int, float]:
        whole = [seed for seed in seeds if of and all((pair, seed) in scored for pair in of)]
        return {seed: sum(scored[pair, seed]["metrics"][metric] for pair in of) / len(of) for seed in whole}

    def intervals(of: Sequence[str]) -> dict[str, Any] | None:
        found = {metric: _interval(means(of, metric).values()) for metric in METRICS}
        return None if None in found.values() else found

    def less(metric: str) -> dict[str, Any] | None:
        shown, drawn = means(public, metric), means(hidden, metric)
        return _interval(shown[seed] - drawn[seed] for seed in shown if seed in drawn)

    differences = {metric: less(metric) for metric in METRICS}
    return {
        "cells": len(specs),
        "scored": len(scored),
        "verdicts": {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)},
        "score": intervals(pairs),
        "public": intervals(public),
        "hidden": intervals(hidden),
        "public_minus_hidden": None if None in differences.values() else differences,
        "pairs": [
            {
                "pair": pair,
                "metrics": intervals([pair]),
                "bought": _mean(row["bought"] for (of, _), row in scored.items() if of == pair),
                "seconds": _mean(row["purchase_seconds"] for (of, _), row in scored.items() if of == pair),
            }
            for pair in pairs
        ],
        "clock_was_read": any(row["clock_was_read"] for row in there),
    }


def _interval(values: Iterable[float]) -> dict[str, Any] | None:
    found = list(values)
    return asdict(t_interval(found)) if found else None


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return round(sum(found) / len(found), 6) if found else None


def _cell(experiment: Experiment, spec: CellSpec, row: Row | None, cached: bool) -> dict[str, Any]:
    return {
        "cell": spec.digest(),
        "submission": experiment.label(spec),
        "pair": spec.pair.name,
        "seed": spec.seed,
        "pipeline": spec.pipeline.name,
        "label_quality": spec.label_quality,
        "score_split": spec.score_split,
        "verdict": None if row is None else row["verdict"],
        "reason": None if row is None else row["reason"],
        "score": None if row is None or not row["scored"] else row["metrics"][spec.profile.round.primary_metric],
        "cached": cached,
    }
