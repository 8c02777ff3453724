"""Means over seeds of which some collapsed: a model that learnt nothing, beside models that did.

Such a set of scores has two humps, and its mean lies where no score is. So the mean is given together with how many of the scores
collapsed, and with the mean of the others.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from evaluator.scoring.intervals import mean_of_seeds
from evaluator.scoring.observations import numbered, of_copies


def over_seeds(
    scores: Iterable[tuple[float, bool]], level: float = 0.95, keys: Sequence[Hashable | None] | None = None
) -> dict[str, Any] | None:
    """The t-interval of scores, JSON-able; None without scores.

    Two members are added to those of an ``Interval``: ``collapsed``, how many of the ``n`` scores; and ``without``, the mean of the
    others, None where none collapsed, or all did.

    Args:
        scores: (score, whether a model behind it collapsed) of each seed.
        keys: what each score is an observation of; those with an equal key are copies, and count once (``observations``). None: no
            score is a copy.

    Raises:
        ValueError: as ``t_interval``.
    """
    given = list(scores)
    if not given:
        return None
    if keys is not None:
        given = _observed(given, keys)
    found: dict[str, Any] = asdict(mean_of_seeds([score for score, _ in given], level))
    return found | counts(given)


def counts(scores: Sequence[tuple[float, bool]]) -> dict[str, Any]:
    """The two members that ``over_seeds`` adds."""
    others = [score for score, collapsed in scores if not collapsed]
    mixed = 0 < len(others) < len(scores)
    return {"collapsed": len(scores) - len(others), "without": sum(others) / len(others) if mixed else None}


def _observed(scores: Sequence[tuple[float, bool]], keys: Sequence[Hashable | None]) -> list[tuple[float, bool]]:
    """A score per observation: the mean of its copies, collapsed if any of them is."""
    fell: dict[int, bool] = {}
    for number, (_, collapsed) in zip(numbered(keys), scores, strict=True):
        fell[number] = fell.get(number, False) or collapsed
    return list(zip(of_copies([score for score, _ in scores], keys), fell.values(), strict=True))
