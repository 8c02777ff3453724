"""The scores of a grid: strategies x pairs x seeds, with names, and with NaN where a cell failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluator.scoring.observations import joined

OVER_PAIRS = "mean over pairs"


@dataclass(frozen=True, eq=False)
class Scores:
    """What every strategy scored on every pair with every seed; the cells of one seed are paired.

    A cell that failed is NaN: *not known*. It is left out of every mean and difference that would need it, never filled in, and
    whoever reports must say how many were left out, because a strategy that fails where the task is hard looks better than it is.
    Where the rules give a failed cell a score (0, say), put that score here instead of NaN.

    Attributes:
        strategies: s different names.
        pairs: p different names.
        seeds: n different names or numbers.
        values: (s, p, n) float64, kept as a read-only copy; higher is better.
        failed: (s, p, n) bool, where a cell was run and failed; None for nowhere. Such a cell is NaN, as is one that was never run.
        copies: (s, p, n) int, numbers of observations: seeds with equal numbers, of one strategy and pair, are trainings on the
            same answer from the same inputs, and count once (``observations``). None: every seed is an observation.

    Raises:
        ValueError: names that are missing or double, a shape that does not fit them, infinite values.
        TypeError: values that are not numbers.
    """

    strategies: tuple[str, ...]
    pairs: tuple[str, ...]
    seeds: tuple[int | str, ...]
    values: np.ndarray
    failed: np.ndarray | None = None
    copies: np.ndarray | None = None

    def __post_init__(self) -> None:
        for what in ("strategies", "pairs", "seeds"):
            names = tuple(getattr(self, what))
            if not names or len(set(names)) != len(names):
                raise ValueError(f"the {what} are {list(names)}; give at least one, and each a name of its own")
            object.__setattr__(self, what, names)
        if np.asarray(self.values).dtype.kind not in "fiu":
            raise TypeError(
                f"the scores are of type {np.asarray(self.values).dtype}; they must be numbers, NaN where a cell failed"
            )
        values = np.array(self.values, dtype=np.float64)
        expected = (len(self.strategies), len(self.pairs), len(self.seeds))
        if values.shape != expected:
            raise ValueError(f"the scores are of shape {values.shape}; (strategies, pairs, seeds) are {expected}")
        if np.isinf(values).any():
            s, p, n = np.argwhere(np.isinf(values))[0]
            cell = f"{self.strategies[s]}, {self.pairs[p]}, seed {self.seeds[n]}"
            raise ValueError(f"the score of {cell} is {values[s, p, n]}; it must be finite, or NaN where the cell failed")
        values.flags.writeable = False
        object.__setattr__(self, "values", values)
        marks = {"failed": (bool, np.zeros(expected, bool)), "copies": (np.int64, np.arange(expected[2]))}
        for what, (kind, none) in marks.items():
            given = none if getattr(self, what) is None else np.asarray(getattr(self, what), dtype=kind)
            object.__setattr__(self, what, np.broadcast_to(given, expected))

    @property
    def is_failed(self) -> np.ndarray:
        """``failed``, which is never None once the scores are made."""
        assert self.failed is not None
        return self.failed

    @property
    def numbers(self) -> np.ndarray:
        """``copies``, which is never None once the scores are made."""
        assert self.copies is not None
        return self.copies

    def without_failures(self) -> Scores:
        """The same, but a strategy is NaN for all seeds of a pair on which any of its cells failed.

        A strategy that fails where it would do badly is better on the seeds that it survived: no mean and no test of these is fair.
        """
        spoilt = np.any(self.is_failed, axis=2, keepdims=True)
        return replace(self, values=np.where(spoilt, np.nan, self.values))

    def index(self, strategy: str) -> int:
        """Row of a strategy.

        Raises:
            ValueError: no strategy has this name.
        """
        if strategy not in self.strategies:
            raise ValueError(f"there is no strategy {strategy!r} in these scores; there are {', '.join(self.strategies)}")
        return self.strategies.index(strategy)

    def of(self, strategy: str) -> np.ndarray:
        """(pairs, seeds) scores of one strategy.

        Raises:
            ValueError: as ``index``.
        """
        return self.values[self.index(strategy)]

    def on(self, pairs: Sequence[str]) -> Scores:
        """The same strategies and seeds on some of the pairs, in the order given.

        Raises:
            ValueError: a pair that is not there, or none.
        """
        unknown = [pair for pair in pairs if pair not in self.pairs]
        if unknown:
            raise ValueError(f"there is no pair {unknown[0]!r} in these scores; there are {', '.join(self.pairs)}")
        at = [self.pairs.index(pair) for pair in pairs]
        return Scores(self.strategies, tuple(pairs), self.seeds, self.values[:, at], self.is_failed[:, at], self.numbers[:, at])

    def of_strategies(self, names: Sequence[str]) -> Scores:
        """Some of the strategies, in the order given, on the same pairs and seeds.

        Raises:
            ValueError: as ``index``.
        """
        at = [self.index(name) for name in names]
        return Scores(tuple(names), self.pairs, self.seeds, self.values[at], self.is_failed[at], self.numbers[at])

    def filled(self, reference: str, ours: float, theirs: float) -> Scores:
        """The same with a score for each failed cell: ``theirs`` for those of the reference, ``ours`` for those of the others."""
        instead = np.full((len(self.strategies), 1, 1), ours)
        instead[self.index(reference)] = theirs
        return replace(self, values=np.where(self.is_failed, instead, self.values), failed=None)

    def one(self, name: str, values: np.ndarray) -> Scores:
        """Values (strategies, seeds) that were computed of all pairs, as scores on one pair of that name.

        A seed of which any pair failed has failed; seeds are copies where they are copies on every pair.
        """
        numbers = joined(*np.moveaxis(self.numbers, 1, 0))[:, None]
        return Scores(self.strategies, (name,), self.seeds, values[:, None], np.any(self.is_failed, axis=1, keepdims=True), numbers)

    def over_pairs(self) -> Scores:
        """Mean over the pairs for each strategy and seed, as scores on one pair called ``OVER_PAIRS``.

        A seed that lacks one pair of a strategy is NaN for that strategy: a mean over the pairs that happened to work would compare
        easy pairs with hard ones.
        """
        return self.one(OVER_PAIRS, self.values.mean(axis=1))

    def contrast(self, first: Sequence[str], second: Sequence[str], name: str) -> Scores:
        """Mean over the first pairs less that over the second, for each strategy and seed, as scores on one pair of that name.

        A seed that lacks one of all these pairs is NaN for its strategy.

        Raises:
            ValueError: as ``on``.
        """
        less = self.on(first).values.mean(axis=1) - self.on(second).values.mean(axis=1)
        return self.on(list(dict.fromkeys((*first, *second)))).one(name, less)
