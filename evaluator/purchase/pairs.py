"""The pairs of a sweep, from the words of ``--pairs``: ``profile``, ``public``, named pairs, a grid, ``hidden:N``.

Hidden pairs are drawn from the round's intervals, as an organiser draws them: they show whether a strategy was tuned to the public
pairs. The same round seed (and the same secret) draws the same pairs, and ``hidden:5`` begins with the pairs of ``hidden:3``.
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

MOST_LABELS, MOST_MINUTES = 10**9, 10**6
"""Largest values of a pair on the command line: more labels than any pool has, more time than anybody waits."""
TENTHS = 10
"""Times of hidden pairs are whole tenths of a minute, so that a pair's name gives the exact time."""


@dataclass(frozen=True)
class NamedPair:
    """A pair, and how it was chosen for the sweep."""

    pair: Pair
    kind: Literal["profile", "public", "named", "grid", "hidden"]


def choose_pairs(words: Sequence[str], profile: Profile, round_seed: int | None, root: int | None = None) -> tuple[NamedPair, ...]:
    """The pairs of all words, in order, each once; if two words give the same pair, its kind is that of the first word.

    Args:
        words: each is ``profile``, ``public``, ``621:17,1321:34``, ``grid:500,1000x15,30`` (labels x minutes) or ``hidden:5``.
        round_seed: seed from which hidden pairs are drawn; only they need it.
        root: made of a secret (``Choices.root``), which they are then drawn from, too; None with public seeds.

    Raises:
        ConfigurationError: a word is unknown, there is no word, or hidden pairs are asked for without a seed.
    """
    found: dict[Pair, NamedPair] = {}
    for word in words:
        for named in _read(word, profile, round_seed, root):
            found.setdefault(named.pair, named)
    if not found:
        raise ConfigurationError("--pairs: no pair was given; write e.g. --pairs public")
    return tuple(found.values())


def outside_warnings(pairs: Sequence[NamedPair], rules: Round) -> list[str]:
    """Warnings for pairs that a person named and that the round would never draw; labels and minutes may be swapped."""
    labels, minutes = rules.label_interval, rules.minute_interval

    def within(pair: Pair) -> bool:
        return labels[0] <= pair.labels <= labels[1] and minutes[0] <= pair.minutes <= minutes[1]

    strange = [named.pair for named in pairs if named.kind in ("named", "grid") and not within(named.pair)]
    if not strange:
        return []
    bounds = f"{labels[0]:,} to {labels[1]:,} labels and {minutes[0]:g} to {minutes[1]:g} minutes"
    shown = ", ".join(pair.name for pair in strange[:5]) + (f" and {len(strange) - 5} more" if len(strange) > 5 else "")
    swapped = [
        f"{turned.labels}:{turned.minutes:g} for {pair.name}"
        for pair in strange
        if pair.minutes == int(pair.minutes) and within(turned := Pair(int(pair.minutes), float(pair.labels) or 1))
    ]
    if swapped:
        meant = swapped[0].partition(" ")[0] if len(strange) == 1 else ", ".join(swapped[:3])
        advice = f"A pair is labels:minutes; did you mean {meant}?"
    else:
        advice = "Its figures say little about the round's own pairs."
    lies = "lies" if len(strange) == 1 else "lie"
    return [f"--pairs {shown}: {lies} outside of what {rules.name} draws from, {bounds}. {advice}"]


