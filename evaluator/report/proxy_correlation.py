"""Rank correlation of a proxy with full trainings: how similarly they order the strategies that both have judged."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from evaluator.history.groups import Condition, matching
from evaluator.scoring.agreement import Agreement, agreement


def stand_in(
    proxy: Condition, found: Sequence[Condition], strategies: Collection[str], pairs: Sequence[str], metric: str, seed: int
) -> list[dict[str, Any]]:
    """Kendall's tau-b between a proxy and every full pipeline that is stored under the same rules, corrected for noise; JSON-able.

    It is computed over the strategies (identified by the hash of their files), pairs and seeds that both have. ``strategies``
    should not contain the ceiling: any two pipelines agree on its rank.

    Args:
        proxy: the condition of the proxy; ``found``: all conditions.
        strategies: names of the strategies to rank; ``pairs``: the pairs to use, as far as both pipelines have them.
        metric: by which strategies are ranked; ``seed``: root of the draws.
    """
    return [_measured(proxy, full, strategies, pairs, metric, seed) for full in found if matching(proxy, full) and not full.proxy]


def _failed(condition: Condition, name: str, tasks: Sequence[str]) -> bool:
    """Whether a cell of a strategy failed: then it is not ranked by the cells that it survived."""
    return any(of == name and task in tasks and not cell["scored"] for (of, task, _), cell in condition.cells.items())


def _measured(
    proxy: Condition, full: Condition, strategies: Collection[str], pairs: Sequence[str], metric: str, seed: int
) -> dict[str, Any]:
    theirs = {digest: name for name, digest in full.digests.items()}
    both = [
        (name, theirs[proxy.digests[name]]) for name in proxy.strategies if name in strategies and proxy.digests[name] in theirs
    ]
    shared = [p for p in pairs if p in full.tasks]
    both = [names for names in both if not any(_failed(of, name, shared) for of, name in zip((proxy, full), names, strict=True))]
    seeds = sorted(set(proxy.seeds) & set(full.seeds))
    values = np.array(
        [
            [np.mean([condition.value((names[side], p, n), metric) for p in shared]) if shared else np.nan for n in seeds]
            for side, condition in enumerate((proxy, full))
            for names in both
        ]
    ).reshape(2, len(both), len(seeds))
    complete = ~np.isnan(values).any(axis=0)  # (strategies, seeds)
    ranked = complete.any(axis=1)
    kept = complete[ranked].all(axis=0) & ranked.any()
    row = {
        "pipeline": full.pipeline["name"],
        "strategies": [names[0] for names, there in zip(both, ranked, strict=True) if there],
        "pairs": shared,
        "seeds": [n for n, keep in zip(seeds, kept, strict=True) if keep],
    }
    if not kept.any():
        why = f"there is no seed for which both pipelines scored {'every' if ranked.any() else 'any'} strategy on the same pairs"
        return row | {"tau": asdict(Agreement(None, None, None, None, int(ranked.sum()), 0.95, why))}
    return row | {"tau": asdict(agreement(values[:, ranked][:, :, kept], seed=seed).tau[0][1])}
