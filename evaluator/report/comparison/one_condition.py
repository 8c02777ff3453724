"""The figures of one condition: means, differences, ranks, counts, and what is to be known of its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from evaluator.errors import Verdict
from evaluator.history.groups import Condition, over
from evaluator.report.collapsed import Behind, by_strategy, comparison_note, fallen
from evaluator.report.comparison.asked import CEILING, REFERENCE, Asked, limits_of, metric_of, strategy_named
from evaluator.report.comparison.differences import area_under, difference_row, differences_to, interval_row, public_minus_hidden
from evaluator.report.proxy_correlation import stand_in
from evaluator.scoring.comparisons import Mean, means
from evaluator.scoring.gap import shares
from evaluator.scoring.ranking import mean_ranks, win_tie_loss
from evaluator.scoring.scores import OVER_PAIRS, Scores
from evaluator.specs import DATA_SET
from evaluator.tables import Metric, Run


def condition_table(condition: Condition, found: Sequence[Condition], asked: Asked) -> dict[str, Any]:
    """The table of a condition, JSON-able. ``found``: all conditions, among which full trainings of a proxy are looked for."""
    metric = metric_of(condition, asked).name
    reference = strategy_named(asked.reference or REFERENCE, condition)
    ceiling = strategy_named(asked.ceiling or CEILING, condition)
    whole = None if ceiling in (None, reference) else condition.whole(ceiling, metric)
    # A strategy that got everything is not a competitor: it is left out of all families of tests and all rankings.
    whole = None if condition.strategies == (ceiling,) else whole
    compared = tuple(s for s in condition.strategies if whole is None or s != ceiling)
    everything = condition.scores(metric)
    limits = limits_of(metric_of(condition, asked), asked)
    pairs = tuple(p for p in condition.tasks if any((s, p, n) in condition.cells for s in compared for n in condition.seeds))
    scores = everything.on(pairs).of_strategies(compared)
    main = over(condition, compared, pairs)
    with_ceiling = scores if whole is None or ceiling is None else _with_row(scores, ceiling, *whole)
    differences = differences_to(scores, main, reference, asked, limits)
    ranked = set(compared) - {name for (name, task, _), cell in condition.cells.items() if not cell["scored"] and task in main}
    maps = _maps(condition, compared, metric, reference, 1 - asked.alpha)
    track = condition.track
    profile = condition.rules["profile"]
    fallen_of = by_strategy(condition)
    collapsed = fallen(condition, with_ceiling, ceiling if whole is not None else None)
    table = {
        "profile": profile["name"],
        "pipeline": condition.pipeline["name"],
        "proxy": condition.proxy,
        "track": track.name,
        "word": track.task_word,
        "item": track.item_word,
        "score_split": condition.rules["score_split"],
        **{name: condition.rules[name] for name in track.spec_rules},
        "version": condition.rules["version"],
        "versions": condition.rules["versions"],
        "root_seed": condition.rules["root_seed"],
        "secret": condition.rules["secret"],
        "device": condition.rules["device"],
        DATA_SET: condition.rules[DATA_SET],
        "data": condition.rules["data"],
        "weights": condition.weights,
        "metric": metric,
        "reference": reference,
        "ceiling": None if ceiling is None else {"strategy": ceiling, "everything": whole is not None},
        "strategies": [_counts(condition, name, pairs) | {"collapsed": fallen_of[name]} for name in condition.strategies],
        "pairs": [{"pair": p} | track.task_figures(profile, p) for p in pairs],
        "over_pairs": list(main),
        "seeds": list(scores.seeds),
        "means": [
            _mean_row(m, condition, main)
            for m in (*means(with_ceiling.on(main).over_pairs(), 1 - asked.alpha), *means(with_ceiling, 1 - asked.alpha))
        ],
        "differences": [difference_row(d) for d in differences],
        "shares": _shares(with_ceiling.without_failures(), main, reference, ceiling, asked),
        "matrix": _matrix(scores, asked),
        "ranks": [{"strategy": r.strategy, "rank": interval_row(r.rank)} for r in mean_ranks(scores.on(main), 1 - asked.alpha)],
        "areas": [
            area_under(scores, collapsed[: len(compared)], (label, members, cost), reference, asked)
            for label, members, cost in track.curves(main)
        ],
        "public_minus_hidden": public_minus_hidden(condition, scores, collapsed[: len(compared)], reference, maps, asked),
        "heat_maps": maps,
        "stand_in": stand_in(condition, found, ranked, main, metric, asked.root) if condition.proxy else None,
        "failed": _failed(condition),
        "hidden": asdict(condition.hidden),
        "left_out": list(condition.left_out),
        "notes": [*condition.notes, *_lacking(condition, metric)],
    }
    _mark_collapsed(table, with_ceiling, collapsed, reference, ceiling)
    table["notes"] += comparison_note(table, track)
    table["notes"] += _explained(track.metric(metric))
    return table


def _explained(metric: Metric) -> list[str]:
    """What is to be known of a score that is not the metric's own value."""
    return [f"{metric.turned}{f'; {metric.note}' if metric.note else ''}."] if metric.turned else []


