"""An audit as JSON: every figure with the view, the source and the revision of the benchmark that it is of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import pairwise
from typing import Any

from evaluator import __version__
from evaluator.audit.kinds import MULTI_NAMES, NAMES
from evaluator.audit.pairs import PairTests
from evaluator.audit.ranks import pairs_of
from evaluator.audit.results import Audit, Reversal, Row, ViewResult
from evaluator.audit.verdict import verdict_of
from evaluator.machine import versions

SCHEMA, VERSION = "audit-rank", 1
MOST_PAIRS = 1_000
"""Pairs of models whose tests are all written; of more those of neighbours in the ranking and those that change places."""

MOST_IDS = 2_000_000
"""Ids of images behind swaps that are written in all; of more every swap has as many of its first."""


def as_dict(audit: Audit, files: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The audit as a JSON value. ``files``: SHA-256 of what was read, by name."""
    verdict = verdict_of(audit)
    names = MULTI_NAMES if audit.benchmark.multi else NAMES
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "kit": __version__,
        "versions": versions(),
        "benchmark": {
            "revision": audit.benchmark.revision,
            "images": len(audit.benchmark),
            "classes": len(audit.benchmark.classes),
            "labels": "sets" if audit.benchmark.multi else "classes",
        },
        "files": dict(files or {}),
        "settings": asdict(audit.settings),
        "models": list(audit.models),
        "sources": [asdict(source) | {"kinds": dict(source.kinds)} for source in audit.sources],
        "kinds": [names[kind] for kind in names],
        "agreement": [asdict(found) | {"jaccard": found.jaccard} for found in audit.agreements],
        "family": audit.family,
        "views": [_view(audit, view, _most_ids(audit)) for view in audit.views],
        "verdict": {"headline": verdict.headline, "changed": verdict.changed, "sentences": list(verdict.sentences)},
        "notes": list(audit.notes),
    }


def _most_ids(audit: Audit) -> int | None:
    """How many ids each swap may have; None for all."""
    swaps = [swap for view in audit.views for swap in view.swaps]
    return None if sum(len(swap.images) for swap in swaps) <= MOST_IDS else max(MOST_IDS // len(swaps), 1)


def _view(audit: Audit, view: ViewResult, most_ids: int | None) -> dict[str, Any]:
    spread = ("median", "low", "high")
    found: dict[str, Any] = {
        "view": view.name,
        "title": view.title,
        "source": view.source or None,
        "revision": audit.benchmark.revision,
        "n": view.n,
        "models": [_row(row) for row in view.rows],
        "kendall_tau_b": view.tau,
        "spearman": view.spearman,
        "decided_pairs": view.decided,
        "redrawn_tau": dict(zip(spread, view.redrawn, strict=True)) if view.redrawn else None,
        "asked_tau": dict(zip(spread, view.asked, strict=True)) if view.asked else None,
        "random_exclusion": asdict(view.random) if view.random else None,
        "matched_exclusion": asdict(view.matched) if view.matched else None,
        "swaps": [_swap(swap, most_ids) for swap in view.swaps],
    }
    return found | _pairs(audit, view)


def _row(row: Row) -> dict[str, Any]:
    found = asdict(row)
    asked = found.pop("asked")
    names = ("low", "high", "rank_low", "rank_high")
    return found | {"asked": dict(zip(names, asked, strict=True)) if asked else None}


def _swap(swap: Reversal, most_ids: int | None) -> dict[str, Any]:
    found = asdict(replace(swap, images=()))
    for order in ("before", "after"):
        found[order] = {name: number(value) for name, value in found[order].items()}
    return found | {"towards": len(swap.images), "images": list(swap.images[:most_ids])}


def _pairs(audit: Audit, view: ViewResult) -> dict[str, Any]:
    """The tests of pairs, a list of values for each."""
    first, second = pairs_of(len(audit.models))
    chosen = range(len(first))
    if len(first) > MOST_PAIRS:
        ranks = {row.model: row.rank for row in view.rows}
        order = sorted(range(len(audit.models)), key=lambda m: ranks[audit.models[m]])
        wanted = {tuple(sorted(pair)) for pair in pairwise(order)}
        wanted |= {tuple(sorted((audit.models.index(s.ahead), audit.models.index(s.behind)))) for s in view.swaps}
        chosen = [k for k, pair in enumerate(zip(first.tolist(), second.tolist(), strict=True)) if pair in wanted]  # type: ignore[assignment]
    return {
        "pair_columns": ["first", "second", "gap", "error", "low", "high", "p", "p_holm"],
        "pairs": [_pair(audit, view.tests, int(first[k]), int(second[k]), k) for k in chosen],
        "pairs_left_out": len(first) - len(chosen),
    }


def _pair(audit: Audit, tests: PairTests, first: int, second: int, k: int) -> list[Any]:
    values = (tests.gap[k], tests.error[k], tests.low[k], tests.high[k], tests.p[k], tests.p_holm[k])
    return [audit.models[first], audit.models[second], *(number(float(value)) for value in values)]


def number(value: float | None) -> float | None:
    """A number of JSON; None for what it has no number for."""
    return value if value is not None and math.isfinite(value) else None
