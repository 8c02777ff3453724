"""One run over several cells, summed up: per pair over its seeds, and over the pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from evaluator.errors import Verdict
from evaluator.purchase.rounds import Pair
from evaluator.scoring.intervals import t_interval
from evaluator.sweep.grid import Plan
from evaluator.sweep.local import Finished

METRICS = ("macro_f1", "accuracy", "hamming_loss")


def summarise(plan: Plan, finished: Sequence[Finished], seconds: float) -> dict[str, Any]:
    """The content of ``result.json``; documented in ``docs/results-format.md``.

    The score of the round is the mean over the pairs, per seed; its interval is over seeds. A run with a cell that failed has no
    score, and every pair keeps its own figures all the same.
    """
    failed = [f for f in finished if not f.result["scored"]]
    whole = not failed and len(finished) == len(plan.pairs) * plan.seeds
    kept = sum(f.result["verdict"] == Verdict.TIME_LIMIT and f.result["scored"] for f in finished)
    return {
        "schema": 1,
        "track": "purchase",
        "submission": {"name": plan.source.name, "digest": plan.source.digest},
        "round": plan.profile.round.name,
        "profile": plan.profile.name,
        "pipeline": plan.pipeline.as_dict(),
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
        "pairs": [_pair_row(pair, [f for f in finished if f.spec.pair == pair], plan) for pair in plan.pairs],
        "cells": [
            {"cached": f.cached} | {k: v for k, v in f.result.items() if k not in ("ledger", "spec")} | _place(f) for f in finished
        ],
        "seconds": round(seconds, 3),
    }


def _place(finished: Finished) -> dict[str, Any]:
    return {"pair": finished.spec.pair.name, "seed": finished.spec.seed}


def _over_seeds(plan: Plan, finished: Sequence[Finished]) -> dict[str, Any]:
    rows = {}
    for metric in METRICS:
        per_seed = []
        for seed in range(plan.seeds):
            values = [f.result["metrics"][metric] for f in finished if f.spec.seed == seed]
            per_seed.append(sum(values) / len(values))
        rows[metric] = asdict(t_interval(per_seed))
    return rows


def _pair_row(pair: Pair, cells: Sequence[Finished], plan: Plan) -> dict[str, Any]:
    scored = [c.result for c in cells if c.result["scored"]]
    return {
        "pair": pair.name,
        "budget": plan.profile.budget(pair),
        "seconds_allowed": plan.profile.seconds(pair),
        "verdicts": [c.result["verdict"] for c in cells],
        "bought": [c.result["purchase"]["bought"] for c in cells],
        "seconds": [c.result["purchase"]["seconds"] for c in cells],
        "metrics": {m: asdict(t_interval([r["metrics"][m] for r in scored])) for m in METRICS} if scored else None,
    }


def purchase_rows(
    finished: Sequence[Finished], files: Sequence[str], classes: Sequence[str]
) -> tuple[list[str], Iterator[list[Any]]]:
    """Header and rows of ``purchases.csv``: every ledger of the run, in order of purchase."""
    header = ["pair", "seed", "order", "index", "file", "seconds", *classes]

    def rows() -> Iterator[list[Any]]:
        for cell in finished:
            for p in cell.result["ledger"]:
                place = [cell.spec.pair.name, cell.spec.seed, p["order"], p["index"], files[p["image"]]]
                yield [*place, f"{p['seconds']:.6f}", *p["label"]]

    return header, rows()
