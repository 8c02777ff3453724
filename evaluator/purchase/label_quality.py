"""Whether labels of a quality say anything about a pool: what to warn of before work starts.

It is computed from all labels of the pool, on the trusted side; the person who runs an evaluation is told, never a worker.
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
"""Share of the sold ones, over all classes, below which a quality is warned of: a sold one is then more likely wrong than right.

This is so where more entries are sold wrong than there are ones in truth, whatever kinds of mistakes there are: right ones are the
true ones less the misses, wrong ones the false alarms, and the misses and the false alarms are all wrong entries. In other words: a
market that answered 0 to everything would be right more often.
"""


def sold_noise(profile: Profile, sets: RoundSets, quality: float, root_seed: int, seeds: Iterable[int]) -> ExpectedNoise:
    """What is wrong with all labels of the pool at a quality, in expectation; over the pools of all seeds where each draws its own.

    Raises:
        ConfigurationError: a quality outside 0.5..1.
    """
    from evaluator.data.annotators import expected_noise
    from evaluator.data.painted import size_pairs

    numbers = list(seeds) if profile.drawn else [0]
    pools = (sets.drawn(profile, root_seed, seed).splits["unlabelled"].labels for seed in numbers)
    return reduce(add, (expected_noise(labels, 1 - quality, size_pairs(labels.shape[1])) for labels in pools))


def enough_quality(noise: ExpectedNoise) -> float:
    """The lowest quality, rounded up to three decimals, at which ``LEAST_RIGHT`` of the sold ones are right: 1 - share of ones."""
    # The last bit of the share must not round it up.
    return max(0.5, math.ceil(round((1 - noise.positive_share) * 1000, 6)) / 1000)


def quality_warnings(
    profile: Profile, sets: RoundSets, qualities: Sequence[float], root_seed: int, seeds: Iterable[int]
) -> tuple[str, ...]:
    """One warning of all those ``qualities`` at which most of the sold ones are wrong; empty where there is none.

    Args:
        qualities: shares of label entries that the market sells right.
        root_seed, seeds: what the pools are drawn by.

    Raises:
        ConfigurationError: a quality outside 0.5..1.
    """
    numbers = tuple(seeds)
    expected = {quality: sold_noise(profile, sets, quality, root_seed, numbers) for quality in qualities if quality != 1}
    # At the very quality that is enough the last bit decides nothing.
    low = {q: noise for q, noise in expected.items() if noise.over_classes().right_share[0] < LEAST_RIGHT - 1e-9}
    if not low:
        return ()
    noise = next(iter(low.values()))
    enough = enough_quality(noise)
    there = _missed(sold_noise(profile, sets, enough, root_seed, numbers))
    names = ", ".join(f"{quality:g}" for quality in low)
    return (
        f"label quality {names}: more label entries are sold wrong than there are ones in the "
        f"pool ({noise.positive_share:.1%} of its entries). Expected: "
        + "; ".join(f"at {quality:g} {_in_words(found)}" for quality, found in low.items())
        + ". Scores will hardly show which labels were worth buying. From --label-quality "
        + f"{enough:g} on, at least half of the sold ones are right{f', with {there} missed' if there else ''}.",
    )


def _in_words(noise: ExpectedNoise) -> str:
    shares, missed = noise.right_share, _missed(noise)
    right = f"{noise.over_classes().right_share[0]:.1%} of the sold ones are right"
    classes = f" ({np.nanmin(shares):.1%} to {np.nanmax(shares):.1%} by class)"
    return right + classes + (f", and {missed} of the true ones are sold as 0" if missed else "")


def _missed(noise: ExpectedNoise) -> str:
    """Share of the true ones of all classes; empty where there are none, or none is missed."""
    share = noise.over_classes().missed_share[0]
    return f"{share:.1%}" if share > 0 else ""
