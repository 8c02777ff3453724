"""The pairs of a sweep, out of words: the profile's, the round's public ones, named ones, a grid, hidden ones.

Hidden pairs are drawn from the round's intervals, as an organiser draws them: a strategy that was tuned to five known pairs shows
there. The same round seed draws the same pairs, and more of them begin with those of fewer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Literal

from evaluator.errors import ConfigurationError
from evaluator.purchase.profiles import Profile
from evaluator.purchase.rounds import Pair, Round
from evaluator.seeds import generator

TENTHS = 10
"""Hidden times are whole tenths of a minute, so that a pair's name says all of it."""


@dataclass(frozen=True)
class NamedPair:
    """A pair, and how it came into the sweep."""

    pair: Pair
    kind: Literal["profile", "public", "named", "grid", "hidden"]


def choose_pairs(words: Sequence[str], profile: Profile, round_seed: int | None) -> tuple[NamedPair, ...]:
    """The pairs of all words, each once, in order; where two words give the same pair, the first counts.

    Args:
        words: ``profile``, ``public``, ``621:17,1321:34``, ``grid:500,1000x15,30`` (labels x minutes) or ``hidden:5`` each.
        round_seed: what hidden pairs are drawn from; they need one.

    Raises:
        ConfigurationError: a word that means nothing, no word at all, hidden pairs without a seed.
    """
    found: dict[Pair, NamedPair] = {}
    for word in words:
        for named in _read(word, profile, round_seed):
            found.setdefault(named.pair, named)
    if not found:
        raise ConfigurationError("no pairs were named; write --pairs public, for instance")
    return tuple(found.values())


def hidden_pairs(rules: Round, count: int, round_seed: int, known: frozenset[Pair] = frozenset()) -> tuple[Pair, ...]:
    """Draw pairs uniformly from the round's intervals, none twice and none of ``known``.

    Raises:
        ConfigurationError: the count is below 1, the seed below 0, or the intervals hold fewer pairs than that.
    """
    if count < 1 or round_seed < 0:
        raise ConfigurationError(f"hidden:{count} with the round seed {round_seed}: give 1 pair or more and a seed of 0 or more")
    labels, minutes = rules.label_interval, rules.minute_interval
    tenths = ceil(minutes[0] * TENTHS), floor(minutes[1] * TENTHS)
    there = (labels[1] - labels[0] + 1) * (tenths[1] - tenths[0] + 1) - len(known)
    if there < count:
        raise ConfigurationError(
            f"{rules.name} draws from {labels[0]} to {labels[1]} labels and {minutes[0]:g} to {minutes[1]:g} minutes, which are "
            f"{max(there, 0)} hidden pairs; {count} were asked for"
        )
    rng = generator(round_seed, "hidden pairs", rules.name)
    found: dict[Pair, None] = {}
    while len(found) < count:
        pair = Pair(int(rng.integers(labels[0], labels[1] + 1)), int(rng.integers(tenths[0], tenths[1] + 1)) / TENTHS)
        if pair not in known:
            found[pair] = None
    return tuple(found)


def _read(word: str, profile: Profile, round_seed: int | None) -> list[NamedPair]:
    kind, _, rest = word.strip().partition(":")
    if word.strip() == "profile":
        return [_told(pair, "profile", profile) for pair in profile.pairs]
    if word.strip() == "public":
        return [NamedPair(pair, "public") for pair in profile.round.pairs]
    if kind == "grid":
        return [NamedPair(pair, "grid") for pair in _grid(rest)]
    if kind == "hidden":
        if not re.fullmatch(r"\d+", rest):
            raise ConfigurationError(f"the pairs {word!r} were not understood; write hidden:5 for five hidden pairs")
        if round_seed is None:
            raise ConfigurationError(f"{word} draws pairs at random; say from which seed with --round-seed N")
        known = frozenset(profile.round.pairs)
        return [NamedPair(pair, "hidden") for pair in hidden_pairs(profile.round, int(rest), round_seed, known)]
    if not re.match(r"\s*\d", word):
        raise ConfigurationError(
            f"the pairs {word!r} were not understood; write profile, public, 621:17,1321:34, grid:500,1000x15,30 or hidden:5"
        )
    return [_told(Pair.parse(part), "named", profile) for part in word.split(",")]


def _told(pair: Pair, kind: Literal["profile", "named"], profile: Profile) -> NamedPair:
    # A public pair is one, by whatever name it came: it is compared with the hidden ones.
    return NamedPair(pair, "public" if pair in profile.round.pairs else kind)


def _grid(text: str) -> list[Pair]:
    labels, cross, minutes = text.partition("x")
    try:
        # Pair.parse says what is wrong with a number.
        return [Pair.parse(f"{n}:{m}") for n in labels.split(",") for m in minutes.split(",")] if cross else [Pair.parse("")]
    except ConfigurationError:
        raise ConfigurationError(
            f"the grid {text!r} was not understood; write labels x minutes, e.g. grid:500,1000x15,30"
        ) from None
