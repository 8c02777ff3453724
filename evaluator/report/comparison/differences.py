"""Differences to the reference: of scores, of areas under curves, and of public minus hidden pairs; what their seeds can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from evaluator.errors import ConfigurationError
from evaluator.history.groups import Condition, over
from evaluator.report.collapsed import Behind
from evaluator.report.comparison.asked import Asked
from evaluator.report.families import LOSES
from evaluator.scoring.comparisons import Difference, compare, means
from evaluator.scoring.curves import areas
from evaluator.scoring.paired import fewest_seeds
from evaluator.scoring.power import sensitivity
from evaluator.scoring.scores import Scores


def differences_to(
    scores: Scores, main: Sequence[str], reference: str | None, asked: Asked, bounds: tuple[float, float] | None = None
) -> tuple[Difference, ...]:
    """Differences to the reference: over the pairs, then pair by pair. Empty without a reference or without another strategy."""
    if reference is None or reference not in scores.strategies or len(scores.strategies) < 2:
        return ()
    family = "pair" if asked.family == "report" else asked.family  # corrected later, with all other tables
    options: dict[str, Any] = {"alpha": asked.alpha, "family": family, "root": asked.root, "bounds": bounds}
    return (*compare(scores.on(main), reference, **options).overall, *compare(scores, reference, **options).per_pair)


def difference_row(found: Difference) -> dict[str, Any]:
    """A difference, JSON-able."""
    row = asdict(found) | {"finding": str(found.finding), "doubtful": found.doubtful, "left_out": list(found.left_out)}
    row["decider"] = None if found.decider is None else str(found.decider)
    del row["alpha"], row["reference"]  # the same in every row
    return row


def _short_row(found: Difference) -> dict[str, Any]:
    """A difference of areas, or of public minus hidden pairs."""
    row = difference_row(found)
    kept = ("strategy", "difference", "seeds", "p", "p_holm", "p_permutation", "family", "finding")
    return {name: row[name] for name in kept}


def plan_of(row: dict[str, Any], asked: Asked) -> dict[str, Any] | None:
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


def area_under(
    every: Scores,
    collapsed: np.ndarray,
    curve: tuple[str, Sequence[str], Sequence[float]],
    reference: str | None,
    asked: Asked,
) -> dict[str, Any]:
    """Means and differences of the area under a curve. ``curve``: its label, its pairs, and what each of them costs."""
    label, members, cost = curve
    scores = every.on(members)
    found = areas(scores, list(cost))
    against = differences_to(found, found.pairs, reference, asked)[: len(scores.strategies) - 1]
    area: dict[str, Any] = {
        "curve": label,
        "pairs": list(scores.pairs),
        "means": [{"strategy": m.strategy, "interval": interval_row(m.interval)} for m in means(found, 1 - asked.alpha)],
        "differences": [_short_row(d) for d in against],
    }
    behind = Behind(scores.strategies, found.values[:, 0], Behind.over(every, collapsed, members).collapsed)
    behind.mark_means(area["means"])
    behind.mark_differences(area["differences"], reference)
    return area


def public_minus_hidden(
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
    against = differences_to(less, less.pairs, reference, asked)[: len(scores.strategies) - 1]
    found: dict[str, Any] = {
        "public": list(shown),
        "hidden": list(hidden),
        "rows": [
            {
                "strategy": at.strategy,
                "public": interval_row(at.interval),
                "hidden": interval_row(of.interval),
                "less": interval_row(by.interval),
            }
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


def interval_row(interval: Any) -> dict[str, Any] | None:
    """An interval, JSON-able; None without one."""
    return None if interval is None else asdict(interval)
