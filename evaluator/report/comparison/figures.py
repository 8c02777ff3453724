"""Every strategy compared with a reference, condition by condition: the figures of ``python -m evaluator compare``, JSON-able.

``docs/results-format.md`` lists the figures, ``blocks`` and ``notes`` show them, and ``evaluator.scoring`` computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from evaluator.errors import ConfigurationError
from evaluator.fields import SCHEMA
from evaluator.history.groups import Condition
from evaluator.report.comparison.asked import CEILING, REFERENCE, Asked, metric_of, strategy_named
from evaluator.report.comparison.differences import plan_of
from evaluator.report.comparison.one_condition import condition_table
from evaluator.report.families import OverSets, correct_together
from evaluator.report.levels import Kind, kinds, level_table
from evaluator.tables import either


def comparison_report(found: Sequence[Condition], left_out: Sequence[str], asked: Asked) -> dict[str, Any]:
    """The figures of all conditions, JSON-able, without NaN.

    Raises:
        ConfigurationError: no cell of the named reference, ceiling or hidden pair is stored, or a named hidden pair is public; no
            track has the named metric, or the wanted difference is larger than its range.
    """
    shown, lacking = _with_metric([condition for condition in found if condition.shown], asked)
    left_out = [*left_out, *lacking]
    for option, name in (("--reference", asked.reference), ("--ceiling", asked.ceiling)):
        if name is not None and not any(strategy_named(name, condition) for condition in shown):
            known = sorted({name for condition in shown for name in condition.strategies})
            raise ConfigurationError(f"{option}: no cell of {name!r} is stored; stored are {', '.join(known)}")
    if asked.hidden is not None and shown:  # 987:42.0 is 987:42
        hidden = tuple(dict.fromkeys(shown[0].track.task_name(name) for name in asked.hidden))
        asked = replace(asked, hidden=hidden)
        stored = {task for condition in shown for task in condition.tasks}
        if unknown := [task for task in hidden if task not in stored]:
            word = shown[0].track.task_word
            raise ConfigurationError(
                f"--hidden: no cell of the {word} {unknown[0]} is stored; stored are {', '.join(sorted(stored))}"
            )
    several = kinds(shown)
    within = [condition for kind in several for condition in kind.members]
    own = {id(c): condition_table(c, found, asked) for c in shown if asked.each_data_set or c not in within}
    tables = list(own.values())
    levels = [_levels(kind, asked) for kind in several]
    if asked.family == "report":
        over_sets = [
            OverSets(table, [own[id(c)] for c in kind.members if id(c) in own]) for table, kind in zip(levels, several, strict=True)
        ]
        correct_together(tables, over_sets, asked.alpha)
    for row in (row for table in tables for row in table["differences"]):
        row["plan"] = plan_of(row, asked)
    return {
        "schema": SCHEMA,
        "family": asked.family,
        "bounds": asked.bounds,
        "alpha": asked.alpha,
        "power": asked.power,
        "wanted": asked.wanted,
        "seed": asked.root,
        "levels": levels,
        "tables": tables,
        "left_out": list(left_out),
    }


def _with_metric(shown: Sequence[Condition], asked: Asked) -> tuple[list[Condition], list[str]]:
    """The conditions whose track has the metric that is asked for, and a line for every other track.

    Raises:
        ConfigurationError: no track has it, or the wanted difference is larger than its range.
    """
    kept, lacking = [], set()
    for condition in shown:
        if asked.metric is not None and asked.metric not in condition.track.metric_names:
            lacking.add(condition.track.name)
            continue
        span = metric_of(condition, asked).span
        if span is not None and asked.wanted >= span:
            raise ConfigurationError(
                f"--wanted is {asked.wanted:g}; it must be less than {span:g}, the range of {metric_of(condition, asked).label}"
            )
        kept.append(condition)
    if shown and not kept:
        known = either([name for condition in shown for name in condition.track.metric_names])
        raise ConfigurationError(f"--metric is {asked.metric!r}; it must be {known}")
    return kept, [f"cells of the track {name}, which has no metric {asked.metric}" for name in sorted(lacking)]


def _levels(kind: Kind, asked: Asked) -> dict[str, Any]:
    metric, reference = metric_of(kind.first, asked).name, strategy_named(asked.reference or REFERENCE, kind.first)
    ceiling = strategy_named(asked.ceiling or CEILING, kind.first)
    return level_table(kind, metric, reference, ceiling, asked.wanted, asked.alpha, asked.root)