def _mark_collapsed(
    table: dict[str, Any], scores: Scores, collapsed: np.ndarray, reference: str | None, ceiling: str | None
) -> None:
    """Say of every mean, difference and share how many of its seeds collapsed."""
    for pair in {row["pair"] for row in table["means"]}:
        behind = Behind.over(scores, collapsed, table["over_pairs"] if pair == OVER_PAIRS else [pair])
        behind.mark_means(row for row in table["means"] if row["pair"] == pair)
        behind.mark_differences((row for row in table["differences"] if row["pair"] == pair), reference)
        for row in table["shares"]:
            if row["pair"] == pair:
                names = {row["strategy"], reference, ceiling} & set(behind.strategies)
                row["collapsed"] = int(behind.collapsed[[behind.strategies.index(name) for name in names]].any(axis=0).sum())


def _lacking(condition: Condition, metric: str) -> list[str]:
    """A note on scored cells that lack the metric."""
    n = sum(cell["scored"] and metric not in cell["metrics"] for cell in condition.cells.values())
    return [f"{n} scored cells were stored without the metric {metric} and are not in the table."] if n else []


def _with_row(scores: Scores, name: str, values: np.ndarray, copies: np.ndarray) -> Scores:
    """The scores with those of one more strategy, (seeds,), which are the same on every pair."""
    shape = (1, *scores.values.shape[1:])
    return Scores(
        (*scores.strategies, name),
        scores.pairs,
        scores.seeds,
        np.concatenate([scores.values, np.broadcast_to(values, shape)]),
        np.concatenate([scores.is_failed, np.zeros(shape, bool)]),
        np.concatenate([scores.numbers, np.broadcast_to(copies, shape)]),
    )


def _mean_row(found: Mean, condition: Condition, main: Sequence[str]) -> dict[str, Any]:
    """A mean, and what is to be known of its cells: how many failed, were scored after a time limit, or had a result before."""
    of = set(main) if found.pair == OVER_PAIRS else {found.pair}
    places = [place for place in condition.cells if place[0] == found.strategy and place[1] in of]
    cells = [condition.cells[place] for place in places]
    return {
        "strategy": found.strategy,
        "pair": found.pair,
        "interval": interval_row(found.interval),
        "left_out": list(found.left_out),
        "seeds": found.seeds,
        "failed": sum(not cell["scored"] for cell in cells),
        "late": sum(_late(cell) for cell in cells),
        "again": sum(place in condition.attempts for place in places),
    }


def _late(cell: Mapping[str, Any]) -> bool:
    return bool(cell["scored"]) and cell["verdict"] == Verdict.TIME_LIMIT


def _shares(scores: Scores, main: Sequence[str], floor: str | None, ceiling: str | None, asked: Asked) -> list[dict[str, Any]]:
    if floor is None or ceiling is None or floor == ceiling:
        return []
    rows = [share for of in (scores.on(main).over_pairs(), scores) for share in shares(of, floor, ceiling, level=1 - asked.alpha)]
    return [asdict(share) for share in rows]


def _matrix(scores: Scores, asked: Asked) -> dict[str, Any] | None:
    if len(scores.strategies) < 2:
        return None
    found = win_tie_loss(scores, alpha=asked.alpha)
    return {
        "strategies": list(found.strategies),
        "wins": found.wins.tolist(),
        "ties": found.ties.tolist(),
        "untested": found.untested.tolist(),
        "totals": [list(found.totals()[name]) for name in found.strategies],
    }


def _maps(
    condition: Condition, strategies: Sequence[str], metric: str, reference: str | None, level: float
) -> list[dict[str, Any]]:
    """The track's own maps of the strategies' cells."""
    runs = [
        Run(
            name,
            task,
            seed,
            cell["verdict"],
            condition.value((name, task, seed), metric) if cell["scored"] else None,
            condition.track.figures(cell),
            bool(cell["scored"]) and condition.track.collapsed(cell["metrics"]),
            condition.observation((name, task, seed)),
        )
        for (name, task, seed), cell in condition.cells.items()
        if name in strategies
    ]
    how = {"metric": metric, "seeds": None, "reference": reference, "level": level}
    return condition.track.maps(condition.rules["profile"], runs, None, strategies, **how)


def _counts(condition: Condition, name: str, pairs: Sequence[str]) -> dict[str, Any]:
    cells = [cell for (strategy, _, _), cell in condition.cells.items() if strategy == name]
    scored = sum(cell["scored"] for cell in cells)
    absent = sum((name, p, n) not in condition.cells for p in pairs for n in condition.seeds)
    counts = {"name": name, "digest": condition.digests[name], "scored": scored, "failed": len(cells) - scored, "absent": absent}
    person = condition.people[name]
    earlier: Counter[str] = Counter()
    for place, verdicts in condition.attempts.items():
        if place[0] == name:
            earlier.update(verdicts)
    counts |= {"late": sum(map(_late, cells)), "again": sum(place[0] == name for place in condition.attempts)}
    counts["attempts"] = dict(sorted(earlier.items()))
    return counts | {"owner": person.owner, "label": person.label, "folder": person.folder, "time": person.time}


def _failed(condition: Condition) -> list[dict[str, Any]]:
    rows = []
    for (strategy, pair, seed), cell in sorted(condition.cells.items()):
        if not cell["scored"]:
            place = {"strategy": strategy, "pair": pair, "seed": seed}
            rows.append(place | {"verdict": cell["verdict"], "reason": cell["reason"] or "no score is stored with it"})
    return rows
