"""Means over seeds of which some collapsed: a model that learnt nothing, beside models that did.

Such a set of scores has two humps, and its mean lies where no score is. So the mean is given together with how many of the scores
collapsed, and with the mean of the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from evaluator.scoring.intervals import t_interval


def over_seeds(scores: Iterable[tuple[float, bool]], level: float = 0.95) -> dict[str, Any] | None:
    """The t-interval of scores, JSON-able; None without scores.

    Two members are added to those of an ``Interval``: ``collapsed``, how many of the ``n`` scores; and ``without``, the mean of the
    others, None where none collapsed, or all did.

    Args:
        scores: (score, whether a model behind it collapsed) of each seed.

    Raises:
        ValueError: as ``t_interval``.
    """
    given = list(scores)
    if not given:
        return None
    found: dict[str, Any] = asdict(t_interval([score for score, _ in given], level))
    return found | counts(given)


def counts(scores: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """The two members that ``over_seeds`` adds."""
    others = [score for score, collapsed in scores if not collapsed]
    mixed = 0 < len(others) < len(scores)
    return {"collapsed": len(scores) - len(others), "without": sum(others) / len(others) if mixed else None}
