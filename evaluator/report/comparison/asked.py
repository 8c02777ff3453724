"""How conditions are to be compared, and which metric and which strategies of a condition that means."""

from __future__ import annotations

from dataclasses import dataclass

from evaluator.errors import ConfigurationError
from evaluator.history.groups import Condition
from evaluator.tables import Metric, either

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


def metric_of(condition: Condition, asked: Asked) -> Metric:
    """The metric that a condition is compared by."""
    return condition.track.metric(asked.metric or condition.metric)


def strategy_named(name: str, condition: Condition) -> str | None:
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


def limits_of(metric: Metric, asked: Asked) -> tuple[float, float] | None:
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
