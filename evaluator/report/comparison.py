"""Every strategy compared with a reference, condition by condition: the figures of ``python -m evaluator compare``, JSON-able.

``docs/results-format.md`` lists the figures, ``comparison_tables`` shows them, and ``evaluator.scoring`` computes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from evaluator.errors import ConfigurationError, Verdict
from evaluator.history.groups import Condition, over
from evaluator.records import DATA_SET, SCHEMA
from evaluator.report.collapsed import Behind, by_strategy, comparison_note, fallen
from evaluator.report.families import LOSES, OverSets, correct_together
from evaluator.report.levels import Kind, kinds, level_table
from evaluator.report.proxy_correlation import stand_in
from evaluator.scoring.comparisons import Difference, Mean, compare, means
from evaluator.scoring.curves import areas
from evaluator.scoring.gap import shares
from evaluator.scoring.paired import fewest_seeds
from evaluator.scoring.power import sensitivity
from evaluator.scoring.ranking import mean_ranks, win_tie_loss
from evaluator.scoring.scores import OVER_PAIRS, Scores
from evaluator.tables import Metric, Run, either

REFERENCE = "random"
CEILING = "full_pool"
FAMILIES = ("report", "pair", "table")
LEAST_WANTED = 1e-6
"""Smallest difference that a plan is made for; scores are shown with three digits."""


@dataclass(frozen=True)
class Asked:
    """How conditions are to be compared.

    Attributes:
        reference: name of the strategy that all others are compared with; None for ``random``, if it was run.
        ceiling: name of the strategy whose score is the upper end of the gap; None for ``full_pool``, if it was run.
        metric: name of a metric of the track; None for the round's primary metric.
        family: the tests that are corrected together: ``report``, all of all tables (``report.families``); or ``pair`` or ``table``
            as in ``scoring.comparisons.compare``, each table by itself.
        wanted: the difference in score that the plan (how many seeds?) is made for.
        alpha: level of the tests; ``power``: of the plan.
        root: seed of the permutation test and of the draws behind rank correlations.
        each_data_set: a table for each data set, too, where several are stored of one condition.
        hidden: names of the hidden pairs; None for those that are neither public nor part of a grid.
        bounds: whether failed cells count as the worst and as the best score, instead of leaving no finding.

    Raises:
        ConfigurationError: a value makes no sense.
    """

    reference: str | None = None
    ceiling: str | None = None
    metric: str | None = None
    family: str = "report"
    wanted: float = 0.01
    alpha: float = 0.05
    power: float = 0.8
    root: int = 2022
    hidden: tuple[str, ...] | None = None
    bounds: bool = False
    each_data_set: bool = False

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ConfigurationError(f"--family is {self.family!r}; it must be {either(FAMILIES)}")
        if not LEAST_WANTED <= self.wanted < float("inf"):
            raise ConfigurationError(f"--wanted is {self.wanted:g}; it must be {LEAST_WANTED:g} or more, e.g. 0.01")
        if not 0 < self.alpha < self.power < 1 or self.root < 0:
            raise ConfigurationError(
                f"alpha is {self.alpha}, power {self.power}, seed {self.root}; expected 0 < alpha < power < 1, seed >= 0"
            )


def comparison_report(found: Sequence[Condition], left_out: Sequence[str], asked: Asked) -> dict[str, Any]:
    """The figures of all conditions, JSON-able, without NaN.

    Raises:
        ConfigurationError: no cell of the named reference, ceiling or hidden pair is stored, or a named hidden pair is public; no
            track has the named metric, or the wanted difference is larger than its range.
    """
    shown, lacking = _with_metric([condition for condition in found if condition.shown], asked)
    left_out = [*left_out, *lacking]
    for option, name in (("--reference", asked.reference), ("--ceiling", asked.ceiling)):
        if name is not None and not any(_resolved(name, condition) for condition in shown):
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
    own = {id(c): _table(c, found, asked) for c in shown if asked.each_data_set or c not in within}
    tables = list(own.values())
    levels = [_levels(kind, asked) for kind in several]
    if asked.family == "report":
        over_sets = [
            OverSets(table, [own[id(c)] for c in kind.members if id(c) in own]) for table, kind in zip(levels, several, strict=True)
        ]
        correct_together(tables, over_sets, asked.alpha)
    for row in (row for table in tables for row in table["differences"]):
        row["plan"] = _plan(row, asked)
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
        span = _metric(condition, asked).span
        if span is not None and asked.wanted >= span:
            raise ConfigurationError(
                f"--wanted is {asked.wanted:g}; it must be less than {span:g}, the range of {_metric(condition, asked).label}"
            )
        kept.append(condition)
    if shown and not kept:
        known = either([name for condition in shown for name in condition.track.metric_names])
        raise ConfigurationError(f"--metric is {asked.metric!r}; it must be {known}")
    return kept, [f"cells of the track {name}, which has no metric {asked.metric}" for name in sorted(lacking)]


def _metric(condition: Condition, asked: Asked) -> Metric:
    return condition.track.metric(asked.metric or condition.metric)


def _table(condition: Condition, found: Sequence[Condition], asked: Asked) -> dict[str, Any]:
    metric = _metric(condition, asked).name
    reference = _resolved(asked.reference or REFERENCE, condition)
    ceiling = _resolved(asked.ceiling or CEILING, condition)
    whole = None if ceiling in (None, reference) else condition.whole(ceiling, metric)
    # A strategy that got everything is not a competitor: it is left out of all families of tests and all rankings.
    whole = None if condition.strategies == (ceiling,) else whole
    compared = tuple(s for s in condition.strategies if whole is None or s != ceiling)
    everything = condition.scores(metric)
    limits = _limits(_metric(condition, asked), asked)
    pairs = tuple(p for p in condition.tasks if any((s, p, n) in condition.cells for s in compared for n in condition.seeds))
    scores = everything.on(pairs).of_strategies(compared)
    main = over(condition, compared, pairs)
    with_ceiling = scores if whole is None or ceiling is None else _with_row(scores, ceiling, *whole)
    differences = _differences(scores, main, reference, asked, limits)
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
        "differences": [_difference_row(d) for d in differences],
        "shares": _shares(with_ceiling.without_failures(), main, reference, ceiling, asked),
        "matrix": _matrix(scores, asked),
        "ranks": [{"strategy": r.strategy, "rank": _maybe(r.rank)} for r in mean_ranks(scores.on(main), 1 - asked.alpha)],
        "areas": [
            _area(scores, collapsed[: len(compared)], (label, members, cost), reference, asked)
            for label, members, cost in track.curves(main)
        ],
        "public_minus_hidden": _public_minus_hidden(condition, scores, collapsed[: len(compared)], reference, maps, asked),
        "heat_maps": maps,
        "stand_in": stand_in(condition, found, ranked, main, metric, asked.root) if condition.proxy else None,
        "failed": _failed(condition),
        "hidden": asdict(condition.hidden),
        "left_out": list(condition.left_out),
        "notes": [*condition.notes, *_lacking(condition, metric)],
    }
    _mark_collapsed(table, with_ceiling, collapsed, reference, ceiling)
    table["notes"] += comparison_note(table, track)
    return table


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


def _levels(kind: Kind, asked: Asked) -> dict[str, Any]:
    metric, reference = _metric(kind.first, asked).name, _resolved(asked.reference or REFERENCE, kind.first)
    ceiling = _resolved(asked.ceiling or CEILING, kind.first)
    return level_table(kind, metric, reference, ceiling, asked.wanted, asked.alpha, asked.root)


def _lacking(condition: Condition, metric: str) -> list[str]:
    """A note on scored cells that lack the metric."""
    n = sum(cell["scored"] and metric not in cell["metrics"] for cell in condition.cells.values())
    return [f"{n} scored cells were stored without the metric {metric} and are not in the table."] if n else []


def _resolved(name: str, condition: Condition) -> str | None:
    """A strategy of the condition by its name, None if there is none. Of several versions, that with the most scored cells,
    and of those that which was evaluated last."""
    if name in condition.strategies:
        return name
    versions = [s for s in condition.strategies if s == f"{name} ({condition.digests[s][:8]})" or _called(condition, s, name)]

    def worth(strategy: str) -> tuple[int, str, str]:
        scored = sum(cell["scored"] for place, cell in condition.cells.items() if place[0] == strategy)
        return scored, condition.people[strategy].time if strategy in condition.people else "", strategy

    return max(versions, key=worth, default=None)


def _called(condition: Condition, strategy: str, name: str) -> bool:
    return strategy in condition.people and condition.people[strategy].called(name)


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


def _limits(metric: Metric, asked: Asked) -> tuple[float, float] | None:
    """The worst and the best score of a metric, if they are asked for.

    Raises:
        ConfigurationError: the metric has no bounds.
    """
    if not asked.bounds:
        return None
    if metric.low is None or metric.high is None:
        raise ConfigurationError(f"--bounds: {metric.label} has no smallest or no largest value; leave --bounds out")
    worst, best = sorted((metric.score(metric.low), metric.score(metric.high)))
    return worst, best


def _differences(
    scores: Scores, main: Sequence[str], reference: str | None, asked: Asked, bounds: tuple[float, float] | None = None
) -> tuple[Difference, ...]:
    """Differences to the reference: over the pairs, then pair by pair. Empty without a reference or without another strategy."""
    if reference is None or reference not in scores.strategies or len(scores.strategies) < 2:
        return ()
    family = "pair" if asked.family == "report" else asked.family  # corrected later, with all other tables
    options: dict[str, Any] = {"alpha": asked.alpha, "family": family, "root": asked.root, "bounds": bounds}
    return (*compare(scores.on(main), reference, **options).overall, *compare(scores, reference, **options).per_pair)


def _mean_row(found: Mean, condition: Condition, main: Sequence[str]) -> dict[str, Any]:
    """A mean, and what is to be known of its cells: how many failed, were scored after a time limit, or had a result before."""
    of = set(main) if found.pair == OVER_PAIRS else {found.pair}
    places = [place for place in condition.cells if place[0] == found.strategy and place[1] in of]
    cells = [condition.cells[place] for place in places]
    return {
        "strategy": found.strategy,
        "pair": found.pair,
        "interval": _maybe(found.interval),
        "left_out": list(found.left_out),
        "seeds": found.seeds,
        "failed": sum(not cell["scored"] for cell in cells),
        "late": sum(_late(cell) for cell in cells),
        "again": sum(place in condition.attempts for place in places),
    }


def _late(cell: Mapping[str, Any]) -> bool:
    return bool(cell["scored"]) and cell["verdict"] == Verdict.TIME_LIMIT


def _difference_row(found: Difference) -> dict[str, Any]:
    row = asdict(found) | {"finding": str(found.finding), "doubtful": found.doubtful, "left_out": list(found.left_out)}
    row["decider"] = None if found.decider is None else str(found.decider)
    del row["alpha"], row["reference"]  # the same in every row
    return row


def _plan(row: dict[str, Any], asked: Asked) -> dict[str, Any] | None:
    """What the seeds of a difference can show, by the t-test; None without a test."""
    if row["deviation"] is None:
        return None
    seeds = row["difference"]["n"]
    plan = sensitivity(
        row["deviation"],
        seeds,
        planned=max(seeds, fewest_seeds(asked.alpha)),
        wanted=asked.wanted,
        power=asked.power,
        alpha=asked.alpha,
        comparisons=max(1, row["family"]),
        level=1 - asked.alpha,
    )
    return {"smallest": asdict(plan.smallest), "seeds": None if plan.seeds is None else asdict(plan.seeds)}


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


def _area(
    every: Scores,
    collapsed: np.ndarray,
    curve: tuple[str, Sequence[str], Sequence[float]],
    reference: str | None,
    asked: Asked,
) -> dict[str, Any]:
    label, members, cost = curve
    scores = every.on(members)
    found = areas(scores, list(cost))
    against = _differences(found, found.pairs, reference, asked)[: len(scores.strategies) - 1]
    area: dict[str, Any] = {
        "curve": label,
        "pairs": list(scores.pairs),
        "means": [{"strategy": m.strategy, "interval": _maybe(m.interval)} for m in means(found, 1 - asked.alpha)],
        "differences": [_short_row(d) for d in against],
    }
    behind = Behind(scores.strategies, found.values[:, 0], Behind.over(every, collapsed, members).collapsed)
    behind.mark_means(area["means"])
    behind.mark_differences(area["differences"], reference)
    return area


def _short_row(found: Difference) -> dict[str, Any]:
    """A difference of areas, or of public minus hidden pairs."""
    row = _difference_row(found)
    kept = ("strategy", "difference", "seeds", "p", "p_holm", "p_permutation", "family", "finding")
    return {name: row[name] for name in kept}


def _public_minus_hidden(
    condition: Condition,
    scores: Scores,
    collapsed: np.ndarray,
    reference: str | None,
    maps: Sequence[dict[str, Any]],
    asked: Asked,
) -> dict[str, Any] | None:
    """What strategies lose on pairs that they were not tuned to, paired by seed; None without public or without hidden pairs.

    Hidden pairs may be harder for every strategy, so a strategy's loss is also compared with that of the reference.
    """
    public = condition.track.public_tasks(condition.rules["profile"])
    if wrong := public & set(asked.hidden or ()):
        raise ConfigurationError(
            f"--hidden: {min(wrong)} is a public {condition.track.task_word} of the round; name hidden {condition.track.task_word}s"
        )
    of_grid = {task for found in maps for task in condition.track.map_tasks(found)}
    drawn = set(scores.pairs) - public - of_grid if asked.hidden is None else set(asked.hidden)
    of_public, of_hidden = ([pair for pair in scores.pairs if pair in kind] for kind in (public, drawn))
    if not of_public or not of_hidden:
        return None
    shown, hidden = over(condition, scores.strategies, of_public), over(condition, scores.strategies, of_hidden)
    less = scores.contrast(shown, hidden, "public - hidden")
    level = 1 - asked.alpha
    kinds = [means(of, level) for of in (scores.on(shown).over_pairs(), scores.on(hidden).over_pairs(), less)]
    against = _differences(less, less.pairs, reference, asked)[: len(scores.strategies) - 1]
    found: dict[str, Any] = {
        "public": list(shown),
        "hidden": list(hidden),
        "rows": [
            {"strategy": at.strategy, "public": _maybe(at.interval), "hidden": _maybe(of.interval), "less": _maybe(by.interval)}
            for at, of, by in zip(*kinds, strict=True)
        ],
        "differences": [
            _short_row(d) | ({} if asked.family == "report" else {"finding": LOSES.get(d.finding, str(d.finding))}) for d in against
        ],
    }
    both = Behind.over(scores, collapsed, (*shown, *hidden)).collapsed
    for key, behind in (
        ("public", Behind.over(scores, collapsed, shown)),
        ("hidden", Behind.over(scores, collapsed, hidden)),
        ("less", Behind(scores.strategies, less.values[:, 0], both)),
    ):
        behind.mark_means(found["rows"], key)
    Behind(scores.strategies, less.values[:, 0], both).mark_differences(found["differences"], reference)
    return found


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


def _maybe(interval: Any) -> dict[str, Any] | None:
    return None if interval is None else asdict(interval)
