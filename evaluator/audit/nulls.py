"""How often an audit calls a change of places real that is none, and finds one that is: on planted digits, by repetition.

Two kinds of pairs in which no order changes are made from two classifiers, by a toss of a coin for every image that says which of
the two predictions each new model takes. So both models have the same chance of being right on every image, whatever is done with
the labels, and nothing of it depends on an assumption.

- **twins**: that and nothing more. Their order is chance in every view.
- **favoured**: on the images that the annotator mislabelled, one of the two also says what the annotator said. It is ahead with the
  labels as given, for a reason that the audit should name; without the mislabelled images both are equal, and whatever order is
  seen there is chance. This is the harder case: the first of the two orders is real.

A false change is a pair of these that the audit says changes places beyond noise, in a view in which both are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from evaluator.audit.digits import Rates, plant
from evaluator.audit.kinds import Kind
from evaluator.audit.planted import Planted, audited
from evaluator.audit.predictions import Predictions
from evaluator.audit.results import Audit, Settings
from evaluator.audit.views import Name
from evaluator.errors import ConfigurationError
from evaluator.scoring.intervals import Interval, wilson_interval
from evaluator.seeds import derive, generator

Null = Literal["twins", "favoured"]
LEFT_OUT = (Name.WITHOUT_MISLABELLED, Name.CLEAN)
"""Views in which a favoured model has no advantage."""


@dataclass(frozen=True)
class NullRates:
    """What an audit says of planted nulls.

    Attributes:
        null: their kind; ``repetitions``: audits; ``pairs``: of models without a change of places in each of them.
        audits: audits with a false change; ``changes``: pairs with one, of ``repetitions * pairs``.
        swapped: pairs whose order turns in a view in which they are equal, called noise or not.
        alpha: the stated chance of an audit with one or more false changes.
    """

    null: Null
    repetitions: int
    pairs: int
    audits: int
    changes: int
    swapped: int
    alpha: float

    @property
    def rate(self) -> Interval:
        """Share of audits with a false change, with its Wilson interval."""
        return wilson_interval(self.audits, self.repetitions)


def without_order(planted: Planted, null: Null, root: int, repetition: int) -> Planted:
    """Pairs of models without a change of places, made of the classifiers two by two: models 2 i and 2 i + 1 are a pair.

    Args:
        root, repetition: of the tosses.
    """
    rng = generator(root, "audit", "nulls", null, repetition)
    rows = planted.kinds == Kind.MISLABELLED
    given = planted.benchmark.labels
    made: list[Predictions] = []
    for place in range(0, len(planted.predictions) - 1, 2):
        first, second = (found.top for found in planted.predictions[place : place + 2])
        toss = rng.random(len(given)) < 0.5
        one, two = np.where(toss[:, None], first, second), np.where(toss[:, None], second, first)
        if null == "favoured":
            one = one.copy()
            for row in np.flatnonzero(rows).tolist():
                # The given class comes first, and the others keep their order.
                one[row] = [given[row], *(label for label in one[row].tolist() if label != given[row])]
        for name, top in (("first", one), ("second", two)):
            made.append(Predictions(f"pair {place // 2 + 1} ({name})", planted.benchmark.ids, top))
    return replace(planted, predictions=tuple(made), truth=np.full(len(made), np.nan))


def null_rates(
    null: Null,
    repetitions: int,
    root: int,
    *,
    rates: Rates | None = None,
    settings: Settings | None = None,
    data: int = 20,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> NullRates:
    """Repeat audits of pairs without a change of places.

    Args:
        repetitions: audits. Every ``data`` of them the images, errors and classifiers are drawn anew, the tosses every time.
        root: seed. ``settings``: of each audit; those of intervals may be small, for no test depends on them.

    Raises:
        ConfigurationError: no repetition.
    """
    if repetitions < 1:
        raise ConfigurationError(f"--nulls is {repetitions}; expected 1 audit or more")
    settings = settings or Settings(draws=100, control_draws=100)
    views = LEFT_OUT if null == "favoured" else None
    audits = changes = swapped = pairs = 0
    for repetition in range(repetitions):
        planted = plant(derive(root, "audit", "nulls", repetition // data), rates)
        made = without_order(planted, null, root, repetition)
        found = audited(made, settings)
        pairs = len(made.predictions) // 2
        turned, shown = _false(found, views)
        swapped, changes, audits = swapped + turned, changes + shown, audits + bool(shown)
        progress(repetition + 1, repetitions)
    return NullRates(null, repetitions, pairs, audits, changes, swapped, settings.alpha)


def _false(found: Audit, views: tuple[str, ...] | None) -> tuple[int, int]:
    """How many pairs without a change turn round in a view, and of how many the audit says so."""
    turned, shown = set(), set()
    for view in found.views[1:]:
        if views is not None and view.name not in views:
            continue
        for swap in view.swaps:
            pair = swap.ahead.partition(" (")[0]
            if pair == swap.behind.partition(" (")[0]:
                turned.add(pair)
                if swap.shown:
                    shown.add(pair)
    return len(turned), len(shown)
