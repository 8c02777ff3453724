"""One run over several cells, summed up: per pair over its seeds, over the pairs, and for a panel per pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from evaluator.errors import Verdict
from evaluator.purchase.rounds import Pair
from evaluator.runner.cells import Finished
from evaluator.scoring.intervals import t_interval
from evaluator.scoring.metrics import METRICS
from evaluator.sweep.plan import Plan
from evaluator.training.pipeline import Pipeline

SCHEMA = 2
"""Version of ``result.json``. 2: of a panel the score is the mean over its pipelines, and ``pipeline`` is null."""


def summarise(plan: Plan, finished: Sequence[Finished], seconds: float, warnings: Sequence[str]) -> dict[str, Any]:
    """The content of ``result.json``; documented in ``docs/results-format.md``.

    The score of the round is the mean over the pairs, and for a panel over its pipelines, per seed; its interval is over seeds. A
    run with a cell that failed has no score, and every pair and pipeline keeps its own figures all the same.

    Args:
        seconds: duration of the run; ``warnings``: what was said before it.
    """
    failed = [f for f in finished if not f.result["scored"]]
    whole = not failed and len(finished) == len(plan.pairs) * plan.seeds * len(plan.pipelines)
    kept = sum(f.result["verdict"] == Verdict.TIME_LIMIT and f.result["scored"] for f in finished)
    return {
        "schema": SCHEMA,
        "track": "purchase",
        "submission": {"name": plan.source.name, "digest": plan.source.digest},
        "round": plan.profile.round.name,
        "profile": plan.profile.name,
        "pipeline": None if plan.panel else plan.pipelines[0].as_dict(),
        "fitted_from": None if plan.panel else plan.fitted_from(plan.pipelines[0]),
        "primary_metric": plan.profile.round.primary_metric,
        "score_split": plan.score_split,
        "isolation": plan.tier,
        # More than one where a stored cell was run under other circumstances.
        "limited_by": ", ".join(sorted({f.result["isolation"].get("limited_by") or "" for f in finished} - {""})),
        "device": plan.device,
        "root_seed": plan.root_seed,
        "seeds": plan.seeds,
        "label_quality": plan.label_quality,
        "on_timeout": plan.on_timeout,
        "verdict": "OK" if whole else "FAILED",
        "fit_to_submit": whole and not kept and all(f.result["fit_to_submit"] for f in finished),
        "kept_time_limits": kept,
        "score": _over_seeds(plan, finished) if whole else None,
        "panel": [_pipeline_row(pipeline, finished, plan) for pipeline in plan.pipelines] if plan.panel else None,
        "pairs": [_pair_row(pair, [f for f in finished if f.spec.pair == pair], plan) for pair in plan.pairs],
        "cells": [{k: v for k, v in f.result.items() if k not in ("ledger", "spec")} | _place(f) for f in finished],
        "warnings": list(warnings),
        "seconds": round(seconds, 3),
    }


def _place(finished: Finished) -> dict[str, Any]:
    spec = finished.spec
    place = {"pair": spec.pair.name, "seed": spec.seed, "pipeline": spec.pipeline.name}
    return place | {"cached": finished.cached, "reused": finished.reused}


def _over_seeds(plan: Plan, cells: Sequence[Finished]) -> dict[str, Any] | None:
    """Per metric the interval over those seeds of which every cell was scored; None where there is no such seed."""
    whole = max((sum(c.spec.seed == seed for c in cells) for seed in plan.seed_numbers), default=0)
    seeds = []
    for seed in plan.seed_numbers:
        of_seed = [c.result for c in cells if c.spec.seed == seed]
        if of_seed and len(of_seed) == whole and all(r["scored"] for r in of_seed):
            seeds.append(of_seed)
    if not seeds:
        return None
    return {m: asdict(t_interval([sum(r["metrics"][m] for r in cells) / len(cells) for cells in seeds])) for m in METRICS}


def _pair_row(pair: Pair, cells: Sequence[Finished], plan: Plan) -> dict[str, Any]:
    # What was bought is the same for all pipelines of a panel; it is said once.
    first = list({c.spec.seed: c.result for c in reversed(cells)}.values())[::-1]
    return {
        "pair": pair.name,
        "budget": plan.profile.budget(pair),
        "seconds_allowed": plan.profile.seconds(pair),
        "verdicts": [c.result["verdict"] for c in cells],
        "bought": [r["purchase"]["bought"] for r in first],
        "seconds": [r["purchase"]["seconds"] for r in first],
        "metrics": _over_seeds(plan, cells),
    }


def _pipeline_row(pipeline: Pipeline, finished: Sequence[Finished], plan: Plan) -> dict[str, Any]:
    """One pipeline of a panel: its own score, and per pair."""
    cells = [f for f in finished if f.spec.pipeline == pipeline]
    whole = len(cells) == len(plan.pairs) * plan.seeds and all(c.result["scored"] for c in cells)
    trainings = [c.result["training"] for c in cells if c.result["training"]]
    of_pair = {pair: [c for c in cells if c.spec.pair == pair] for pair in plan.pairs}
    return {
        "name": pipeline.name,
        "fitted_from": plan.fitted_from(pipeline),
        "pipeline": pipeline.as_dict(),
        "verdict": "OK" if whole else "FAILED",
        "verdicts": [c.result["verdict"] for c in cells],
        "score": _over_seeds(plan, cells) if whole else None,
        "pairs": [{"pair": pair.name, "metrics": _over_seeds(plan, members)} for pair, members in of_pair.items()],
        "seconds": round(sum(training["seconds"] for training in trainings), 3),
    }


def purchase_rows(
    finished: Sequence[Finished], files: Sequence[str], classes: Sequence[str]
) -> tuple[list[str], Iterator[list[Any]]]:
    """Header and rows of ``purchases.csv``: every ledger of the run, in order of purchase; that of a panel once."""
    header = ["pair", "seed", "order", "index", "file", "seconds", *classes]

    def rows() -> Iterator[list[Any]]:
        written = set()
        for cell in finished:
            purchase = (cell.spec.pair, cell.spec.seed)
            # An evaluation of its own fault has no ledger, although another pipeline of the panel has.
            if purchase in written or not cell.result["ledger"]:
                continue
            written.add(purchase)
            for p in cell.result["ledger"]:
                place = [cell.spec.pair.name, cell.spec.seed, p["order"], p["index"], files[p["image"]]]
                yield [*place, f"{p['seconds']:.6f}", *p["label"]]

    return header, rows()