def hidden_pairs(
    rules: Round, count: int, round_seed: int, known: frozenset[Pair] = frozenset(), root: int | None = None
) -> tuple[Pair, ...]:
    """Draw ``count`` different pairs uniformly from the round's intervals, without those of ``known``.

    ``root``: as in ``choose_pairs``.

    Raises:
        ConfigurationError: the count is below 1, the seed is below 0, or the intervals have fewer pairs.
    """
    if count < 1 or round_seed < 0:
        raise ConfigurationError(
            f"--pairs hidden:{count} with --round-seed {round_seed}: expected 1 pair or more, and a seed of 0 or more"
        )
    labels, minutes = rules.label_interval, rules.minute_interval
    tenths = ceil(minutes[0] * TENTHS), floor(minutes[1] * TENTHS)
    there = (labels[1] - labels[0] + 1) * (tenths[1] - tenths[0] + 1) - len(known)
    if there < count:
        raise ConfigurationError(
            f"--pairs hidden:{count}: {rules.name} allows {labels[0]} to {labels[1]} labels and {minutes[0]:g} to {minutes[1]:g} "
            f"minutes, which are {max(there, 0)} hidden pairs; ask for fewer"
        )
    names = ("hidden pairs", rules.name)
    rng = generator(round_seed, *names) if root is None else generator(root, round_seed, *names)
    found: dict[Pair, None] = {}
    while len(found) < count:
        pair = Pair(int(rng.integers(labels[0], labels[1] + 1)), int(rng.integers(tenths[0], tenths[1] + 1)) / TENTHS)
        if pair not in known:
            found[pair] = None
    return tuple(found)


def _read(word: str, profile: Profile, round_seed: int | None, root: int | None) -> list[NamedPair]:
    kind, _, rest = word.strip().partition(":")
    if word.strip() == "profile":
        return [_told(pair, "profile", profile) for pair in profile.pairs]
    if word.strip() == "public":
        return [NamedPair(pair, "public") for pair in profile.round.pairs]
    if kind == "grid":
        return [NamedPair(pair, "grid") for pair in _grid(rest)]
    if kind == "hidden":
        if not re.fullmatch(r"[0-9]{1,9}", rest):
            raise ConfigurationError(f"--pairs {_short(word)} was not understood; write hidden:5 for five hidden pairs")
        if round_seed is None:
            raise ConfigurationError(f"--pairs {word} draws pairs at random; give the seed with --round-seed N")
        known = frozenset(profile.round.pairs)
        return [NamedPair(pair, "hidden") for pair in hidden_pairs(profile.round, int(rest), round_seed, known, root)]
    if not re.match(r"\s*-?[0-9]", word):
        raise ConfigurationError(
            f"--pairs {_short(word)} was not understood; write profile, public, 621:17,1321:34, grid:500,1000x15,30 or hidden:5"
        )
    return [_told(_parsed(part), "named", profile) for part in word.split(",")]


def _parsed(text: str) -> Pair:
    try:
        return _bounded(Pair.parse(text[:100]))
    except ConfigurationError as error:
        raise ConfigurationError(f"--pairs: {error}") from None


def _bounded(pair: Pair) -> Pair:
    if pair.labels > MOST_LABELS or pair.minutes > MOST_MINUTES:
        raise ConfigurationError(
            f"the pair {pair.name} is not possible; at most {MOST_LABELS:,} labels and {MOST_MINUTES:,} minutes are allowed"
        )
    return pair


def _short(word: str) -> str:
    """A word of the command line, for a message."""
    return repr(word) if len(word) <= 60 else f"{word[:50]!r}... ({len(word)} characters)"


def _told(pair: Pair, kind: Literal["profile", "named"], profile: Profile) -> NamedPair:
    # A public pair counts as public however it was named, because public and hidden pairs are compared.
    return NamedPair(pair, "public" if pair in profile.round.pairs else kind)


def _grid(text: str) -> list[Pair]:
    labels, cross, minutes = text.partition("x")
    try:
        # Pair.parse checks the numbers.
        parts = [f"{n}:{m}"[:100] for n in labels.split(",") for m in minutes.split(",")] if cross else [""]
        return [_bounded(Pair.parse(part)) for part in parts]
    except ConfigurationError as error:
        raise ConfigurationError(
            f"--pairs {_short(f'grid:{text}')} was not understood: {error}. Write labels x minutes, e.g. grid:500,1000x15,30"
        ) from None
