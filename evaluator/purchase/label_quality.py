"""Warnings for a label quality at which most labels that are sold as positive would be wrong.

The warning is computed from all labels of the pool, on the trusted side. It is shown to the person who runs an evaluation, never to
a worker.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from evaluator.purchase.profiles import Profile
from evaluator.purchase.sets import RoundSets

if TYPE_CHECKING:
    from evaluator.data.annotators import ExpectedNoise

LEAST_RIGHT = 0.5
"""Warn when the precision of the sold positive labels, over all classes, falls below this value.

A label that is sold as positive is then more likely wrong than right. This happens exactly if the market sells more wrong entries
than the pool has truly positive labels, whatever kinds of mistakes it makes: correct positive labels are the truly positive labels
minus the misses, wrong positive labels are the false alarms, and misses and false alarms together are all wrong entries. A market
that always answered 0 would then be right more often.
"""


def sold_noise(profile: Profile, sets: RoundSets, quality: float, root: int, seeds: Iterable[int]) -> ExpectedNoise:
    """The expected mistakes in all labels of the pool at a quality. If each seed draws a pool of its own, over all these pools.

    Raises:
        ConfigurationError: the quality is outside 0.5..1.
    """
    from evaluator.data.annotators import expected_noise
    from evaluator.data.painted import size_pairs

    numbers = list(seeds) if profile.drawn else [0]
    pools = (sets.drawn(profile, root, seed).splits["unlabelled"].labels for seed in numbers)
    return reduce(add, (expected_noise(labels, 1 - quality, size_pairs(labels.shape[1])) for labels in pools))


def enough_quality(noise: ExpectedNoise) -> float:
    """The lowest quality without a warning, rounded up to three decimals: 1 - share of positive labels in the pool.

    At this quality ``LEAST_RIGHT`` of the labels that are sold as positive are truly positive.
    """
    # An error in the last bit of the share must not raise the result by 0.001.
    return max(0.5, math.ceil(round((1 - noise.positive_share) * 1000, 6)) / 1000)


def quality_warnings(
    profile: Profile, sets: RoundSets, qualities: Sequence[float], root: int, seeds: Iterable[int]
) -> tuple[str, ...]:
    """One warning for all ``qualities`` at which most labels that are sold as positive are wrong; empty if there is none.

    Args:
        qualities: shares of label entries that the market sells right.
        root, seeds: what pools and mistakes are drawn from (``Choices.root``).

    Raises:
        ConfigurationError: a quality is outside 0.5..1.
    """
    numbers = tuple(seeds)
    expected = {quality: sold_noise(profile, sets, quality, root, numbers) for quality in qualities if quality != 1}
    # Rounding errors must not cause a warning at exactly the lowest quality without one.
    low = {q: noise for q, noise in expected.items() if noise.over_classes().right_share[0] < LEAST_RIGHT - 1e-9}
    if not low:
        return ()
    noise = next(iter(low.values()))
    enough = enough_quality(noise)
    missed = _missed(sold_noise(profile, sets, enough, root, numbers))
    names = ", ".join(f"{quality:g}" for quality in low)
    return (
        f"label quality {names}: most labels that are sold as positive are wrong ({noise.positive_share:.1%} of the pool's entries "
        "are positive). Expected: "
        + "; ".join(f"at {quality:g} {_in_words(found)}" for quality, found in low.items())
        + f". Scores will hardly show which labels were worth buying. Use --label-quality {enough:g} or more, where at least half "
        + "of the labels sold as positive are truly positive"
        + (f" and {missed} of the positive labels are sold as 0." if missed else "."),
    )


def _in_words(noise: ExpectedNoise) -> str:
    shares, missed = noise.right_share, _missed(noise)
    right = f"only {noise.over_classes().right_share[0]:.1%} of the labels sold as positive are truly positive"
    classes = f" ({np.nanmin(shares):.1%} to {np.nanmax(shares):.1%} by class)"
    return right + classes + (f", and {missed} of the positive labels are sold as 0" if missed else "")


def _missed(noise: ExpectedNoise) -> str:
    """Share of the truly positive labels that are sold as 0, over all classes; empty if it is 0 or unknown."""
    share = noise.over_classes().missed_share[0]
    return f"{share:.1%}" if share > 0 else ""
