"""The scores of a grid: strategies x pairs x seeds, with names, and with NaN where a cell failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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

    Raises:
        ValueError: names that are missing or double, a shape that does not fit them, infinite values.
        TypeError: values that are not numbers.
    """

    strategies: tuple[str, ...]
    pairs: tuple[str, ...]
    seeds: tuple[int | str, ...]
    values: np.ndarray

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
        return Scores(self.strategies, tuple(pairs), self.seeds, self.values[:, [self.pairs.index(pair) for pair in pairs]])

    def over_pairs(self) -> Scores:
        """Mean over the pairs for each strategy and seed, as scores on one pair called ``OVER_PAIRS``.

        A seed that lacks one pair of a strategy is NaN for that strategy: a mean over the pairs that happened to work would compare
        easy pairs with hard ones.
        """
        return Scores(self.strategies, (OVER_PAIRS,), self.seeds, self.values.mean(axis=1, keepdims=True))

    def contrast(self, first: Sequence[str], second: Sequence[str], name: str) -> Scores:
        """Mean over the first pairs less that over the second, for each strategy and seed, as scores on one pair of that name.

        A seed that lacks one of all these pairs is NaN for its strategy.

        Raises:
            ValueError: as ``on``.
        """
        less = self.on(first).over_pairs().values - self.on(second).over_pairs().values
        return Scores(self.strategies, (name,), self.seeds, less)
