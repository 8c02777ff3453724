"""All strategies against each other: wins, ties and losses, and mean ranks."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy  # its modules are loaded when they are first used: stats takes half a second

from evaluator.scoring.intervals import Interval, t_interval
from evaluator.scoring.observations import collapsed, joined
from evaluator.scoring.paired import decide, deciding_p, fewest_seeds, holm, paired_tests, rounding_of, sign_flip_p, skew_p
from evaluator.scoring.scores import Scores


@dataclass(frozen=True, eq=False)
class WinTieLoss:
    """How often the strategy of a row beat, tied with or lost to that of a column, counted over pairs.

    Attributes:
        strategies: names of rows and columns.
        pairs: that were counted.
        wins, ties, untested: (s, s) int. A win is a difference shown by the paired tests, a tie a difference within noise, or none
            at all; untested are pairs on which a cell of either failed, with too few observations (``fewest_seeds``), or with equal
            differences that are not 0. The diagonal is 0.
        alpha: significance level.
        corrected: whether Holm's correction was made, over all s (s - 1) / 2 pairings of a pair.
    """

    strategies: tuple[str, ...]
    pairs: tuple[str, ...]
    wins: np.ndarray
    ties: np.ndarray
    untested: np.ndarray
    alpha: float
    corrected: bool

    def __post_init__(self) -> None:
        total = self.wins + self.wins.T + self.ties + self.untested
        off = ~np.eye(len(self.strategies), dtype=bool)
        if total.shape != off.shape or (total[off] != len(self.pairs)).any() or total[~off].any():
            raise ValueError(
                f"wins, ties, losses and untested of two strategies must make {len(self.pairs)} pairs, got {total.tolist()}"
            )

    @property
    def losses(self) -> np.ndarray:
        """(s, s) int: a loss of a strategy is a win of the other strategy."""
        return self.wins.T

    def totals(self) -> dict[str, tuple[int, int, int]]:
        """Strategy to its (wins, ties, losses) against all others."""
        rows = zip(self.wins.sum(axis=1), self.ties.sum(axis=1), self.wins.sum(axis=0), strict=True)
        return {name: (int(w), int(t), int(lost)) for name, (w, t, lost) in zip(self.strategies, rows, strict=True)}


@dataclass(frozen=True)
class Rank:
    """Mean rank of a strategy, 1 is best.

    Attributes:
        strategy: which.
        rank: mean over pairs, then over seeds, with its interval over seeds (``rank_interval``); ``None`` where a cell of the
            strategy failed, where it is complete on no seed, or no seed is complete for all that are ranked.
        left_out: seeds left out because some ranked strategy lacks them.
    """

    strategy: str
    rank: Interval | None
    left_out: tuple[int | str, ...]


def win_tie_loss(scores: Scores, *, alpha: float = 0.05, corrected: bool = True) -> WinTieLoss:
    """Test every pairing of strategies on every pair as ``compare`` does; for one test over pairs, give ``scores.over_pairs()``.

    Each pairing uses the observations that both have.

    Args:
        scores: of two strategies or more.
        alpha: significance level.
        corrected: Holm's correction over all pairings of a pair; without it, about alpha of the pairings of equals are called wins.

    Raises:
        ValueError: a single strategy, or alpha outside (0, 1).
    """
    if len(scores.strategies) < 2:
        raise ValueError(f"there is only {scores.strategies[0]!r}; a matrix needs two strategies")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}; it must lie between 0 and 1, e.g. 0.05")
    size = len(scores.strategies)
    row, column = np.triu_indices(size, 1)
    scores = scores.without_failures()
    values, numbers = scores.values.transpose(1, 0, 2), scores.numbers.transpose(1, 0, 2)
    ours, theirs, rounding = values[:, row], values[:, column], rounding_of(values[:, row], values[:, column])
    gaps = collapsed(ours - theirs, joined(numbers[:, row], numbers[:, column]))
    tests = paired_tests(gaps, 1 - alpha, rounding)
    p = deciding_p(tests, skew_p(gaps))
    signs = decide(tests, holm(p) if corrected else p, sign_flip_p(gaps, rounding=rounding), alpha)
    tested = (tests.n >= fewest_seeds(alpha)) & (~np.isnan(p) | (tests.mean == 0))
    wins, ties, untested = (np.zeros((size, size), dtype=np.int64) for _ in range(3))
    wins[row, column], wins[column, row] = (signs == 1).sum(axis=0), (signs == -1).sum(axis=0)
    ties[row, column] = ties[column, row] = (tested & (signs == 0)).sum(axis=0)
    untested[row, column] = untested[column, row] = (~tested).sum(axis=0)
    return WinTieLoss(scores.strategies, scores.pairs, wins, ties, untested, alpha, corrected)


def mean_ranks(scores: Scores, level: float = 0.95) -> tuple[Rank, ...]:
    """Rank the strategies on every pair and seed (equal scores share the mean of their ranks), then average.

    Ranks among different sets of strategies cannot be averaged, so only seeds count on which every strategy has every pair. A
    strategy of which a cell failed, or that is complete on no seed at all, is not ranked, and the others are ranked without it.
    Seeds that are copies of one observation in all that are ranked count once.

    Raises:
        ValueError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}; it must lie between 0 and 1, e.g. 0.95")
    complete = ~np.isnan(scores.without_failures().values).any(axis=1)
    ranked = complete.any(axis=1)
    kept = complete[ranked].all(axis=0) & ranked.any()
    left_out = tuple(name for name, keep in zip(scores.seeds, kept, strict=True) if not keep)
    if not kept.any():
        return tuple(Rank(name, None, left_out) for name in scores.strategies)
    ranks = scipy.stats.rankdata(-scores.values[ranked][:, :, kept], axis=0).mean(axis=1)
    together = joined(*scores.numbers[ranked][:, :, kept].reshape(-1, int(kept.sum())))
    ranks = collapsed(ranks, np.broadcast_to(together, ranks.shape))
    rows = iter([row[~np.isnan(row)] for row in ranks])
    return tuple(
        Rank(name, rank_interval(next(rows), int(ranked.sum()), len(scores.pairs), level) if there else None, left_out)
        for name, there in zip(scores.strategies, ranked, strict=True)
    )


def rank_interval(ranks: np.ndarray, strategies: int, pairs: int, level: float = 0.95) -> Interval:
    """Interval of the mean of a strategy's ranks (n,), each a mean over pairs.

    A strategy that is first on each of a few seeds has ranks without any spread, and a t interval of width 0 would hold its mean
    rank in as few as 5 of 100 experiments. So the variance is taken with one more observation of the spread that ranks have by
    chance alone, ``(strategies^2 - 1) / 12`` on a pair; it is one of n + 1 and fades as seeds are added. Bounds are ranks that
    exist, 1 to ``strategies``. ``docs/statistics.md`` has its coverage.
    """
    found = t_interval(ranks, level)
    if found.half_width is None or strategies < 2:
        return found
    n, chance = found.n, (strategies**2 - 1) / 12 / pairs
    variance = ((n - 1) * float(np.var(ranks, ddof=1)) + chance) / n
    half = float(scipy.special.stdtrit(n - 1, (1 + level) / 2)) * (variance / n) ** 0.5
    return replace(found, low=max(1.0, found.mean - half), high=min(float(strategies), found.mean + half))
