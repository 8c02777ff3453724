"""Several sources of corrections: how far they agree, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from evaluator.audit.corrections import Source
from evaluator.audit.kinds import Kind
from evaluator.audit.sets import combined
from evaluator.audit.views import Flags

INTERSECTION, UNION = "intersection", "union"
"""Names of what sources say together."""


@dataclass(frozen=True)
class Agreement:
    """How far two sources agree on the images that both looked at.

    Attributes:
        first, second: their names; ``n``: images that both looked at.
        kinds: how many images are of each kind by the first (row) and the second (column), in the order of ``Kind``.
        equal: images of which both name the same valid labels.
        flagged: images that both flag; ``only_first``, ``only_second``: that one of them flags.
        kappa: Cohen's (1960), of flagged or not: 1 is full agreement, 0 that of chance; None where one flags all or none.
    """

    first: str
    second: str
    n: int
    kinds: tuple[tuple[int, ...], ...]
    equal: int
    flagged: int
    only_first: int
    only_second: int
    kappa: float | None

    @property
    def jaccard(self) -> float | None:
        """Of the images that either flags, the share that both flag; None if neither flags any."""
        either = self.flagged + self.only_first + self.only_second
        return self.flagged / either if either else None


def agreement_of(first: Source, second: Source) -> Agreement:
    """How far two sources agree."""
    both = first.reviewed & second.reviewed
    a, b = first.kinds[both].astype(np.int64), second.kinds[both].astype(np.int64)
    table = np.bincount(a * len(Kind) + b, minlength=len(Kind) ** 2).reshape(len(Kind), len(Kind))
    n, flagged = int(both.sum()), int(((a > 0) & (b > 0)).sum())
    one, two = int((a > 0).sum()), int((b > 0).sum())
    kappa = None
    if n:
        seen = (flagged + (n - one - two + flagged)) / n
        chance = (one * two + (n - one) * (n - two)) / n**2
        kappa = (seen - chance) / (1 - chance) if chance < 1 else None
    equal = int(first.sets.equal(second.sets)[both].sum())
    rows = tuple(tuple(map(int, row)) for row in table)
    return Agreement(first.name, second.name, n, rows, equal, flagged, one - flagged, two - flagged, kappa)


def agreements(sources: Sequence[Source]) -> list[Agreement]:
    """Of every pair of sources."""
    return [agreement_of(a, b) for a, b in combinations(sources, 2)]


def together(sources: Sequence[Source]) -> list[Flags]:
    """What sources say together; empty for a single source.

    By the intersection an image is flagged where every source flags it, and a label is valid where every source says so; by the
    union where any does. A source that did not look at an image leaves it as it is, so that the intersection keeps its given label.
    """
    if len(sources) < 2:
        return []
    each = [Flags.of(source) for source in sources]
    sets = [flags.sets for flags in each]
    found = []
    for name, fewest, join in ((INTERSECTION, len(each), np.logical_and), (UNION, 1, np.logical_or)):
        mislabelled = join.reduce([flags.mislabelled for flags in each])
        flagged = join.reduce([flags.flagged for flags in each])
        valid = combined(sets, fewest)
        found.append(Flags(name, mislabelled, flagged, valid))
    return found
